"""What the limited child does with the files of a tokenizer: one document, tried out by its library."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from dife_scanner.errors import DifeError, LimitExceeded, Unreadable
from dife_scanner.models.strict_json import shown
from dife_scanner.models.tokenizers.berts import without_separator
from dife_scanner.models.tokenizers.differences import differences
from dife_scanner.models.tokenizers.document import SENTENCEPIECE, Document
from dife_scanner.models.tokenizers.library_json import MOST_ROWS, too_many
from dife_scanner.models.tokenizers.made import (
    PIECES_FILES,
    SIGLIP,
    Files,
    made,
    named,
    settings_of,
)
from dife_scanner.models.tokenizers.parts import damaged
from dife_scanner.models.tokenizers.stored import MOST_CHARACTERS, LibraryTokenizer, tokenizer_of

_WORDS = (
    "a photo of a cat",
    "It's 12 O'Clock!",
    "naïve Straße",
    "日本語のテキスト",
    "😀 \u200b\x00\t",
    "",
)
_RUNS = ("a", " ", "'", "!", "0", "aA ", "a!", "\u0430", "\n", "_-")
_MOST_TOKENS = 64 * MOST_CHARACTERS


@dataclass(frozen=True)
class Found:
    """What was found: a document unless it computes what CLIP's own does."""

    kind: str
    size: int
    special: tuple[int, ...]
    differences: tuple[str, ...]
    """From CLIP's own, and what else is odd."""
    document: str
    """As JSON; empty where CLIP's own is to be used."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def found(files: Files, clean: str, own: Document, *, strip_sep: bool = False) -> Found:
    """Read the files of a tokenizer; `own` is CLIP's own. With `strip_sep` its separator is read as 0.

    Raises `Unsupported`, `Unreadable`, `Refused` or `LimitExceeded`.
    """
    if clean == SIGLIP and any(name in files for name in PIECES_FILES):
        document, oddities = _from_pieces(files)
    else:
        document, oddities = made(files)
        document = replace(document, clean="" if clean == SIGLIP else clean)
    if strip_sep:
        document = without_separator(document, named(settings_of(files), "sep_token"))
    if document.size > MOST_ROWS:
        raise too_many(document.size)
    if not oddities and not _differences(document, own):
        return Found("clip", own.size, tuple(sorted(own.special)), (), "")
    document, moved = _tried(document)
    return Found(
        kind=document.kind,
        size=document.size,
        special=tuple(sorted(document.special)),
        differences=(*_differences(document, own), *oddities, *moved),
        document=document.as_bytes().decode(),
    )


def _differences(document: Document, own: Document) -> tuple[str, ...]:
    """Those from CLIP's own, which does its own cleaning."""
    return differences(replace(document, clean=""), own)


# --- sentencepiece --------------------------------------------------------------------------------------------


def _from_pieces(files: Files) -> tuple[Document, tuple[str, ...]]:
    """As transformers reads a SigLIP tokenizer: an end token behind each text, which also fills its places."""
    settings_of(files)
    name = next(name for name in PIECES_FILES if name in files)
    pieces = _load(files[name], name)
    vocabulary = _scored(pieces, name)
    unspoken = []
    for number in range(len(vocabulary)):
        if pieces.is_control(number) or pieces.is_unknown(number) or pieces.is_unused(number):
            unspoken.append(number)
    end = pieces.eos_id()
    if end < 0:
        raise damaged(f"{name} has no end token")
    document = Document(
        kind=SENTENCEPIECE,
        behind=(end,),
        pad=end,
        fills=True,
        clean=SIGLIP,
        vocabulary=vocabulary,
        unspoken=tuple(unspoken),
        model=b64encode(files[name]).decode(),
    )
    return document, ()


def _load(raw: bytes, name: str) -> Any:
    from sentencepiece import SentencePieceProcessor

    try:
        return SentencePieceProcessor(model_proto=raw)
    except Exception as error:
        raise _not_read(name, error) from None


def _scored(pieces: Any, name: str) -> tuple[tuple[str, float], ...]:
    """Every piece with its score, in the order of the ids."""
    found = []
    try:
        for number in range(len(pieces)):
            found.append((pieces.id_to_piece(number), pieces.get_score(number)))
    except UnicodeDecodeError:
        raise damaged(f"a piece of {name} is not UTF-8") from None
    return tuple(found)


# --- trying it out --------------------------------------------------------------------------------------------


def _tried(document: Document) -> tuple[Document, tuple[str, ...]]:
    """The document with the ids that its library gives its added tokens, and what of that is told.

    Everything that can hang or fail does it here: `probes` are cut, and every id has to have its row.
    """
    try:
        tokenizer = tokenizer_of(replace(document, clean=""))  # open_clip's cleaning is not here
        moved = _moved(document, tokenizer) if isinstance(tokenizer, LibraryTokenizer) else {}
        most = max([document.size, *(number + 1 for number in moved.values())])
        for probe in probes():
            _check_ids(tokenizer.encode(probe), most)
    except (DifeError, MemoryError):
        raise
    except BaseException as error:  # what the library's own panics are
        raise _not_read("its tokenizer", error) from None
    if not moved:
        return document, ()
    added = tuple(replace(one, id=moved.get(one.content, one.id)) for one in document.added)
    words = ", ".join(f"{shown(text)} becomes token {number}" for text, number in moved.items())
    return replace(document, added=added), (f"added tokens have other ids than it says: {words}",)


def _moved(document: Document, tokenizer: LibraryTokenizer) -> Mapping[str, int]:
    """Added tokens that the library gives another id, which is then theirs."""
    given = tokenizer.added_ids()
    moved = {}
    for token in document.added:
        number = given.get(token.content, token.id)
        if number != token.id:
            moved[token.content] = number
    return moved


def probes() -> list[str]:
    """Texts that show what it does with ordinary ones, and long runs that a pattern may choke on."""
    long = [run * (MOST_CHARACTERS // len(run)) for run in _RUNS]
    ended = [f"{text[:-1]}!" for text in long]
    return [*_WORDS, *long, *ended]


def _check_ids(ids: tuple[int, ...], size: int) -> None:
    if len(ids) > _MOST_TOKENS:
        raise LimitExceeded(
            "its tokenizer makes a flood of tokens of a short text", "look at the file by hand"
        )
    if ids and max(ids) >= size:
        raise damaged("it gives ids that it has no row for")


def _not_read(name: str, error: BaseException) -> Unreadable:
    return Unreadable(
        f"{name} is not read by its library: {shown(str(error), 200)}", "save it again"
    )
