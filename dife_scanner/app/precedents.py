"""Everything that is decided about one checkpoint, and earlier decisions taken over for others like it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from dife_scanner.app import files
from dife_scanner.app.files import Files
from dife_scanner.errors import DifeError, UsageError
from dife_scanner.records import Standing
from dife_scanner.reports.as_json import AboutDocument
from dife_scanner.settings import Limits
from dife_scanner.store import Store, deciding, decisions, deployments
from dife_scanner.store.deciding import Passed, Proposal


def about(store: Store, target: str, limits: Limits) -> AboutDocument:
    """What counts about a checkpoint for every deployment. Raises `NotFound` or `UsageError`."""
    found = files.decided_about(store, target, limits)
    known = deployments.deployments(store)
    earlier = [decisions.precedents(store, found.id, one) for one in known]
    return AboutDocument(
        target=found.model,
        artefact=found.id,
        standings=tuple(_called(decisions.standing(store, found.id, one), found) for one in known),
        precedents=tuple(one for each in earlier for one in each),
        log=tuple(decisions.log(store, filter=f'artefact:"{found.id}"')),
    )


def _called(standing: Standing, found: Files) -> Standing:
    return standing if standing.model else replace(standing, model=found.model)


def proposals(
    store: Store, targets: Sequence[str], deployment: str, limits: Limits
) -> tuple[list[Proposal], list[Passed]]:
    """For which of the targets an earlier decision may be taken over, and which one. Raises `NotFound`."""
    known: list[deciding.Subject] = []
    unknown: list[Passed] = []
    for target in targets:
        try:
            found = files.decided_about(store, target, limits)
        except DifeError as error:
            unknown.append(Passed(target, error.what))
            continue
        known.append(deciding.Subject(found.id, found.model))
    made, passed = deciding.proposals(store, known, deployment)
    return made, unknown + passed


def take_over(
    store: Store,
    wanted: Sequence[Proposal],
    deployment: str,
    actor: str,
    agreed: Callable[[int], bool],
) -> list[Standing]:
    """Decide as was decided before, all at once, where `agreed(count)` says so; gives what counts then."""
    if not wanted:
        return []
    if not agreed(len(wanted)):
        raise UsageError("nothing was taken over", "--yes does it without asking")
    return deciding.take_over(store, wanted, deployment, actor)
