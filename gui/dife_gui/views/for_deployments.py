"""What counts for each deployment about the selected model, with what was decided before about what is like it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtWidgets import QPushButton, QWidget

from dife_gui.feed import Detail
from dife_gui.views import theme
from dife_gui.views.card import row, stack
from dife_gui.views.text import Label, small
from dife_scanner.records import Precedent, Standing
from dife_scanner.sentences import plain
from dife_scanner.sentences.decisions import (
    measured_lines,
    measured_text,
    precedent_line,
    why_text,
)

_LINE_CHARACTERS = 1500
"""Of a line about a deployment; what others wrote is part of it."""
NO_DEPLOYMENT = (
    "Whether a model may be used is decided for a deployment: a use of models, through which interfaces and for which "
    "classes or queries. None is described here yet."
)


def for_deployments(
    detail: Detail,
    decide: Callable[[str], None],
    take_over: Callable[[], None],
    mark_alike: Callable[[], None],
    describe: Callable[[], None],
) -> QWidget | None:
    """The card's body; `None` where there is nothing to decide about."""
    if detail.audit is None and detail.finding is None and not detail.standings:
        return None
    parts: list[QWidget] = []
    for one in detail.standings:
        earlier = [made for made in detail.precedents if made.decision.deployment == one.deployment]
        parts.append(_standing(one, earlier, decide))
    if not parts:
        return _none_described(describe) if not detail.deployments else None
    buttons: list[QWidget] = []
    if any(one.may_be_taken_over for one in detail.precedents):
        buttons.append(
            _button("Take over", "Decide as before about what is like it (o)", take_over)
        )
    if detail.finding is not None and detail.audit is not None:
        tip = "All listed models with this effect on an equal tower (*)"
        buttons.append(_button("Mark all like this", tip, mark_alike))
    if buttons:
        parts.append(row(buttons))
    return stack(parts, spacing=0.5)


def _none_described(describe: Callable[[], None]) -> QWidget:
    button = _button("Describe a deployment…", "What models are used for here (Ctrl+N)", describe)
    return stack([Label(NO_DEPLOYMENT), row([button])], spacing=0.4)


def _standing(
    one: Standing, earlier: Sequence[Precedent], decide: Callable[[str], None]
) -> QWidget:
    name = Label(f"{one.deployment}: {one.state}", font=theme.sized(1.0, bold=True))
    button = _button(
        "Decide…",
        f"Whether it may be used for {one.deployment} (d)",
        lambda: decide(one.deployment),
    )
    button.setAccessibleName(f"Decide for {plain(one.deployment)}")
    texts = [measured_text(one), why_text(one)]
    if one.measured is not None:
        texts += measured_lines(one.measured)
    lines: list[QWidget] = [Label(plain(text, limit=_LINE_CHARACTERS)) for text in texts if text]
    for made in earlier:
        lines.append(small(plain(f"earlier: {precedent_line(made)}", limit=_LINE_CHARACTERS)))
    return stack([row([name, button]), *lines], spacing=0.25)


def _button(text: str, tip: str, does: Callable[[], None]) -> QPushButton:
    button = QPushButton(text)
    button.setAccessibleName(text)
    button.setToolTip(tip)
    button.setAutoDefault(False)
    button.clicked.connect(lambda _=False: does())
    return button
