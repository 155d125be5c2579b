"""The cards on paper: all fifteen in one table, and everything a card says when it is shown in full."""

from __future__ import annotations

import io
from dataclasses import fields

import pytest
from rich.console import Console

from dife_scanner.core.cards import CARDS, by_name
from dife_scanner.reports import cards


def said(renderable, width=160):
    console = Console(file=io.StringIO(), width=width, force_terminal=False, no_color=True)
    console.print(renderable)
    return console.file.getvalue()


def test_the_table_names_every_card_once_below_its_group():
    text = said(cards.table(CARDS))
    for card in CARDS:
        assert sum(line.startswith(card.interface) for line in text.splitlines()) == 1
    titles = [text.index(title) for title in cards.GROUP_TITLE.values()]
    assert titles == sorted(titles)
    assert titles[0] < text.index("zero-shot") < titles[1] < text.index("caption retrieval")


def test_the_table_fits_a_narrow_terminal():
    assert max(len(line) for line in said(cards.table(CARDS), width=90).splitlines()) <= 90


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.interface)
def test_a_card_in_full_says_every_word_on_it(card):
    text = " ".join(said(cards.in_full(card), width=400).split())
    for field in fields(card):
        value = getattr(card, field.name)
        if isinstance(value, str):
            assert (cards.GROUP_TITLE[value] if field.name == "group" else str(value)) in text
    assert cards.channels_text(card.channels) in text
    assert ("needed" in text) and ("not needed" in text) is not card.needs_source
    assert ("selector control" in text) is card.selects


def test_channels_are_named_in_a_fixed_order():
    assert cards.channels_text(by_name("image-text retrieval").channels) == "image or text"
    assert (
        cards.channels_text(by_name("prompted classification").channels)
        == "text or prompt mechanism"
    )
