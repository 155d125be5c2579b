"""What a person reads in the terminal: complete, in words, and harmless whatever a stranger wrote."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from dife_scanner.records import (
    Audit,
    BranchSwap,
    Budget,
    Carrier,
    Category,
    Cell,
    Channel,
    Diagnosis,
    EntryType,
    EvidenceFile,
    EvidenceRole,
    Finding,
    Interval,
    Job,
    JobState,
    Measure,
    ModelRef,
    ModelRow,
    NotEvaluable,
    SignatureResult,
    Trigger,
    TriggerKind,
    Verdict,
)
from dife_scanner.reports import in_full, screen, table
from dife_scanner.store.codec import restore

HOSTILE = "evil\x1b]0;owned\x07\x1b[2J\u202e\u200b[bold red]x[/]/\r\nname"
REF = ModelRef("org/model", "ab" * 20)


def said(renderable) -> str:
    console = Console(file=io.StringIO(), width=200, force_terminal=False, no_color=True)
    console.print(renderable)
    return console.file.getvalue()


def cell(entry=EntryType.EXPOSED):
    attack = Measure(0.99, Interval(0.9, 1.0, "Wilson over drawings"), 30, 15)
    return Cell(
        "prompted classification", "QHR", attack, replace(attack, value=0.01), "the clean checkpoint", 0.98,
        Interval(0.95, 1.0, "bootstrap"), entry, {"off_target_leakage": 0.01},
    )  # fmt: skip


@pytest.fixture
def audit():
    trigger = Trigger("text-xbtd", TriggerKind.TEXT, text="xbtd", source="automobile", target="airplane")
    return Audit(
        id="a" * 16, identity="i" * 64, ref=REF, architecture="ViT", reference="base", image_tower="1" * 64,
        text_tower="2" * 64, image_tower_same=True, text_tower_same=False, audit_version="dife-1",
        budget=Budget.DEFAULT, seed=0, trigger=trigger,
        signatures=(SignatureResult(trigger, 0.97, 0.99, 0.01, 3e-5, 8e-4, 15),),
        branch_swap=BranchSwap("QHR", 0.01, 0.01, 0.99, 0.99, 10, 5, (0.9, 0.9, 0.9, 0.9)),
        diagnosis=restore(Diagnosis, Carrier.TEXTUAL, Channel.TEXT, 0.98, 0.0, 1.0, 0.0, "text tower alone carries it"),
        profile=(
            cell(),
            NotEvaluable("downstream classification", Category.NO_VISUAL, "takes no text"),
        ),
        agreement="1 of 1 predicted interfaces are exposed", verdict=Verdict.FLAGGED, reason="because",
        clean_accuracy=0.9, reference_accuracy=0.91, prompt_drift=0.02,
        evidence=(EvidenceFile("e" * 64, "image/png", EvidenceRole.TRIGGER, HOSTILE),),
        encodes=100, distinct_inputs=100, device="cpu", versions={},
        started_at="2026-11-23T12:00:00.000000+00:00", seconds=3.2,
    )  # fmt: skip


def test_an_audit_shows_profile_swap_hypotheses_and_limits(audit):
    text = said(in_full.render(audit, None, Path("/home")))
    for words in (
        "FLAGGED", "prompted classification", "QHR", "0.990", "+0.980", "30 / 15", "N.E.", "takes no text",
        "a01 suspect's text tower", "VRS", "TRS", "footprint textual", "text-xbtd", "automobile → airplane",
        "A trigger outside these signatures would not have been seen", "100 encodes for 100 distinct inputs", "xbtd",
    ):  # fmt: skip
        assert words in text, words


def test_no_string_of_a_stranger_reaches_the_terminal_raw(audit):
    ref = ModelRef(HOSTILE, "cd" * 20)
    job = Job(1, ref, JobState.REFUSED, HOSTILE, "http://hub", "2026-01-01", "2026-01-01")
    row = ModelRow(job, None, HOSTILE, "", HOSTILE, HOSTILE, (HOSTILE,), "", "", None)
    finding = Finding("fp1:0", ref, "refused", "refused", "demonstrated", "", "", "", HOSTILE, HOSTILE, (), HOSTILE,
                      None, "2026-01-01")  # fmt: skip
    shown = (
        table.models([row]),
        table.reasons([row]),
        table.queue([job]),
        table.findings([finding]),
        in_full.render(replace(audit, ref=ref, reason=HOSTILE), finding, Path("/home")),
        screen.render(replace(audit, ref=ref, reason=HOSTILE), finding),
    )
    for renderable in shown:
        text = said(renderable)
        assert not set("\x1b\x07\r\u202e\u200b") & set(text)
        assert "[bold red]x[/]" in text, "markup of a stranger was interpreted"


def test_without_anything_the_tables_say_so_instead_of_nothing():
    assert "No model has been discovered yet" in said(table.models([]))
    assert "not a statement about any model" in said(table.findings([]))


def test_a_missing_verdict_is_shown_with_its_state_and_reason():
    job = Job(1, REF, JobState.GATED, "access has to be asked for", "http://hub", "2026-01-01", "2026-01-01")
    row = ModelRow(job, None, "", "", "", "", (), "", "open_clip", None)
    assert "gated" in said(table.models([row]))
    assert "access has to be asked for" in said(table.reasons([row]))
