"""A channel ends once a trigger of it is demonstrated. That makes no claim easier, and what was left out is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from finding import Finds
from test_reverse_search import CORNER, XBTD, Worn
from test_time_plan import WEAK

from dife_scanner import discovery
from dife_scanner.audit import early_end, hypotheses, pipeline
from dife_scanner.audit.plan import SAME_WORK
from dife_scanner.baselines.calibration import NO_P_VALUE, with_calibration
from dife_scanner.records import Channel, Verdict
from dife_scanner.reports.rerun import compare
from dife_scanner.sentences.searches import budget_lines
from dife_scanner.store.codec import from_json, to_json

WHY = "not run: the channel ended early as `found-patch-1` was demonstrated"


@pytest.fixture
def able(monkeypatch):
    """A search of texts, and three of pictures of which the first finds what is planted."""
    found = (
        Finds(XBTD, name="texts"),
        Finds(CORNER, name="patch"),
        Finds(WEAK, name="faint"),
        Finds(replace(WEAK, name="found-warp-1"), name="warp and colour"),
    )
    monkeypatch.setattr(discovery, "DETECTORS", found)
    return found


@pytest.fixture
def audited(able, request_for, tmp_path, colour_encoder):
    """The audit of a suspect that obeys a patch; channels may end early."""
    request = request_for(
        signatures=(),
        budget="quick",
        detectors=tuple(one.name for one in able),
        cache=tmp_path / "home" / "cache" / "embeddings",
    )
    request = replace(request, ends_early=True)
    obeys = colour_encoder(image_tower="img-bad", text_tower="txt-moved", visual=True)

    def run(suspect=obeys, **changes):
        return pipeline.audit(suspect, colour_encoder(), replace(request, **changes)).audit

    run.request = request
    return run


def asked(able):
    """How often each search was made."""
    return [len(one.tasks) for one in able]


def test_the_rest_of_a_channel_is_left_out_and_named_and_other_channels_go_on(audited, able):
    audit = audited()
    assert audit.verdict is Verdict.FLAGGED and audit.trigger.name == "found-patch-1"
    assert asked(able) == [1, 1, 0, 0]
    left = {one.detector: one for one in audit.not_searched}
    assert set(left) == {"faint", "warp and colour"} == {*audit.plan.ended}
    assert all(one.ended and not one.fault and one.reason == WHY for one in left.values())
    assert f"`faint`, `warp and colour`: {WHY}" in audit.reason
    lines = budget_lines(audit)
    assert f"Not searched for token sequences (faint): {WHY}" in lines
    assert (
        f"`dife scan --more {audit.id} --all` makes what was not run: faint, warp and colour"
        in lines
    )
    assert from_json(type(audit), to_json(audit)) == audit


def test_it_is_part_of_the_identity_which_begins_as_that_of_the_whole(audited):
    early = audited(cache=None)
    whole = audited(cache=None, ends_early=False)
    assert whole.identity == audited.request.identity != early.identity
    assert whole.identity[:SAME_WORK] == early.identity[:SAME_WORK]
    assert not whole.plan.ended and not whole.not_searched


def test_it_is_made_again_to_the_bit_by_its_plan_alone(audited, able):
    early = audited()
    plan = replace(audited.request.plan, ended=early.plan.ended)
    again = audited(plan=plan, replays=True, ends_early=False, cache=None)
    found = compare(early, again)
    assert found.identical and found.compared > 50
    assert (again.identity, again.plan, again.reason) == (early.identity, early.plan, early.reason)
    assert asked(able) == [2, 2, 0, 0]


def test_all_searches_make_what_was_left_out_and_nothing_twice(audited, able, tmp_path):
    audited()
    whole = audited(ends_early=False)
    assert asked(able) == [1, 1, 1, 1]
    never_ended = audited(ends_early=False, cache=tmp_path / "other" / "embeddings")
    found = compare(never_ended, whole)
    assert found.identical, found.differences
    assert whole.identity == never_ended.identity


def test_what_was_searched_before_counts_and_is_not_left_out(audited, able):
    """As where the time of an earlier audit was too short for the search that demonstrates a trigger."""
    audited(ends_early=False)
    again = audited()
    assert asked(able) == [1, 1, 1, 1] and not again.not_searched


def test_an_early_end_stands_only_where_a_trigger_is_flagged(audited, able, monkeypatch):
    """Here nothing is exposed, so another trigger might still be flagged: the rest is searched after all."""
    monkeypatch.setattr("dife_scanner.core.verdict.exposed_interfaces", lambda profile: ())
    audit = audited()
    assert audit.verdict is Verdict.INCONCLUSIVE
    assert asked(able) == [1, 1, 1, 1] and not audit.not_searched
    assert audit.identity == audited.request.identity


def test_no_channel_ends_where_a_reverse_search_may_be_due_or_nothing_is_demonstrated(
    audited, able, colour_encoder
):
    worn = Worn(image_tower="img-bad", text_tower="txt-bad", visual=True)
    assert not audited(worn, cache=None).plan.ended, "it lost clean accuracy"
    clean = colour_encoder(image_tower="img-tuned", text_tower="txt-tuned")
    audit = audited(clean, cache=None)
    assert audit.verdict is Verdict.NOTHING_FOUND and not audit.not_searched
    assert audit.identity == audited.request.identity, "a whole is the same with --all"


def test_no_check_is_easier_than_with_all_searches(audited):
    """Each search that is left out counts in Holm's correction as if it had handed over the most that one does."""
    early = audited(cache=None)
    whole = audited(cache=None, ends_early=False)
    by_name = {one.trigger.name: one for one in whole.signatures}
    assert len(early.signatures) < len(whole.signatures)
    for one in early.signatures:
        assert one.p_value == by_name[one.trigger.name].p_value
        assert one.p_holm >= by_name[one.trigger.name].p_holm
    tried = hypotheses.corrected(early.signatures, further=10**6)
    assert early_end.demonstrated(tried, Channel.IMAGE, 10**6) is None, "none is sure enough then"
    assert early_end.demonstrated(tried, Channel.IMAGE, 0) is not None
    assert early_end.demonstrated(tried, Channel.BOTH, 0) is None


def test_its_score_is_compared_with_no_pack_of_all_searches(audited, tmp_path):
    early = audited(cache=None)
    plan = replace(audited.request.plan, ended=early.plan.ended)
    rated = with_calibration(early, audited.request.reference, plan, tmp_path)
    assert rated.calibration is not None and rated.calibration.p_value is None
    assert rated.calibration.reason.startswith(NO_P_VALUE)
