"""Builds one model of the zoo into a folder, and measures an attack natively there."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dife_scanner.lab import bases
from dife_scanner.lab.attacks.interface import Planted, Recipe, Subject, entry_of
from dife_scanner.lab.attacks.panels import lab_of
from dife_scanner.lab.attacks.training_data import Lab
from dife_scanner.lab.bench.zoo import precision
from dife_scanner.lab.bench.zoo.fine_tuning import Tuning
from dife_scanner.lab.bench.zoo.lookup import family_of, kind_of
from dife_scanner.lab.bench.zoo.models import ZOO_VERSION, Model
from dife_scanner.records import Reference
from dife_scanner.triggers import known

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "open_clip_model.safetensors"
CONFIG = "open_clip_config.json"
TRIGGERS = "triggers.toml"
TIMING = "timing.json"
"""Written last: a folder that has it holds a whole model."""


class Workplace(Protocol):
    """Where models are built, and of which base."""

    @property
    def work(self) -> Path: ...
    @property
    def base(self) -> Reference: ...
    @property
    def base_folder(self) -> Path: ...


def recipe_of(model: Model) -> dict[str, Any]:
    """The settings as JSON has them; rows are known by this."""
    settings = model.settings
    if settings is None:
        return {}
    found = {one.name: getattr(settings, one.name) for one in fields(settings)}
    if not settings.own_panel:
        del found["panel"]
    if isinstance(settings, Tuning):
        return _as_json(found)
    found["trigger"] = entry_of(settings.mark)
    found["settings"] = None if settings.settings is None else dict(vars(settings.settings))
    return _as_json(found)


def _as_json(value: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(value))
    return plain


def built(model: Model, bench: Workplace) -> Path:
    """Folder of the model, trained unless it is there already."""
    text = json.dumps(recipe_of(model), sort_keys=True)
    recipe = sha256(text.encode()).hexdigest()[:8]
    folder = bench.work / "models" / bench.base.name / f"{ZOO_VERSION}-{model.id}-{recipe}"
    if (folder / TIMING).exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = time.process_time()
    make(model, folder, bench.base_folder)
    seconds = round(time.process_time() - began, 1)
    (folder / TIMING).write_text(json.dumps({"seconds": seconds}))
    return folder


def seconds_of(folder: Path) -> float:
    """Processor seconds that building this folder took."""
    return float(json.loads((folder / TIMING).read_text())["seconds"])


def make(model: Model, folder: Path, base: Path, lab: Lab | None = None) -> None:
    """Train the model and write its checkpoint in open_clip layout; an attack or twin with its trigger file.

    `lab`: the scenes to train on, those of the model's own seed where it is left out.
    """
    import torch

    torch.manual_seed(model.number)
    clip = bases.load(base)
    if model.settings is None:
        _write_copy(clip, model.kind, folder)
    else:
        _train(clip, model, lab or lab_of(base, model.scenes, model.settings.panel), folder)
        config = json.loads((base / CONFIG).read_text())["model_cfg"]
        bases.write_folder(clip.state_dict(), config, folder)
    shutil.copyfile(base / CONFIG, folder / CONFIG)


def _train(clip: Any, model: Model, lab: Lab, folder: Path) -> None:
    """Train in place; what an attack plants besides the weights goes into the folder."""
    settings = model.settings
    if isinstance(settings, Tuning):
        kind_of(model.kind).train(clip, lab, settings)
    elif settings is not None:
        planted = family_of(model.kind).attack.train(clip, lab, settings, _silent)
        _write_planted(planted, folder)


def _silent(what: str, done: int, of: int) -> None:
    """A row takes a minute or two; steps within it are not reported."""


def _write_planted(planted: Planted, folder: Path) -> None:
    import tomlkit

    for name, content in planted.files.items():
        (folder / name).write_bytes(content)
    entries = [dict(entry) for entry in planted.entries]
    (folder / TRIGGERS).write_text(tomlkit.dumps({"format": 1, "trigger": entries}))


def _write_copy(clip: Any, kind: str, folder: Path) -> None:
    """The base in another precision, under open_clip's other names, or with its smallest weights gone."""
    state = {}
    for name, value in clip.state_dict().items():
        stored = _other_name(name) if kind == "other naming copy" else name
        state[stored] = _copied(kind, name, value.detach().float().clone())
    write_weights(state, folder)


def _other_name(name: str) -> str:
    """A tensor's name where the text tower is a module of its own."""
    if name.startswith(("visual.", "logit_scale")):
        return name
    return f"text.{name}"


def _copied(kind: str, name: str, value: Tensor) -> Tensor:
    """A tensor as a copy of this kind has it."""
    if kind == "bf16 copy":
        return value.bfloat16()
    if "embedding" in name:
        return value
    if kind == "int8 copy":
        return precision.int8(value)
    if kind == "pruned copy":
        return precision.pruned(value)
    return value


def write_weights(state: dict[str, Tensor], folder: Path) -> None:
    """Write these weights as the folder's checkpoint, by name: equal weights give equal files."""
    from safetensors.torch import save_file

    ordered = {name: value.contiguous() for name, value in sorted(state.items())}
    save_file(ordered, folder / WEIGHTS, {"format": "pt"})


def native_of(model: Model, folder: Path, base: Path) -> dict[str, float]:
    """The attack's own numbers of a folder with its trigger file, on held-out drawings."""
    recipe = model.settings
    assert isinstance(recipe, Recipe)
    subject = Subject(
        model=bases.load(folder),
        folder=folder,
        lab=lab_of(base, model.scenes, recipe.panel),
        recipe=recipe,
        triggers=known.read(folder / TRIGGERS),
    )
    numbers = family_of(model.kind).attack.measure(subject)
    return {name: round(value, 4) for name, value in numbers.items()}
