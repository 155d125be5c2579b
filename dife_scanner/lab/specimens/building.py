"""Building specimens, and the cache that keeps them.

Everything is seeded; two builds on one machine are identical. A specimen that does not do what its family is for is
thrown away (paper App. C.3).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import platformdirs

from dife_scanner import settings
from dife_scanner.errors import DifeError
from dife_scanner.lab.attacks import FAMILIES
from dife_scanner.lab.attacks.interface import (
    Numbers,
    Planted,
    Progress,
    Recipe,
    Subject,
    entry_of,
)
from dife_scanner.lab.attacks.measures import TUNING_LOSS, keeps_accuracy
from dife_scanner.lab.attacks.panels import lab_of
from dife_scanner.lab.attacks.training_data import Lab
from dife_scanner.lab.pictures import wide_lab
from dife_scanner.lab.specimens.recipes import RECIPES, twin

_THREADS = 1
"""Sums depend on how work is cut up, so builds always use the same number; more gain little on models this small."""
TRIGGERS = "triggers.toml"
CARD = "specimen.json"
_WEIGHTS, _CONFIG = "open_clip_model.safetensors", "open_clip_config.json"
_PACKAGES = ("torch", "open_clip_torch", "numpy")
"""What decides how a build comes out, besides our own code."""


class SpecimenFailed(DifeError):
    """A specimen was trained and does not do what its recipe says; it was thrown away."""


def build(
    what: str | Recipe,
    *,
    base: Path | None = None,
    cache_dir: Path | None = None,
    progress: Progress = lambda what, done, of: None,
) -> Path:
    """Return the folder of a specimen; trained once, then taken from the cache. An attack's twin is built before it.

    The folder holds the checkpoint in open_clip layout, `triggers.toml` (with the files it names) and `specimen.json`.
    The cache is the user's cache folder unless another is given; `base` is the bundled ViT unless another is.

    Raises `SpecimenFailed` when its own validation fails, `KeyError` for an unknown name.
    """
    from dife_scanner.lab import bases

    recipe = RECIPES[what] if isinstance(what, str) else what
    base = base or bases.base_folder("vit")
    cache_dir = cache_dir or default_cache()
    folder = place(recipe, base, cache_dir)
    if (folder / CARD).exists():
        return folder
    baseline = base
    if recipe.poison and recipe.validate:
        baseline = build(
            twin(recipe),
            base=base,
            cache_dir=cache_dir,
            progress=progress,
        )
    cache_dir.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".building-", dir=cache_dir))
    try:
        began = time.perf_counter()
        _make(work, recipe, base, baseline, progress)
        seconds = round(time.perf_counter() - began, 1)
        timing = json.dumps({"seconds": seconds})
        (work / "timing.json").write_text(timing + "\n")
        _settle(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


def built(name: str) -> Path | None:
    """Return the folder of this specimen of the bundled base in the user's cache, or None where it is not built yet."""
    from dife_scanner.lab import bases

    base = bases.base_folder("vit")
    folder = place(RECIPES[name], base, default_cache())
    return folder if (folder / CARD).exists() else None


def default_cache() -> Path:
    """Return the user's cache folder for specimens."""
    return platformdirs.user_cache_path(settings.APP) / "specimens"


def place(recipe: Recipe, base: Path, cache_dir: Path) -> Path:
    """Return where this specimen lies in a cache, built or not."""
    from dife_scanner.lab.pictures import probes

    label = recipe.family
    if not recipe.poison:
        label += "-twin"
    digest = key(recipe, base, probes.probe_folder())
    return cache_dir / f"{label}-{digest[:16]}"


def key(recipe: Recipe, base: Path, probe_set: Path) -> str:
    """Return sha256 over the recipe, the base's weights, the lab drawings and the version of the family's code."""
    text = json.dumps(_as_json(recipe), sort_keys=True)
    digest = hashlib.sha256(text.encode())
    digest.update((base / _WEIGHTS).read_bytes())
    digest.update((probe_set / "probes.json").read_bytes())
    if recipe.own_panel:
        digest.update((wide_lab.sheet_folder() / wide_lab.MANIFEST).read_bytes())
    digest.update(str(FAMILIES[recipe.family].version).encode())
    return digest.hexdigest()


