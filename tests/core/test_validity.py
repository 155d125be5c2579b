"""Which questions are well formed follows from card and condition alone: the paper's matrix but for nine cells."""

import ast
import inspect
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dife_scanner import core
from dife_scanner.core import validity
from dife_scanner.core.cards import CARDS, Card, Group, Readout, by_name
from dife_scanner.core.validity import judge, runs, selector_control
from dife_scanner.errors import UsageError
from dife_scanner.lab.reproduction import paper
from dife_scanner.records import Carrier, Category, Channel, Condition, NotEvaluable

IMAGE = Condition(frozenset({Channel.IMAGE}), target="airplane")
TEXT = Condition(frozenset({Channel.TEXT}), conditioned_query=True, source="automobile", target="airplane")
MECHANISM = Condition(frozenset({Channel.PROMPT, Channel.IMAGE}), mechanism=True, target="airplane")

CONDITIONS = {
    "BadEncoder": IMAGE,
    "ContrastivePoisoning": IMAGE,
    "Liang-BadCLIP": IMAGE,
    "BadTextTower": TEXT,
    "ToxicTextCLIP": TEXT,
    "Bai-BadCLIP": MECHANISM,
}


def pattern(condition):
    return "".join("." if judge(by_name(name), condition) else "n" for name in paper.COLUMNS)


def category(interface, condition):
    found = judge(by_name(interface), condition)
    return found.category if found else None


def test_the_papers_matrix_differs_only_where_its_own_cards_do():
    """Eight cells. The ninth that may, ToxicTextCLIP × zero-shot, is numeric in both: a triggered class prompt."""
    differing = {
        (name, interface)
        for name, condition in CONDITIONS.items()
        for interface, theirs, ours in zip(paper.COLUMNS, paper.EXPOSURE[name], pattern(condition), strict=True)
        if (theirs is None) != (ours == ".")
    }
    assert differing == paper.MAY_DIFFER - {("ToxicTextCLIP", "zero-shot classification")}


def test_the_pattern_of_each_kind_of_condition():
    assert pattern(IMAGE) == "n..n.n"
    assert pattern(TEXT) == "nnnnn."
    assert pattern(MECHANISM) == ".n...."


@pytest.mark.parametrize(
    ("interface", "condition", "expected"),
    [
        ("prompted classification", IMAGE, Category.NO_PROMPT),
        ("targeted retrieval", IMAGE, Category.NO_QUERY),
        ("text reranking", IMAGE, Category.NO_QUERY),
        ("prompt embeddings", IMAGE, Category.BYPASSED),
        ("downstream classification", TEXT, Category.NO_VISUAL),
        ("planted-image retrieval", TEXT, Category.NO_VISUAL),
        ("zero-shot classification", MECHANISM, Category.NO_MECHANISM),
        ("text reranking", MECHANISM, Category.NO_MECHANISM),
        ("downstream classification", MECHANISM, Category.BYPASSED),
        ("query embeddings", MECHANISM, Category.BYPASSED),
        ("zero-shot classification", Condition(frozenset(), target="x"), Category.NO_CHANNEL),
        ("targeted retrieval", replace(TEXT, conditioned_query=False), Category.NO_QUERY),
        ("zero-shot classification", replace(IMAGE, target=""), Category.NO_TARGET),
        ("prompted classification", replace(TEXT, source=""), Category.NO_TARGET),
        ("prompted classification", MECHANISM, None),
        ("zero-shot classification", replace(TEXT, source=""), None),
    ],
)
def test_each_category_is_reached_by_what_it_names(interface, condition, expected):
    assert category(interface, condition) is expected


def test_every_category_can_be_reached():
    channels = [frozenset(c for c, bit in zip((Channel.IMAGE, Channel.TEXT, Channel.PROMPT), (1, 2, 4), strict=True)
                          if mask & bit) for mask in range(8)]  # fmt: skip
    reached = {
        found.category
        for card in CARDS
        for some in channels
        for mechanism in (False, True)
        for target in ("", "t")
        if (found := judge(card, Condition(some, mechanism, True, "s", target)))
    }
    assert reached == set(Category)


