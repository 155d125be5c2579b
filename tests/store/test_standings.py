"""What counts now follows from the log, the deployment, the latest audit and the time, as docs/decisions.md says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dife_scanner.core.artefacts import artefact
from dife_scanner.records import (
    Cell,
    Contents,
    DecisionState,
    Deployment,
    DeploymentDecision,
    DeploymentMeasurement,
    DeploymentProfile,
    EntryType,
    Grounds,
    HubFile,
    Interval,
    JobState,
    Layout,
    Manifest,
    Measure,
    MeasuredTrigger,
    ModelRef,
    OwnData,
    Severity,
    Standing,
    Why,
)
from dife_scanner.store.standings import OPENING, decision_id, profile_digest, standing

APPROVED, CONDITIONS, REFUSED, PENDING = DecisionState
ARTEFACT = "art1:" + "a" * 64
NOW = "2026-12-02T00:00:00.000000+00:00"
PROFILE = DeploymentProfile("shop", ("targeted retrieval",), queries=("a red shoe",), k=5)
SHOP = Deployment(PROFILE, 1, profile_digest(PROFILE), "ada", NOW)
GROUNDS = Grounds("aud1", "nothing-found", "", NOW, ("targeted retrieval", "text reranking"))


def made(state: DecisionState = APPROVED, desk: str = "", **changes: str) -> DeploymentDecision:
    values = {
        "reason": "looked at",
        "owner": "ada",
        "actor": "ada",
        "at": "2026-11-01T00:00:00.000000+00:00",
        "model": "org/clip@aaaaaaaaaaaa",
        "profile": SHOP.digest,
        "verdict": "nothing-found",
        "audit": "aud1",
        **changes,
    }
    bare = DeploymentDecision("", ARTEFACT, "shop", state=state, desk=desk, **values)
    return replace(bare, id=decision_id(bare))


def now(
    *log: DeploymentDecision, grounds: Grounds | None = GROUNDS, of: Deployment = SHOP
) -> Standing:
    return standing(ARTEFACT, of, log, grounds, NOW)


def edited(**changes: object) -> Deployment:
    profile = replace(PROFILE, **changes)
    return Deployment(profile, 2, profile_digest(profile), "ada", NOW)


@pytest.mark.parametrize(
    ("found", "state", "why"),
    [
        (now(), PENDING, Why.NOBODY),
        (now(made()), APPROVED, Why.DECIDED),
        (now(made(CONDITIONS, conditions="behind a filter")), CONDITIONS, Why.DECIDED),
        (now(made(), made(REFUSED)), REFUSED, Why.DECIDED),
        (now(made(REFUSED), made()), APPROVED, Why.DECIDED),
        (now(made(), made(PENDING)), PENDING, Why.DECIDED),
        (now(made(expires=NOW)), PENDING, Why.EXPIRED),
        (now(made(expires="2026-12-03T00:00:00.000000+00:00")), APPROVED, Why.DECIDED),
        (now(made(REFUSED, expires=NOW)), PENDING, Why.EXPIRED),
        (now(made(), of=edited(k=6)), PENDING, Why.PROFILE_EDITED),
        (now(made(REFUSED), of=edited(k=6)), PENDING, Why.PROFILE_EDITED),
        (now(made(), grounds=None), PENDING, Why.NOT_AUDITED),
        (now(made(REFUSED), grounds=None), REFUSED, Why.DECIDED),
        (now(made(), grounds=replace(GROUNDS, verdict="flagged")), PENDING, Why.AUDIT_CHANGED),
        (now(made(), grounds=replace(GROUNDS, effect="anomalous")), PENDING, Why.AUDIT_CHANGED),
        (now(made(REFUSED), grounds=replace(GROUNDS, verdict="identical")), REFUSED, Why.DECIDED),
        (now(made(), grounds=replace(GROUNDS, audit="aud2")), APPROVED, Why.DECIDED),
        (now(made(), grounds=replace(GROUNDS, looked_again_at=NOW)), PENDING, Why.FINDING_CHANGED),
        (now(made(desk="harbour")), PENDING, Why.OTHER_DESK),
        (now(made(REFUSED, desk="harbour")), REFUSED, Why.DECIDED),
        (now(made(), made(REFUSED, desk="harbour")), PENDING, Why.CONFLICT),
        (now(made(), made(CONDITIONS, desk="harbour", conditions="x")), PENDING, Why.CONFLICT),
        (now(made(REFUSED, desk="harbour"), made()), APPROVED, Why.DECIDED),
        (now(made(), made(REFUSED, desk="n"), made(desk="n")), PENDING, Why.CONFLICT),
        (now(made(), made(REFUSED, desk="harbour", profile="0" * 64)), APPROVED, Why.DECIDED),
    ],
)
def test_what_counts(found: Standing, state: DecisionState, why: Why) -> None:
    assert (found.state, found.why) == (state, why)


def test_a_refusal_that_another_desk_approves_stands_and_shows_the_conflict() -> None:
    other = made(desk="harbour")
    found = now(made(REFUSED), other)
    assert found.state is REFUSED and found.conflicts == (other,)


def _measured(at: str = NOW) -> DeploymentMeasurement:
    """Exposed through the one interface of the shop, which the audit did not find so."""
    shown = Interval(0.9, 1.0, "Wilson")
    rate = Measure(0.95, shown, 40, 40)
    cell = Cell("text reranking", "H@5", rate, rate, "clean", 0.9, shown, EntryType.EXPOSED)
    found = MeasuredTrigger("xbtd", "cat", "dog", (cell,))
    return DeploymentMeasurement(
        "aud1", "shop", 1, SHOP.digest, Severity.EXPOSED, (found,), at, 1.0
    )


def test_what_was_measured_for_a_deployment_stands_in_the_place_of_the_audit() -> None:
    both = edited(interfaces=("targeted retrieval", "text reranking"))
    by_audit = standing(ARTEFACT, both, (), replace(GROUNDS, interfaces=()), NOW)
    assert by_audit.exposed == () and by_audit.measured is None
    measured = standing(ARTEFACT, both, (), replace(GROUNDS, interfaces=()), NOW, _measured())
    assert measured.exposed == ("text reranking",)


def test_who_approved_before_it_was_measured_is_asked_again_and_who_knew_is_not() -> None:
    asked = standing(ARTEFACT, SHOP, (made(),), GROUNDS, NOW, _measured())
    assert (asked.state, asked.why) == (PENDING, Why.EXPOSED_SINCE)
    knew = made(at="2026-12-02T00:00:01.000000+00:00")
    assert standing(ARTEFACT, SHOP, (knew,), GROUNDS, NOW, _measured()).state is APPROVED
    refused = standing(ARTEFACT, SHOP, (made(REFUSED),), GROUNDS, NOW, _measured())
    assert refused.state is REFUSED


def test_exposure_is_that_of_the_deployments_own_interfaces() -> None:
    assert now(made()).exposed == ("targeted retrieval",)


_desks = st.sampled_from(("", "harbour", "north"))
_events = st.builds(
    made, st.sampled_from(DecisionState), _desks, actor=st.sampled_from(("ada", "eve"))
)
_logs = st.lists(_events, max_size=8)


@settings(max_examples=60)
@given(_logs, _events.filter(lambda event: event.desk))
def test_an_import_can_close_the_gate_and_never_open_it(
    log: list[DeploymentDecision], imported: DeploymentDecision
) -> None:
    before, after = now(*log), now(*log, imported)
    assert after.state not in OPENING or after.state is before.state
    if before.state is REFUSED:
        assert after.state is REFUSED


@settings(max_examples=60)
@given(_logs)
def test_nothing_that_was_refused_opens_the_gate_unless_somebody_here_decided_after_it(
    log: list[DeploymentDecision],
) -> None:
    if now(*log).state in OPENING:
        here = max(number for number, event in enumerate(log) if not event.desk)
        assert log[here].state in OPENING
        assert REFUSED not in {event.state for event in log[here + 1 :]}


# --- identities ---------------------------------------------------------------------------------------------------


def test_a_profile_is_what_it_says_wherever_its_pictures_lie() -> None:
    here = replace(PROFILE, pool=OwnData("/here/pool", "1" * 64))
    moved = replace(PROFILE, pool=OwnData("/there/pool", "1" * 64))
    others = replace(PROFILE, pool=OwnData("/here/pool", "2" * 64))
    assert profile_digest(here) == profile_digest(moved) != profile_digest(others)
    for field, value in {
        "k": 6,
        "queries": ("x",),
        "classes": ("x",),
        "templates": ("{}",),
    }.items():
        assert profile_digest(replace(PROFILE, **{field: value})) != SHOP.digest


def test_a_decisions_id_is_of_all_that_it_says_and_not_of_where_it_came_from() -> None:
    one = made()
    assert decision_id(replace(one, desk="harbour")) == one.id
    for field in ("artefact", "deployment", "profile", "reason", "owner", "actor", "at", "model"):
        assert decision_id(replace(one, **{field: "other"})) != one.id
    for field in ("conditions", "expires", "verdict", "effect", "audit"):
        assert decision_id(replace(one, **{field: "other"})) != one.id


def manifest(contents: Contents, hashes: dict[str, str]) -> Manifest:
    files = tuple(HubFile(path, 1, sha256=hashes.get(path)) for path in contents.paths)
    ref = ModelRef("org/clip", "a" * 40)
    return Manifest(ref, Layout.OPEN_CLIP, "", files, 0, "", JobState.QUEUED, contents=contents)


def test_the_same_files_are_the_same_artefact_whatever_weights_and_folders_are_called() -> None:
    one = Contents("config.json", ("model.safetensors",), tokenizer=("vocab.json", "merges.txt"))
    moved = Contents(
        "sub/config.json", ("sub/a.safetensors",), tokenizer=("b/merges.txt", "b/vocab.json")
    )
    hashes = {"config.json": "1" * 64, "model.safetensors": "2" * 64}
    hashes |= {"vocab.json": "3" * 64, "merges.txt": "4" * 64}
    there = {"sub/config.json": "1" * 64, "sub/a.safetensors": "2" * 64}
    there |= {"b/vocab.json": "3" * 64, "b/merges.txt": "4" * 64}
    first, second = artefact(manifest(one, hashes)), artefact(manifest(moved, there))
    assert first and second and first.id == second.id
    for path in hashes:
        other = artefact(manifest(one, hashes | {path: "5" * 64}))
        assert other and other.id != first.id, path
    swapped = hashes | {"vocab.json": "4" * 64, "merges.txt": "3" * 64}
    assert artefact(manifest(one, swapped)) != first
    del hashes["config.json"]
    assert artefact(manifest(one, hashes)) is None
    assert artefact(manifest(one, hashes), {"config.json": "1" * 64}) == first
