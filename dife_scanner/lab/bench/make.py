"""One model of the zoo, from its recipe to its row: train, measure natively, audit blind, throw away."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dife_scanner.audit.pipeline import Plan, Request, run
from dife_scanner.audit.plan import DISCOVERY_VERSIONS
from dife_scanner.baselines.home import bundled_references
from dife_scanner.core.calibration import DIGITS
from dife_scanner.discovery import names
from dife_scanner.lab import art, bases
from dife_scanner.lab.attacks import measures
from dife_scanner.lab.attacks.interface import Planted, Recipe, Subject, entry_of
from dife_scanner.lab.attacks.lab import Lab, tensor
from dife_scanner.lab.bench import benign, precision, rows
from dife_scanner.lab.bench.benign import Tuning
from dife_scanner.lab.bench.rows import Code, Found, Looks, Outcome, Row, Truth
from dife_scanner.lab.bench.zoo import FAMILIES, ZOO_VERSION, Model, Role
from dife_scanner.records import Audit, Budget, Channel, ModelRef, Origin, Reference
from dife_scanner.triggers import known

if TYPE_CHECKING:
    from torch import Tensor

VIT, RN = "vit", "rn"
"""The bundled bases: models are made of the first; the second shows what carries over."""
NATIVE = 0.9
"""What an attack's own number has to reach; below it is a failed implant."""
SOURCES = ("audit", "core", "discovery", "models", "records", "triggers")
"""Packages whose code decides what a row holds: searches, measuring, statistics, interfaces, verdicts and the encoders
they ask."""
# Whole packages, so that a module that is split or added is covered by itself. A list that is too wide makes `--renew`
# measure a row too many again; one that is too narrow calls rows of different code the same.
_TRIGGERS, TIMING = "triggers.toml", "timing.json"
_WEIGHTS, _CONFIG = "open_clip_model.safetensors", "open_clip_config.json"
_MOVED = 2e-3
"""Relative change of a token's row that is more than fp16's rounding (about 3e-4)."""

Say = Callable[[str], None]


@lru_cache(maxsize=2)
def base_reference(kind: str = VIT) -> Reference:
    """A bundled base as audits know it."""
    (found,) = (r for r in bundled_references() if Path(r.path) == bases.base_folder(kind))
    return found


@dataclass(frozen=True)
class Bench:
    """Where things lie, and the code that makes rows."""

    rows: Path
    work: Path
    """Models under construction and the base's embeddings."""
    code: Code
    keep: bool = False
    """Built models stay in `work`, for a second audit by other detectors."""
    base: Reference = field(default_factory=base_reference)
    """What models are made of and compared with."""
    device: str = "cpu"
    """What audits run on; training stays on the processor."""

    @property
    def base_folder(self) -> Path:
        return Path(self.base.path)


def code_of(budget: str) -> Code:
    """The code as it is on disk now."""
    digest = sha256()
    for path in sources():
        digest.update(path.read_bytes())
    return Code(ZOO_VERSION, DISCOVERY_VERSIONS[Budget(budget)], digest.hexdigest()[:12], budget, names(Budget(budget)))


def sources() -> list[Path]:
    """The files of `SOURCES`, in the order in which their digest takes them."""
    package = Path(str(files("dife_scanner")))
    return [path for name in SOURCES for path in sorted((package / name).rglob("*.py"))]


def row_of(model: Model, twin: Model | None, bench: Bench, say: Say) -> Row:
    """Build and audit a model. An attack's twin is built with it, for its native numbers, and left for its own row."""
    folder = built(model, bench)
    native: dict[str, float] = {}
    truth, status = None, rows.AUDITED
    if isinstance(model.settings, Recipe):
        native = native_of(model, folder, bench.base_folder)
    if model.role is Role.ATTACK and twin is not None:
        truth = _truth(model)
        clean = native_of(twin, built(twin, bench), bench.base_folder)
        native[rows.TWIN] = clean["clean_accuracy"]
        if not implanted(model, native, clean):
            status = rows.FAILED
    say(f"{model.id}: built, {_short(native) or 'no native numbers'}")
    looks = looks_of(folder, bench.base_folder)
    outcome = audited(model, folder, bench) if status == rows.AUDITED else None
    seconds = float(json.loads((folder / TIMING).read_text())["seconds"])
    if not bench.keep:
        shutil.rmtree(folder)
    return Row(
        model.id, model.role, model.kind, model.number, model.part, model.sealed, status, told(model), bench.code,
        rows.today(), seconds, native, looks, truth, outcome,
    )  # fmt: skip