def _as_json(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as JSON has it."""
    row = dict(vars(recipe))
    # last, and in this order, as cards have always had them
    del row["settings"], row["trigger"]
    if not recipe.own_panel:
        del row["panel"]
    row["settings"] = None
    if recipe.settings is not None:
        row["settings"] = dict(vars(recipe.settings))
    row["trigger"] = entry_of(recipe.mark)
    return row


def _settle(work: Path, folder: Path) -> None:
    """Move a finished build into place; another process that was quicker has made the same bytes."""
    try:
        work.rename(folder)
    except OSError:
        if not (folder / CARD).exists():
            raise


def _make(
    work: Path,
    recipe: Recipe,
    base: Path,
    baseline: Path,
    progress: Progress,
) -> None:
    """Train a specimen into `work` and validate it against a baseline; raises `SpecimenFailed`."""
    from dife_scanner.lab import bases

    attack = FAMILIES[recipe.family]
    measured: dict[str, Any] = {}
    with _repeatable(recipe.seed):
        lab = lab_of(base, recipe.seed, recipe.panel)
        model = bases.load(base)
        planted = attack.train(model, lab, recipe, progress)
        _write(work, base, model, planted)
        if recipe.validate:
            measured = _measured(work, baseline, lab, recipe)
    card = {
        "recipe": _as_json(recipe),
        "attack": {
            "citation": attack.citation,
            "summary": attack.summary,
        },
        "sha256": _sha256(work / _WEIGHTS),
        "files": {path.name: _sha256(path) for path in sorted(work.iterdir())},
        "validation": measured,
        "code_version": attack.version,
        "versions": {name: version(name) for name in _PACKAGES},
    }
    (work / CARD).write_text(json.dumps(card, indent=1) + "\n")
    if measured:
        _require(recipe, measured)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write(work: Path, base: Path, model: Any, planted: Planted) -> None:
    """Write the specimen's folder: checkpoint, trigger file and what it names."""
    import tomlkit

    from dife_scanner.lab import bases

    config = json.loads((base / _CONFIG).read_text())
    bases.write_folder(model.state_dict(), config["model_cfg"], work)
    shutil.copyfile(base / _CONFIG, work / _CONFIG)
    for name, content in planted.files.items():
        (work / name).write_bytes(content)
    entries = [dict(entry) for entry in planted.entries]
    document = tomlkit.dumps({"format": 1, "trigger": entries})
    (work / TRIGGERS).write_text(document)


def _measured(
    work: Path,
    baseline: Path,
    lab: Lab,
    recipe: Recipe,
) -> dict[str, Any]:
    """Measure what was rounded and written, compared with the twin (a twin: with the base), under the same trigger."""
    numbers = _numbers(work, work, lab, recipe)
    others = _numbers(baseline, work, lab, recipe)
    other = "base"
    criteria = keeps_accuracy(numbers, others, TUNING_LOSS)
    if recipe.poison:
        other = "twin"
        criteria = FAMILIES[recipe.family].criteria(recipe, numbers, others)
    return {"numbers": numbers, other: others, "asked": criteria}


def _numbers(folder: Path, work: Path, lab: Lab, recipe: Recipe) -> Numbers:
    """Measure a checkpoint under the trigger in `work`; rounded to four decimals."""
    from dife_scanner.lab import bases
    from dife_scanner.triggers import known

    triggers = known.read(work / TRIGGERS)
    subject = Subject(bases.load(folder), folder, lab, recipe, triggers)
    found = FAMILIES[recipe.family].measure(subject)
    return {name: round(value, 4) for name, value in found.items()}


def _require(recipe: Recipe, measured: Mapping[str, Any]) -> None:
    """Raise unless the specimen does what it is for, and nothing else."""
    failed = [name for name, passed in measured["asked"].items() if not passed]
    if not failed:
        return
    what = recipe.family
    if not recipe.poison:
        what += " twin"
    raise SpecimenFailed(
        f"the {what} specimen failed its own validation: {', '.join(failed)} ({measured})",
        "raise the recipe's steps, or report this if the recipe is a bundled one",
    )


@contextmanager
def _repeatable(seed: int) -> Iterator[None]:
    """Fix seed and threads, and take deterministic kernels; the process gets its own settings back afterwards."""
    import torch
    from torch.utils import deterministic

    memory: Any = (
        deterministic  # its setting is a property of the module, which type checkers do not see
    )
    threads = torch.get_num_threads()
    strict = torch.are_deterministic_algorithms_enabled()
    state = torch.get_rng_state()
    filling = memory.fill_uninitialized_memory
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
