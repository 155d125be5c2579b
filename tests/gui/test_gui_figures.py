"""The window and the files draw the same: a profile and its bars are painted by both and held against each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gui_factories as factories
import pytest
from dife_gui.views import theme
from dife_gui.views.profile import HeatCell, Whisker
from dife_gui.views.swap import BarView, branch_swap
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PySide6.QtGui import QImage, QPainter, QPalette
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from dife_scanner.figures.matrix import interfaces
from dife_scanner.records import (
    ArtefactMissing,
    Category,
    Cell,
    Change,
    ComponentRepair,
    Entry,
    EntryType,
    NotEvaluable,
    NotRun,
    SelectorControl,
)
from dife_scanner.reports import figures
from dife_scanner.reports.study import study

DRIFT = Change(-0.012, factories.measure(0.02).interval)
PROFILE: tuple[Entry, ...] = (
    factories.cell("zero-shot classification", "TS", 0.99, 0.09, EntryType.EXPOSED),
    replace(
        factories.cell("prompted classification", "QHR", 0.5, 0.1, EntryType.EXPOSED),
        trigger=Change(0.39, factories.measure(0.39).interval),
        drift=DRIFT,
    ),
    factories.cell("targeted retrieval", "H@1", 0.2, 0.15, EntryType.WEAK),
    factories.cell("image-text retrieval", "H@1", 0.7, 0.1, EntryType.N_TOO_SMALL),
    factories.cell("text reranking", "ΔH@1", 0.1, 0.6, EntryType.NEGATIVE),
    NotEvaluable("downstream classification", Category.NO_QUERY, "because"),
    NotRun("caption retrieval", "because"),
    ArtefactMissing("caption reranking", "lists", "because"),
    SelectorControl(
        "proxy selection", "Sel@1", factories.measure(0.3), factories.measure(0.3), DRIFT, "because"
    ),
)


@pytest.fixture
def _light(qtbot: QtBot) -> None:
    assert not theme.is_dark(QPalette()), "files are drawn on white"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that is painted in the window."""
    texts: list[str] = []
    paint = QPainter.drawText

    def noted(painter: QPainter, *given: Any) -> Any:
        texts.append(str(given[-1]))
        return paint(painter, *given)

    monkeypatch.setattr(QPainter, "drawText", noted)
    return texts


def grabbed(qtbot: QtBot, widget: QWidget, width: int, height: int) -> QImage:
    qtbot.addWidget(widget)
    widget.resize(width, height)
    return widget.grab().toImage()


@pytest.mark.usefixtures("_light")
def test_a_box_of_the_matrix_has_the_same_text_and_ground_in_both(
    qtbot: QtBot, written: list[str]
) -> None:
    figure = Figure()
    audit = replace(factories.make_audit(), profile=PROFILE)
    assert figures.exposure_matrix(study([("a", audit)]), figure)
    axes = figure.axes[0]
    by_name = {entry.interface: entry for entry in PROFILE}
    names = interfaces([PROFILE])
    assert len(axes.patches) == len(names) == len(PROFILE)
    for x, name in enumerate(names):
        (patch,) = [one for one in axes.patches if round(one.get_x() + 0.48) == x]
        texts = [one.get_text() for one in axes.texts if round(one.get_position()[0]) == x]
        cell = HeatCell(by_name[name])
        written.clear()
        image = grabbed(qtbot, cell, 120, 40)
        assert texts[0].replace("\n", " ") == written[0]
        assert cell.box.sentence in cell.toolTip() and name in cell.accessibleName()
        edge = {image.pixelColor(4, y).name() for y in range(10, 30)}
        if isinstance(by_name[name], Cell):
            assert edge == {to_hex(patch.get_facecolor())} and patch.get_hatch() is None
        else:
            assert (patch.get_hatch() is not None) is (len(edge) > 1), "hatched in both or none"
            assert (patch.get_linestyle() == "--") is isinstance(by_name[name], SelectorControl)


@pytest.mark.usefixtures("_light")
@pytest.mark.parametrize("kind", ["swap", "repair"])
def test_bars_have_the_same_order_length_colour_and_words_in_both(
    qtbot: QtBot, kind: str, written: list[str]
) -> None:
    audit = factories.make_audit()
    draw = figures.branch_swap
    if kind == "repair":
        repair = ComponentRepair(
            "TS", full=1.0, prompt_only=0.1, trigger_only=0.3, both_clean=0.2, n=90, drawings=9
        )
        audit = replace(audit, branch_swap=None, repair=repair)
        draw = figures.component_repair
    figure = Figure()
    assert draw(study([("a", audit)]), figure)
    axes = figure.axes[0]
    widget = branch_swap(audit)
    assert widget is not None
    qtbot.addWidget(widget)
    views = widget.findChildren(BarView)
    assert [one.get_label() for one in axes.containers] == [view.bar.label for view in views]
    (line,) = (one.get_segments()[0][0][1] for one in axes.collections)
    in_file = [one.get_text() for one in axes.texts]
    for view, patch, text in zip(views, axes.patches, in_file, strict=True):
        view.setParent(None)
        written.clear()
        image = grabbed(qtbot, view, 400, 20)
        assert patch.get_height() == view.bar.share and written == [text]
        color, end = to_hex(patch.get_facecolor()), patch.get_height()
        filled = [x for x in range(400) if image.pixelColor(x, 2).name() == color]
        if end > 0.05:  # a shorter one is all corner
            assert filled[-1] / 400 == pytest.approx(end, abs=0.02)
        at = round(400 * line)
        near = {image.pixelColor(x, y).name() for x in (at - 1, at, at + 1) for y in range(3, 17)}
        assert len(near) > 1, "the threshold is dotted"


@pytest.mark.usefixtures("_light")
def test_parts_of_a_difference_have_the_same_place_shape_and_colour_in_both(qtbot: QtBot) -> None:
    cell = PROFILE[1]
    assert isinstance(cell, Cell)
    figure = Figure()
    audit = replace(factories.make_audit(), profile=(cell,))
    assert figures.trigger_and_drift(study([("a", audit)]), figure)
    widget = Whisker(cell)
    image = grabbed(qtbot, widget, 400, 60)
    drawn = figure.axes[0].containers
    assert [one.get_label() for one in drawn] == [one.kind.value for one in widget.drawn[1:]]
    for one, in_file in zip(widget.drawn[1:], drawn, strict=True):
        mark = in_file.lines[0]
        assert mark.get_xdata()[0] == one.change.value
        assert (mark.get_marker() == "s") is one.square
        column = round(widget.x(one.change.value))
        seen = {image.pixelColor(column, y).name() for y in range(60)}
        assert to_hex(mark.get_color()) in seen
