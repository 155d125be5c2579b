"""Everything that is decided about one checkpoint, and earlier decisions taken over for others like it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dife_scanner.app import deciding, files
from dife_scanner.app.files import Files
from dife_scanner.durable.clock import now
from dife_scanner.errors import DifeError, UsageError
from dife_scanner.records import Deployment, DeploymentDecision, Standing
from dife_scanner.reports.as_json import AboutDocument
from dife_scanner.settings import Limits
from dife_scanner.store import Store, decisions, deployments, standings


@dataclass(frozen=True)
class Proposal:
    """A checkpoint about which nobody has decided, and the decision to be taken over for it."""

    files: Files
    decision: DeploymentDecision


@dataclass(frozen=True)
class Passed:
    """A checkpoint for which nothing is taken over, and why."""

    target: str
    why: str


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
    profile = deployments.deployment(store, deployment)
    made: list[Proposal] = []
    passed: list[Passed] = []
    for target in targets:
        try:
            found = files.decided_about(store, target, limits)
        except DifeError as error:
            passed.append(Passed(target, error.what))
            continue
        one = _proposed(store, found, profile)
        if isinstance(one, DeploymentDecision):
            made.append(Proposal(found, one))
        else:
            passed.append(Passed(target, one))
    return made, passed


def _proposed(store: Store, found: Files, profile: Deployment) -> DeploymentDecision | str:
    """The decision to be taken over, or why there is none."""
    if decisions.about(store, found.id, profile.profile.name):
        return "somebody has decided about it already"
    all_ = decisions.precedents(store, found.id, profile)
    usable = [one.decision for one in all_ if one.may_be_taken_over]
    if not usable:
        return "no earlier decision on an equal tower with the same effect counts"
    if len({one.state for one in usable}) > 1:
        return "earlier decisions on what is like it differ"
    return usable[0]


def take_over(
    store: Store,
    wanted: Sequence[Proposal],
    deployment: str,
    actor: str,
    agreed: Callable[[int], bool],
) -> list[Standing]:
    """Decide as was decided before, all at once, where `agreed(count)` says so; gives what counts then.

    What somebody decided about in the meantime is passed over.
    """
    if not wanted:
        return []
    if not agreed(len(wanted)):
        raise UsageError("nothing was taken over", "--yes does it without asking")
    with store.atomic("decisions.keep"):
        profile = deployments.deployment(store, deployment)
        done = []
        for one in wanted:
            if isinstance(_proposed(store, one.files, profile), DeploymentDecision):
                decisions.append(store, [_made(store, one, profile, actor)])
                done.append(decisions.standing(store, one.files.id, profile))
    return done


def _made(store: Store, one: Proposal, profile: Deployment, actor: str) -> DeploymentDecision:
    grounds = decisions.standing(store, one.files.id, profile).grounds
    before = one.decision
    made = replace(
        before,
        id="",
        artefact=one.files.id,
        model=one.files.model,
        reason=f"as for {before.model}: {before.reason}"[: deciding.LONGEST_TEXT],
        actor=actor,
        at=now(),
    )
    if grounds is not None:
        made = replace(made, verdict=grounds.verdict, effect=grounds.effect, audit=grounds.audit)
    return replace(made, id=standings.decision_id(made))
