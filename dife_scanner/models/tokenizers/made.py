"""From the files of a repository's tokenizer to one `Document`, and what about them is not as it should be.

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dife_scanner.errors import Refused, Unsupported
from dife_scanner.models import strict_json
from dife_scanner.models.strict_json import shown
from dife_scanner.models.tokenizers import berts, library_json
from dife_scanner.models.tokenizers.clips_document import (
    NORMALISERS,
    OPTIONS,
    PATTERNS,
    marker,
    split,
)
from dife_scanner.models.tokenizers.document import (
    WORDPIECE,
    AddedToken,
    Document,
    is_marker,
)
from dife_scanner.models.tokenizers.parts import damaged

LIBRARY_FILE = "tokenizer.json"
VOCABULARY_FILE, MERGES_FILE = "vocab.json", "merges.txt"
PIECES_FILES = ("spiece.model", "tokenizer.model")
"""Files of the library sentencepiece."""
SETTINGS_FILE = "tokenizer_config.json"
NAMES_FILE = "special_tokens_map.json"
ADDED_FILE = "added_tokens.json"
READ_FILES = (
    LIBRARY_FILE,
    VOCABULARY_FILE,
    MERGES_FILE,
    berts.LIST_FILE,
    *PIECES_FILES,
    SETTINGS_FILE,
    NAMES_FILE,
    ADDED_FILE,
)
"""All that is looked at. No file is opened because another names it."""
_ROLES = ("bos_token", "eos_token", "unk_token", "pad_token")
_ROLES_OF_BERT = ("cls_token", "sep_token", "mask_token")
SIGLIP = "siglip"
"""How transformers cleans texts for SigLIP before sentencepiece cuts them."""

Files = Mapping[str, bytes]


def made(files: Files) -> tuple[Document, tuple[str, ...]]:
    """The tokenizer that `tokenizer.json` describes, or else `vocab.json` with `merges.txt`, or else `vocab.txt`; and
    what is odd about it.

    Raises `Unsupported` for a kind that is not read, `Unreadable` for a damaged file, `Refused` for one that tries
    something.
    """
    settings = settings_of(files)
    if LIBRARY_FILE in files:
        body = parsed(files, LIBRARY_FILE)
        document = berts.with_switches(library_json.read(body), settings)
        oddities = _oddities(body, document, files)
    elif VOCABULARY_FILE in files and MERGES_FILE in files:
        document = _from_merges(files, settings)
        oddities = []
    elif berts.LIST_FILE in files:
        document = berts.from_list(files[berts.LIST_FILE], settings, _names(settings))
        oddities = []
    else:
        raise no_tokenizer(files)
    document = _with_settings(document, settings, files)
    missing = _missing_names(document, settings)
    if missing:
        oddities.append(f"its settings name tokens that its vocabulary lacks: {missing}")
    return document, tuple(oddities)


def no_tokenizer(files: Files) -> Unsupported:
    """The error for files that hold no tokenizer that is read."""
    names = ", ".join(shown(name) for name in sorted(files)) or "nothing"
    return Unsupported(
        f"its tokenizer is none that is read: there is {names}",
        "audit it with the tokenizer of its base",
    )


def parsed(files: Files, name: str) -> dict[str, Any]:
    """The JSON object in a file; empty where there is none of that name."""
    if name not in files:
        return {}
    try:
        return strict_json.read(files[name])
    except strict_json.HostileJsonError as error:
        raise Refused(f"{name} is {error}", "do not load it; report it to its author") from None
    except strict_json.NotStrictError as error:
        raise damaged(f"{name} is {error}") from None


def settings_of(files: Files) -> dict[str, Any]:
    """`tokenizer_config.json` over `special_tokens_map.json`. `Unsupported` where it names code or files."""
    settings = parsed(files, NAMES_FILE) | parsed(files, SETTINGS_FILE)
    if settings.get("auto_map"):
        raise Unsupported(
            "its tokenizer is code of its own (auto_map)",
            "no code of a repository is run; audit it with the tokenizer of its base",
        )
    if settings.get("fast_tokenizer_files") not in (None, [], [LIBRARY_FILE]):
        raise Unsupported(
            f"its tokenizer is in other files than {LIBRARY_FILE} (fast_tokenizer_files)",
            "audit it with the tokenizer of its base",
        )
    return settings


def named(settings: Mapping[str, Any], role: str) -> str | None:
    """The token that settings give a role, e.g. `pad_token`."""
    value = settings.get(role)
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None


def _names(settings: Mapping[str, Any]) -> dict[str, str]:
    """Every token that the settings give a role, by the role."""
    found = {role: named(settings, role) for role in (*_ROLES, *_ROLES_OF_BERT)}
    return {role: name for role, name in found.items() if name is not None}


# --- vocab.json and merges.txt --------------------------------------------------------------------------------


def _from_merges(files: Files, settings: Mapping[str, Any]) -> Document:
    """As transformers builds a CLIP tokenizer from both."""
    pieces = library_json.vocabulary(parsed(files, VOCABULARY_FILE))
    ids = dict(pieces)
    around = []
    for role, default in (("bos_token", "<|startoftext|>"), ("eos_token", "<|endoftext|>")):
        name = named(settings, role) or default
        if name not in ids:
            raise damaged(f"{VOCABULARY_FILE} lacks {shown(name)}")
        around.append(marker(ids[name], name))
    start, end = around
    return Document(
        kind="bpe",
        before=(start.id,),
        behind=(end.id,),
        added=(start, end),
        normalisers=NORMALISERS,
        pre_tokenisers=split(PATTERNS[0]),
        options=OPTIONS | {"unk_token": end.content},
        vocabulary=pieces,
        merges=_merges(files[MERGES_FILE]),
    )


def _merges(raw: bytes) -> tuple[tuple[str, str], ...]:
    try:
        lines = raw.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise damaged(f"{MERGES_FILE} is not UTF-8") from None
    if lines[0].startswith("#version"):
        del lines[0]
    merges = []
    for line in lines:
        if not line.strip():
            continue
        pair = line.rstrip("\r").split(" ")
        if len(pair) != 2:
            raise damaged(f"a line of {MERGES_FILE} is {shown(line)}")
        merges.append((pair[0], pair[1]))
    return tuple(merges)


# --- what the other files add ---------------------------------------------------------------------------------


def _with_settings(document: Document, settings: Mapping[str, Any], files: Files) -> Document:
    """With added tokens that stand in other files alone, in one form, and what pads."""
    by_id = {token.id: token for token in document.added}
    for token in (*_decoder_tokens(settings), *_added_file(files)):
        by_id.setdefault(token.id, token)
    pad = named(settings, "pad_token")
    ends = {*document.before, *document.behind}
    added = []
    for number in sorted(by_id):
        token = by_id[number]
        if number in ends:
            token = marker(number, token.content)
        if not _only_pads(token, pad, document):
            added.append(token)
    document = replace(document, added=tuple(added))
    # A tower that is read at its last place gets its places filled. It has no start token, but for BERT's.
    if document.before and document.kind != WORDPIECE:
        return document
    return replace(document, fills=True, pad=_id_of(document, pad) or 0)


def _only_pads(token: AddedToken, pad: str | None, document: Document) -> bool:
    """Whether a token of the vocabulary is an added one because it pads, as `!` does in copies of OpenCLIP's towers.

    The libraries then read it as one token wherever it stands. No tower was trained so, and what pads is never read.
    """
    in_vocabulary = (token.content, token.id) in document.vocabulary[:1]
    return token.content == pad and in_vocabulary and not is_marker(token.content)


def _id_of(document: Document, piece: str | None) -> int | None:
    for number, written in document.pieces.items():
        if written == piece:
            return number
    return None


def _decoder_tokens(settings: Mapping[str, Any]) -> list[AddedToken]:
    """`added_tokens_decoder` of the settings: id as text to a token."""
    table = settings.get("added_tokens_decoder") or {}
    if not isinstance(table, dict):
        raise damaged("added_tokens_decoder is no table")
    found = []
    for number, token in table.items():
        if not isinstance(token, dict) or not (number.isascii() and number.isdigit()):
            raise damaged(f"added_tokens_decoder holds {shown(number)}")
        found.append(library_json.added_token({**token, "id": int(number[:10])}))
    return found


def _added_file(files: Files) -> list[AddedToken]:
    """`added_tokens.json`: text to id."""
    found = []
    for content, number in parsed(files, ADDED_FILE).items():
        found.append(library_json.added_token({"content": content, "id": number}))
    return found


# --- what is odd ----------------------------------------------------------------------------------------------


def _oddities(body: Mapping[str, Any], document: Document, files: Files) -> list[str]:
    found = []
    if body["model"].get("dropout"):
        found.append("merges are left out at random; here none is")
    if VOCABULARY_FILE in files:
        other = library_json.vocabulary(parsed(files, VOCABULARY_FILE))
        if not set(other) <= set(document.vocabulary):
            found.append(f"{VOCABULARY_FILE} holds another vocabulary than {LIBRARY_FILE}")
    return found


def _missing_names(document: Document, settings: Mapping[str, Any]) -> str:
    """Tokens that settings give a role and no id is written as, in words."""
    written = set(document.pieces.values())
    names = {named(settings, role) for role in _ROLES} - {None}
    return ", ".join(sorted(shown(name) for name in names if name and name not in written))
