"""Published ideas and ablations beside the discovery: what they measure, and how they are compared."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from bench_rows import row

from dife_scanner.audit import probes
from dife_scanner.discovery import DETECTORS
from dife_scanner.errors import DifeError
from dife_scanner.lab import bases
from dife_scanner.lab.bench import rows, zoo
from dife_scanner.lab.bench.page import document as page
from dife_scanner.lab.bench.rows import ledger
from dife_scanner.lab.bench.zoo import Part, Role, build
from dife_scanner.lab.rivals import (
    ablations,
    comparison,
    inversion,
    own_searches,
    published,
    tuning,
)
from dife_scanner.lab.rivals import entries as kept
from dife_scanner.lab.rivals.entries import Entry
from dife_scanner.lab.rivals.inversion import Effort, Material
from dife_scanner.lab.rivals.own_searches import Measured
from dife_scanner.lab.rivals.statistics import DRIFTS, IDEAS, RIVALS
from dife_scanner.lab.rivals.tuning import Tried
from dife_scanner.models.load import load
from dife_scanner.records import Channel

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def material():
    base = load(bases.base_folder("vit"))
    return Material(base, base, probes.load(probes.bundled_folder(), "quick"))


def test_nothing_is_left_out_of_what_an_audit_runs():
    variants = (*ablations.TEXTS_WITHOUT.values(), ablations.PATCH_WITHOUT_BASE)
    assert not any(one in DETECTORS for one in variants)
    assert all(getattr(detector, "has_base", True) for detector in DETECTORS)


@pytest.mark.parametrize(
    "name", ["DECREE-like with the base", "AMDET-like", "LMSanitator-like with the base"]
)
def test_a_tower_that_did_not_move_has_nothing_over_its_base(material, name):
    assert RIVALS[name].measure(material).value == 0.0


@pytest.mark.parametrize("name", ["AMDET-like without its anchor", "LMSanitator-like"])
def test_an_inverted_token_brings_prompts_together_and_a_longer_search_is_read_from(
    material, name, monkeypatch
):
    idea, made = IDEAS[name][0], []
    invert = idea.invert
    idea = dataclasses.replace(idea, invert=lambda *asked: made.append(asked[2:]) or invert(*asked))
    long, short = Effort(1, 8, 0.1), Effort(1, 1, 0.1)
    assert idea.value(material, long) > idea.value(material, short)
    assert made == [(0, long)], "the first step of the long search is the short one"
    assert idea.passes(long) == 8 * inversion.INPUTS
    inversion.forget()
    assert idea.value(material, short) and made == [(0, long), (0, short)]
    inversion.forget()


def test_a_mask_grows_dearer_while_it_does_its_work_and_cheaper_while_it_does_not():
    mask = published.Mask()
    for _ in range(published.DECREE_PATIENCE):
        mask.reached(True, 0.3)
    assert (
        mask.cost == pytest.approx(published.DECREE_COST * published.DECREE_STEP)
        and mask.best == 0.3
    )
    for _ in range(2 * published.DECREE_PATIENCE):
        mask.reached(False, 0.01)
    assert (
        mask.cost == pytest.approx(published.DECREE_COST / published.DECREE_STEP)
        and mask.best == 0.3
    )


def entries(rival, values):
    version = RIVALS[rival].version
    return {
        (rival, m): Entry(m, rival, value, 5.0, "abc", "2026-11-23", version)
        for m, value in values.items()
    }


@pytest.fixture
def shown():
    """Three attacks and four benign models; what the fabricated rival below has not seen is the last."""
    found = [
        row("global-text", n, score, role=Role.ATTACK) for n, score in enumerate((0.9, 0.8, 0.1))
    ]
    return found + [row("image tower", n, score) for n, score in enumerate((0.2, 0.0, 0.0, 0.7))]


BENIGN = {"image-tower-000": 0.3, "image-tower-001": 0.55, "image-tower-002": 0.0}


def test_both_are_ranked_on_the_same_models(shown):
    its = {"global-text-000": 0.5, "global-text-001": 0.7, "global-text-002": 0.6, **BENIGN}
    found = comparison.line_of(
        RIVALS["AMDET-like"], shown, {m: e for (_, m), e in entries("AMDET-like", its).items()}
    )
    assert (found.attacks, found.benign) == (3, 3), "the fourth benign model it has not seen"
    assert found.auroc == pytest.approx(8 / 9) and found.home == (3, 3, found.auroc)
    assert found.ours == 0.5, "these rows hold no search of the detector that it is compared with"
    assert found.difference.low <= found.ours - found.auroc <= found.difference.high
    text = page.page(shown, None, entries("AMDET-like", its))
    assert "| DECREE-like |  | not run |" in text
    stale = {
        key: dataclasses.replace(entry, version=1)
        for key, entry in entries("AMDET-like", its).items()
    }
    assert "| AMDET-like |  | not run |" in page.page(shown, None, stale), (
        "what an earlier version measured"
    )


def test_an_idea_that_does_not_find_its_home_attack_is_not_compared(shown):
    its = {"global-text-000": 0.5, "global-text-001": 0.1, "global-text-002": 0.6, **BENIGN}
    (line,) = [
        one
        for one in comparison.lines(shown, entries("AMDET-like", its))
        if one.statistic.name == "AMDET-like"
    ]
    assert line.lost
    text = page.page(shown, None, entries("AMDET-like", its))
    assert (
        "| AMDET-like | global-text: 0.67 (n 3) | 3 against 3 | 0.67 | texts: 0.50 | home attack not found |"
        in text
    )
    (line,) = comparison.lines(shown, entries("texts without the base", its))[:1]
    assert not line.lost, "an ablation of our own has nothing to find first"


def test_drift_alone_is_read_from_rows(shown):
    drift = {line.statistic.name: line for line in comparison.lines(shown, {})}[
        "drift alone, text tower"
    ]
    # drift of text towers: attacks .01 .02 .03, benign .01 .02 .03 .04; no attack enters through pictures
    assert (drift.attacks, drift.benign, drift.auroc) == (
        3,
        4,
        pytest.approx((0.5 + 1.5 + 2.5) / 12),
    )
    assert drift.ours == pytest.approx((4 + 4 + 2) / 12) and set(DRIFTS) > {
        "drift alone, text tower"
    }
    assert "| drift alone, image tower |  | not run |" in page.page(shown, None)


def test_only_what_is_missing_or_of_an_earlier_version_is_measured(tmp_path, monkeypatch, material):
    model = next(m for m in zoo.plan(("global-text",)) if m.part is Part.TEST)
    rows.append(tmp_path / "rows", row("global-text", model.number, 0.9, role=Role.ATTACK))
    monkeypatch.setattr(build, "built", lambda model, bench: bases.base_folder("vit"))
    asked = [
        dataclasses.replace(
            RIVALS["AMDET-like"],
            name=name,
            measure=lambda material: Measured(0.5, 48),
            version=version,
        )
        for name, version in (("one", 1), ("two", 2), ("untold", 1))
    ]
    for one in asked:
        passes = None if one.name == "untold" else 10
        entry = Entry(model.id, one.name, 0.1, 5.0, "abc", "2026-11-23", passes=passes)
        kept.append(tmp_path / "rivals", entry)
    told = []
    assert kept.run(tmp_path, tmp_path, asked, None, None, told.append, ("twin",)) == 0, (
        "no twin has a row"
    )
    assert kept.run(tmp_path, tmp_path, asked, None, None, told.append) == 2
    found = kept.read(tmp_path / "rivals")
    new = found["two", model.id]
    assert (new.value, new.version, new.passes, new.seed) == (0.5, 2, 48, own_searches.SEED)
    assert found["untold", model.id].passes == 48, "what it took was not said"
    assert found["one", model.id].value == 0.1
    assert kept.run(tmp_path, tmp_path, asked, None, None, told.append) == 0
    assert told == [f"{model.id}: 2 rivals measured"]
    (look,) = [json.loads(line) for line in (tmp_path / ledger.FILE).read_text().splitlines()]
    assert (look["what"], look["models"], look["test_rows"]) == ("rivals", [model.id], 1)


def test_our_searches_run_as_without_a_reference(material, monkeypatch):
    asked = []

    def fake(encoder, train, test, options, progress):
        asked.append((encoder, options.plan.detectors, options.plan.budget))
        return SimpleNamespace(
            results=[SimpleNamespace(suspect=0.4)], searches=[SimpleNamespace(passes=7)]
        )

    monkeypatch.setattr(own_searches.search, "discover_alone", fake)
    rival = RIVALS["our searches without any reference"]
    assert rival.measure(material) == Measured(0.4, 7)
    assert asked == [(material.suspect, ("texts", "patch"), "quick")]
    assert set(rival.channels) == {Channel.TEXT, Channel.IMAGE} and not rival.home


# --- tuning ---------------------------------------------------------------------------------------------------


def test_nothing_is_tuned_on_what_is_tested():
    for channel in tuning.BENIGN:
        attacks, benign = tuning.models(channel)
        assert len(attacks) == tuning.ATTACKS[channel] and {m.kind for m in benign} == set(
            tuning.BENIGN[channel]
        )
        assert len(benign) == tuning.EACH[channel] * len(tuning.BENIGN[channel])
        assert {m.part for m in (*attacks, *benign)} == {Part.FIT}


def test_every_effort_of_an_idea_takes_the_same_steps():
    for name, steps in tuning.STEPS.items():
        assert {effort.starts * effort.steps for effort in tuning.grid(name)} == {steps}
        assert len(set(tuning.grid(name))) == len(tuning.grid(name))


def test_ideas_are_compared_at_the_efforts_that_the_development_side_chose():
    tried = tuning.read(REPOSITORY / "benchmarks")
    for name in tuning.STEPS:
        models = tuple(model.id for side in tuning.models(IDEAS[name][0].channel) for model in side)
        assert {(one.effort, one.models) for one in tried if one.rival == name} == {
            (effort, models) for effort in tuning.grid(name)
        }, name
        assert tuning.best(tried, name).effort == IDEAS[name][1], name
    anchored, free = (IDEAS[name][1] for name in ("AMDET-like", "AMDET-like without its anchor"))
    assert free == dataclasses.replace(anchored, starts=2 * anchored.starts)


def test_the_widest_margin_decides_between_equals():
    efforts = tuning.grid("AMDET-like")[:3]
    tried = [
        Tried("AMDET-like", effort, auroc, margin, ("a",), "2026-11-23")
        for effort, auroc, margin in zip(efforts, (0.9, 1.0, 1.0), (9.0, 0.1, 0.2), strict=True)
    ]
    assert (
        tuning.best(tried, "AMDET-like") is tried[2] and tuning.best(tried, "DECREE-like") is None
    )
    text = page.page([], None, tried=tried)
    assert f"| AMDET-like | {tuning.described(efforts[2])} | 1.00 | 0.200 | 1 |" in text


def test_efforts_are_tried_once(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "built", lambda model, bench: bases.base_folder("vit"))
    told = []
    name, count = "AMDET-like", len(tuning.grid("AMDET-like"))
    assert (
        tuning.run(tmp_path, tmp_path, told.append, (name,)) == count == len(tuning.read(tmp_path))
    )
    assert tuning.run(tmp_path, tmp_path, told.append, (name,)) == 0
    (first, *_) = tuning.read(tmp_path)
    assert (first.auroc, first.margin, len(first.models)) == (0.5, 0.0, 6), (
        "the base itself has nothing to tell apart"
    )
    (tmp_path / tuning.FILE).write_text("{}\n")
    with pytest.raises(DifeError, match=r"tuning.jsonl:1"):
        tuning.read(tmp_path)


def test_entries_are_read_as_they_were_written_and_a_damaged_one_is_named(tmp_path):
    entry = Entry("image-tower-000", "AMDET-like", 0.1, 5.0, "abc", "2026-11-23", 2, 0, 48)
    kept.append(tmp_path, entry)
    assert kept.read(tmp_path) == {("AMDET-like", "image-tower-000"): entry}
    with (tmp_path / "AMDET-like.jsonl").open("a") as stream:
        stream.write(
            '{"code":"abc","made_on":"d","model":"m","rival":"AMDET-like","seconds":0.0,"value":0.5}\n'
        )
    old = kept.read(tmp_path)["AMDET-like", "m"]
    assert (old.version, old.passes) == (1, None), "an entry of older code"
    (tmp_path / "AMDET-like.jsonl").open("a").write("{}\n")
    with pytest.raises(DifeError, match=r"AMDET-like.jsonl:3"):
        kept.read(tmp_path)
