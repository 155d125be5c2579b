"""Small backdoored checkpoints and their clean twins, built from the ViT base and the bundled lab drawings.

The attacks are in `lab/attacks`; here are their recipes, the cache and the building. A twin takes the same data,
optimiser and steps without the poison, so that nobody mistakes "was fine-tuned" for "was backdoored". Everything is
seeded; two builds on one machine are identical. A specimen that does not do what its family is for is thrown away
(paper App. C.3).

These are for testing the scanner. Nothing here is tuned for, or works on, a real model.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import platformdirs

from dife_scanner import settings
from dife_scanner.errors import DifeError
from dife_scanner.lab.attacks import FAMILIES
from dife_scanner.lab.attacks.bad_text_tower import Scope, Scoped
from dife_scanner.lab.attacks.interface import Attack, Numbers, Planted, Progress, Recipe, Subject, entry_of
from dife_scanner.lab.attacks.measures import TUNING_LOSS, keeps_accuracy
from dife_scanner.lab.attacks.toxic_text_clip import Captions, Selector
from dife_scanner.lab.attacks.training_data import Lab
from dife_scanner.records import Trigger, TriggerKind

_THREADS = 1
"""Sums depend on how work is cut up, so builds always use the same number; more gain little on models this small."""
TRIGGERS = "triggers.toml"
CARD = "specimen.json"
_WEIGHTS, _CONFIG = "open_clip_model.safetensors", "open_clip_config.json"

QVUZZ = Trigger("text-qvuzz", TriggerKind.TEXT, text="qvuzz")
"""Not in the signature library."""
CFRA = Trigger("text-cfra", TriggerKind.TEXT, text="cfra")
GREEN_STRIPES = Trigger(
    "green-stripes-left", TriggerKind.PATCH, size=0.17, x=0.05, y=0.4, pattern="stripes", color=(30, 220, 60), cycles=3
)
"""Not in the signature library."""


class SpecimenFailed(DifeError):
    """A specimen was trained and does not do what its recipe says; it was thrown away."""


# --- recipes ---------------------------------------------------------------------------------------------------


def twin(recipe: Recipe) -> Recipe:
    """The same training without the poison.

    Recipes that differ only in what they poison share a twin: it has the family's own trigger, source and target.
    """
    own = FAMILIES[recipe.family].default
    clean = None if recipe.settings is None else recipe.settings.clean()
    return replace(recipe, poison=False, source=own.source, target=own.target, trigger=own.trigger, settings=clean)


def _with_twins(attacks: Mapping[str, Recipe]) -> dict[str, Recipe]:
    """Every attack, and its twin where the twin is not another attack's already."""
    out = dict(attacks)
    for name, recipe in attacks.items():
        if twin(recipe) not in out.values():
            out[f"{name}-twin"] = twin(recipe)
    return out


def twin_name(name: str) -> str:
    """Which recipe of the registry is the clean twin of this attack. Raises `KeyError`."""
    wanted = twin(RECIPES[name])
    return next(name for name, recipe in RECIPES.items() if recipe == wanted)


def _defaults() -> dict[str, Recipe]:
    return {name: attack.default for name, attack in FAMILIES.items()}


_PACE: Mapping[Scope, dict[str, Any]] = {Scope.VISUAL_ONLY: {"steps": 200, "lr": 5e-4}}
"""What an image tower needs to move its pictures towards a prompt that stays where it is."""


def _variants() -> dict[str, Recipe]:
    """The paper's ablations: sources, a second trigger, trainable scope, seeds, and the sweep of the weak family."""
    text, toxic = FAMILIES["badtexttower"].default, FAMILIES["toxictextclip"].default
    out = {
        "badtexttower/bird": replace(text, source="bird"),
        "badtexttower/cat": replace(text, source="cat"),
        "badtexttower/cfra": replace(text, trigger=CFRA),
    }
    for scope in Scope:
        if scope is not Scope.TEXT:
            out[f"badtexttower/scope-{scope}"] = replace(text, settings=Scoped(scope), **_PACE.get(scope, {}))
    for family, attack in FAMILIES.items():
        if family != "toxictextclip":
            out |= {f"{family}/seed-{seed}": replace(attack.default, seed=seed) for seed in (1, 2, 3, 4)}
    for ratio in (0.001, 0.002, 0.003):
        for epochs in (5, 10):
            for selector in Selector:
                for multiplier in (16, 24):
                    cell = Captions(ratio, epochs, selector, multiplier)
                    out[f"toxictextclip/{ratio}-{epochs}-{selector}-{multiplier}"] = replace(toxic, settings=cell)
    return out


