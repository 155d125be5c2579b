"""The models table without Qt."""

from __future__ import annotations

from dataclasses import replace

from dife_gui.models.rows import COLUMNS, SortedRows, changes, needs_attention, verdict_text
from gui_factories import make_job, make_row

from dife_scanner.records import JobState, ModelRow, Verdict


def by_key(*rows: ModelRow) -> dict[int, ModelRow]:
    return {row.job.id: row for row in rows}


def test_a_reading_is_compared_by_job_not_by_place() -> None:
    stays, goes, alters = make_row(1), make_row(2), make_row(3)
    altered = replace(alters, verdict=Verdict.FLAGGED)
    comes = make_row(4)
    found = changes(by_key(stays, goes, alters), [comes, altered, stays])
    assert (found.removed, found.updated, found.added) == ((2,), (altered,), (comes,))


def test_equal_readings_change_nothing() -> None:
    assert not changes(by_key(make_row(1), make_row(2)), [make_row(2), make_row(1)])


def test_a_job_listed_twice_counts_once() -> None:
    assert changes({}, [make_row(1), make_row(1, verdict=Verdict.FLAGGED)]).added == (make_row(1),)


def test_what_needs_a_person_comes_first() -> None:
    rows = [
        make_row(1, job=make_job(1, state=JobState.UNSUPPORTED)),
        make_row(2, verdict=Verdict.NOTHING_FOUND),
        make_row(3, job=make_job(3, state=JobState.AUDITING)),
        make_row(4, job=make_job(4, state=JobState.FAILED)),
        make_row(5, verdict=Verdict.INCONCLUSIVE),
        make_row(6, verdict=Verdict.INHERITED),
        make_row(7, job=make_job(7, state=JobState.REFUSED)),
        make_row(8, verdict=Verdict.FLAGGED),
    ]
    assert [row.job.id for row in sorted(rows, key=needs_attention)] == [8, 7, 6, 5, 4, 3, 2, 1]


def test_a_score_that_stands_out_comes_before_what_is_in_work() -> None:
    working = make_row(3, job=make_job(3, state=JobState.AUDITING))
    anomalous = make_row(1, verdict=Verdict.NOTHING_FOUND, finding="fp1:0000000000000000")
    plain = make_row(2, verdict=Verdict.NOTHING_FOUND)
    assert sorted([plain, working, anomalous], key=needs_attention) == [anomalous, working, plain]


def test_equal_sort_keys_show_the_last_changed_first() -> None:
    rows = SortedRows()
    rows.insert(0, sorted([make_row(1), make_row(2), make_row(3)], key=rows.sort_key))
    assert [rows[at].job.id for at in range(3)] == [3, 2, 1]


def test_every_state_and_verdict_has_a_place_and_a_text() -> None:
    for verdict in (None, *Verdict):
        assert 0 <= needs_attention(make_row(1, verdict=verdict)) <= 8
        assert verdict_text(make_row(1, verdict=verdict)) or verdict is None
    for state in JobState:
        row = make_row(1, job=make_job(1, state=state))
        assert all(isinstance(column.text(row), str) for column in COLUMNS)
