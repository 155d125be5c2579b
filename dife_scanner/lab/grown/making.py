"""Building the grown models of a base: stretch, tune, attack and fine-tune, grow, measure. Each part is done once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dife_scanner.errors import UsageError
from dife_scanner.lab.grown import measuring, shapes, stretching, tuning, widening
from dife_scanner.lab.grown.shapes import KINDS, SHAPES, Config
from dife_scanner.progress import SILENT, Progress

BASE = "base"
FINE_TUNES = ("badencoder", "badencoder-twin", "badtexttower", "badtexttower-twin")
"""Names of specimens: an attack on pictures and one on texts, and the benign fine-tune of each."""
MODELS = (BASE, *FINE_TUNES)
CARD = "grown.json"
"""Beside the weights of a grown model; written last, so a folder that has it is whole."""
PICTURES = 96
"""Held-out pictures that a model is measured on at real size."""
_STRETCHED, _SPECIMENS, _CHECKPOINT = "stretched", "specimens", "tuning.pt"
_TUNED = "tuned.json"


@dataclass(frozen=True)
class Making:
    """One folder of grown models, and what they are made of."""

    kind: str
    """A key of `KINDS`."""
    out: Path
    plan: tuning.Plan = field(default_factory=tuning.Plan)
    pictures: int = PICTURES
    progress: Progress = SILENT

    @property
    def target(self) -> Config:
        """The architecture that models are grown to."""
        return SHAPES[KINDS[self.kind]]

    @property
    def stretched(self) -> Path:
        """Where the small base for larger pictures lies."""
        return self.out / _STRETCHED


def make(making: Making, names: Sequence[str] = MODELS) -> dict[str, Path]:
    """Make the grown models of these names that are not there yet; return the folder of each.

    A run that was killed loses at most a minute of tuning, or the specimen or model that it was at. Raises
    `UsageError` for an unknown name and for a folder made by another plan, `SpecimenFailed` where an attack does not
    do what its family is for.
    """
    for name in names:
        if name not in MODELS:
            raise UsageError(
                f"no grown model is called {name!r}", f"use one of: {', '.join(MODELS)}"
            )
    making.out.mkdir(parents=True, exist_ok=True)
    _stretch_base(making)
    return {name: _grow_one(making, name) for name in names}


# --- the small base for larger pictures ------------------------------------------------------------------------


def _stretch_base(making: Making) -> None:
    """Write the stretched and tuned base, once."""
    from dife_scanner.lab import bases
    from dife_scanner.lab.bases.checkpoint import new_model

    if (making.stretched / _TUNED).exists():
        _require_plan(making)
        return
    teacher = bases.load(bases.base_folder(making.kind))
    config = shapes.stretched(bases.MODEL_CFG[making.kind], making.target)
    pupil = new_model(config).eval()
    pupil.load_state_dict(stretching.stretch(teacher.state_dict(), making.target))
    before = _accuracy(pupil, config)
    making.progress("drawing scenes", 0, 0)
    pool = tuning.draw_pool(making.plan, config["vision_cfg"]["image_size"])

    def tell(done: int, of: int, note: str) -> None:
        making.progress("tuning the image tower", done, of, note)

    tuning.tune(pupil, teacher, pool, making.plan, making.out / _CHECKPOINT, tell)
    bases.write_folder(pupil.state_dict(), config, making.stretched)
    tuned = bases.load(making.stretched)
    card = {
        "plan": asdict(making.plan),
        "accuracy": {
            "small": _accuracy(teacher, bases.MODEL_CFG[making.kind]),
            "stretched": before,
            "tuned": _accuracy(tuned, config),
        },
    }
    (making.stretched / _TUNED).write_text(json.dumps(card, indent=1) + "\n")


def _require_plan(making: Making) -> None:
    """Raise `UsageError` where the stretched base was tuned by another plan."""
    card = json.loads((making.stretched / _TUNED).read_text())
    if card["plan"] != asdict(making.plan):
        raise UsageError(
            f"{making.out} holds models of a base that was tuned otherwise",
            "give the same --steps again, or another folder",
        )


def _accuracy(model: Any, config: Config) -> float:
    """Measure zero-shot accuracy on all held-out pictures of the ten classes."""
    from dife_scanner.lab.attacks import measures
    from dife_scanner.lab.attacks.training_data import embedded

    pixels, labels = measures.held_out(config["vision_cfg"]["image_size"])
    return round(measures.accuracy(model, embedded(model, pixels), labels), 4)


# --- grown models ----------------------------------------------------------------------------------------------


def _grow_one(making: Making, name: str) -> Path:
    """Make one grown model, measured, and return its folder."""
    folder = making.out / name
    if (folder / CARD).exists():
        return folder
    small = making.stretched if name == BASE else _specimen(making, name)
    making.progress(f"growing {name}", 0, 0)
    part = making.out / f".{name}.part"
    for left in (part, folder):
        shutil.rmtree(left, ignore_errors=True)
    _write(making, small, part)
    making.progress(f"measuring {name}", 0, 0)
    (part / CARD).write_text(json.dumps(_card(making, name, small, part), indent=1) + "\n")
    part.rename(folder)
    return folder


def _specimen(making: Making, name: str) -> Path:
    """Return the specimen of this name of the stretched base; trained once."""
    from dife_scanner.lab import specimens

    def tell(what: str, done: int, of: int) -> None:
        making.progress(f"training {name}", done, of, what)

    tell("drawing pictures", 0, 0)
    return specimens.build(
        name,
        base=making.stretched,
        cache_dir=making.out / _SPECIMENS,
        progress=tell,
    )


def _write(making: Making, small: Path, part: Path) -> None:
    """Write the grown weights in float32, and what stands beside the small ones."""
    from safetensors.torch import load_file

    from dife_scanner.lab import bases, specimens
    from dife_scanner.lab.bases.checkpoint import CONFIG_FILE, WEIGHTS_FILE

    config = json.loads((small / CONFIG_FILE).read_text())["model_cfg"]
    state = widening.grow(load_file(small / WEIGHTS_FILE), config, making.target)
    bases.write_folder(state, shapes.grown(config, making.target), part, half=False)
    if (small / specimens.TRIGGERS).exists():
        shutil.copyfile(small / specimens.TRIGGERS, part / specimens.TRIGGERS)


def _card(making: Making, name: str, small: Path, part: Path) -> dict[str, Any]:
    """Return what `grown.json` says of a model."""
    from dife_scanner.lab import specimens
    from dife_scanner.triggers import known

    card: dict[str, Any] = {"shape": KINDS[making.kind], "plan": asdict(making.plan)}
    if name == BASE:
        card |= json.loads((small / _TUNED).read_text())
        return card | measuring.compare(part, small, making.pictures)
    card["specimen"] = json.loads((small / specimens.CARD).read_text())
    (trigger,) = known.read(part / specimens.TRIGGERS)
    recipe = specimens.RECIPES[name]
    return card | measuring.compare(part, small, making.pictures, recipe, trigger)
