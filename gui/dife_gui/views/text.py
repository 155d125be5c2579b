"""Labels for strings that strangers wrote: always plain text, always one harmless line."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QFont, QGuiApplication, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from dife_gui.escape import tooltip
from dife_gui.views import theme
from dife_scanner.sentences import plain

SMALL = 0.88
"""Times the application's font: for what is read second."""
MOST_CHARACTERS = 4000
"""Of one label: more than anything we write ourselves, less than what a layout needs seconds for."""
_SELECTABLE = Qt.TextInteractionFlag.TextSelectableByMouse


class Label(QLabel):
    """A `QLabel` that never guesses at markup and shows `plain` text only.

    `tone`: `normal`, `muted`, `alarm` or `caution`; the colour follows the palette when the system switches.
    """

    # Of the class too, because Qt sends changes of the palette while a label is being made.
    _tone = "normal"
    _painted_for = 0

    def __init__(
        self,
        text: str = "",
        *,
        tone: str = "normal",
        font: QFont | None = None,
        wrap: bool = True,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(wrap)
        self.setTextInteractionFlags(_SELECTABLE)
        self.setCursor(Qt.CursorShape.ArrowCursor)
        if font is not None:
            self.setFont(font)
        if wrap:
            policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
            policy.setHeightForWidth(True)
            self.setSizePolicy(policy)
        self._tone = tone
        self.show_text(text)
        self._paint_tone()

    def show_text(self, text: str) -> None:
        """Show `text` instead of what was there."""
        self.setText(plain(text, limit=MOST_CHARACTERS))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() != QEvent.Type.PaletteChange:
            return
        # Setting our own palette comes back here as such an event; only the system's counts.
        if self._painted_for != QGuiApplication.palette().cacheKey():
            self._paint_tone()

    def _paint_tone(self) -> None:
        source = QGuiApplication.palette()
        self._painted_for = source.cacheKey()
        scheme = theme.colours(source)
        colors = {
            "muted": theme.muted(source),
            "alarm": scheme.alarm,
            "caution": scheme.caution,
        }
        color = colors.get(self._tone)
        palette = QPalette()  # no role set by itself, so that all others keep following the system
        if color is not None:
            for group in (QPalette.ColorGroup.Active, QPalette.ColorGroup.Inactive):
                palette.setColor(group, QPalette.ColorRole.WindowText, color)
        self.setPalette(palette)


class Elided(Label):
    """One line that is cut with three dots where there is no room; in full in its tooltip."""

    def __init__(
        self,
        text: str = "",
        *,
        tone: str = "normal",
        font: QFont | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(text, tone=tone, font=font, wrap=False, parent=parent)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.NoTextInteraction)
        # It may be cut: its width is not what keeps the window from getting narrow.
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())

    def show_text(self, text: str, tip: str = "") -> None:
        """Show `text`; `tip` is what the pointer shows in its place, where that says more."""
        super().show_text(text)
        self.setToolTip(tooltip(tip or text) if text else "")

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
        area = self.contentsRect()
        cut = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, area.width())
        painter.drawText(area, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, cut)


def small(text: str) -> Label:
    """What explains the thing next to it."""
    return Label(text, tone="muted", font=theme.sized(SMALL))


def heading(text: str) -> Label:
    """Title of a card; in one line."""
    return Label(text, font=theme.sized(1.0, bold=True), wrap=False)