def implanted(model: Model, native: dict[str, float], twin: dict[str, float]) -> bool:
    """Native validation (paper App. C.3): the attack does what it is for, and clean use is what it is in the twin."""
    works = native[FAMILIES[model.kind].success] >= NATIVE
    return works and native["clean_accuracy"] >= twin["clean_accuracy"] - measures.ACCURACY_LOSS


def told(model: Model) -> dict[str, Any]:
    """The settings as JSON has them."""
    settings, found = model.settings, {}
    if isinstance(settings, Tuning):
        found = dict(vars(settings))
    elif settings is not None:
        plain = {f.name: getattr(settings, f.name) for f in fields(settings)}
        extra = None if settings.settings is None else dict(vars(settings.settings))
        found = {**plain, "trigger": entry_of(settings.mark), "settings": extra}
    plain_json: dict[str, Any] = json.loads(json.dumps(found))
    return plain_json


def _truth(model: Model) -> Truth:
    family, recipe = FAMILIES[model.kind], model.settings
    assert isinstance(recipe, Recipe)
    source = recipe.source if family.channel is Channel.TEXT and model.kind != "global-text" else ""
    return Truth(family.carrier, family.channel, entry_of(recipe.mark), source, recipe.target)


def _short(native: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.2f}" for name, value in native.items())


# --- building --------------------------------------------------------------------------------------------------


def built(model: Model, bench: Bench) -> Path:
    """Folder of the model, trained unless it is there already."""
    recipe = sha256(json.dumps(told(model), sort_keys=True).encode()).hexdigest()[:8]
    folder = bench.work / "models" / bench.base.name / f"{ZOO_VERSION}-{model.id}-{recipe}"
    if (folder / TIMING).exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = time.process_time()
    make(model, folder, bench.base_folder)
    (folder / TIMING).write_text(json.dumps({"seconds": round(time.process_time() - began, 1)}))
    return folder


def make(model: Model, folder: Path, base: Path, lab: Lab | None = None) -> None:
    """Train the model and write its checkpoint in open_clip layout; an attack or twin with its trigger file."""
    import torch

    torch.manual_seed(model.number)
    clip = bases.load(base)
    if model.settings is None:
        _copy(clip, model.kind, folder)
    else:
        lab = lab or Lab.read(base, model.scenes)
        if isinstance(model.settings, Tuning):
            benign.KINDS[model.kind].train(clip, lab, model.settings)
        else:
            _plant(FAMILIES[model.kind].attack.train(clip, lab, model.settings, _silent), folder)
        bases.write_folder(clip.state_dict(), _config(base), folder)
    shutil.copyfile(base / _CONFIG, folder / _CONFIG)


def _silent(what: str, done: int, of: int) -> None:
    """A row takes a minute or two; steps within it are not told."""


