"""The prompt learner that came with a checkpoint: with one, equal towers are not the base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dife_scanner.errors import DifeError
from dife_scanner.models.intake import LEARNER_FILES
from dife_scanner.models.interface import Encoder
from dife_scanner.plain import plain
from dife_scanner.records import TriggerFile
from dife_scanner.triggers import files, learner


@dataclass(frozen=True)
class AccompanyingLearner:
    """The prompt learner that came with the checkpoint, if one did."""

    name: str = ""
    """Of its file; empty where none came."""
    file: TriggerFile | None = None
    """`None` where there is none, or where it cannot be read or is not for this model …"""
    problem: str = ""
    """… for this reason."""


def find(folder: Path, suspect: Encoder, unread: Sequence[str] = ()) -> AccompanyingLearner:
    """The prompt learner in a checkpoint's folder, if it is one for this model.

    `unread` names learners that were left where they came from, as their format is not read.
    """
    name = next((name for name in LEARNER_FILES if (folder / name).is_file()), "")
    if not name and unread:
        return AccompanyingLearner(plain(unread[0], 80), problem="its format is not read")
    if not name:
        return AccompanyingLearner()
    try:
        file = files.describe(folder / name)
        prompt = learner.of(file)
    except DifeError as error:
        return AccompanyingLearner(name, problem=error.what)
    width = prompt.context.shape[1]
    if width != suspect.text_width:
        why = f"its vectors have {width} values and this model's tokens have {suspect.text_width}"
        return AccompanyingLearner(name, problem=why)
    return AccompanyingLearner(name, file)
