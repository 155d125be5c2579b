"""What Qt sees of the tables."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from dife_gui.models.checks_table import ChecksTable
from dife_gui.models.columns import COLUMNS, PLACE
from dife_gui.models.keys import MOST_RUNS, Steps, steps
from dife_gui.models.models_table import CELLS, LOADING, MOST_KEPT, PAGE, ROW, ModelsTable
from dife_gui.models.signatures_table import SignaturesTable
from gui_factories import HOSTILE, make_job, make_row, signature
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPersistentModelIndex, Qt
from PySide6.QtTest import QAbstractItemModelTester
from pytestqt.qtbot import QtBot

from dife_scanner.records import CheckKind, CheckOutcome, CheckResult, ModelRow, Verdict
from dife_scanner.sentences.checks import row
from dife_scanner.store.models import Sort

STRICT = QAbstractItemModelTester.FailureReportingMode.Fatal
VERDICT = PLACE["verdict"]


@pytest.fixture
def table(qtbot: QtBot) -> ModelsTable:
    """A table that a strict tester watches, and that must never be reset."""
    made = ModelsTable()
    QAbstractItemModelTester(made, STRICT, made)

    def never() -> None:
        pytest.fail("the table was reset while shown")

    made.modelAboutToBeReset.connect(never)
    return made


def shown(table: ModelsTable, keys: Iterable[int]) -> None:
    """Become these keys, each with its line."""
    listed = array("q", keys)
    table.show(listed, [make_row(key) for key in listed])


# --- from one list of keys to the next ------------------------------------------------------------------------

some_keys = st.lists(st.integers(0, 40), unique=True, max_size=30)


@given(some_keys, some_keys)
def test_steps_lead_from_one_list_to_the_other(old: list[int], new: list[int]) -> None:
    """Rows that go, then those that come, are the next list; or it says that the rest took another order."""
    made = steps(array("q", old), array("q", new))
    left = list(old)
    for first, last in made.gone:
        del left[first : last + 1]
    stays = [key for key in new if key in old]
    assert made.reordered is (left != stays)
    assert sorted(left) == sorted(stays)
    for first, last in made.come:
        stays[first:first] = new[first : last + 1]
    assert stays == new
    assert bool(made) is (old != new)


def test_what_comes_in_the_middle_of_many_is_one_run() -> None:
    old, new = array("q", range(100_000)), array("q", range(100_000))
    new[50_000:50_000] = array("q", [-1, -2])
    assert steps(old, new) == Steps(new, come=((50_000, 50_001),))


def test_a_few_lines_of_very_many_are_another_list_and_what_is_held_stays(qtbot: QtBot) -> None:
    table = ModelsTable()  # the strict tester looks at every cell
    many, few = array("q", range(20_000)), array("q", [19_999, 7, 3])
    assert steps(many, few) == Steps(few, other=True)
    assert steps(many, array("q")) == Steps(array("q"), gone=((0, 19_999),))
    assert steps(array("q"), many) == Steps(many, come=((0, 19_999),))
    table.show(many)
    held, left = QPersistentModelIndex(table.place_of(7)), QPersistentModelIndex(table.place_of(8))
    with qtbot.waitSignal(table.layoutChanged):
        table.show(few)
    assert (held.row(), left.isValid()) == (1, False)
    table.show(many)
    assert held.row() == 7 and list(table.keys) == list(many)


@pytest.mark.parametrize("seed", range(2))
def test_a_table_becomes_each_list_and_what_is_held_stays_with_its_job(
    table: ModelsTable, seed: int
) -> None:
    luck = random.Random(seed)
    shown(table, range(1, 20))
    for _ in range(5):
        held = {key: QPersistentModelIndex(table.place_of(key)) for key in table.keys}
        keys = luck.sample(range(1, 30), luck.randrange(0, 29))
        shown(table, luck.choice([keys, sorted(keys)]))
        assert list(table.keys) == sorted(table.keys) or list(table.keys) == keys
        for key, index in held.items():
            assert index.isValid() is (key in keys)
            assert not index.isValid() or index.data(ROW).job.id == key


def test_many_runs_are_told_at_once_and_a_few_one_by_one(qtbot: QtBot) -> None:
    table = ModelsTable()  # the strict tester looks at every cell after each run
    shown(table, range(0, 200, 2))
    with qtbot.waitSignal(table.layoutChanged):
        shown(table, range(200))
    with qtbot.assertNotEmitted(table.layoutChanged), qtbot.waitSignal(table.rowsInserted):
        shown(table, range(201))
    assert MOST_RUNS < 100


# --- lines ----------------------------------------------------------------------------------------------------


def test_lines_that_are_looked_at_are_asked_for_by_page(qtbot: QtBot) -> None:
    table = ModelsTable()
    table.show(array("q", range(1000)))
    with qtbot.waitSignal(table.wanted) as caught:
        assert table.index(5 * PAGE, 0).data() == LOADING
    asked: Sequence[int] = caught.args[0]
    assert set(range(4 * PAGE, 7 * PAGE)) <= set(asked) and len(asked) < 1000
    with qtbot.waitSignal(table.dataChanged):
        table.fill([make_row(key) for key in asked])
    assert table.index(5 * PAGE, 0).data() == f"org/model-{5 * PAGE}"
    with qtbot.assertNotEmitted(table.wanted, wait=20):
        assert table.index(5 * PAGE + 1, 0).data()


def test_a_line_of_an_earlier_reading_is_shown_and_read_again(
    table: ModelsTable, qtbot: QtBot
) -> None:
    shown(table, range(1, 9))
    table.show(array("q", range(1, 10)))
    with qtbot.waitSignal(table.wanted) as caught:
        assert table.index(2, 0).data() == "org/model-3"
    assert set(caught.args[0]) == set(range(1, 10))


def test_only_so_many_lines_are_kept(qtbot: QtBot) -> None:
    table = ModelsTable()
    shown(table, range(1, MOST_KEPT + 51))
    kept = [at for at in range(table.rowCount()) if table.row(at)]
    assert len(kept) == MOST_KEPT


def test_one_changed_job_is_one_data_change(table: ModelsTable, qtbot: QtBot) -> None:
    rows = [make_row(id) for id in range(1, 6)]
    keys = array("q", range(1, 6))
    table.show(keys, rows)
    job = replace(rows[2].job, reason="tried again")
    with qtbot.waitSignal(table.dataChanged) as caught:
        table.show(keys, (*rows[:2], replace(rows[2], job=job), *rows[3:]))
    first, last = caught.args[:2]
    assert (first.row(), last.row(), last.column()) == (2, 2, len(COLUMNS) - 1)
    assert first.data(ROW).job.reason == "tried again"


def test_a_hundred_thousand_rows_come_as_one_insertion_and_load_nothing(qtbot: QtBot) -> None:
    table = ModelsTable()
    insertions: list[int] = []
    table.rowsInserted.connect(lambda _, first, last: insertions.append(last - first + 1))
    table.show(array("q", range(100_000)))
    assert insertions == [100_000]
    assert table.row(99_999) is None


def test_an_order_is_asked_for_once(table: ModelsTable, qtbot: QtBot) -> None:
    with qtbot.waitSignal(table.sorted_by) as caught:
        table.sort(PLACE["downloads"], Qt.SortOrder.DescendingOrder)
    assert caught.args == [Sort("downloads", descending=True)]
    with qtbot.assertNotEmitted(table.sorted_by):
        table.sort(PLACE["downloads"], Qt.SortOrder.DescendingOrder)
        table.sort(-1)


# --- cells ----------------------------------------------------------------------------------------------------


def cell(table: ModelsTable, row: ModelRow, name: str, role: int) -> object:
    table.show(array("q", [row.job.id]), [row])
    return table.index(0, PLACE[name]).data(role)


def test_hostile_names_are_shown_plain(table: ModelsTable) -> None:
    row = make_row(1, job=make_job(1, repo_id=HOSTILE), tags=(HOSTILE,), comment=HOSTILE)
    for name in ("repo", "comment", "tag"):
        text = cell(table, row, name, Qt.ItemDataRole.DisplayRole)
        assert isinstance(text, str) and not set(text) & set("\n\x1b\u202e")
    (tag,) = cell(table, row, "tag", CELLS)  # type: ignore[misc]
    assert not set(tag) & set("\n\x1b\u202e") and len(tag) < 30
    tip = str(cell(table, row, "repo", Qt.ItemDataRole.ToolTipRole))
    assert "&lt;img" in tip
    assert "<img" not in tip


def test_a_model_without_verdict_shows_no_verdict(table: ModelsTable) -> None:
    assert cell(table, make_row(1), "verdict", Qt.ItemDataRole.DisplayRole) == ""
    told = cell(table, make_row(1), "verdict", Qt.ItemDataRole.AccessibleTextRole)
    assert told == "Verdict: none"


def test_what_was_not_measured_is_no_number_and_interfaces_are_small_cells_with_full_names(
    table: ModelsTable,
) -> None:
    row = make_row(1, interfaces=("zero-shot classification", "text reranking"), downloads=1234)
    assert cell(table, row, "exposure", Qt.ItemDataRole.DisplayRole) == ""
    assert cell(table, row, "downloads", Qt.ItemDataRole.DisplayRole) == "1,234"
    assert cell(table, row, "interface", CELLS) == ("ZSC", "TR")
    told = cell(table, row, "interface", Qt.ItemDataRole.AccessibleTextRole)
    assert told == "Exposed: zero-shot classification, text reranking"


def test_every_verdict_has_a_text(table: ModelsTable) -> None:
    for verdict in Verdict:
        row = make_row(1, verdict=verdict)
        assert cell(table, row, "verdict", Qt.ItemDataRole.DisplayRole)


def test_signatures_are_listed_by_strength_and_screened_out_ones_have_no_numbers(
    qtbot: QtBot,
) -> None:
    results = [signature("screened", None), signature("second", 0.2), signature("first", 0.0004)]
    table = SignaturesTable(results)
    QAbstractItemModelTester(table, STRICT, table)
    lines = [
        [table.index(row, column).data() for column in range(table.columnCount())]
        for row in range(3)
    ]
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
