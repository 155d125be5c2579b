"""Colours, spacing and letters, derived from the system palette so that dark and light both hold."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QLineF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontDatabase,
    QFontMetricsF,
    QGuiApplication,
    QPainter,
    QPalette,
    QPen,
)
from PySide6.QtWidgets import QWidget

from dife_scanner.figures import colours as drawn
from dife_scanner.figures.colours import Scheme
from dife_scanner.records import JobState, Verdict

_SCHEMES = {
    "system": Qt.ColorScheme.Unknown,
    "light": Qt.ColorScheme.Light,
    "dark": Qt.ColorScheme.Dark,
}
READABLE = 4.5
"""WCAG 2.2 AA contrast of text on its background."""


@dataclass(frozen=True)
class Colours:
    """One scheme; every pair that carries text keeps `READABLE`, which a test computes."""

    alarm: QColor
    caution: QColor
    calm: QColor
    figures: Scheme
    """Of what is drawn: the same as in files."""


LIGHT = Colours(
    alarm=QColor("#b42318"),
    caution=QColor("#93530b"),
    calm=QColor("#3d5a80"),
    figures=drawn.LIGHT,
)
DARK = Colours(
    alarm=QColor("#ff9d90"),
    caution=QColor("#f0b866"),
    calm=QColor("#9dbce8"),
    figures=drawn.DARK,
)


def colours(palette: QPalette) -> Colours:
    """The scheme for this palette."""
    return DARK if is_dark(palette) else LIGHT


def dark_palette() -> QPalette:
    """For desktops that cannot be asked for their own dark colours."""
    window = QColor("#1e1f22")
    base = QColor("#26282c")
    text = QColor("#e4e6ea")
    palette = QPalette(
        text,
        QColor("#34373c"),  # button
        QColor("#4a4d53"),  # light
        QColor("#141517"),  # dark
        QColor("#3c3f44"),  # between the two
        text,
        base,
    )
    roles = {
        QPalette.ColorRole.Window: window,
        QPalette.ColorRole.AlternateBase: window,
        QPalette.ColorRole.BrightText: QColor("#ffffff"),
        QPalette.ColorRole.Highlight: QColor("#2f6296"),
        QPalette.ColorRole.HighlightedText: QColor("#ffffff"),
        QPalette.ColorRole.ToolTipBase: QColor("#34373c"),
        QPalette.ColorRole.ToolTipText: text,
        QPalette.ColorRole.Link: QColor("#9dbce8"),
    }
    for role, color in roles.items():
        palette.setColor(role, color)
    for role in (
        QPalette.ColorRole.Text,
        QPalette.ColorRole.WindowText,
        QPalette.ColorRole.ButtonText,
    ):
        palette.setColor(QPalette.ColorGroup.Disabled, role, mixed(text, base, 0.5))
    palette.setColor(QPalette.ColorRole.PlaceholderText, mixed(text, base, 0.4))
    return palette


def choose_scheme(scheme: str) -> None:
    """Draw every window in these colours, one of `memory.SCHEMES`; `system` follows the system."""
    app = QGuiApplication.instance()
    assert isinstance(app, QGuiApplication)
    app.setPalette(QPalette())
    app.styleHints().setColorScheme(_SCHEMES[scheme])
    # A platform without a dark scheme of its own ignores the hint.
    if scheme == "dark" and not is_dark(app.palette()):
        app.setPalette(dark_palette())


def base_color(palette: QPalette) -> QColor:
    """What text stands on."""
    return palette.color(QPalette.ColorRole.Base)


def text_color(palette: QPalette) -> QColor:
    """Of ordinary text, and of what is drawn."""
    return palette.color(QPalette.ColorRole.Text)


def is_dark(palette: QPalette) -> bool:
    """Whether its base colour is darker than the middle."""
    return base_color(palette).lightness() < 128


def mixed(low: QColor, high: QColor, share: float) -> QColor:
    """The colour between two; a `share` of 0 is `low`, of 1 `high`, and what is beyond counts as the nearer one."""
    return QColor(drawn.mixed(low.name(), high.name(), share))


def muted(palette: QPalette) -> QColor:
    """Secondary text: still `READABLE` on the base colour."""
    text = text_color(palette)
    return mixed(text, base_color(palette), 0.32)


def hairline(palette: QPalette) -> QColor:
    """Frames and axes: seen, and never taken for text."""
    base = base_color(palette)
    return mixed(base, text_color(palette), 0.16)


def text_on(background: QColor) -> QColor:
    """Black or white, whichever reads better there."""
    return QColor(drawn.ink_on(background.name()))


def contrast(first: QColor, second: QColor) -> float:
    """WCAG contrast ratio, 1 to 21."""
    return drawn.contrast(first.name(), second.name())


def verdict_color(verdict: Verdict | None, palette: QPalette) -> QColor:
    """Of its shape and its text."""
    scheme = colours(palette)
    if verdict is Verdict.FLAGGED:
        return scheme.alarm
    if verdict is Verdict.INHERITED or verdict is Verdict.INCONCLUSIVE:
        return scheme.caution
    return muted(palette)


def state_color(state: JobState, palette: QPalette) -> QColor:
    """Of its text: what needs somebody stands out."""
    scheme = colours(palette)
    if state in (JobState.REFUSED, JobState.QUARANTINED):
        return scheme.alarm
    if state in (JobState.FAILED, JobState.LIMIT_EXCEEDED):
        return scheme.caution
    return text_color(palette)


# --- letters and space ----------------------------------------------------------------------------------------


def em(widget: QWidget) -> float:
    """Height of a line in the widget's own font: the unit of every size here, so that it scales with the letters."""
    return QFontMetricsF(widget.font()).height()


def size(widget: QWidget, width: float, height: float) -> QSize:
    """Width and height in lines of the widget's own font, as pixels."""
    return QSize(round(width * em(widget)), round(height * em(widget)))


def frame(widget: QWidget) -> QRectF:
    """The widget's edge, half a pixel inside: a line of one pixel is sharp there."""
    return QRectF(widget.rect()).adjusted(0.5, 0.5, -0.5, -0.5)


def gap(share: float = 0.5) -> int:
    """Space between things, in lines of the application's font."""
    line = QFontMetricsF(QGuiApplication.font()).height()
    return max(1, round(line * share))


def sized(scale: float, *, bold: bool = False) -> QFont:
    """The application's font, so many times as large."""
    font = QFont(QGuiApplication.font())
    font.setPointSizeF(font.pointSizeF() * scale)
    if bold:
        font.setWeight(QFont.Weight.DemiBold)
    return font


def monospace(scale: float = 0.95) -> QFont:
    """The system's font for code, so many times as large as the application's."""
    font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
    font.setPointSizeF(QGuiApplication.font().pointSizeF() * scale)
    return font


# --- painted things -------------------------------------------------------------------------------------------


def hatch(
    painter: QPainter,
    area: QRectF,
    color: QColor,
    step: float,
) -> None:
    """Diagonal lines over `area`: "there is no number here", readable without any colour."""
    painter.save()
    painter.setClipRect(area, Qt.ClipOperation.IntersectClip)
    painter.setPen(QPen(color, max(1.0, step / 8)))
    x = area.left() - area.height()
    while x < area.right():
        end = x + area.height()
        painter.drawLine(QLineF(x, area.bottom(), end, area.top()))
        x += step
    painter.restore()