def test_a_reason_is_a_sentence_about_this_card_and_this_condition():
    found = judge(by_name("downstream classification"), TEXT)
    assert found == NotEvaluable(
        "downstream classification",
        Category.NO_VISUAL,
        "downstream classification takes a trigger through image; this one enters through text",
    )


def test_selection_without_a_text_trigger_is_a_control_and_never_an_exposure():
    selecting = {card.interface for card in CARDS if selector_control(card, IMAGE)}
    assert selecting == {"candidate selection", "proxy selection", "generator selection"}
    assert all(judge(by_name(name), IMAGE) for name in selecting)
    assert not any(selector_control(card, TEXT) for card in CARDS)


# --- what the rules can see ----------------------------------------------------------------------------------


def test_the_rules_take_a_card_and_a_condition_and_nothing_else():
    assert list(inspect.signature(judge).parameters) == ["card", "condition"]
    free_text = [field.name for field in fields(Condition) if field.type == "str"]
    assert free_text == ["source", "target"]
    tree = ast.walk(ast.parse(inspect.getsource(validity)))
    imported = {node.module for node in tree if isinstance(node, ast.ImportFrom)}
    assert imported == {"__future__", "dife_scanner.core.cards", "dife_scanner.records"}


names = st.text(min_size=1, max_size=12)


@given(
    st.sampled_from(CARDS),
    st.frozensets(st.sampled_from([Channel.IMAGE, Channel.TEXT, Channel.PROMPT])),
    st.booleans(),
    st.booleans(),
    names,
    names,
)
def test_renaming_or_swapping_source_and_target_changes_no_decision(card, channels, mechanism, conditioned, one, two):
    """Their reasons do not change either: no name is repeated in them."""
    first = Condition(channels, mechanism, conditioned, "automobile", "airplane")
    expected = judge(card, first)
    assert judge(card, replace(first, source=one, target=two)) == expected
    assert judge(card, replace(first, source=two, target=one)) == expected


def test_no_attack_is_named_in_the_core():
    attacks = ("badencoder", "contrastivepoisoning", "liang", "badclip", "toxictext", "bai", "badtexttower")
    for file in sorted(Path(core.__path__[0]).glob("*.py")):
        squeezed = "".join(c for c in file.read_text(encoding="utf-8").lower() if c.isalnum() or c.isspace())
        words = squeezed.split()
        assert not [name for name in attacks if any(name in word for word in words)], file.name


# --- the cards themselves -------------------------------------------------------------------------------------


def test_the_fifteen_cards_by_group():
    assert [sum(card.group is group for card in CARDS) for group in Group] == [7, 4, 2, 2]
    assert len({card.interface for card in CARDS}) == 15
    assert [by_name(card.interface) for card in CARDS] == list(CARDS)


def test_every_card_is_filled_in_and_consistent():
    for card in CARDS:
        written = (card.target_event, card.population, card.reference, card.metric, card.summary)
        assert all(text and text == text.strip() for text in written)
        assert card.channels and Channel.BOTH not in card.channels
        assert not card.conditioned_query or Channel.TEXT in card.channels
        if card.readout is Readout.IMAGE:
            assert card.channels == {Channel.IMAGE}
        if card.readout is Readout.TEXT:
            assert Channel.IMAGE not in card.channels


def test_an_unknown_interface_is_a_usage_error_that_names_the_known_ones():
    with pytest.raises(UsageError, match="`teleportation`") as caught:
        by_name("teleportation")
    assert all(card.interface in caught.value.advice for card in CARDS)


def test_a_carrier_predicts_only_what_runs_it():
    assert not any(runs(card, Carrier.WEAK) or runs(card, Carrier.AMBIGUOUS) for card in CARDS)
    assert {card.readout for card in CARDS if runs(card, Carrier.VISUAL)} == {Readout.IMAGE, Readout.SCORE}
    assert {card.readout for card in CARDS if runs(card, Carrier.TEXTUAL)} == {Readout.TEXT, Readout.SCORE}
    assert {card.readout for card in CARDS if runs(card, Carrier.COUPLED)} == {Readout.SCORE}


def test_a_card_is_frozen_data():
    assert all(isinstance(card, Card) for card in CARDS)
    with pytest.raises(AttributeError):
        CARDS[0].metric = "x"
