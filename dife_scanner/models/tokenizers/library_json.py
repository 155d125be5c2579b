"""From a repository's `tokenizer.json` to a `Document`, and back to what the library `tokenizers` loads.

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from dife_scanner.errors import LimitExceeded, Unsupported
from dife_scanner.models.strict_json import shown
from dife_scanner.models.tokenizers.document import (
    BPE,
    UNIGRAM,
    WORDPIECE,
    AddedToken,
    Document,
)
from dife_scanner.models.tokenizers.parts import Part, damaged, normalisers, pre_tokenisers

MOST_ROWS = 1 << 20
"""Ids of any vocabulary that is read."""
_LONGEST_PIECE = 1000
_FAMILIES = {"WordLevel": "a list of whole words"}
_BPE_OPTIONS = (
    "unk_token",
    "continuing_subword_prefix",
    "end_of_word_suffix",
    "fuse_unk",
    "byte_fallback",
    "ignore_merges",
)
WORDPIECE_OPTIONS: Part = {
    "unk_token": "[UNK]",
    "continuing_subword_prefix": "##",
    "max_input_chars_per_word": 100,
}
"""As BERT has them."""
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")

Pair = tuple[str, str]


def read(body: Mapping[str, Any]) -> Document:
    """The tokenizer that a parsed `tokenizer.json` describes, its start and end as its post-processor has them.

    Raises `Unsupported` for a kind or a part that is not read, `Unreadable` for what no library writes.
    """
    model = body.get("model")
    if not isinstance(model, dict):
        raise damaged("it has no model")
    kind = str(model.get("type") or ("BPE" if "merges" in model else ""))
    reading = _READERS.get(kind)
    if reading is None:
        family = _FAMILIES.get(kind, f"of the kind {shown(kind)}")
        raise Unsupported(
            f"its tokenizer is {family}", "no English text can be measured with it; nothing to do"
        )
    before, behind = around(body.get("post_processor"))
    parts: dict[str, Any] = {
        "before": before,
        "behind": behind,
        "added": tuple(map(added_token, _list(body.get("added_tokens") or [], "added_tokens"))),
        "normalisers": tuple(normalisers(body.get("normalizer"))),
        "pre_tokenisers": tuple(pre_tokenisers(body.get("pre_tokenizer"))),
    }
    return reading(model, parts)


# --- models ---------------------------------------------------------------------------------------------------


def _bpe(model: Part, parts: dict[str, Any]) -> Document:
    options = {name: model[name] for name in _BPE_OPTIONS if model.get(name)}
    _check_options(options)
    return Document(
        kind=BPE,
        options=options,
        vocabulary=vocabulary(model.get("vocab")),
        merges=tuple(map(_merge, _list(model.get("merges"), "merges"))),
        **parts,
    )


def _check_options(options: Part) -> None:
    for name, value in options.items():
        if not isinstance(value, bool | str):
            raise damaged(f"{name} is {shown(repr(value))}")


def vocabulary(table: Any) -> tuple[tuple[str, int], ...]:
    """Pieces and ids in the order of the ids. Raises `Unreadable` where two pieces have one id."""
    if not isinstance(table, dict):
        raise damaged("its vocabulary is no table")
    by_id: dict[int, str] = {}
    for piece, number in table.items():
        _check_id(number)
        _check_piece(piece)
        if number in by_id:
            raise damaged(f"{shown(piece)} and {shown(by_id[number])} are both token {number}")
        by_id[number] = piece
    return tuple((by_id[number], number) for number in sorted(by_id))


def _merge(entry: Any) -> Pair:
    if isinstance(entry, str):
        entry = entry.split(" ")
    if isinstance(entry, list) and len(entry) == 2 and all(isinstance(one, str) for one in entry):
        return entry[0], entry[1]
    raise damaged(f"a merge is {shown(repr(entry))}")


def _unigram(model: Part, parts: dict[str, Any]) -> Document:
    pieces = tuple(map(_scored, _list(model.get("vocab"), "vocab")))
    if len(pieces) > MOST_ROWS:
        raise too_many(len(pieces))
    unknown = model.get("unk_id")
    options: Part = {}
    if unknown is not None:
        _check_id(unknown)
        options["unk_id"] = unknown
    if model.get("byte_fallback"):
        options["byte_fallback"] = True
    return Document(kind=UNIGRAM, options=options, vocabulary=pieces, **parts)


def _scored(entry: Any) -> tuple[str, float]:
    if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], int | float):
        _check_piece(entry[0])
        return entry[0], float(entry[1])
    raise damaged(f"a piece is {shown(repr(entry))}")


def _wordpiece(model: Part, parts: dict[str, Any]) -> Document:
    options = {name: model.get(name, usual) for name, usual in WORDPIECE_OPTIONS.items()}
    for name, usual in WORDPIECE_OPTIONS.items():
        value = options[name]
        if type(value) is not type(usual) or (isinstance(value, int) and value < 0):
            raise damaged(f"{name} is {shown(repr(value))}")
    pieces = vocabulary(model.get("vocab"))
    return Document(kind=WORDPIECE, options=options, vocabulary=pieces, **parts)


_READERS = {"BPE": _bpe, "Unigram": _unigram, "WordPiece": _wordpiece}


# --- added tokens ---------------------------------------------------------------------------------------------


def added_token(entry: Any) -> AddedToken:
    """A checked added token."""
    if not isinstance(entry, dict):
        raise damaged("an added token is no table")
    number = entry.get("id")
    _check_id(number)
    content = entry.get("content")
    _check_piece(content)
    flags = {name: bool(entry.get(name)) for name in _FLAGS}
    return AddedToken(int(str(number)), str(content), **flags)


def _check_id(number: Any) -> None:
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise damaged(f"a token has the id {shown(repr(number))}")
    if number >= MOST_ROWS:
        raise too_many(number + 1)


def too_many(rows: int) -> LimitExceeded:
    """The error for a vocabulary that no text tower has."""
    return LimitExceeded(
        f"its tokenizer has {rows} tokens; at most {MOST_ROWS} are read", "look at the file by hand"
    )


def _check_piece(piece: Any) -> None:
    if not isinstance(piece, str) or len(piece) > _LONGEST_PIECE:
        raise damaged(f"a token is {shown(repr(piece))}")


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise damaged(f"{name} is no list")
    return value


# --- what is put around a text --------------------------------------------------------------------------------


def around(part: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ids that a post-processor puts before and behind every text."""
    kind = part.get("type") if isinstance(part, dict) else None
    if part is None or kind == "ByteLevel":
        return (), ()
    if kind in ("RobertaProcessing", "BertProcessing"):
        return (_named_id(part.get("cls")),), (_named_id(part.get("sep")),)
    if kind == "TemplateProcessing":
        return _template(part)
    if kind == "Sequence":
        before: tuple[int, ...] = ()
        behind: tuple[int, ...] = ()
        for one in _list(part.get("processors"), "processors")[:_MOST_PROCESSORS]:
            further = around(one)
            before, behind = further[0] + before, behind + further[1]
        return before, behind
    raise Unsupported(
        f"its tokenizer has a post-processor of the kind {shown(str(kind))}",
        "audit it with the tokenizer of its base",
    )


