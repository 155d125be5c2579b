"""Colours and shapes of the window can be read and told apart."""

from __future__ import annotations

import pytest
from dife_gui.views import marks, theme
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QGuiApplication, QImage, QPainter, QPalette
from pytestqt.qtbot import QtBot

from dife_scanner.figures.colours import contrast, heat, heat_of
from dife_scanner.records import (
    EntryType,
    Verdict,
)


@pytest.fixture(params=["light", "dark"])
def palette(request: pytest.FixtureRequest, qtbot: QtBot) -> QPalette:
    return theme.dark_palette() if request.param == "dark" else QPalette(QGuiApplication.palette())


# --- colours --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", list(EntryType))
def test_numbers_are_readable_on_every_heat(entry: EntryType, palette: QPalette) -> None:
    scheme = theme.colours(palette).figures
    for step in range(-20, 21):
        ground = QColor(heat(entry, step / 20, scheme))
        assert theme.contrast(theme.text_on(ground), ground) >= theme.READABLE


def test_tinted_and_secondary_text_is_readable(palette: QPalette) -> None:
    scheme = theme.colours(palette)
    for ground in (
        palette.color(QPalette.ColorRole.Base),
        palette.color(QPalette.ColorRole.Window),
    ):
        for ink in (
            scheme.alarm,
            scheme.caution,
            theme.muted(palette),
            palette.color(QPalette.ColorRole.Text),
        ):
            assert theme.contrast(ink, ground) >= theme.READABLE, (ink.name(), ground.name())
    banner = theme.mixed(palette.color(QPalette.ColorRole.Base), scheme.caution, 0.08)
    assert theme.contrast(scheme.caution, banner) >= theme.READABLE


def test_contrast_is_that_of_wcag() -> None:
    assert theme.contrast(QColor("#000000"), QColor("#ffffff")) == pytest.approx(21)
    assert theme.contrast(QColor("#777777"), QColor("#ffffff")) == pytest.approx(4.48, abs=0.01)


def test_promotion_warms_with_its_size(palette: QPalette) -> None:
    scheme = theme.colours(palette).figures
    assert heat(EntryType.EXPOSED, 0.25, scheme) == scheme.exposed_low
    assert heat(EntryType.EXPOSED, 1.0, scheme) == scheme.exposed_high
    assert heat(EntryType.WEAK, 0.2, scheme) == heat(EntryType.N_TOO_SMALL, 0.6, scheme)
    assert [heat_of(delta, scheme) for delta in (0.25, 0.1, -0.05)] == [
        scheme.exposed_low,
        scheme.neutral,
        scheme.demoted_low,
    ]


def test_bars_and_marks_are_seen_on_their_ground(palette: QPalette) -> None:
    """3:1, as WCAG 2.2 wants it of what is no text."""
    scheme = theme.colours(palette).figures
    base = palette.color(QPalette.ColorRole.Base).name()
    for color in (scheme.image, scheme.text, scheme.whole, scheme.drift):
        assert contrast(color, base) >= 3, (color, base)


def test_each_verdict_has_a_shape_of_its_own(qtbot: QtBot) -> None:
    """Drawn in one colour, no two are the same picture."""

    def drawn(verdict: Verdict | None) -> bytes:
        image = QImage(32, 32, QImage.Format.Format_Grayscale8)
        image.fill(Qt.GlobalColor.white)
        painter = QPainter(image)
        marks.draw(painter, QRectF(0, 0, 32, 32), verdict, QColor("black"))
        painter.end()
        return bytes(image.constBits())

    pictures = {drawn(verdict) for verdict in (None, *Verdict)}
    assert len(pictures) == len(Verdict) + 1
