"""Every key the window knows, once: shortcuts and the help page are both made from this table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from dife_gui.views import theme
from dife_gui.views.card import Card, grid
from dife_gui.views.text import Label
from dife_scanner.settings import Keys


@dataclass(frozen=True)
class Key:
    """One key, or keys that belong together."""

    shown: str
    """As printed on the help page."""
    does: str
    """In words."""
    sequences: tuple[str, ...] = ()
    """For a window-wide shortcut; empty where a widget handles the key itself."""
    action: str = ""
    """What it does, by the name that `commands` gives it."""
    fixed: tuple[tuple[str, str], ...] = ()
    """Keys that a widget obeys itself and nobody rebinds, each with what it does there."""


KEYS: tuple[Key, ...] = (
    Key(
        "j  k  ↓  ↑",
        "next, previous model; in the details: scroll",
        fixed=(("J", "next"), ("K", "previous")),
    ),
    Key("g  G", "first, last model", fixed=(("G", "first"), ("Shift+G", "last"))),
    Key(
        "Enter",
        "open the selected model in full",
        fixed=(("Return", "open"), ("Enter", "open")),
    ),
    Key("Esc", "back: from the filter or the full view to the table", fixed=(("Esc", "back"),)),
    Key("/", "filter", ("/",), "focus_filter"),
    Key("x", "switch the filter off, and on again", ("X",), "switch_filter"),
    Key("Ctrl+Space  Tab", "in the filter: show what could stand there; take it"),
    Key("↑  ↓", "in the filter: filters used before"),
    Key("y", "copy the selected model's id and revision", ("Y",), "copy_model"),
    Key("l", "copy a link to the selected finding", ("L",), "copy_link"),
    Key("n", "write a triage note", ("N",), "focus_note"),
    Key(
        "c", "confirm the selected finding; with marks, all of them, once asked", ("C",), "confirm"
    ),
    Key("f", "call it a false positive; asks for a note first", ("F",), "false_positive"),
    Key("a", "accept its risk; asks for a note first", ("A",), "accept_risk"),
    Key("t", "note that you are on it", ("T",), "take_on"),
    Key(
        "Space  v",
        "mark the selected model; mark from the last one to here; Esc: remove the marks",
        fixed=(("Space", "mark"), ("V", "mark_range")),
    ),
    Key("b", "decide about all marked models at once, or all shown", ("B",), "decide_about_many"),
    Key(
        "d",
        "decide for a deployment: the selected model, with marks all of them",
        ("D",),
        "decide_for_deployment",
    ),
    Key(
        "o",
        "decide as before about what is like it; with marks about all of them, once asked",
        ("O",),
        "take_over",
    ),
    Key(
        "u",
        "take back the last decision of this window for a deployment",
        ("U",),
        "take_back",
    ),
    Key("*", "mark all models with the effect of this one on an equal tower", ("*",), "mark_alike"),
    Key(
        "i",
        "turn the picture: clean, with the trigger, mask, difference, the base's answer",
        ("I",),
        "turn_picture",
    ),
    Key(
        "Ctrl++", "enlarge what the trigger changed in the picture", ("Ctrl++",), "enlarge_picture"
    ),
    Key("Ctrl+-", "show more of the picture again", ("Ctrl+-",), "reduce_picture"),
    Key(
        "=",
        "compare marked models, or one with its base and the revision before",
        ("=",),
        "compare",
    ),
    Key("z", "take back the last triage of this window", ("Z", "Ctrl+Z"), "undo"),
    Key("Z", "triage again what was taken back last", ("Shift+Z", "Ctrl+Shift+Z"), "redo"),
    Key("Ctrl+E", "export what the list shows as a file for others", ("Ctrl+E",), "export"),
    Key(
        "Ctrl+V",
        "scan the folder, file or hub address on the clipboard; dropping it does the same",
        ("Ctrl+V",),
        "scan_pasted",
    ),
    Key("2", "the queue: what runs, what waits and why, what is stuck", ("2",), "show_queue"),
    Key("3", "the list of models", ("3",), "show_models"),
    Key("4", "the hub: last passes, coverage, backlog, budget, disk", ("4",), "show_hub"),
    Key(
        "5",
        "the deployments: what models are used for, and how they stand for it",
        ("5",),
        "show_deployments",
    ),
    Key("Ctrl+N", "describe a deployment", ("Ctrl+N",), "describe_deployment"),
    Key("r", "in the queue: queue a stuck job again", ("R",), "retry"),
    Key("+", "in the queue: let a waiting job go first", ("+",), "put_first"),
    Key("p", "in the queue: pause it, or let it go on", ("P",), "pause"),
    Key("Ctrl+K", "find a command by its words, a saved view too", ("Ctrl+K",), "show_palette"),
    Key("F5", "read the store again", ("F5",), "refresh"),
    Key("?", "this help", ("?",), "show_help"),
    Key("Ctrl+Q", "quit", ("Ctrl+Q",), "close"),
)


def fixed() -> dict[str, str]:
    """By key, as Qt writes it: what it does in a list or on a page, whatever is rebound."""
    found: dict[str, str] = {}
    for key in KEYS:
        found.update(key.fixed)
    return found


def fixed_action(event: QKeyEvent) -> str:
    """What the key of an event does in a list or on a page; empty where it has no fixed meaning."""
    held = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
    pressed = QKeySequence(held.value | event.key())
    return _FIXED.get(pressed.toString(QKeySequence.SequenceFormat.PortableText), "")


def bound(keys: Keys) -> tuple[Key, ...]:
    """The same keys, with those that somebody chose in their settings in place of the first of each."""
    chosen = keys.model_dump()
    made: list[Key] = []
    for key in KEYS:
        if key.action in chosen:
            name = chosen[key.action]
            key = replace(key, shown=name, sequences=(_sequence(name), *key.sequences[1:]))
        made.append(key)
    return tuple(made)


def _sequence(name: str) -> str:
    """As Qt writes a key: a letter is a capital there, and a capital one with Shift."""
    return f"Shift+{name}" if name.isupper() else name.upper()


_FIXED = fixed()

SHAPES = (
    "Shapes: triangle flagged, diamond inherited, ring with a bar inconclusive, two bars identical to a known base, "
    "ring nothing found, dash no verdict. No verdict ever says that a model is clean."
)


_OF_SCREEN = 0.9
"""Most of the screen's height that the list takes."""


