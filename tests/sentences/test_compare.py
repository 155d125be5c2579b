"""Two audits side by side: like beside like, and only what certainly differs is marked."""

from __future__ import annotations

from dataclasses import replace

from queue_kit import audit_record

from dife_scanner.records import (
    Category,
    Cell,
    EntryType,
    Interval,
    Measure,
    ModelRef,
    NotEvaluable,
    Verdict,
)
from dife_scanner.sentences.compare import ABSENT, Column, Compared, columns_of, compare


def cell(delta: float, interface: str = "zero-shot classification", metric: str = "TS") -> Cell:
    value = Measure(0.9, Interval(0.8, 1.0, "Wilson"), n=200, drawings=10)
    around = Interval(delta - 0.1, delta + 0.1, "paired bootstrap over drawings")
    return Cell(interface, metric, value, value, "the base", delta, around, EntryType.WEAK)


def lines(left: tuple[object, ...], right: tuple[object, ...]) -> dict[str, Compared]:
    audit = audit_record(ModelRef("org/a", "a" * 40), Verdict.NOTHING_FOUND)
    found = compare(
        [
            Column("left", replace(audit, profile=left)),  # type: ignore[arg-type]
            Column("right", replace(audit, profile=right)),  # type: ignore[arg-type]
        ]
    )
    return {line.what: line for line in found}


def test_only_intervals_that_do_not_overlap_differ() -> None:
    near = lines((cell(0.5),), (cell(0.65),))["zero-shot classification, TS"]
    far = lines((cell(0.5),), (cell(0.75),))["zero-shot classification, TS"]
    assert (near.differs, far.differs) == (False, True)
    assert near.shown[0] == "+0.500 [+0.400 to +0.600], weak"


def test_an_absence_stands_beside_the_number_it_is_missing_for() -> None:
    absent = NotEvaluable("zero-shot classification", Category.NO_VISUAL, "no text enters")
    found = lines((cell(0.5),), (absent,))
    line = found["zero-shot classification, TS"]
    assert (line.shown[1], line.differs) == ("N.E.", True)
    assert "zero-shot classification" not in found
    assert lines((cell(0.5),), ())["zero-shot classification, TS"].shown[1] == ABSENT


def test_equal_audits_differ_in_nothing() -> None:
    assert not any(line.differs for line in lines((cell(0.5),), (cell(0.5),)).values())


def test_a_suspect_stands_beside_its_base_and_the_revision_before() -> None:
    """The base's own numbers are those that the audit measured of it, and are not judged."""
    audit = audit_record(ModelRef("org/a", "b" * 40), Verdict.FLAGGED)
    audit = replace(audit, reference="vit-base")
    suspect = replace(
        audit, profile=(replace(cell(0.7), reference_condition="the clean checkpoint"),)
    )
    before = replace(
        audit, ref=ModelRef("org/a", "a" * 40), verdict=Verdict.NOTHING_FOUND, profile=()
    )
    columns = columns_of(suspect, before)
    assert [one.title.partition(":")[0] for one in columns] == [str(suspect.ref), "base", "before"]
    found = {line.what: line for line in compare(columns)}
    assert found["verdict"].shown == ("flagged", "compared with", "nothing found")
    line = found["zero-shot classification, TS"]
    assert line.shown == ("+0.700 [+0.600 to +0.800], weak", "0.900 [0.800 to 1.000]", ABSENT)
    assert [one is not None for one in line.drawn] == [True, False, False]
    assert not any(one.differs for one in compare(columns_of(suspect)))
