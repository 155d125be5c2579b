"""Every kind of tokenizer gives the ids of the library that defines it, on small ones that the library itself saved."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from odd_strings import strings
from tokenizer_files import LIMITS, MOST_BYTES, small

from dife_scanner.models.tokenizers import Tokenizer, load, read

transformers = pytest.importorskip("transformers")
CONTEXT = 64
_WITH_MARKERS = ("[SEP]", "a [MASK]cat[SEP] [PAD] b", "[CLS][UNK] photo")
WORDS = ("cat", "dog", "banana", "car", "zebra", "ship", "truck", "deer", "airplane", "bird")


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    """Something to train tokenizers on."""
    rng = random.Random(0)
    made = [
        f"A photo of the {rng.choice(WORDS)}, and a {rng.choice(WORDS)}; it's {rng.randint(0, 999)}!"
        for _ in range(500)
    ]
    return [*made, *["naïve café Straße 日本語 привет 😀"] * 5]


@pytest.fixture(scope="module")
def pieces_file(sentences, tmp_path_factory) -> Path:
    """A small `spiece.model` with the special pieces of SigLIP's."""
    from sentencepiece import SentencePieceTrainer

    prefix = tmp_path_factory.mktemp("pieces") / "spiece"
    SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_prefix=str(prefix),
        vocab_size=250,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        num_threads=1,
        minloglevel=2,
        hard_vocab_limit=False,
    )
    return prefix.with_suffix(".model")


def ours(folder: Path, clean: str = "", *, strip_sep: bool = False) -> Tokenizer:
    """The tokenizer of a folder, through the limited child and its document."""
    files = {path.name: path for path in folder.iterdir()}
    facts = read(files, LIMITS, MOST_BYTES, clean=clean, strip_sep=strip_sep)
    canonical = folder / "canonical"
    canonical.mkdir()
    facts.write(canonical)
    return load(canonical)


def assert_equal(tokenizer: Tokenizer, theirs: Callable[[str], Sequence[int]]) -> None:
    """Framed ids of every string that fits are what the library gives a tower."""
    compared = 0
    for text in (*strings(), *_WITH_MARKERS):
        framed = tokenizer.frame(tokenizer.encode(text), CONTEXT)
        if len(framed) <= CONTEXT:
            assert framed == list(theirs(text)), text
            compared += 1
    assert compared > 200


def filled(library: Any) -> Callable[[str], Sequence[int]]:
    """Ids as a processor of transformers hands them to a SigLIP."""

    def ids(text: str) -> Sequence[int]:
        found = library(text, padding="max_length", max_length=CONTEXT, truncation=True)
        return list(found.input_ids)

    return ids


def test_another_vocabulary_of_clips_kind_is_cut_as_transformers_cuts_it(tmp_path) -> None:
    table = {piece: int(number) for piece, number in small(290).vocabulary}
    library = transformers.CLIPTokenizer(vocab=table, merges=list(small(290).merges))
    library.save_pretrained(tmp_path)
    tokenizer = ours(tmp_path)
    assert_equal(tokenizer, lambda text: library(text).input_ids)
    assert tokenizer.read_at(tokenizer.frame((5, 6), CONTEXT)) == 3


def test_siglip_2_is_cut_lowered_and_filled_as_transformers_does(sentences, tmp_path) -> None:
    from tokenizers import Tokenizer as Library
    from tokenizers import models, normalizers, pre_tokenizers, trainers

    made = Library(models.BPE(fuse_unk=True, unk_token="<unk>", byte_fallback=True))
    made.normalizer = normalizers.Replace(" ", "\u2581")
    made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    markers = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    in_bytes = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=markers + in_bytes, show_progress=False
    )
    made.train_from_iterator(sentences, trainer)
    model = json.loads(made.to_str())["model"]
    library = transformers.Siglip2Tokenizer(
        vocab=model["vocab"],
        merges=[tuple(pair) for pair in model["merges"]],
        add_eos_token=True,
        padding_side="right",
    )
    library.save_pretrained(tmp_path)
    tokenizer = ours(tmp_path)
    assert_equal(tokenizer, filled(library))
    assert tokenizer.spelled(tokenizer.encode("A photo of 日本 🦓")) == "a photo of 日本 🦓"


