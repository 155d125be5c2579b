"""Adaptive attacks: training against the search, by an attacker who has this program and searches his own model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.records import Budget

if TYPE_CHECKING:
    from dife_scanner.discovery import Detector
    from dife_scanner.lab.attacks.training_data import Lab
    from dife_scanner.records import Trigger

SEARCHED = 12
"""Pictures of each class that a search is given."""


def due(step: int, steps: int, searches: int) -> bool:
    """Tell whether a search follows this step (from 0), so many of them at even distances before the end."""
    if searches == 0:
        return False
    distance = steps // (searches + 1)
    return (step + 1) % distance == 0


def found(
    model: Any,
    lab: Lab,
    detector: Detector,
    seed: int,
    folder: Path,
) -> tuple[Trigger, ...]:
    """Search the model as it is now, quickly, and return what is found; its files are written into `folder`."""
    from dife_scanner.audit.probes import SEARCH_TEMPLATES
    from dife_scanner.discovery import Task
    from dife_scanner.lab import bases
    from dife_scanner.models.load import load

    config = json.loads((lab.base / "open_clip_config.json").read_text())
    now = folder / "now"
    bases.write_folder(model.state_dict(), config["model_cfg"], now)
    rows = _searched_rows(lab)
    task = Task(
        suspect=load(now),
        reference=load(lab.base),
        pixels=lab.labelled[rows],
        labels=lab.labels[rows],
        class_names=lab.classes,
        templates=SEARCH_TEMPLATES,
        budget=Budget.QUICK,
        seed=seed,
        folder=folder,
    )
    candidates = detector.search(task).candidates
    return tuple(candidate.trigger for candidate in candidates)


def _searched_rows(lab: Lab) -> NDArray[np.int64]:
    """Return the first labelled pictures of each class."""
    rows = []
    for number in range(len(lab.classes)):
        rows.append(np.flatnonzero(lab.labels == number)[:SEARCHED])
    return np.concatenate(rows)
