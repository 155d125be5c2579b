"""Commands about the framework itself: which interfaces there are, and what each one measures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dife_scanner.cli.options import ExtendOption
from dife_scanner.cli.session import Session, command

if TYPE_CHECKING:
    from dife_scanner.core.cards import Card


def register(app: typer.Typer) -> None:
    command(app, "cards")(cards)


def cards(
    session: Session,
    name: Annotated[
        list[str] | None, typer.Argument(help="One interface, e.g. `text reranking`; or all.")
    ] = None,
    extend: ExtendOption = None,
) -> None:
    """Show the interface cards: what an audit measures through each interface, how, and when it cannot be measured."""
    from dife_scanner.core.cards import CARDS
    from dife_scanner.reports import as_json
    from dife_scanner.reports import cards as shown

    known = _with_extensions(extend) if extend else CARDS
    if not name:
        session.show(as_json.CardsDocument(known), lambda: shown.table(known))
        return
    card = _found(" ".join(name), known)
    session.show(as_json.CardsDocument((card,)), lambda: shown.in_full(card))


def _with_extensions(files: Sequence[Path]) -> tuple[Card, ...]:
    """The framework's cards, then those that the files register."""
    from dife_scanner.audit import interfaces

    for file in files:
        interfaces.extend(file)
    return interfaces.cards()


def _found(wanted: str, known: Sequence[Card]) -> Card:
    """The card whose name differs from `wanted` in blanks, dashes or capitals at most. `UsageError` names all."""
    from dife_scanner.core.cards import by_name

    for card in known:
        if _bare(card.interface) == _bare(wanted):
            return card
    return by_name(wanted)


def _bare(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
