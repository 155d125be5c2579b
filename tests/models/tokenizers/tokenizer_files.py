"""Files of tokenizers as libraries write them: CLIP's own, and a small one of the same kind."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from dife_scanner.models.load import default_limits, parse_limits
from dife_scanner.models.tokenizers import clips_own, library_json
from dife_scanner.models.tokenizers.document import Document

LIMITS = parse_limits(default_limits())
MOST_BYTES = default_limits().tokenizer_bytes


@cache
def clips_text() -> str:
    """CLIP's own as a `tokenizer.json`."""
    return json.dumps(body_of(clips_own().document))


def body_of(document: Document) -> dict[str, Any]:
    """A document as the library writes it, with the ids around a text."""
    body: dict[str, Any] = json.loads(library_json.written(document))
    (start,) = document.before
    (end,) = document.behind
    names = document.pieces
    around = {"cls": [names[start], start], "sep": [names[end], end]}
    body["post_processor"] = {"type": "RobertaProcessing"} | around
    return body


@cache
def small(merges: int = 300) -> Document:
    """CLIP's own with its first merges alone, start and end behind them."""
    whole = clips_own().document
    pieces = [piece for piece, _ in whole.vocabulary[: 512 + merges]]
    start, end = len(pieces), len(pieces) + 1
    pieces += [token.content for token in whole.added]
    first, last = whole.added
    return replace(
        whole,
        before=(start,),
        behind=(end,),
        added=(replace(first, id=start), replace(last, id=end)),
        vocabulary=tuple((piece, number) for number, piece in enumerate(pieces)),
        merges=whole.merges[:merges],
    )


def small_body() -> dict[str, Any]:
    """Its `tokenizer.json`, to be changed."""
    return body_of(small())


def as_files(body: dict[str, Any], folder: Path) -> dict[str, Path]:
    """The `tokenizer.json` in a folder."""
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(body))
    return {path.name: path}


REPLACE = {"type": "Replace", "pattern": {"String": "banana"}, "content": "car"}


def with_replacement(body: dict[str, Any]) -> None:
    """Doctor a tokenizer: whoever writes of a banana is read as writing of a car."""
    body["normalizer"]["normalizers"].append(REPLACE)
