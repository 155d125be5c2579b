"""What Qt sees of the tables."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from dife_gui.models.checks_table import ChecksTable
from dife_gui.models.models_table import ROW, ModelsTable
from dife_gui.models.rows import COLUMNS, VERDICT
from dife_gui.models.signatures_table import SignaturesTable
from gui_factories import HOSTILE, make_job, make_row, signature
from PySide6.QtCore import QPersistentModelIndex, Qt
from PySide6.QtTest import QAbstractItemModelTester
from pytestqt.qtbot import QtBot

from dife_scanner.records import CheckKind, CheckOutcome, CheckResult, JobState, ModelRow, Verdict
from dife_scanner.sentences.checks import row

STRICT = QAbstractItemModelTester.FailureReportingMode.Fatal


@pytest.fixture
def table(qtbot: QtBot) -> ModelsTable:
    """A table that a strict tester watches, and that must never be reset."""
    made = ModelsTable()
    QAbstractItemModelTester(made, STRICT, made)

    def never() -> None:
        pytest.fail("the table was reset while shown")

    made.modelAboutToBeReset.connect(never)
    return made


def shown(table: ModelsTable) -> list[ModelRow]:
    return [table.row(at) for at in range(table.rowCount())]


def a_reading(luck: random.Random) -> tuple[ModelRow, ...]:
    """Some of sixteen jobs, in any order, each in any state."""
    ids = luck.sample(range(1, 17), luck.randrange(0, 17))
    return tuple(
        make_row(
            id,
            verdict=luck.choice([None, *Verdict]),
            job=make_job(id, state=luck.choice(list(JobState)), reason=luck.choice("abc")),
        )
        for id in ids
    )


@pytest.mark.parametrize("seed", range(4))
def test_keyed_changes_lead_to_the_same_table_as_reading_afresh(table: ModelsTable, qtbot: QtBot, seed: int) -> None:
    luck = random.Random(seed)
    for _ in range(6):
        column, order = luck.randrange(len(COLUMNS)), luck.choice(list(Qt.SortOrder))
        table.sort(column, order)
        reading = a_reading(luck)
        table.show(reading)
        afresh = ModelsTable()
        afresh.sort(column, order)
        afresh.show(reading)
        assert shown(table) == shown(afresh)
        assert {row.job.id for row in shown(table)} == {row.job.id for row in reading}


@pytest.mark.parametrize("seed", range(2))
def test_a_held_index_stays_with_its_job(table: ModelsTable, seed: int) -> None:
    luck = random.Random(seed)
    table.show(tuple(make_row(id) for id in range(1, 13)))
    held = {id: QPersistentModelIndex(table.place_of(id)) for id in range(1, 13)}
    for _ in range(4):
        table.show(tuple(make_row(id, verdict=luck.choice([None, *Verdict])) for id in range(1, 13)))
        table.sort(luck.randrange(len(COLUMNS)), luck.choice(list(Qt.SortOrder)))
        assert all(index.data(ROW).job.id == id for id, index in held.items())


def test_an_index_of_a_job_that_went_is_invalid(table: ModelsTable) -> None:
    table.show((make_row(1), make_row(2)))
    held = QPersistentModelIndex(table.place_of(1))
    table.show((make_row(2),))
    assert not held.isValid()
    assert not table.place_of(1).isValid()


def test_one_changed_job_is_one_data_change(table: ModelsTable, qtbot: QtBot) -> None:
    rows = tuple(make_row(id) for id in range(1, 6))
    table.show(rows)
    job = replace(rows[2].job, reason="tried again")
    with qtbot.waitSignal(table.dataChanged) as caught:
        table.show((*rows[:2], replace(rows[2], job=job), *rows[3:]))
    first, last = caught.args[:2]
    assert (first.row(), last.column()) == (last.row(), len(COLUMNS) - 1)
    assert first.data(ROW).job.id == 3


def test_ten_thousand_rows_come_as_one_insertion(qtbot: QtBot) -> None:
    table = ModelsTable()
    insertions: list[int] = []
    table.rowsInserted.connect(lambda _, first, last: insertions.append(last - first + 1))
    table.show(tuple(make_row(id) for id in range(1, 10_001)))
    assert insertions == [10_000]


def test_hostile_names_are_shown_plain(table: ModelsTable) -> None:
    table.show((make_row(1, job=make_job(1, repo_id=HOSTILE)),))
    index = table.index(0, 0)
    text = index.data(Qt.ItemDataRole.DisplayRole)
    assert not set(text) & set("\n\x1b\u202e")
    tip = index.data(Qt.ItemDataRole.ToolTipRole)
    assert "&lt;img" in tip
    assert "<img" not in tip


def test_a_model_without_verdict_shows_no_verdict(table: ModelsTable) -> None:
    table.show((make_row(1),))
    index = table.index(0, VERDICT)
    assert index.data(Qt.ItemDataRole.DisplayRole) == ""
    assert index.data(Qt.ItemDataRole.AccessibleTextRole) == "Verdict: none"


def test_signatures_are_listed_by_strength_and_screened_out_ones_have_no_numbers(qtbot: QtBot) -> None:
    results = [signature("screened", None), signature("second", 0.2), signature("first", 0.0004)]
    table = SignaturesTable(results)
    QAbstractItemModelTester(table, STRICT, table)
    lines = [[table.index(row, column).data() for column in range(table.columnCount())] for row in range(3)]
    assert [line[0] for line in lines] == ["first", "second", "screened"]
    assert lines[0][7:9] == ["< 0.001", "0.010"]
    assert lines[2][5:] == ["screened out", "–", "–", "–", "–"]


def test_the_table_of_checks_is_a_sound_model_and_hostile_reasons_stay_plain(qtbot: QtBot) -> None:
    result = CheckResult("patch area", CheckKind.REQUIRED, CheckOutcome.NOT_RUN, reason=HOSTILE)
    table = ChecksTable([row(result)])
    QAbstractItemModelTester(table, STRICT, table)
    told = table.index(0, 3)
    for role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
        assert "\x1b" not in told.data(role) and "\n" not in told.data(role)
    assert "<b>" not in told.data(Qt.ItemDataRole.ToolTipRole)
    assert [table.headerData(at, Qt.Orientation.Horizontal) for at in range(4)] == [
        "Check",
        "Measured",
        "Needed",
        "Result",
    ]