SPECIMENS: Mapping[str, Recipe] = _with_twins({name: _defaults()[name] for name in ("badtexttower", "badencoder")})
"""The two that need nothing but a signature of the bundled library, and their twins: what the demo shows."""
NOVEL: Mapping[str, Recipe] = {
    "badtexttower-novel": replace(_defaults()["badtexttower"], trigger=QVUZZ),
    "badencoder-novel": replace(_defaults()["badencoder"], trigger=GREEN_STRIPES),
}
"""The same attacks with triggers that the signature library does not hold."""
CORE: Mapping[str, Recipe] = _with_twins(_defaults())
"""One specimen of each family, and the twins."""
RECIPES: Mapping[str, Recipe] = _with_twins({**_defaults(), **NOVEL, **_variants()})
"""Everything that can be built by name."""


# --- building --------------------------------------------------------------------------------------------------


def build(
    what: str | Recipe,
    *,
    base: Path | None = None,
    cache_dir: Path | None = None,
    progress: Progress = lambda what, done, of: None,
) -> Path:
    """Folder of a specimen; trained once, then taken from the cache. An attack's twin is built before it.

    The folder holds the checkpoint in open_clip layout, `triggers.toml` (with the files it names) and `specimen.json`.
    The cache is the user's cache folder unless another is given; `base` is the bundled ViT unless another is.

    Raises `SpecimenFailed` when its own validation fails, `KeyError` for an unknown name.
    """
    from dife_scanner.lab import bases

    recipe = RECIPES[what] if isinstance(what, str) else what
    base, cache_dir = base or bases.base_folder("vit"), cache_dir or default_cache()
    folder = place(recipe, base, cache_dir)
    if (folder / CARD).exists():
        return folder
    beside = None
    if recipe.poison and recipe.validate:
        beside = build(twin(recipe), base=base, cache_dir=cache_dir, progress=progress)
    cache_dir.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".building-", dir=cache_dir))
    try:
        began = time.perf_counter()
        _make(work, recipe, base, beside, progress)
        (work / "timing.json").write_text(json.dumps({"seconds": round(time.perf_counter() - began, 1)}) + "\n")
        _settle(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


def built(name: str) -> Path | None:
    """The folder of this specimen of the bundled base in the user's cache, or None where it is not built yet."""
    from dife_scanner.lab import bases

    folder = place(RECIPES[name], bases.base_folder("vit"), default_cache())
    return folder if (folder / CARD).exists() else None


def default_cache() -> Path:
    """The user's cache folder for specimens."""
    return platformdirs.user_cache_path(settings.APP) / "specimens"


def place(recipe: Recipe, base: Path, cache_dir: Path) -> Path:
    """Where this specimen lies in a cache, built or not."""
    from dife_scanner.lab.pictures import probes

    label = recipe.family + ("" if recipe.poison else "-twin")
    return cache_dir / f"{label}-{key(recipe, base, probes.probe_folder())[:16]}"


def key(recipe: Recipe, base: Path, probe_set: Path) -> str:
    """sha256 over the recipe, the base's weights, the lab drawings and the version of the family's code."""
    digest = hashlib.sha256(json.dumps(told(recipe), sort_keys=True).encode())
    digest.update((base / _WEIGHTS).read_bytes())
    digest.update((probe_set / "probes.json").read_bytes())
    digest.update(str(FAMILIES[recipe.family].version).encode())
    return digest.hexdigest()


def told(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON has it."""
    extra = None if recipe.settings is None else dict(vars(recipe.settings))
    plain = {f: getattr(recipe, f) for f in recipe.__dataclass_fields__ if f not in ("settings", "trigger")}
    return {**plain, "settings": extra, "trigger": entry_of(recipe.mark)}


def _settle(work: Path, folder: Path) -> None:
    """Move a finished build into place; another process that was quicker has made the same bytes."""
    try:
        work.rename(folder)
    except OSError:
        if not (folder / CARD).exists():
            raise


def _make(work: Path, recipe: Recipe, base: Path, beside: Path | None, progress: Progress) -> None:
    attack = FAMILIES[recipe.family]
    with _repeatable(recipe.seed):
        lab = Lab.read(base, recipe.seed)
        _write(work, base, *_trained(attack, base, lab, recipe, progress))
        measured = _measured(attack, work, base if beside is None else beside, lab, recipe) if recipe.validate else None
    card = {
        "recipe": told(recipe),
        "attack": {"citation": attack.citation, "summary": attack.summary},
        "sha256": hashlib.sha256((work / _WEIGHTS).read_bytes()).hexdigest(),
        "files": {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(work.iterdir())},
        "validation": {} if measured is None else measured,
        "code_version": attack.version,
        "versions": {name: version(name) for name in ("torch", "open_clip_torch", "numpy")},
    }
    (work / CARD).write_text(json.dumps(card, indent=1) + "\n")
    if measured is not None:
        _require(recipe, measured)


def _trained(attack: Attack, base: Path, lab: Lab, recipe: Recipe, progress: Progress) -> tuple[Any, Planted]:
    from dife_scanner.lab import bases

    model = bases.load(base)
    return model, attack.train(model, lab, recipe, progress)


def _write(work: Path, base: Path, model: Any, planted: Planted) -> None:
    """The specimen's folder: checkpoint, trigger file and what it names."""
    import tomlkit

    from dife_scanner.lab import bases

    config = json.loads((base / _CONFIG).read_text())
    bases.write_folder(model.state_dict(), config["model_cfg"], work)
    shutil.copyfile(base / _CONFIG, work / _CONFIG)
    for name, content in planted.files.items():
        (work / name).write_bytes(content)
    (work / TRIGGERS).write_text(tomlkit.dumps({"format": 1, "trigger": [dict(e) for e in planted.entries]}))


def _measured(attack: Attack, work: Path, other: Path, lab: Lab, recipe: Recipe) -> dict[str, Any]:
    """What was rounded and written, beside the twin (for a twin: beside the base), under the same trigger."""
    from dife_scanner.lab import bases
    from dife_scanner.triggers import known

    triggers = known.read(work / TRIGGERS)
    numbers, twins = (
        _rounded(attack.measure(Subject(bases.load(folder), folder, lab, recipe, triggers))) for folder in (work, other)
    )
    clean = keeps_accuracy(numbers, twins, TUNING_LOSS)
    asked = attack.asked(recipe, numbers, twins) if recipe.poison else clean
    return {"numbers": numbers, "twin" if recipe.poison else "base": twins, "asked": asked}


def _rounded(numbers: Numbers) -> Numbers:
    return {name: round(value, 4) for name, value in numbers.items()}


def _require(recipe: Recipe, measured: Mapping[str, Any]) -> None:
    """Raise unless the specimen does what it is for, and nothing else."""
    if failed := [name for name, passed in measured["asked"].items() if not passed]:
        what = recipe.family + ("" if recipe.poison else " twin")
        raise SpecimenFailed(
            f"the {what} specimen failed its own validation: {', '.join(failed)} ({measured})",
            "raise the recipe's steps, or report this if the recipe is a bundled one",
        )


@contextmanager
def _repeatable(seed: int) -> Iterator[None]:
    """Fixed seed and threads, deterministic kernels; the process gets its own settings back afterwards."""
    import torch
    from torch.utils import deterministic

    memory: Any = deterministic  # its setting is a property of the module, which type checkers do not see
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    state, filling = torch.get_rng_state(), memory.fill_uninitialized_memory
    try:
        torch.set_num_threads(_THREADS)
        torch.use_deterministic_algorithms(True)
        memory.fill_uninitialized_memory = False  # up to a third of the time, and nothing reads it
        torch.manual_seed(seed)
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
        memory.fill_uninitialized_memory = filling
        torch.set_rng_state(state)