_MOST_PROCESSORS = 8


def _named_id(pair: Any) -> int:
    if not isinstance(pair, list) or len(pair) != 2:
        raise damaged(f"a post-processor names {shown(repr(pair))}")
    _check_id(pair[1])
    return int(pair[1])


def _template(part: Part) -> tuple[tuple[int, ...], tuple[int, ...]]:
    ids = part.get("special_tokens")
    places: list[tuple[int, ...] | None] = []
    for step in _list(part.get("single"), "a template"):
        places.append(_ids_of_step(step, ids if isinstance(ids, dict) else {}))
    if places.count(None) != 1:
        raise damaged("a template does not hold the text once")
    text = places.index(None)
    before = [one for place in places[:text] for one in place or ()]
    behind = [one for place in places[text + 1 :] for one in place or ()]
    return tuple(before), tuple(behind)


def _ids_of_step(step: Any, ids: dict[str, Any]) -> tuple[int, ...] | None:
    """The ids of a special token in a template; `None` for the text itself."""
    if isinstance(step, dict) and "Sequence" in step:
        return None
    try:
        found = ids[step["SpecialToken"]["id"]]["ids"]
    except (KeyError, TypeError):
        raise damaged(f"a template holds {shown(repr(step))}") from None
    for one in _list(found, "the ids of a template"):
        _check_id(one)
    return tuple(found)


# --- back -----------------------------------------------------------------------------------------------------


def written(document: Document) -> str:
    """What the library `tokenizers` loads; nothing is put around texts, and nothing is cut or filled up."""
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [asdict(token) for token in document.added],
            "normalizer": _sequence("normalizers", document.normalisers),
            "pre_tokenizer": _sequence("pretokenizers", document.pre_tokenisers),
            "post_processor": None,
            "decoder": None,
            "model": _model(document),
        }
    )


def _sequence(members: str, parts: tuple[Part, ...]) -> Part | None:
    return {"type": "Sequence", members: list(parts)} if parts else None


def _model(document: Document) -> Part:
    if document.kind == UNIGRAM:
        options = {"unk_id": None, "byte_fallback": False} | document.options
        return {"type": "Unigram", "vocab": document.vocabulary, **options}
    table = {piece: int(number) for piece, number in document.vocabulary}
    if document.kind == WORDPIECE:
        return {"type": "WordPiece", "vocab": table, **document.options}
    options = dict.fromkeys(_BPE_OPTIONS[:3]) | dict.fromkeys(_BPE_OPTIONS[3:], False)
    options |= document.options
    return {"type": "BPE", "dropout": None, "vocab": table, "merges": document.merges, **options}
