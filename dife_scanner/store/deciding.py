"""What people decide about checkpoints for a deployment, one or many at once: the rules, and what is taken over.

`docs/decisions.md` has the rules in words. Which files somebody means by a name is found out before (`app/files`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dife_scanner.durable.clock import now
from dife_scanner.errors import NoDeployment, NotFound, Overtaken, StandsRefused, UsageError
from dife_scanner.plain import plain
from dife_scanner.records import (
    Alike,
    DecisionState,
    Deployment,
    DeploymentDecision,
    Grounds,
    ModelRef,
    Precedent,
    Standing,
)
from dife_scanner.store import artefacts, decisions, deployments, expiry, standings
from dife_scanner.store.db import Store

LONGEST_TEXT = 2_000
"""Characters of a reason or of conditions."""
LONGEST_NAME = 100
"""Characters of an owner, an actor, or what a checkpoint is called."""
PORTION = 100
"""Checkpoints that are looked at, or for which is taken over, before others come to read and write."""
NOT_AUDITED = "not audited"
"""In the place of a verdict where there is none."""
MOST_AT_ONCE = 5_000
"""Checkpoints of one act: others wait for the database until it is kept."""


@dataclass(frozen=True)
class Subject:
    """A checkpoint that is decided about."""

    artefact: str
    model: str
    """What it is called in the log: of a folder its name, and not where it lies."""
    seen: str | None = None
    """The latest decision about it that somebody has seen, empty for none; `None` where nobody looked."""


@dataclass(frozen=True)
class Asked:
    """What somebody wants to be decided."""

    state: DecisionState
    reason: str
    actor: str
    conditions: str = ""
    owner: str = ""
    expires: str = ""
    """`2027-01-31` (counts through that day, UTC) or `90d`; empty for never."""
    despite_refusal: bool = False


@dataclass(frozen=True)
class Proposal:
    """A checkpoint about which nobody has decided, and the decision to be taken over for it."""

    subject: Subject
    decision: DeploymentDecision


@dataclass(frozen=True)
class Passed:
    """A checkpoint for which nothing is taken over, and why."""

    target: str
    why: str


@dataclass(frozen=True)
class Scope:
    """Some models, as they stand for one deployment."""

    models: int
    """How many were meant; those whose files were not recorded are none of the subjects."""
    deployments: tuple[str, ...]
    """All that there are."""
    deployment: str
    """The one that this is about."""
    subjects: tuple[Subject, ...]
    counts: Mapping[DecisionState, int]
    proposals: tuple[Proposal, ...]
    """What can be taken over from earlier decisions."""
    passed: Mapping[str, int]
    """Why nothing is taken over for the others, with how many."""
    verdicts: Mapping[str, int] = field(default_factory=dict)
    """What the latest audits of the subjects say, with how many."""
    exposed: Mapping[str, int] = field(default_factory=dict)
    """Interfaces of the deployment through which subjects are exposed, with how many."""


NOTHING = Scope(
    models=0,
    deployments=(),
    deployment="",
    subjects=(),
    counts={},
    proposals=(),
    passed={},
)
"""Where no deployment is described."""


# --- what a decision is about -----------------------------------------------------------------------------------


def name_of(ref: ModelRef) -> str:
    """What a checkpoint is called in the log."""
    name = Path(ref.repo_id).name if ref.local else str(ref)
    return plain(name, LONGEST_NAME)


def subjects_of(store: Store, jobs: Iterable[int]) -> tuple[Subject, ...]:
    """The checkpoints of these jobs, each once, in their order; those are left out whose files were not recorded."""
    wanted = tuple(jobs)
    _check_count(len(wanted))
    rows = store.read(
        "SELECT w.key, j.repo_id, j.revision, j.local, l.artefact FROM json_each(?) AS w"
        " JOIN jobs AS j ON j.id = w.value JOIN artefact_jobs AS l ON l.job_id = j.id ORDER BY w.key",
        (json.dumps(wanted),),
    )
    found: dict[str, Subject] = {}
    for row in rows:
        ref = ModelRef(row["repo_id"], row["revision"], local=bool(row["local"]))
        found.setdefault(row["artefact"], Subject(row["artefact"], name_of(ref)))
    return tuple(found.values())


def jobs_like(store: Store, job_id: int) -> tuple[int, ...]:
    """The audited jobs with the same effect as this one's audit found, carried by an equal tower; itself among them.

    None where it was not audited, or where nothing was found that could be the same.
    """
    rows = store.read("SELECT audit_id FROM jobs WHERE id = ? AND audit_id IS NOT NULL", (job_id,))
    if not rows:
        return ()
    audit = rows[0]["audit_id"]
    effect = artefacts.effect(store, audit)
    if not effect:
        return ()
    towers = decisions.carried_by(artefacts.carrier(effect))
    equal = " AND ".join(f"b.{tower} = a.{tower}" for tower in _columns(towers))
    rows = store.read(
        "SELECT j.id, b.id AS audit FROM audits AS a JOIN audits AS b ON b.verdict = a.verdict"  # noqa: S608 - from this file
        f" AND {equal} JOIN jobs AS j ON j.audit_id = b.id WHERE a.id = ? ORDER BY j.id LIMIT ?",
        (audit, MOST_AT_ONCE),
    )
    return tuple(row["id"] for row in rows if artefacts.effect(store, row["audit"]) == effect)


def _columns(towers: Iterable[Alike]) -> list[str]:
    return sorted(tower.value.replace(" ", "_") for tower in towers)


DESCRIBES = (
    "dife deployments add shop --interface 'zero-shot classification' --class boot --class shoe"
)
"""A command that describes a deployment, whole: its name alone is not enough."""


def no_deployment() -> NoDeployment:
    """What is said where nothing describes what models are used for."""
    advice = f"`{DESCRIBES}` describes one; `dife cards` names the interfaces"
    return NoDeployment(
        "no deployment is described here, so nothing can be decided for one", advice
    )


def scope(store: Store, jobs: Sequence[int], deployment: str = "") -> Scope:
    """How these models stand for a deployment, the first by name where none is given.

    Raises `NoDeployment` where there is none, and `UsageError` for too many models.
    """
    return looked_at(store, meant(store, jobs, deployment))


def meant(store: Store, jobs: Sequence[int], deployment: str = "") -> Scope:
    """The same before it was looked at how each of them stands, which takes a few reads for all of them together."""
    names = tuple(one.profile.name for one in deployments.deployments(store))
    if not names:
        raise no_deployment()
    profile = deployments.deployment(store, deployment or names[0])
    return Scope(
        models=len(jobs),
        deployments=names,
        deployment=profile.profile.name,
        subjects=subjects_of(store, jobs),
        counts={},
        proposals=(),
        passed={},
    )


def portions(scope: Scope) -> Iterator[Scope]:
    """The same in parts of at most `PORTION` subjects, between which others come to read and write."""
    for start in range(0, len(scope.subjects), PORTION):
        yield replace(scope, subjects=scope.subjects[start : start + PORTION])


def looked_at(store: Store, scope: Scope) -> Scope:
    """How each of its subjects stands, and what could be taken over for it."""
    profile = deployments.deployment(store, scope.deployment)
    stands: Counter[DecisionState] = Counter()
    seen = []
    verdicts: Counter[str] = Counter()
    exposed: Counter[str] = Counter()
    for subject in scope.subjects:
        stand = decisions.standing(store, subject.artefact, profile)
        stands[stand.state] += 1
        verdicts[stand.grounds.verdict if stand.grounds else NOT_AUDITED] += 1
        exposed.update(stand.exposed)
        log = decisions.about(store, subject.artefact, scope.deployment)
        seen.append(replace(subject, seen=log[-1].id if log else ""))
    made, passed = proposals(store, seen, scope.deployment)
    return replace(
        scope,
        subjects=tuple(seen),
        counts=stands,
        proposals=tuple(made),
        passed=Counter(one.why for one in passed),
        verdicts=verdicts,
        exposed=exposed,
    )


def joined(first: Scope, second: Scope) -> Scope:
    """Two portions of the same as one."""
    return replace(
        first,
        subjects=first.subjects + second.subjects,
        counts=Counter(first.counts) + Counter(second.counts),
        proposals=first.proposals + second.proposals,
        passed=Counter(first.passed) + Counter(second.passed),
        verdicts=Counter(first.verdicts) + Counter(second.verdicts),
        exposed=Counter(first.exposed) + Counter(second.exposed),
    )


# --- deciding ---------------------------------------------------------------------------------------------------


def decide(
    store: Store, subjects: Sequence[Subject], deployment: str, asked: Asked
) -> list[Standing]:
    """Append the same decision about each of these, all or none, and give what counts then.

    Raises `NotFound`, `Overtaken` where somebody decided since it was `seen`, and `UsageError` for an approval without
    an audit, and for texts that are missing or too long; `StandsRefused` for an approval of what stands refused, unless
    it is meant.
    """
    expires = check(asked)
    _check_count(len(subjects))
    if not subjects:
        raise UsageError("there is no checkpoint to decide about", "`dife scan` audits one")
    with store.atomic("decisions.keep"):
        profile = deployments.deployment(store, deployment)
        made = []
        for subject in subjects:
            before = decisions.standing(store, subject.artefact, profile)
            _check_seen(store, subject, deployment)
            _check_standing(subject, before, asked)
            made.append(_made(subject, profile, before.grounds, replace(asked, expires=expires)))
        decisions.append(store, made)
        return [decisions.standing(store, one.artefact, profile) for one in subjects]


def _made(
    subject: Subject, profile: Deployment, grounds: Grounds | None, asked: Asked
) -> DeploymentDecision:
    made = DeploymentDecision(
        id="",
        artefact=subject.artefact,
        deployment=profile.profile.name,
        profile=profile.digest,
        state=asked.state,
        reason=asked.reason,
        owner=asked.owner or asked.actor,
        actor=asked.actor,
        at=now(),
        model=subject.model,
        conditions=asked.conditions,
        expires=asked.expires,
    )
    return _resting_on(made, grounds)


def _resting_on(made: DeploymentDecision, grounds: Grounds | None) -> DeploymentDecision:
    """The same with what it rests on, and its id."""
    if grounds is not None:
        made = replace(made, verdict=grounds.verdict, effect=grounds.effect, audit=grounds.audit)
    return replace(made, id=standings.decision_id(made))


# --- what may be decided ----------------------------------------------------------------------------------------


def check(asked: Asked) -> str:
    """Raise `UsageError` where nothing may be decided so; gives the moment from which it counts no longer."""
    for what, text in {"reason": asked.reason, "conditions": asked.conditions}.items():
        _check_text(what, text, LONGEST_TEXT)
    for what, text in {"owner": asked.owner, "actor": asked.actor}.items():
        _check_text(what, text, LONGEST_NAME)
    if not asked.reason:
        raise UsageError("a decision needs a reason", "write why, in one line")
    if (asked.state is DecisionState.CONDITIONS) != bool(asked.conditions):
        raise UsageError(
            "conditions belong to the decision `conditions`, and to no other",
            "name them with it, or decide otherwise",
        )
    return expiry.end_of(asked.expires)


def _check_text(what: str, text: str, most: int) -> None:
    if plain(text, most) != text:
        raise UsageError(
            f"the {what} `{plain(text, 80)}` cannot be kept as it is",
            f"one line of visible characters, at most {most:,}, without spaces at either end",
        )


def _check_count(count: int) -> None:
    if count > MOST_AT_ONCE:
        raise UsageError(
            f"more than {MOST_AT_ONCE:,} checkpoints cannot be decided about at once",
            "narrow the filter, and decide in parts",
        )


def _check_seen(store: Store, subject: Subject, deployment: str) -> None:
    if subject.seen is None:
        return
    log = decisions.about(store, subject.artefact, deployment)
    if log and log[-1].id != subject.seen:
        raise Overtaken(
            f"somebody decided about {subject.model} meanwhile: {_told(log[-1])}",
            "look at it, and decide again",
        )


def _check_standing(subject: Subject, before: Standing, asked: Asked) -> None:
    if asked.state not in standings.OPENING:
        return
    if before.grounds is None:
        raise UsageError(
            f"the files of {subject.model} have no audit here, so they cannot be approved",
            "`dife scan` audits them; they can be refused without",
        )
    refused = [
        one
        for one in (before.decision, *before.conflicts)
        if one is not None and one.state is DecisionState.REFUSED
    ]
    if refused and not asked.despite_refusal:
        raise StandsRefused(
            f"{subject.model} was {_told(refused[0])}",
            "settle it with them, and then decide despite the refusal (--despite-refusal)",
        )


def _told(one: DeploymentDecision) -> str:
    """What somebody decided, for an error."""
    desk = f" (desk {one.desk})" if one.desk else ""
    return f"{one.state.value} by {one.actor}{desk} on {one.at[:10]}: {one.reason}"


# --- precedents -------------------------------------------------------------------------------------------------


def proposals(
    store: Store, subjects: Sequence[Subject], deployment: str
) -> tuple[list[Proposal], list[Passed]]:
    """For which of these an earlier decision may be taken over, and which one. Raises `NotFound`."""
    profile = deployments.deployment(store, deployment)
    made: list[Proposal] = []
    passed: list[Passed] = []
    known: _Known = {}
    for subject in subjects:
        found = _proposed(store, subject, profile, known)
        if isinstance(found, DeploymentDecision):
            made.append(Proposal(subject, found))
        else:
            passed.append(Passed(subject.model, found))
    return made, passed


_Known = dict[tuple[str, ...], DeploymentDecision | str]
"""By likeness, the decision to be taken over or why there is none: thousands of copies are looked up once."""


def _proposed(
    store: Store, subject: Subject, profile: Deployment, known: _Known
) -> DeploymentDecision | str:
    """The decision to be taken over, or why there is none."""
    if decisions.about(store, subject.artefact, profile.profile.name):
        return "somebody has decided about it already"
    likeness = decisions.likeness(store, subject.artefact)
    if likeness not in known:
        known[likeness] = _among(decisions.precedents(store, subject.artefact, profile))
    return known[likeness]


def _among(all_: Sequence[Precedent]) -> DeploymentDecision | str:
    usable = [one.decision for one in all_ if one.may_be_taken_over]
    if not usable:
        return "no earlier decision on an equal tower with the same effect counts"
    if len({one.state for one in usable}) > 1:
        return "earlier decisions on what is like it differ"
    return usable[0]


def take_over(
    store: Store, wanted: Sequence[Proposal], deployment: str, actor: str
) -> list[Standing]:
    """Decide as was decided before, all at once; gives what counts then.

    What somebody decided about in the meantime is passed over.
    """
    with store.atomic("decisions.keep"):
        profile = deployments.deployment(store, deployment)
        done = []
        known: _Known = {}
        for one in wanted:
            if isinstance(_proposed(store, one.subject, profile, known), DeploymentDecision):
                decisions.append(store, [_as_before(store, one, profile, actor)])
                done.append(decisions.standing(store, one.subject.artefact, profile))
        return done


def take_back(store: Store, made: Sequence[DeploymentDecision], actor: str) -> list[Standing]:
    """Decide again as it was before each of these; gives what counts then. Nothing is removed from the log.

    What somebody decided about since is left as it is.
    """
    done = []
    with store.atomic("decisions.keep"):
        for one in made:
            log = decisions.about(store, one.artefact, one.deployment)
            if log and log[-1].id == one.id:
                profile = deployments.deployment(store, one.deployment)
                decisions.append(store, [_as_it_was(one, log[:-1], actor)])
                done.append(decisions.standing(store, one.artefact, profile))
    return done


def _as_it_was(
    one: DeploymentDecision, log: Sequence[DeploymentDecision], actor: str
) -> DeploymentDecision:
    """The last decision of this desk before, or that nobody has decided."""
    own = [before for before in log if not before.desk]
    if own:
        reason = f"taken back; before: {own[-1].reason}"[:LONGEST_TEXT]
        was = replace(own[-1], reason=reason, model=one.model)
    else:
        pending = DecisionState.PENDING
        was = replace(
            one, state=pending, reason="taken back", owner=actor, conditions="", expires=""
        )
    made = replace(was, id="", actor=actor, at=now())
    return replace(made, id=standings.decision_id(made))


def take_over_for(store: Store, job: int, actor: str) -> list[Standing]:
    """For one model, whatever may be taken over for any deployment. Raises `NotFound` where nothing may."""
    done: list[Standing] = []
    why = "its files were not recorded"
    for one in deployments.deployments(store):
        found = scope(store, [job], one.profile.name)
        why = next(iter(found.passed), why)
        done += take_over(store, found.proposals, found.deployment, actor)
    if not done:
        raise NotFound(f"nothing can be taken over: {why}", "decide by hand")
    return done


def _as_before(store: Store, one: Proposal, profile: Deployment, actor: str) -> DeploymentDecision:
    before = one.decision
    made = replace(
        before,
        id="",
        artefact=one.subject.artefact,
        model=one.subject.model,
        reason=f"as for {before.model}: {before.reason}"[:LONGEST_TEXT],
        actor=actor,
        at=now(),
    )
    return _resting_on(made, decisions.standing(store, one.subject.artefact, profile).grounds)
