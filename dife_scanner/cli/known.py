"""Scans of known triggers: which trigger goes with which checkpoint, and the study that the audits make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.errors import DifeError, TriggerFileError, UsageError

if TYPE_CHECKING:
    from dife_scanner.records import Trigger
    from dife_scanner.reports.as_json import TargetResult
    from dife_scanner.reports.study import Extension, Study

OWN_FILE = "triggers.toml"


@dataclass(frozen=True)
class Pair:
    """One audit to make: this checkpoint under exactly this trigger."""

    target: str
    trigger: Trigger


def pairs_to_audit(
    targets: Sequence[str], files: Sequence[Path], *, own: bool, alone: bool
) -> tuple[Pair, ...]:
    """The audits of a known-trigger scan; empty where the files hold signatures, whose effect has to be searched for.

    Every trigger of `files` goes with every target, and with `own` those next to a local checkpoint with it too. The
    image half of a prompt mechanism is not audited by itself. `alone`: signatures are no way out but an error.
    Raises `TriggerFileError` and `UsageError`.
    """
    if not own and not _are_known(files, alone=alone):
        return ()
    pairs = []
    for target in targets:
        own_files = [_own_file(target)] if own else []
        for trigger in _whole_triggers([*files, *own_files]):
            pairs.append(Pair(target, trigger))
    for one in pairs:
        _check_known(one.trigger)
    return tuple(pairs)


def _are_known(files: Sequence[Path], *, alone: bool) -> bool:
    """Whether the files ask for known triggers: each names what it does, or nothing else may be in them (`alone`)."""
    if not files:
        return False
    return alone or all(map(_is_known, _whole_triggers(files)))


def check_seeds(pairs: Sequence[Pair]) -> None:
    """Seeds are several checkpoints under one trigger each. Raises `UsageError`."""
    targets = [one.target for one in pairs]
    if not pairs:
        raise UsageError(
            "--as-seeds is for known triggers", "give --triggers FILE or --own-triggers"
        )
    if len(set(targets)) < 2:
        raise UsageError(
            "--as-seeds needs at least two checkpoints", "give every seed's checkpoint"
        )
    if len(set(targets)) < len(targets):
        raise UsageError(
            "--as-seeds takes one trigger per checkpoint", "keep one trigger in each file"
        )


def _whole_triggers(files: Sequence[Path]) -> tuple[Trigger, ...]:
    """The triggers of these files, without those that are the image half of another."""
    from dife_scanner.triggers import known

    triggers = known.gather(files, with_library=False)
    halves = {trigger.image.name for trigger in triggers if trigger.image is not None}
    return tuple(trigger for trigger in triggers if trigger.name not in halves or trigger.target)


def _is_known(trigger: Trigger) -> bool:
    """Whether it names its target, and a text trigger its source too."""
    from dife_scanner.records import Channel

    return bool(trigger.target) and (bool(trigger.source) or trigger.channel is not Channel.TEXT)


def _check_known(trigger: Trigger) -> None:
    if not _is_known(trigger):
        lacking = "source" if trigger.target else "target"
        raise TriggerFileError(
            f"trigger `{trigger.name}` names no {lacking}, so there is nothing known to measure",
            "a known trigger names its target, and a text trigger its source too (docs/triggers.md)",
        )


def _own_file(target: str) -> Path:
    from dife_scanner.checkpoints import is_local

    if not is_local(target):
        raise UsageError(
            f"--own-triggers reads {OWN_FILE} next to a local checkpoint, and {target} is on a hub",
            "give --triggers FILE for it; a stranger's trigger file is not taken for granted",
        )
    path = Path(target).expanduser()
    folder = path if path.is_dir() else path.parent
    file = folder / OWN_FILE
    if not file.is_file():
        raise UsageError(
            f"{path} has no {OWN_FILE} next to it",
            "write one (docs/triggers.md), or give --triggers FILE",
        )
    return file


# --- the study ------------------------------------------------------------------------------------------------


def study(
    results: Sequence[TargetResult],
    errors: Sequence[tuple[str, DifeError]],
    extensions: Sequence[Extension],
    *,
    seeds: bool,
) -> Study:
    """What the audits of a scan make together; targets without one are named with their state or error and why."""
    from dife_scanner.reports import study as reports

    targets = [result.target for result in results]
    targets += [target for target, _ in errors]
    names = short_names(targets)
    audited = []
    failures = []
    for result in results:
        name = names[result.target]
        if result.audit is not None:
            # under its own name, where the audit is one of the same weights under another
            audited.append((name, replace(result.audit, ref=result.job.ref)))
        else:
            failures.append(reports.Failure(name, result.job.state.value, result.job.reason))
    for target, error in errors:
        failures.append(reports.Failure(names[target], "error", error.what))
    return reports.study(
        audited, failures=tuple(failures), extensions=tuple(extensions), seeds=seeds
    )


def short_names(targets: Sequence[str]) -> dict[str, str]:
    """A short name for each target, distinct: of a path as few of its last parts as tell it from the others."""
    parts = {target: _parts(target) for target in targets}
    names = {}
    for target, own in parts.items():
        others = [other for key, other in parts.items() if key != target]
        names[target] = _shortest(own, others)
    return names


def _parts(target: str) -> tuple[str, ...]:
    """The parts of a path; a repository is one part."""
    from dife_scanner.checkpoints import is_local

    if is_local(target):
        return Path(target).expanduser().resolve().parts
    return (target,)


def _shortest(own: tuple[str, ...], others: Sequence[tuple[str, ...]]) -> str:
    """As few of the last parts as no other ends with; all of them where that does not help."""
    for count in range(1, len(own) + 1):
        ending = own[-count:]
        if all(other[-count:] != ending for other in others):
            return "/".join(ending)
    return "/".join(own)
