"""Commands about the framework itself: which interfaces there are, and what each one asks."""

from __future__ import annotations

from typing import Annotated

import typer

from dife_scanner.cli.session import Session, command


def register(app: typer.Typer) -> None:
    command(app, "cards")(cards)


def cards(
    session: Session,
    name: Annotated[list[str] | None, typer.Argument(help="One interface, e.g. `text reranking`; or all.")] = None,
) -> None:
    """Show the interface cards: what an audit asks of a checkpoint, how, and when a question is not well formed."""
    from dife_scanner.core.cards import CARDS, by_name
    from dife_scanner.reports import as_json
    from dife_scanner.reports import cards as shown

    wanted = (by_name(_as_written(" ".join(name), [card.interface for card in CARDS])),) if name else CARDS
    session.show(as_json.CardsDocument(wanted), lambda: shown.in_full(wanted[0]) if name else shown.table(wanted))


def _as_written(asked: str, known: list[str]) -> str:
    """The known name that differs from `asked` in blanks, dashes or capitals at most; otherwise what was asked."""
    return next((one for one in known if _bare(one) == _bare(asked)), asked)


def _bare(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
