"""Texts that begin alike go through a tower once for each distinct beginning, and are read as ever."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.transformer import Transformer

from dife_scanner.discovery import precision
from dife_scanner.lab import bases
from dife_scanner.models import beginnings
from dife_scanner.models.beginnings import Beginnings
from dife_scanner.models.clip import read_out
from dife_scanner.models.gradient import Towers
from dife_scanner.models.load import load

WORDS = ("airplane", "cat", "sea horse", "ship")
TRIGGERS = ((), (1200,), (1201,), (1200, 1201), (7,))


@pytest.fixture
def encoder():
    return load(bases.base_folder("vit"))


def texts(tokenizer):
    """Prompts with nothing, a token or two before, within and behind them: of many lengths, one of them empty."""
    rows = [()]
    for word in WORDS:
        prompt = tokenizer.encode(f"a photo of a {word}")
        for ids in TRIGGERS:
            rows += [(*ids, *prompt), (*prompt[:4], *ids, *prompt[4:]), (*prompt, *ids)]
    return rows


@torch.no_grad()
def whole(encoder, rows):
    """Each text by itself, through all layers as they are."""
    towers = Towers(encoder)
    found = []
    for row in rows:
        ids, ends = towers.packed([row])
        read = read_out(encoder.model, towers.token_rows[ids], ends, encoder.search_transformer)
        found.append(torch.nn.functional.normalize(read, dim=-1))
    return torch.cat(found)


@pytest.mark.parametrize(("kept", "far"), [((), 1e-6), (("texts",), 2e-2)])
def test_texts_are_read_as_one_by_one(encoder, kept, far):
    rows = texts(encoder.tokenizer)
    precision.search_in([encoder], kept)
    read = Towers(encoder).tokens(rows)
    assert torch.allclose(read, whole(encoder, rows), atol=far, rtol=0)


def test_layers_see_each_beginning_once(encoder, monkeypatch):
    rows = texts(encoder.tokenizer)
    seen = []
    norm = encoder.model.transformer.resblocks[0].ln_1
    monkeypatch.setattr(norm, "forward", lambda states: seen.append(len(states)) or states)
    towers = Towers(encoder)
    towers.tokens(rows)
    framed = [tuple(encoder.tokenizer.frame(row, towers.context_length)) for row in rows]
    distinct = {text[: place + 1] for text in framed for place in range(len(text))}
    assert seen == [len(distinct)]
    assert len(distinct) < sum(map(len, framed)) / 3
    assert towers.passes == len(rows)


def test_the_order_of_texts_and_what_is_read_beside_them_change_nothing_but_last_bits(encoder):
    rows = texts(encoder.tokenizer)
    towers = Towers(encoder)
    there = towers.tokens(rows)
    back = towers.tokens(rows[::-1]).flip(0)
    assert torch.allclose(there, back, atol=1e-6, rtol=0)
    assert torch.allclose(there, towers.tokens(rows, batch=7), atol=1e-6, rtol=0)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=12))
def test_every_text_is_made_of_its_beginnings(rows):
    length = max(map(len, rows))
    ids = torch.tensor([row + [9] * (length - len(row)) for row in rows])
    begin = Beginnings.of(ids, torch.tensor([len(row) - 1 for row in rows]))
    distinct = {tuple(row[: place + 1]) for row in rows for place in range(len(row))}
    assert len(begin.tokens) == len(begin.places) == len(begin.firsts) == len(distinct)
    told = {}
    for row, numbers in zip(rows, begin.of_texts.tolist(), strict=True):
        assert begin.tokens[numbers[: len(row)]].tolist() == row
        assert begin.places[numbers[: len(row)]].tolist() == list(range(len(row)))
        assert set(numbers[len(row) - 1 :]) == {numbers[-1]}
        for place, number in enumerate(numbers[: len(row)]):
            assert told.setdefault(number, tuple(row[: place + 1])) == tuple(row[: place + 1])
    for number, first in enumerate(begin.firsts.tolist()):
        assert begin.of_texts.flatten()[first] == number


def test_a_tower_that_looks_ahead_or_is_of_another_kind_reads_texts_whole(encoder):
    model = encoder.model
    assert beginnings.are_shared(model.transformer, model.attn_mask)
    assert not beginnings.are_shared(model.transformer, None)
    assert not beginnings.are_shared(model.transformer, torch.zeros_like(model.attn_mask))
    other = copy.deepcopy(model.transformer)
    other.resblocks[1].attn = torch.nn.Identity()
    assert not beginnings.are_shared(other, model.attn_mask)
    assert not beginnings.are_shared(_Own(8, 1, 1), model.attn_mask)
    rows = texts(encoder.tokenizer)
    model.attn_mask.fill_(0)
    assert torch.allclose(Towers(encoder).tokens(rows[-3:]), whole(encoder, rows[-3:]), atol=1e-6)


class _Own(Transformer):
    """Layers that may do anything."""