def test_siglip_in_open_clip_is_cleaned_as_open_clip_does(pieces_file, tmp_path) -> None:
    from open_clip.tokenizer import HFTokenizer
    from sentencepiece import SentencePieceProcessor

    pieces = SentencePieceProcessor(model_file=str(pieces_file))
    scored = [(pieces.id_to_piece(one), pieces.get_score(one)) for one in range(len(pieces))]
    transformers.T5Tokenizer(vocab=scored, extra_ids=0).save_pretrained(tmp_path)
    library = HFTokenizer(str(tmp_path), context_length=CONTEXT, clean="canonicalize")
    assert_equal(ours(tmp_path, "canonicalize"), lambda text: library([text])[0].tolist())


@pytest.fixture(scope="module")
def wordpiece(sentences) -> dict[str, int]:
    """A small vocabulary of the kind of BERT's."""
    from tokenizers import Tokenizer as Library
    from tokenizers import models, normalizers, pre_tokenizers, trainers

    made = Library(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    markers = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made.train_from_iterator(
        sentences,
        trainers.WordPieceTrainer(vocab_size=300, special_tokens=markers, show_progress=False),
    )
    return made.get_vocab()


def _lower_no_letter(path: Path) -> None:
    """Which counts for nothing: BERT's class does what its settings say."""
    body = json.loads(path.read_text())
    body["normalizer"]["lowercase"] = False
    path.write_text(json.dumps(body))


@pytest.mark.parametrize(
    ("settings", "strip_sep"),
    [({}, True), ({"do_lower_case": False, "strip_accents": True}, False)],
    ids=["as CLIPA has it", "with other settings"],
)
def test_clipas_words_are_cut_as_open_clip_does(wordpiece, settings, strip_sep, tmp_path) -> None:
    from open_clip.tokenizer import HFTokenizer

    transformers.BertTokenizer(vocab=wordpiece, **settings).save_pretrained(tmp_path)
    _lower_no_letter(tmp_path / "tokenizer.json")
    library = HFTokenizer(str(tmp_path), context_length=CONTEXT, strip_sep_token=strip_sep)
    tokenizer = ours(tmp_path, "whitespace", strip_sep=strip_sep)
    assert_equal(tokenizer, lambda text: library([text])[0].tolist())
    ids = tokenizer.encode("a photo of it's zebra")
    assert tokenizer.typeable(ids) and tokenizer.spelled(ids) == "a photo of it ' s zebra"
    assert tokenizer.read_at(tokenizer.frame(ids, CONTEXT)) == CONTEXT - 1


def test_a_list_of_words_alone_is_read_as_transformers_builds_it(wordpiece, tmp_path) -> None:
    from open_clip.tokenizer import HFTokenizer

    pieces = sorted(wordpiece, key=lambda piece: wordpiece[piece])
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    library = HFTokenizer(str(tmp_path), context_length=CONTEXT, strip_sep_token=True)
    tokenizer = ours(tmp_path, "whitespace", strip_sep=True)
    assert_equal(tokenizer, lambda text: library([text])[0].tolist())


def test_siglip_is_cut_by_sentencepiece_as_transformers_does(pieces_file, tmp_path) -> None:
    pytest.importorskip("google.protobuf", reason="transformers reads such files with it")
    (tmp_path / "spiece.model").write_bytes(pieces_file.read_bytes())
    library = transformers.SiglipTokenizer(str(pieces_file))
    assert_equal(ours(tmp_path, "siglip"), filled(library))


def test_siglip_pieces_are_those_of_a_cleaned_text_with_an_end_behind_them(pieces_file, tmp_path):
    """Without transformers: small letters, no punctuation, blanks joined; end tokens fill the rest."""
    from sentencepiece import SentencePieceProcessor

    (tmp_path / "spiece.model").write_bytes(pieces_file.read_bytes())
    tokenizer = ours(tmp_path, "siglip")
    library = SentencePieceProcessor(model_file=str(pieces_file))
    ids = library.encode("a photo of its cat")
    assert list(tokenizer.encode("  A photo; of\tit's <cat>!")) == ids
    assert tokenizer.frame(ids, CONTEXT) == ids + [1] * (CONTEXT - len(ids))
    assert tokenizer.special == {0, 1, 2} and tokenizer.size == len(library)
    assert tokenizer.typeable(tuple(ids)) and tokenizer.spelled(ids) == "a photo of its cat"
