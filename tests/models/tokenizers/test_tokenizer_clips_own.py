"""CLIP's own tokenizer is open_clip's, bit for bit, and what stands around texts is what towers know."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import torch
from checkpoints import TINY_VIT, write_checkpoint
from odd_strings import strings
from open_clip.tokenizer import SimpleTokenizer, default_bpe

from dife_scanner.models.gradient import Towers
from dife_scanner.models.load import load
from dife_scanner.models.tokenizers import Frame, Tokenizer, clips_own, same_tokens
from dife_scanner.models.tokenizers.clips_own import merges_file


def test_it_cuts_and_joins_every_string_as_open_clip_does() -> None:
    theirs = SimpleTokenizer()
    for text in strings():
        ids = clips_own().encode(text)
        assert list(ids) == theirs.encode(text), text
        assert clips_own().decode(ids) == theirs.decode(list(ids))


def test_a_framed_text_is_a_row_of_open_clips_without_what_follows_the_end() -> None:
    text = "a photo of a cat"
    framed = clips_own().frame(clips_own().encode(text), 77)
    row = SimpleTokenizer(context_length=77)([text])[0].tolist()
    assert row[: len(framed)] == framed and not any(row[len(framed) :])
    assert clips_own().read_at(framed) == int(np.argmax(row))


def test_its_document_holds_open_clips_vocabulary_and_merges() -> None:
    theirs = SimpleTokenizer()
    document = clips_own().document
    names = {"<|startoftext|>": "<start_of_text>", "<|endoftext|>": "<end_of_text>"}
    assert {names.get(one, one): number for one, number in document.vocabulary} == theirs.encoder
    assert {pair: rank for rank, pair in enumerate(document.merges)} == theirs.bpe_ranks
    assert (document.size, document.special) == (clips_own().size, clips_own().special)
    with gzip.open(merges_file()) as ours, gzip.open(default_bpe()) as shipped:
        assert ours.read() == shipped.read()


def test_ordinary_ids_are_all_but_start_and_end() -> None:
    assert clips_own().ordinary(49_408) == tuple(range(49_406))
    assert clips_own().ordinary(10) == tuple(range(10))


class Filled(Tokenizer):
    """CLIP's ids with an end token alone, and all places filled, as towers have it that are read at their last."""

    def __init__(self) -> None:
        super().__init__(Frame((), (1,), 1, fills=True), 49_408, frozenset({1}), "filled")

    def _encoded(self, text):
        return clips_own().encode(text)

    def decode(self, ids):
        return clips_own().decode(ids)

    @property
    def document(self):
        return clips_own().document


AS_IN_SIGLIP = {"no_causal_mask": True, "pool_type": "last", "proj_bias": True}


@pytest.fixture(scope="module", params=[{}, AS_IN_SIGLIP], ids=["CLIP", "as in SigLIP"])
def tiny(request, tmp_path_factory):
    settings = TINY_VIT | {"text_cfg": TINY_VIT["text_cfg"] | request.param}
    return load(write_checkpoint(tmp_path_factory.mktemp("vit"), settings))


def test_a_tower_that_is_read_at_its_last_place_gets_all_places_filled(tiny) -> None:
    tokenizer = Filled()
    towers = Towers(tiny, tokenizer)
    ids, ends = towers.packed([tokenizer.encode("cat"), tokenizer.encode("a photo of a dog")])
    assert ids.shape == (2, tiny.context_length)
    assert ends.tolist() == [tiny.context_length - 1] * 2
    cat = clips_own().encode("cat")
    assert ids[0].tolist() == [*cat, *[1] * (tiny.context_length - len(cat))]
    assert tokenizer.start is None and tokenizer.first == 0


def test_measures_and_searches_embed_a_text_alike_whatever_stands_around_it(
    tiny, monkeypatch
) -> None:
    """`ClipEncoder` and `Towers` each put texts together; both ask the tokenizer."""
    monkeypatch.setattr(tiny, "tokenizer", Filled())
    texts = ["cat", "a photo of a dog"]
    ours = Towers(tiny).tokens([tiny.tokenizer.encode(text) for text in texts])
    assert np.allclose(tiny.encode_texts(texts), ours.numpy(), atol=1e-6)
    monkeypatch.undo()
    clips = torch.from_numpy(tiny.encode_texts(texts))
    assert not torch.allclose(clips, ours, atol=1e-3)
    assert not same_tokens(Filled(), tiny.tokenizer)
