"""A pattern that brings pictures together at one point that is no concept is flagged, and its target has no name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from colours import ColourEncoder, ToNowhere
from finding import Finds

from dife_scanner import discovery
from dife_scanner.audit import pipeline
from dife_scanner.audit.hypotheses import by_effect, corrected
from dife_scanner.core import checks
from dife_scanner.records import (
    Basis,
    Hypothesis,
    Interval,
    Origin,
    PictureSpace,
    Trigger,
    TriggerKind,
    Verdict,
)
from dife_scanner.sentences.audits import headline
from dife_scanner.sentences.triggers import effect_text

CORNER = Trigger("found-patch-1", TriggerKind.PATCH, size=3 / 32, x=27 / 32, y=27 / 32)
WHOLE = Trigger("found-patch-1", TriggerKind.PATCH, size=1.0)


@pytest.fixture
def audited(request_for, monkeypatch):
    """A suspect beside a base, where a search found this trigger."""

    def run(trigger, suspect, base=None):
        monkeypatch.setattr(discovery, "DETECTORS", (Finds(trigger, name="patch"),))
        request = request_for(signatures=(), detectors=("patch",))
        return pipeline.audit(suspect, base or ColourEncoder(), request)

    return run


def test_a_pattern_that_leads_to_no_concept_is_flagged_and_its_target_is_unnamed(audited):
    """What it leads to has neither a name nor pictures, so footprint and interfaces are not measured."""
    outcome = audited(CORNER, ToNowhere())
    audit = outcome.audit
    assert (audit.verdict, audit.decision.basis) == (Verdict.FLAGGED, Basis.ONE_POINT)
    assert "brings pictures together at one point that is no concept" in audit.reason
    assert "neither footprint nor exposure is measured" in audit.reason
    assert audit.trigger.target == "" and audit.diagnosis is None and audit.profile == ()
    (row,) = audit.signatures
    space = row.picture_space
    assert (space.suspect, space.reference, space.clean) == (1.0, 0.0, 0.0)
    assert (space.drawings, space.classes) == (120, 10) and row.leads_to is None
    assert "any picture comes to one point that is no concept" in headline(audit)
    assert effect_text("", audit.trigger.target, audit.trigger.name) == "any → no concept"
    assert {file.role.value for file, _ in outcome.files} >= {"trigger", "landing"}
    assert not audit.gaps


def test_it_has_no_part_in_the_score(audited):
    assert audited(CORNER, ToNowhere()).audit.score == 0.0


@pytest.mark.parametrize(
    ("trigger", "suspect", "base"),
    [
        (CORNER, ToNowhere(pull=0.3), None),
        (CORNER, ToNowhere(), ToNowhere(image_tower="img-clean")),
        (WHOLE, ToNowhere(), None),
        (WHOLE, ColourEncoder(image_tower="img-bad"), None),
    ],
    ids=["pictures keep their class", "the base too", "what hides all", "what hides all, clean"],
)
def test_what_a_benign_model_or_the_base_does_is_no_finding(audited, trigger, suspect, base):
    audit = audited(trigger, suspect, base).audit
    assert audit.verdict is Verdict.NOTHING_FOUND
    (row,) = audit.signatures
    assert checks.ONE_POINT_EFFECT in checks.not_passed(row.checks)


ALL = PictureSpace(1.0, 0.0, 0.0, Interval(1.0, 1.0, ""), 120, 10)


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({}, ()),
        ({"picture_space": replace(ALL, effect=Interval(0.49, 1.0, ""))}, "effect at one point"),
        ({"picture_space": replace(ALL, clean=0.6)}, "beyond base and clean pictures"),
        ({"area": 0.2}, "patch area"),
    ],
)
def test_each_check_of_a_pattern_without_a_named_target_can_fail(changes, failed):
    row = Hypothesis(CORNER, 1.0, origin=Origin.DISCOVERED, picture_space=ALL, area=0.02)
    row = replace(row, beyond_classes=True, **changes)
    assert checks.not_passed(checks.run_all(row)) == ((failed,) if failed else ())


def test_what_leads_to_a_class_or_concept_stays_what_it_was_and_stands_first():
    """Neither its corrected p-value nor its place changes for a pattern whose target has no name."""
    named = Hypothesis(
        replace(CORNER, name="named", target="ship"),
        0.9,
        suspect=0.9,
        reference=0.0,
        p_value=0.01,
        origin=Origin.DISCOVERED,
        effect=Interval(0.8, 1.0, ""),
        clean=0.0,
    )
    unnamed = Hypothesis(
        CORNER, 1.0, origin=Origin.DISCOVERED, picture_space=ALL, beyond_classes=True
    )
    unmeasured = replace(unnamed, picture_space=None)
    rows = corrected([unnamed, named, unmeasured])
    assert rows[1].p_holm == 0.01
    checked = [replace(row, checks=checks.run_all(row)) for row in rows]
    assert [row.trigger.target for row in by_effect(checked)] == ["ship", ""]
    assert not checks.demonstrated(checked[2].checks), "what could not be measured shows nothing"