class Help(QDialog):
    """The keys, and what the shapes in the table mean."""

    def __init__(self, keys: Sequence[Key] = KEYS, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys")
        self.setAccessibleName("Keys")
        card = Card("Keys")
        card.set_body(_table(keys))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setSpacing(theme.gap(0.6))
        layout.addWidget(_scrolled(card), 1)
        layout.addWidget(Label(SHAPES, tone="muted"))
        layout.addWidget(buttons)
        width = round(34 * theme.em(self))
        whole = card.sizeHint().height() + layout.totalHeightForWidth(width)
        self.resize(
            width, min(whole, round(_OF_SCREEN * self.screen().availableGeometry().height()))
        )


def _scrolled(card: Card) -> QScrollArea:
    """In full where there is room, and to be scrolled on a small screen."""
    area = QScrollArea()
    area.setAccessibleName("List of keys")
    area.setFrameShape(QScrollArea.Shape.NoFrame)
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(card)
    return area


def _table(keys: Sequence[Key]) -> QWidget:
    holder, table = grid(across=1.2, down=0.35)
    table.setColumnStretch(1, 1)
    for line, key in enumerate(keys):
        name = Label(key.shown, font=theme.monospace(), wrap=False)
        table.addWidget(name, line, 0)
        table.addWidget(Label(key.does), line, 1)
    return holder
