"""What an audit's time is for is decided before the start, in passes; what is not reached is named and gone on with."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest
from finding import Finds
from test_reverse_search import CORNER, Worn

from dife_scanner import discovery
from dife_scanner.audit import pipeline
from dife_scanner.audit.plan import SAME_WORK
from dife_scanner.audit.request import Grant
from dife_scanner.cli import live
from dife_scanner.core.verdict import channels_unsearched
from dife_scanner.discovery import Load
from dife_scanner.discovery.cost import Rates
from dife_scanner.progress import Progress
from dife_scanner.records import (
    Basis,
    Budget,
    Channel,
    MissingSearch,
    Search,
    Trigger,
    TriggerKind,
    Verdict,
)
from dife_scanner.reports.rerun import compare
from dife_scanner.sentences.basis import would_change
from dife_scanner.sentences.searches import budget_lines
from dife_scanner.sentences.work_plan import found_text, left_text, rates_text
from dife_scanner.store import codec

WEAK = Trigger("found-faint-1", TriggerKind.PATCH, size=3 / 32, x=0.4, y=0.4, target="airplane")
"""A patch that nothing obeys."""


@pytest.fixture
def able(monkeypatch):
    """Searches of 10 texts and of 20 and 30 pictures, at a second a pass; `patch` alone finds what is planted."""
    found = (
        Finds(name="texts", images=10),
        Finds(CORNER, name="patch", images=30),
        Finds(WEAK, name="faint", images=20),
    )
    monkeypatch.setattr(discovery, "DETECTORS", found)
    monkeypatch.setattr("dife_scanner.discovery.cost.rates", lambda load, task: Rates(1.0))
    return found


@pytest.fixture
def at_default(able, audited, monkeypatch):
    """The same audit at `default`, where a search takes ten times what it takes at `quick`."""
    tenfold = tuple(TenfoldAtDefault(one) for one in able)
    monkeypatch.setattr(discovery, "DETECTORS", tenfold)
    plan = replace(audited.request.plan, budget=Budget.DEFAULT)

    def run(seconds, **changes):
        return audited(seconds, **({"plan": plan} | changes))

    run.plan = plan
    return run


@dataclass(frozen=True)
class TenfoldAtDefault:
    """A search that takes ten times as long at `default` as at `quick`."""

    quick: Finds

    def __getattr__(self, name):
        return getattr(self.quick, name)

    def load(self, task):
        load = self.quick.load(task)
        return load if task.budget is Budget.QUICK else Load(10 * load.images, 0)


@pytest.fixture
def audited(able, request_for, tmp_path, colour_encoder):
    """The audit of a suspect that obeys a patch, granted so many seconds by somebody."""
    request = request_for(
        signatures=(),
        budget="quick",
        detectors=tuple(one.name for one in able),
        cache=tmp_path / "home" / "cache" / "embeddings",
    )
    obeys = colour_encoder(image_tower="img-bad", text_tower="txt-moved", visual=True)

    def run(seconds=None, suspect=obeys, progress=None, **changes):
        grant = Grant(seconds, by_hand=True) if seconds else None
        asked = replace(request, **({"grant": grant} | changes))
        return pipeline.audit(suspect, colour_encoder(), asked, progress or Progress()).audit

    run.request = request
    return run


def names(planned):
    return [one.detector for one in planned]


def efforts(planned):
    """Of each search the smaller budget whose effort it makes; empty where it makes its own."""
    return {one.detector: one.effort or "" for one in planned}


def asked(able):
    """How often each search was made."""
    return {one.name: len(one.tasks) for one in able}


def test_each_channel_gets_its_best_search_before_any_gets_a_second(audited, able):
    """Of 60 seconds a quarter is kept free: 10 and 20 fit, and 30 more do not."""
    audit = audited(60.0)
    work = audit.plan.work
    assert (names(work.searches), names(work.not_reached)) == (["texts", "faint"], ["patch"])
    assert [(one.images, one.texts) for one in work.searches] == [(10, 0), (20, 0)]
    assert asked(able) == {"texts": 1, "patch": 0, "faint": 1}
    assert (work.seconds, work.seconds_per_image, work.reverse) == (60.0, 1.0, True)


def test_what_was_not_reached_is_named_with_what_it_takes_and_how_to_go_on(audited):
    audit = audited(60.0)
    assert (audit.verdict, audit.decision.basis) == (Verdict.NOTHING_FOUND, Basis.NOTHING)
    assert "`patch`: not reached in the 60 s granted; here it takes about 30 s" in audit.reason
    assert "dife scan --more" in audit.reason
    (missed,) = audit.not_searched
    assert (missed.detector, missed.unreached, missed.fault) == ("patch", True, False)
    lines = budget_lines(audit)
    assert "Not reached: patch (30 pictures, about 30 s)" in lines
    assert f"`dife scan --more {audit.id}` goes on from here" in lines
    assert f"(`patch`, about 30 s): `dife scan --more {audit.id}`" in would_change(audit)


def test_where_a_channel_finished_none_of_its_searches_nothing_is_claimed(audited):
    audit = audited(20.0)
    assert names(audit.plan.work.searches) == ["texts"]
    assert (audit.verdict, audit.decision.basis) == (Verdict.INCONCLUSIVE, Basis.TOO_LITTLE_RAN)
    assert "no search through image was reached" in audit.reason
    assert "1 blind search" in audit.reason, "what ran is told"


def test_time_for_nothing_is_no_refusal_and_names_what_is_needed(audited, able):
    audit = audited(5.0)
    assert audit.plan.work.searches == () and not any(asked(able).values())
    assert audit.verdict is Verdict.INCONCLUSIVE
    assert "no search through text and image was reached" in audit.reason
    assert "`texts`: not reached in the 5 s granted; here it takes about 10 s" in audit.reason


def test_the_rule_of_channels_is_about_those_that_enter_alone():
    def missed(channel):
        return MissingSearch("a", channel, (), "", unreached=True)

    text = Search("texts", Channel.TEXT, (), 0, 0.0, 0, 0.0)
    both = [missed(Channel.BOTH)]
    assert channels_unsearched([text], both) == ()
    assert channels_unsearched([text], [*both, missed(Channel.IMAGE)]) == (Channel.IMAGE,)
    assert channels_unsearched([text], [missed(Channel.TEXT)]) == ()
    assert channels_unsearched([], [replace(missed(Channel.IMAGE), unreached=False)]) == ()


def test_the_plan_is_part_of_the_identity_which_begins_as_that_of_the_whole(audited):
    """More time in which no further search fits is no other audit; another depth is."""
    whole = audited.request.identity
    cut, as_far, further = (audited(seconds, cache=None) for seconds in (20.0, 22.0, 60.0))
    assert cut.identity == as_far.identity
    assert len({whole, cut.identity, further.identity}) == 3
    assert {one[:SAME_WORK] for one in (whole, cut.identity, further.identity)} == {
        whole[:SAME_WORK]
    }


def test_a_planned_audit_is_made_again_to_the_bit_on_whatever_machine(audited, monkeypatch):
    audit = audited(60.0)

    def rates(load, task):
        raise AssertionError("no clock is asked")

    monkeypatch.setattr("dife_scanner.discovery.cost.rates", rates)
    plan = replace(audited.request.plan, work=audit.plan.work)
    again = audited(None, plan=plan, replays=True, cache=None)
    found = compare(audit, again)
    assert found.identical and found.compared > 50
    assert (again.identity, again.plan, again.reason) == (audit.identity, audit.plan, audit.reason)


def test_going_on_repeats_nothing_and_ends_as_an_audit_that_was_never_cut(audited, able, tmp_path):
    cut = audited(60.0)
    more = Grant(60.0, by_hand=True, before=60.0, after=cut.id)
    whole = audited(None, grant=more)
    assert asked(able) == {"texts": 1, "patch": 1, "faint": 1}
    work = whole.plan.work
    assert (work.after, work.seconds, work.not_reached) == (cut.id, 120.0, ())
    assert whole.verdict is Verdict.FLAGGED and not whole.not_searched
    never_cut = audited(None, cache=tmp_path / "other" / "cache" / "embeddings")
    found = compare(never_cut, whole)
    assert found.identical, found.differences
    assert whole.identity == never_cut.identity
    assert any(f"goes on from audit {cut.id}" in line for line in budget_lines(whole))


def test_time_that_is_too_short_for_what_is_left_makes_the_same_audit_again(audited, able):
    cut = audited(60.0)
    again = audited(None, grant=Grant(10.0, by_hand=True, before=60.0, after=cut.id))
    assert asked(able) == {"texts": 1, "patch": 0, "faint": 1}
    assert names(again.plan.work.searches) == ["texts", "faint"]
    assert "`patch`: not reached in the 70 s granted" in again.reason


def test_the_limit_of_every_audit_is_a_plan_too_which_an_estimate_may_exceed_by_half(audited):
    whole = audited(None, grant=Grant(41.0), cache=None)
    assert whole.plan.work is None and whole.identity == audited.request.identity
    cut = audited(None, grant=Grant(19.0), cache=None)
    assert names(cut.plan.work.searches) == ["texts"]


def test_no_search_is_left_out_for_the_larger_effort_of_another(at_default):
    """At `quick` all three take 60 seconds together; of 240, a quarter is kept free. What is left of 180 pays for the
    first in full (100 instead of 10), and for no second.
    """
    audit = at_default(240.0)
    work = audit.plan.work
    assert efforts(work.searches) == {"texts": "", "faint": "quick", "patch": "quick"}
    assert names(work.not_reached) == ["faint", "patch"]
    assert [one.images for one in work.searches] == [100, 20, 30]
    assert [one.images for one in work.not_reached] == [200, 300]


def test_a_smaller_effort_is_made_as_that_budget_would_and_named_wherever_the_plan_is(
    at_default, able
):
    audit = at_default(50.0)
    assert efforts(audit.plan.work.searches) == {"texts": "quick", "faint": "quick"}
    assert [one.tasks[0].budget for one in able if one.tasks] == [Budget.QUICK] * 2
    for said in (audit.reason, " ".join(budget_lines(audit))):
        assert "made as at quick, since the 50 s granted are too short for more" in said
        assert "in full it takes about 2 min here" in said
    assert "Not in full: `texts`: made" in audit.reason and "Not reached: `patch`" in audit.reason
    assert any(line.startswith("Not in full: texts (100 pictures") for line in budget_lines(audit))
    lowered = {one.detector: one.effort for one in audit.not_searched}
    assert lowered == {"texts": "quick", "faint": "quick", "patch": None}
    stored = json.loads(codec.to_json(audit))
    assert [one["effort"] for one in stored["plan"]["work"]["searches"]] == ["quick"] * 2


def test_the_effort_is_part_of_the_identity_and_made_again_to_the_bit(at_default, monkeypatch):
    first, other = at_default(50.0, cache=None), at_default(240.0, cache=None)
    assert first.identity[:SAME_WORK] == other.identity[:SAME_WORK]
    assert first.identity != other.identity
    monkeypatch.setattr("dife_scanner.discovery.cost.rates", None)  # no clock is asked
    plan = replace(at_default.plan, work=other.plan.work)
    again = at_default(None, plan=plan, replays=True, cache=None)
    found = compare(other, again)
    assert found.identical and again.identity == other.identity and again.reason == other.reason


def test_more_time_makes_what_was_lowered_in_full_and_nothing_twice(at_default, able, tmp_path):
    cut = at_default(240.0)
    assert asked(able) == {"texts": 1, "patch": 1, "faint": 1}
    as_far = at_default(None, grant=Grant(10.0, by_hand=True, before=240.0, after=cut.id))
    assert as_far.identity == cut.identity and asked(able) == {"texts": 1, "patch": 1, "faint": 1}
    whole = at_default(None, grant=Grant(3000.0, by_hand=True, before=250.0, after=cut.id))
    assert asked(able) == {"texts": 1, "patch": 2, "faint": 2}
    assert not whole.not_searched and whole.verdict is Verdict.FLAGGED
    never_cut = at_default(None, cache=tmp_path / "other" / "cache" / "embeddings")
    assert compare(never_cut, whole).identical and whole.identity == never_cut.identity


def test_a_reverse_search_that_does_not_fit_leaves_a_finding_unconfirmed(able, audited):
    """60 seconds of searches fit into 100, and not as many again. The suspect takes trucks for ships."""
    worn = Worn(image_tower="img-bad", text_tower="txt-bad", visual=True)
    cut = audited(100.0, suspect=worn)
    assert cut.verdict is Verdict.FLAGGED and not cut.plan.work.not_reached
    assert "unconfirmed: reverse search not run, the 2 min granted" in cut.reason
    assert not cut.plan.work.reverse and cut.identity != audited(None, suspect=worn).identity
    more = Grant(100.0, by_hand=True, before=100.0, after=cut.id)
    whole = audited(None, suspect=worn, grant=more)
    assert "unconfirmed" not in whole.reason
    assert asked(able) == {"texts": 2, "patch": 2, "faint": 2}


def test_a_reverse_search_tells_it_as_well_and_the_terminal_has_room_for_it(audited):
    worn = Worn(image_tower="img-bad", text_tower="txt-bad", visual=True)
    steps = []
    audited(1000.0, suspect=worn, progress=Progress(steps.append))
    told = [one.note for one in steps if one.phase.startswith("reverse search: searching")]
    assert any("1.0 pictures/s" in note and "left" in note for note in told)
    shown = (
        left_text(7000),
        found_text(12, 0.91),
        rates_text(1 / 1200, 1 / 14000),
    )
    assert len(" · ".join(shown)) <= live._LONGEST_NOTE


def test_progress_tells_how_fast_what_is_found_and_what_is_left(audited):
    notes = []
    audited(1000.0, progress=Progress(lambda step: notes.append(step.note)))
    assert any(note.startswith("about 60 s left · 1.0 pictures/s · ") for note in notes)
    assert any("1 candidate, the best +1.000 over the base" in note for note in notes)
