"""A prompt learner that came with a checkpoint: with one, equal towers are not the base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dife_scanner.core.plain import plain
from dife_scanner.core.verdict import Decision
from dife_scanner.errors import DifeError
from dife_scanner.models.intake import LEARNER_FILES
from dife_scanner.models.interface import Encoder
from dife_scanner.records import Reference, TriggerFile, Verdict
from dife_scanner.triggers import files, learner


@dataclass(frozen=True)
class Beside:
    """The prompt learner that came with the checkpoint, if one did."""

    name: str = ""
    file: TriggerFile | None = None
    """`None` where there is none, or where it cannot be read or is not for this model …"""
    problem: str = ""
    """… for this reason."""


def beside(folder: Path, suspect: Encoder, unread: Sequence[str] = ()) -> Beside:
    """What lies beside the weights in a checkpoint's folder, if it is a prompt learner for this model.

    `unread` names learners that were left where they came from, as their format is not read.
    """
    name = next((name for name in LEARNER_FILES if (folder / name).is_file()), "")
    if not name:
        return Beside(plain(unread[0], 80), problem="its format is not read") if unread else Beside()
    try:
        file = files.describe(folder / name)
        prompt = learner.of(file)
    except DifeError as error:
        return Beside(name, problem=error.what)
    width = prompt.context.shape[1]
    if width != suspect.text_width:
        why = f"its vectors have {width} values and this model's tokens have {suspect.text_width}"
        return Beside(name, problem=why)
    return Beside(name, file)


def identical(twin: Reference, found: Beside, looked: Decision | None = None) -> Decision:
    """Equal towers are the base, unless a prompt learner came along: then what was `looked` for in it decides."""
    equal = f"both towers equal the known base {twin.name}, value for value"
    if not found.name:
        return Decision(Verdict.IDENTICAL, equal)
    equal += f"; a prompt learner came with them ({found.name})"
    if looked is not None:
        open_ = looked.verdict is Verdict.INCONCLUSIVE
        verdict = Verdict.INCONCLUSIVE if open_ else Verdict.NOTHING_FOUND
        return Decision(verdict, f"{equal}; {looked.reason}")
    why = f", which could not be searched: {found.problem}" if found.problem else ", and it was not searched"
    return Decision(Verdict.INCONCLUSIVE, equal + why)
