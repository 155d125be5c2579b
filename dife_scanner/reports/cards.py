"""The interface cards as a person reads them: all of them in one table, or one in full."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group as Together
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dife_scanner.core.cards import Card, Group
from dife_scanner.records import Channel
from dife_scanner.reports.layout import columns, heading

GROUP_TITLE = {
    Group.NATIVE: "native: the paper's seven",
    Group.EXTENSION: "extension: the paper's deployment extensions",
    Group.READOUT: "readout: what a text trigger does to embeddings",
    Group.OWN: "own: beyond the paper's definitions",
}


def table(cards: Sequence[Card]) -> RenderableType:
    """One line per card, grouped: how a trigger enters, what counts as success, and in which unit it is measured."""
    parts: list[RenderableType] = []
    for group in Group:
        rows = [card for card in cards if card.group is group]
        if rows:
            above = 1 if parts else 0
            title = Text(GROUP_TITLE[group], "bold")
            parts += [Padding(title, (above, 0, 0, 0)), _lines(rows)]
    parts.append(Padding(Text("One card in full: dife cards NAME", "dim"), (1, 0, 0, 0)))
    return Together(*parts)


_SHARES = {"reads": 4, "trigger enters by": 4, "success": 8, "metric": 3, "compared with": 8}
"""Of the width that the interface's name leaves."""


def _lines(cards: Sequence[Card]) -> Table:
    shown = columns()
    shown.expand = True
    shown.add_column("interface", no_wrap=True)
    for name, ratio in _SHARES.items():
        shown.add_column(name, overflow="fold", ratio=ratio)
    for card in cards:
        enters = channels_text(card.channels)
        shown.add_row(
            card.interface,
            card.readout.value,
            enters,
            card.target_event,
            card.metric,
            card.reference,
        )
    return shown


def in_full(card: Card) -> RenderableType:
    """Every field of one card, the semantic half first."""
    semantic = (
        ("group", GROUP_TITLE[card.group]),
        ("component readout", card.readout.value),
        ("trigger channel", channels_text(card.channels)),
        ("query", query_text(card)),
        ("source concept", "needed" if card.needs_source else "not needed"),
        ("target event", card.target_event),
        ("N.E. when no channel fits", card.category.value),
    )
    measured = [
        ("population", card.population),
        ("reference condition", card.reference),
        ("metric", card.metric),
    ]
    if card.selects:
        measured.append(("without a text trigger", "selector control, never an exposure"))
    return Together(
        Text(card.interface, "bold"),
        Text(card.summary),
        _half("When it can be measured", semantic),
        _half("How it is measured", measured),
    )


def channels_text(channels: frozenset[Channel]) -> str:
    """`image or text`."""
    return " or ".join(channel.value for channel in Channel if channel in channels)


def query_text(card: Card) -> str:
    """What an attacker has to do to the query."""
    if card.conditioned_query:
        return "has to carry the trigger"
    return "none that the attacker must touch"


def _half(title: str, facts: Sequence[tuple[str, str]]) -> RenderableType:
    shown = columns()
    shown.show_header = False
    shown.add_column(style="dim", no_wrap=True)
    shown.add_column(overflow="fold")
    for name, value in facts:
        shown.add_row(name, value)
    return Together(heading(title), shown)
