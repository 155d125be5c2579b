"""docs/extending.md shows how a check is added: its two blocks of code are run here, and a hypothesis is checked."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from dife_scanner.core import checks
from dife_scanner.core.verdict import Evidence, decide
from dife_scanner.records import (
    Basis,
    CheckOutcome,
    Interval,
    Origin,
    SignatureResult,
    Trigger,
    TriggerKind,
    Verdict,
)
from dife_scanner.sentences import checks as sentences

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8").split("## A check\n")[1], re.DOTALL)
NAME = "n drawings"
FOUND = SignatureResult(
    Trigger("found-patch-1", TriggerKind.PATCH, size=0.1, target="ship"),
    train_effect=0.9,
    suspect=1.0,
    reference=0.0,
    p_value=1e-5,
    p_holm=1e-4,
    drawings=90,
    origin=Origin.DISCOVERED,
    effect=Interval(0.9, 1.0, "paired bootstrap"),
    clean=0.0,
    area=0.02,
)
"""A discovered trigger that passes every check of the program."""
ON_FIVE = replace(FOUND, drawings=5)


@pytest.fixture
def extended(monkeypatch):
    """The program with the check of the page in it, for one test."""
    check_block, sentence_block = BLOCKS
    in_checks = dict(vars(checks))
    exec(compile(check_block, str(PAGE), "exec"), in_checks)
    monkeypatch.setattr(checks, "CHECKS", in_checks["CHECKS"])
    monkeypatch.setattr(checks, "N_DRAWINGS", in_checks["N_DRAWINGS"], raising=False)
    monkeypatch.setattr(sentences, "CHECKS", in_checks["CHECKS"])
    monkeypatch.setattr(sentences, "LABELS", dict(sentences.LABELS))
    exec(compile(sentence_block, str(PAGE), "exec"), dict(vars(sentences)))


def test_without_the_new_check_five_drawings_are_enough():
    assert checks.demonstrated(checks.run_all(ON_FIVE))
    assert NAME not in sentences.LABELS


def test_with_it_a_trigger_on_too_few_drawings_is_not_demonstrated(extended):
    results = checks.run_all(ON_FIVE)
    assert results[-1].outcome is CheckOutcome.FAILED
    assert checks.not_passed(results) == (NAME,) and not checks.demonstrated(results)
    checked = replace(ON_FIVE, checks=results)
    decision = decide(Evidence(hypotheses=(checked,)))
    assert (decision.verdict, decision.basis) == (Verdict.NOTHING_FOUND, Basis.NOTHING)

    enough = checks.run_all(replace(FOUND, drawings=8))
    assert checks.demonstrated(enough) and NAME in checks.passed(enough)


def test_the_table_of_checks_shows_its_row(extended):
    checked = replace(ON_FIVE, checks=checks.run_all(ON_FIVE))
    row = sentences.rows(checked)[-1]
    assert (row.check, row.kind, row.measured, row.needed) == (NAME, "required", "5", "at least 8")
    assert row.result == "failed" and "held-out drawings" in row.question
    assert list(sentences.LABELS) == [check.name for check in checks.CHECKS]


def test_it_applies_to_discovered_triggers_alone_and_is_not_run_where_nothing_was_measured(extended):
    signature = checks.run_all(replace(ON_FIVE, origin=Origin.SIGNATURE))
    assert signature[-1].outcome is CheckOutcome.NOT_APPLICABLE
    unmeasured = checks.run_all(replace(FOUND, suspect=None, effect=None))
    assert unmeasured[-1].outcome is CheckOutcome.NOT_RUN
