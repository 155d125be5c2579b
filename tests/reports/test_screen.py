"""`dife show`: one screen with the verdict, what would change it, and the checks; every number with `--full`."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import study_factories as factories
from rich.console import Console

from dife_scanner.core.checks import CHECKS, REVERSE_SEARCH, Circumstances, run_all, unconfirmed
from dife_scanner.figures import layers, random_texts, rankings
from dife_scanner.records import (
    Audit,
    Basis,
    Calibration,
    CheckOutcome,
    Decision,
    EvidenceFile,
    EvidenceRole,
    Gap,
    Hypothesis,
    InCleanReference,
    Interval,
    LayerChange,
    Origin,
    RankedItem,
    Ranking,
    Stratum,
    TextSpace,
    Verdict,
)
from dife_scanner.reports import as_json, in_full, screen
from dife_scanner.store import codec

OWN = Calibration(Stratum.OWN, "base-quick", "d", 99, 0.01, "2026-11-23", 0.03)
FOUND = Hypothesis(
    replace(factories.PATCH, name="found-patch-1"),
    0.9,
    0.985,
    0.159,
    p_value=1e-6,
    p_holm=3e-5,
    drawings=116,
    origin=Origin.DISCOVERED,
    effect=Interval(0.8, 0.9, "paired bootstrap"),
    clean=0.1,
    area=0.02,
    near=(InCleanReference("vit-other", 0.1, 0.2, 0.1),),
)


def said(renderable, width=100):
    console = Console(file=io.StringIO(), width=width, force_terminal=False, no_color=True)
    console.print(renderable)
    return console.file.getvalue()


def flagged(unavailable=""):
    """A flagged audit with all its checks; `unavailable`: why the reverse search could not be run."""
    lost = 0.06 if unavailable else 0.0
    known = Circumstances(
        clean_references=True, accuracy_lost=lost, unavailable={REVERSE_SEARCH: unavailable}
    )
    found = replace(FOUND, checks=run_all(FOUND, known))
    others = [
        replace(
            FOUND,
            trigger=replace(FOUND.trigger, name=f"signature-{n}"),
            suspect=None,
            effect=None,
            near=(),
        )
        for n in range(25)
    ]
    rest = [replace(one, checks=run_all(one, known)) for one in others]
    decision = Decision(
        Verdict.FLAGGED,
        Basis.EXPOSED_FOOTPRINT,
        "found-patch-1",
        rests_on=tuple(check.name for check in CHECKS[:4]),
        unconfirmed=unconfirmed(found.checks),
    )
    return factories.audit(
        "lab/patch",
        found.trigger,
        factories.IMAGE_CONDITION,
        signatures=(*rest, found),
        decision=decision,
        calibration=OWN,
        score=0.826,
    )


def test_a_flagged_audit_fits_one_screen():
    text = said(screen.render(flagged("the reference's weights are not kept here")))
    assert len(text.splitlines()) <= 42
    assert max(map(len, text.splitlines())) <= 100


def test_the_screen_has_the_verdict_the_checks_and_one_line_per_interface():
    record = flagged()
    text = said(screen.render(record))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "FLAGGED" in lines[0]
    assert "patch area 2.0% at most 10.0% passed" in lines
    assert "other clean references 0.10 below 0.50 passed" in lines
    assert "strict effect, reverse search" not in text, "kinds are kept apart"
    for entry in record.profile:
        assert sum(line.startswith(f"{entry.interface} ") for line in lines) == 1, entry.interface
    assert "What would change it: nothing short of a failed check" in " ".join(lines)
    assert f"dife show {record.id} --full" in text


def test_what_is_unconfirmed_stands_on_a_line_of_its_own():
    text = said(screen.render(flagged("the reference's weights are not kept here")), 200)
    assert (
        "\nunconfirmed: reverse search not run, the reference's weights are not kept here\n" in text
    )
    assert "unconfirmed" not in said(screen.render(flagged()))


def test_a_gap_stands_beside_the_verdict_on_either_screen_and_in_json():
    gap = Gap("nearest concepts", "a word has 17 tokens")
    record = replace(flagged(), gaps=(gap,))
    for text in (
        said(screen.render(record), 200),
        said(in_full.render(record, None, Path("/home")), 200),
    ):
        assert "\ngap: nearest concepts missing, a word has 17 tokens\n" in text
    read = json.loads(as_json.render(as_json.ShowDocument(record, None)))
    assert read["audit"]["gaps"] == [{"stage": gap.stage, "reason": gap.reason}]
    jsonschema.validate(read, json.loads(as_json.schema_file(as_json.ShowDocument).read_text()))
    assert codec.from_json(Audit, codec.to_json(record)) == record


def test_an_audit_from_before_says_that_its_checks_were_not_recorded():
    record = replace(flagged(), decision=None, signatures=(replace(FOUND, checks=()),))
    for text in (
        said(screen.render(record), 200),
        said(in_full.render(record, None, Path("/home")), 200),
    ):
        assert (
            "not recorded by the version that made this audit; `dife rerun` makes it again" in text
        )
    assert "Why: exposed" in said(screen.render(record)), "the stored reason stands in"


def test_in_full_has_the_checks_of_every_hypothesis():
    text = said(in_full.render(flagged(), None, Path("/home")), 240)
    for name in ("found-patch-1", "signature-0", "signature-24"):
        assert text.count(name) >= 2, name
    assert "on train drawings its effect stayed below 0.25" in text


BY_CHANCE = (197, 0, 3, *[0] * 20)


def beside(**space) -> Audit:
    """A flagged text whose target no picture shows."""
    trigger = replace(factories.TEXT, name="found-text-1", source="guitar", target="banana")
    measured = TextSpace(1.0, 0.0, 0.0, Interval(1.0, 1.0, ""), 22, 900, 200, 0, 1 / 201, **space)
    found = Hypothesis(trigger, 1.0, origin=Origin.DISCOVERED, text_space=measured)
    return replace(flagged(), trigger=trigger, signatures=(found,))


def test_in_full_has_what_random_texts_do_with_the_trigger_marked():
    record = beside(by_chance=BY_CHANCE)
    lines = said(in_full.render(record, None, Path("/home")), 80).splitlines()
    rows = [line.split() for line in lines if line.lstrip()[:2].strip().isdigit()]
    rows = [row for row in rows if "█" in row[1] or "·" in row[1]]
    assert [row[0] for row in rows] == ["0", "2", "22"] and rows[-1][-1] == "◀"
    assert [row[-1] for row in rows[:-1]] == ["197", "3"]
    text = " ".join(" ".join(lines).split())
    assert "leads to banana in 22 of 22 prompts in the suspect; 0 of 200 random texts" in text
    assert "197 texts reach 0, 3 texts reach 2." in text
    assert "random texts of as many tokens, of 200" in text and "this trigger" in text
    assert codec.from_json(Audit, codec.to_json(record)) == record


def test_what_random_texts_do_is_not_made_up():
    old = random_texts.random_texts(beside())
    assert old == random_texts.NOT_RECORDED
    assert "by_chance" not in codec.to_json(beside())
    without = random_texts.random_texts(flagged())
    assert isinstance(without, str) and "over 116 drawings" in without
    assert random_texts.random_texts(replace(flagged(), trigger=None)) == ""


def test_in_full_has_both_orders_of_what_stands_first():
    items = (RankedItem("jet \x1b[31m", True, 31, 1), RankedItem("car", False, 1, 2))
    record = replace(
        flagged(), rankings=(Ranking("text reranking", "a car", "xbtd a car", 8, 40, items),)
    )
    lines = [
        " ".join(line.split())
        for line in said(in_full.render(record, None, Path("/"))).splitlines()
    ]
    assert "text reranking: a car → xbtd a car" in lines
    assert "1 car ◎ jet ▲ 30, from 31" in lines and "2 car ▼ 1, from 1" in lines
    assert "One of 8 queries, over 40 candidates." in lines
    assert codec.from_json(Audit, codec.to_json(record)) == record
    ranks = replace(factories.cell("text reranking", "H@1", 0.9, 0.1), details={"mrr": 0.9})
    assert rankings.side_by_side(replace(record, rankings=(), profile=(ranks,))) == (
        rankings.NOT_RECORDED
    )
    assert rankings.side_by_side(replace(record, rankings=(), profile=())) == ""


def test_in_full_has_how_far_each_layer_is_from_the_base():
    changes = (
        LayerChange("text", "token_embedding", None),
        LayerChange("text", "transformer.resblocks.0", 0.04),
    )
    old = replace(flagged(), text_tower_same=False, layers=())
    record = replace(old, layers=changes)
    text = said(in_full.render(record, None, Path("/home")), 80)
    assert "How far each layer is from the base's" in text and "no number" in text
    assert any("█" * 30 in line and "0.04" in line for line in text.splitlines())
    assert "Furthest: transformer.resblocks.0 0.04." in " ".join(text.split())
    assert layers.layer_columns(old) == layers.NOT_RECORDED
    assert "layers" not in json.loads(codec.to_json(old))
    assert codec.from_json(Audit, codec.to_json(record)) == record
    same = replace(old, image_tower_same=True, text_tower_same=True)
    assert layers.layer_columns(same) == layers.layer_columns(replace(old, reference="")) == ""


def test_counts_have_no_decimals():
    record = flagged()
    cell = replace(record.profile[0], details={"candidates": 132.0, "mrr": 0.5, "lists": 18.5})
    text = said(in_full.render(replace(record, profile=(cell,)), None, Path("/home")), 200)
    assert "candidates 132, mrr 0.500, lists 18.5" in text


@pytest.mark.parametrize(
    "kind", [as_json.ShowDocument, as_json.ScanDocument], ids=lambda kind: kind.__name__
)
def test_json_carries_checks_and_decision(kind):
    record = flagged("the reference's weights are not kept here")
    document = as_json.ShowDocument(record, None)
    if kind is as_json.ScanDocument:
        target = as_json.TargetResult("lab/patch", factories_job(), record.verdict, None, record)
        tally = as_json.Tally(1, 1, 0, 1, 0.03)
        document = as_json.ScanDocument(1, 0, 0, 0, (target,), tally)
    read = json.loads(as_json.render(document))
    jsonschema.validate(read, json.loads(as_json.schema_file(kind).read_text()))
    audit = read["audit"] if kind is as_json.ShowDocument else read["targets"][0]["audit"]
    assert audit["decision"]["basis"] == Basis.EXPOSED_FOOTPRINT.value
    assert [one["check"] for one in audit["decision"]["unconfirmed"]] == [REVERSE_SEARCH]
    outcomes = {one["check"]: one["outcome"] for one in audit["signatures"][-1]["checks"]}
    assert list(outcomes) == [check.name for check in CHECKS]
    assert outcomes[REVERSE_SEARCH] == CheckOutcome.NOT_RUN.value


def factories_job():
    from dife_scanner.records import Job, JobState, ModelRef

    return Job(
        1, ModelRef("lab/patch", "ef" * 20), JobState.DONE, "", "", "2026-01-01", "2026-01-01"
    )


def test_further_demonstrated_triggers_are_listed_on_the_screen():
    record = flagged()
    (*_, found) = record.signatures
    other = replace(found, trigger=replace(found.trigger, name="second-patch"))
    text = said(screen.render(replace(record, signatures=(found, other)))).replace("\n", " ")
    assert "Also demonstrated: `second-patch` moves" in text
    assert "Also demonstrated" not in said(screen.render(record))


def test_two_examples_that_share_a_picture_are_said_to(tmp_path) -> None:
    roles = (EvidenceRole.CLEAN_EXAMPLE, EvidenceRole.TRIGGERED_EXAMPLE)
    files = tuple(EvidenceFile("e" * 64, "image/png", role, f"told {role}") for role in roles)
    text = said(in_full.render(replace(flagged(), evidence=files), None, tmp_path), 300)
    first, second = (line for line in text.splitlines() if "told " in line)
    assert "the trigger is in the text" not in first
    assert "the same picture, the trigger is in the text" in second
