"""`docs/states.md` is the one table of states: it names every word of the enums, and no other."""

from __future__ import annotations

import re
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import get_args

import pytest

from dife_scanner.core import agreement, checks, footprint, statistics
from dife_scanner.records import (
    Absent,
    Carrier,
    Category,
    DecisionState,
    EntryType,
    Hypothesis,
    Interval,
    JobState,
    OpinionVerdict,
    Origin,
    SelectorControl,
    TriageState,
    Trigger,
    TriggerKind,
    Verdict,
    Why,
)
from dife_scanner.sentences.checks import LABELS
from dife_scanner.store import leases

PAGE = (Path(__file__).parents[2] / "docs" / "states.md").read_text(encoding="utf-8")


def table(heading: str) -> dict[str, tuple[str, str]]:
    """Rows of the first table whose head starts with `heading`."""
    after = PAGE.split(f"| {heading} | meaning | next |\n|---|---|---|\n", 1)[1]
    rows = re.match(r"(?:\|.*\|\n)+", after)
    assert rows
    cells = [
        [cell.strip() for cell in row.strip("|").split(" | ")] for row in rows.group().splitlines()
    ]
    return {word.strip("` "): (meaning, following) for word, meaning, following in cells}


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("state", JobState),
        ("verdict", Verdict),
        ("entry", EntryType),
        ("category", Category),
        ("carrier", Carrier),
        ("agreement", agreement.Outcome),
        ("triage", TriageState),
        ("decision", DecisionState),
        ("opinion", OpinionVerdict),
    ],
)
def test_every_word_is_explained_and_none_is_invented(heading: str, words: type[StrEnum]) -> None:
    rows = table(heading)
    assert set(rows) == {word.value for word in words}
    assert all(meaning and following for meaning, following in rows.values())


def test_the_page_about_decisions_names_every_reason_for_a_standing() -> None:
    page = (Path(__file__).parents[2] / "docs" / "decisions.md").read_text(encoding="utf-8")
    rows = re.search(
        r"\| why \| what happened \| what it takes \|\n\|---\|---\|---\|\n((?:\|.*\n)+)", page
    )
    assert rows
    assert set(re.findall(r"^\| `([^`]+)`", rows[1], re.MULTILINE)) == set(Why) - {Why.DECIDED}


def test_every_line_without_an_exposure_is_explained() -> None:
    assert set(table("line")) == {kind.word for kind in (*get_args(Absent), SelectorControl)}


def test_the_first_five_states_are_the_open_ones() -> None:
    assert [JobState(word).is_final for word in table("state")] == [False] * 5 + [True] * 12


def test_the_constants_are_those_of_the_code() -> None:
    for text, value in (
        ("lower bound at least 0.25", statistics.EXPOSED_CUT),
        ("upper bound at most −0.05", -statistics.NEGATIVE_CUT),
        ("fewer than 8 drawings", statistics.MIN_DRAWINGS),
        ("more than 0.70 of the effect, 0.20 ahead", footprint.DOMINANT),
        ("less than 0.05", footprint.SIGNAL_FLOOR),
        ("more than 0.10 of clean accuracy", footprint.MIXED_ACCURACY_LOSS),
        ("mechanism stands 0.25 or more", footprint.MECHANISM_FLOOR),
        ("variant within 0.10 of it", footprint.REPAIR_TOLERANCE),
        ("at least 0.5 of the measured", agreement.AGREEMENT_SHARE),
        ("at 0.5 or above", checks.DEMONSTRATED_EFFECT),
        ("0.75 for pictures with the trigger", checks.STRICT_EFFECT),
    ):
        assert text in PAGE and str(value) in text.replace("0.70", "0.7").replace("0.10", "0.1")
    assert footprint.MARGIN == 0.20
    assert (leases.DEATHS_TO_QUARANTINE, leases.LOST_LEASES_ALLOWED) == (2, 5)


def test_nothing_is_called_clean_or_safe() -> None:
    assert not [word for word in (*table("state"), *table("verdict")) if word in ("clean", "safe")]


# --- the checks -----------------------------------------------------------------------------------------------


def check_rows() -> list[list[str]]:
    """Cells of the table of checks: name, kind, what is measured, threshold, what set it."""
    head = "| check | kind | what is measured | threshold | what set it |\n|---|---|---|---|---|\n"
    rows = re.match(r"(?:\|.*\|\n)+", PAGE.split(head, 1)[1])
    assert rows
    return [
        [cell.strip() for cell in row.strip("|").split(" | ")] for row in rows.group().splitlines()
    ]


def test_the_table_of_checks_is_that_of_the_code() -> None:
    rows = check_rows()
    assert [name.strip("`") for name, *_ in rows] == [check.name for check in checks.CHECKS]
    assert [kind for _, kind, *_ in rows] == [check.kind.value for check in checks.CHECKS]
    assert [measured for _, _, measured, *_ in rows] == [
        LABELS[check.name].question for check in checks.CHECKS
    ]
    assert all(set_by for *_, set_by in rows)


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.name)
def test_the_thresholds_on_the_page_are_those_of_the_code(check: checks.Check) -> None:
    label = LABELS[check.name]
    (told,) = [
        threshold for name, _, _, threshold, _ in check_rows() if name.strip("`") == check.name
    ]
    trigger = Trigger("t", TriggerKind.PATCH, target="ship")
    own = Interval(
        0.0, 1.0, ""
    )  # so low that of the reverse search's threshold only the margin is left
    origins = (Origin.DISCOVERED, Origin.SIGNATURE)
    tried = [Hypothesis(trigger, 0.5, origin=origin, effect=own) for origin in origins]
    needed = {label.number(check.needed(result)) for result in tried}
    assert set(re.findall(r"\d[\d.]*%?", told)) == needed
    assert told.startswith(label.bound.partition("{}")[0].strip())
    if check.name == checks.REVERSE_SEARCH:
        far = replace(tried[0], effect=Interval(0.9, 1.0, ""))
        assert check.needed(far) == pytest.approx(0.9 - checks.REVERSE_MARGIN)


def test_the_limits_on_the_page_about_verdicts_speak_of_checks_that_there_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "verdicts.md").read_text(encoding="utf-8")
    limits = page.split("## Limits of this version", 1)[1].split("## ", 1)[0]
    quoted = set(re.findall(r"`([^`]+)`", limits)) - {"unconfirmed"}
    assert quoted and quoted <= {check.name for check in checks.CHECKS}
    assert f"fell by {checks.ACCURACY_LOST:.2f} or more" in limits
    assert "a tenth of the picture" in " ".join(limits.split()) and checks.LARGEST_PATCH == 0.1
