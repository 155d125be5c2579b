"""Training against the search: what an attacker who has this program finds in a model of his own while it learns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dife_scanner.records import Budget

if TYPE_CHECKING:
    from dife_scanner.discovery import Detector
    from dife_scanner.lab.attacks.lab import Lab
    from dife_scanner.records import Trigger

SEARCHED = 12
"""Pictures of each class that a search is given."""


def due(step: int, steps: int, searches: int) -> bool:
    """Whether a search follows this step (from 0), so many of them at even distances before the end."""
    return searches > 0 and (step + 1) % (steps // (searches + 1)) == 0


def found(model: Any, lab: Lab, detector: Detector, seed: int, folder: Path) -> tuple[Trigger, ...]:
    """What a quick search hands over for the model as it is now; files of triggers are written into `folder`."""
    import json

    from dife_scanner.audit.probes import SEARCH_TEMPLATES
    from dife_scanner.discovery import Task
    from dife_scanner.lab import art, bases
    from dife_scanner.models.load import load

    chosen = np.concatenate([np.flatnonzero(lab.labels == n)[:SEARCHED] for n in range(len(art.CLASSES))])
    config = json.loads((lab.base / "open_clip_config.json").read_text())["model_cfg"]
    bases.write_folder(model.state_dict(), config, folder / "now")
    task = Task(
        load(folder / "now"), load(lab.base), lab.labelled[chosen], lab.labels[chosen], art.CLASSES, SEARCH_TEMPLATES,
        Budget.QUICK, seed, folder,
    )  # fmt: skip
    return tuple(candidate.trigger for candidate in detector.search(task).candidates)