def _config(base: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((base / _CONFIG).read_text())["model_cfg"]
    return config


def _plant(planted: Planted, folder: Path) -> None:
    import tomlkit

    for name, content in planted.files.items():
        (folder / name).write_bytes(content)
    (folder / _TRIGGERS).write_text(tomlkit.dumps({"format": 1, "trigger": [dict(e) for e in planted.entries]}))


def _copy(clip: Any, kind: str, folder: Path) -> None:
    """The base in another precision, under open_clip's other names, or with its smallest weights gone."""
    from safetensors.torch import save_file

    state = {name: value.detach().float().clone() for name, value in clip.state_dict().items()}
    if kind == "bf16 copy":
        state = {name: value.bfloat16() for name, value in state.items()}
    elif kind == "other naming copy":
        kept = ("visual.", "logit_scale")
        state = {name if name.startswith(kept) else f"text.{name}": value for name, value in state.items()}
    elif change := {"int8 copy": precision.int8, "pruned copy": precision.pruned}.get(kind):
        state = {name: value if "embedding" in name else change(value) for name, value in state.items()}
    save_file({name: value.contiguous() for name, value in sorted(state.items())}, folder / _WEIGHTS, {"format": "pt"})


# --- what can be seen of it ------------------------------------------------------------------------------------


def native_of(model: Model, folder: Path, base: Path) -> dict[str, float]:
    """The attack's own numbers of a folder with its trigger file, on held-out drawings."""
    recipe = model.settings
    assert isinstance(recipe, Recipe)
    subject = Subject(bases.load(folder), folder, Lab.read(base, model.scenes), recipe, known.read(folder / _TRIGGERS))
    numbers = FAMILIES[model.kind].attack.measure(subject)
    return {name: round(value, 4) for name, value in numbers.items()}


@lru_cache(maxsize=1)
def _base_seen(base: Path) -> tuple[Tensor, Tensor, Tensor, float]:
    """The base's pictures, texts, token rows and accuracy."""
    return _seen(base, base)


def _seen(folder: Path, base: Path) -> tuple[Tensor, Tensor, Tensor, float]:
    import torch

    clip, lab = _opened(folder, base), Lab.read(base, 0)
    pixels, labels = measures.held_out(lab.size)
    pictures = bases.encode_images(clip, tensor(pixels))
    nouns = lab.nouns
    with torch.no_grad():
        texts = bases.encode_texts(clip, [t.format(n) for t in measures.PROMPTS for n in (*art.CLASSES, *nouns)])
    return pictures, texts, clip.token_embedding.weight.detach().clone(), measures.accuracy(clip, pictures, labels)


def _opened(folder: Path, base: Path) -> Any:
    """The model of a folder, under whichever names its weights stand."""
    from safetensors.torch import load_file

    clip = bases.load(base)
    clip.load_state_dict({name.removeprefix("text."): value for name, value in load_file(folder / _WEIGHTS).items()})
    return clip


def looks_of(folder: Path, base: Path) -> Looks:
    """Beside the base."""
    from safetensors import safe_open

    pictures, texts, tokens, accuracy = _seen(folder, base)
    old_pictures, old_texts, old_tokens, old_accuracy = _base_seen(base)
    weights = folder / _WEIGHTS
    with safe_open(weights, framework="pt") as tensors:
        stored = tensors.keys()
        name = next(name for name in stored if name.endswith("token_embedding.weight"))
        dtype = str(tensors.get_slice(name).get_dtype())
    return Looks(
        round(float(1 - (pictures * old_pictures).sum(-1).mean()), 6),
        round(float(1 - (texts * old_texts).sum(-1).mean()), 6),
        moved_rows(tokens, old_tokens),
        round(accuracy, 4),
        round(accuracy - old_accuracy, 4),
        weights.stat().st_size,
        dtype,
    )


def moved_rows(now: Tensor, before: Tensor) -> int:
    """Rows [n, w] that differ by more than rounding once both are brought to one scale (decay shrinks all alike)."""
    scale = float(((now * before).sum(1) / before.square().sum(1).clamp(min=1e-12)).median())
    change = (now - scale * before).norm(dim=1) / before.norm(dim=1).clamp(min=1e-12)
    return int((change > _MOVED).sum())


# --- the blind audit -------------------------------------------------------------------------------------------


def audited(model: Model, folder: Path, bench: Bench) -> Outcome:
    """Audit without any signature; what the searches keep on disk is thrown away afterwards."""
    weights = sha256((folder / _WEIGHTS).read_bytes()).hexdigest()
    plan = Plan(signatures=(), budget=Budget(bench.code.budget), detectors=bench.code.detectors)
    request = Request(
        ModelRef(f"zoo/{model.id}", "0" * 40), folder, weights, "", bench.base, (bench.base,), plan, bench.device,
        bench.work / "embeddings",
    )  # fmt: skip
    began = time.process_time()
    audit = run(request).audit
    seconds = time.process_time() - began
    shutil.rmtree(bench.work / "discovery", ignore_errors=True)
    return outcome_of(audit, round(seconds, 1))


def outcome_of(audit: Audit, seconds: float) -> Outcome:
    """What a row keeps of an audit."""
    found = [
        Found(
            str(r.trigger.kind), r.trigger.text, r.trigger.position if r.trigger.text else "", r.trigger.source,
            r.trigger.target, round(r.suspect or 0.0, 4), round(r.reference or 0.0, 4),
            round(r.effect.low, 4) if r.effect else 0.0,
        )
        for r in audit.signatures
        if r.origin is Origin.DISCOVERED
    ]  # fmt: skip
    diagnosis = audit.diagnosis
    return Outcome(
        audit.verdict,
        None if audit.score is None else round(audit.score, DIGITS),
        diagnosis.carrier if diagnosis else None,
        diagnosis.channel if diagnosis else None,
        tuple(sorted(found, key=lambda f: f.reference - f.suspect)),
        audit.searches,
        seconds,
        audit.recovered,
        audit.seed,
    )
