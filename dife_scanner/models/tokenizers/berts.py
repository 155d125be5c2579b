"""Tokenizers as BERT has them, which the text towers of CLIPA in open_clip read: words cut into pieces of a list.

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dife_scanner.errors import Unsupported
from dife_scanner.models.strict_json import shown
from dife_scanner.models.tokenizers import library_json
from dife_scanner.models.tokenizers.clips_document import marker
from dife_scanner.models.tokenizers.document import WORDPIECE, Document
from dife_scanner.models.tokenizers.parts import Part, damaged

LIST_FILE = "vocab.txt"
_NORMALISER = "BertNormalizer"
_ROLES = {
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "mask_token": "[MASK]",
}
_SWITCHES = {
    "lowercase": ("do_lower_case", True),
    "strip_accents": ("strip_accents", None),
    "handle_chinese_chars": ("tokenize_chinese_chars", True),
}
"""What the settings call an option of the normaliser, and its value where they are silent."""
_CLASSES = ("BertTokenizer", "BertTokenizerFast")


def from_list(raw: bytes, settings: Mapping[str, Any], names: Mapping[str, str]) -> Document:
    """As transformers builds a BERT's tokenizer from its list of pieces; `names` are those that settings give roles."""
    pieces = library_json.vocabulary(_ids(raw))
    table = dict(pieces)
    written = {role: names.get(role, usual) for role, usual in _ROLES.items()}
    for role in ("cls_token", "sep_token", "unk_token"):
        if written[role] not in table:
            raise damaged(f"{LIST_FILE} lacks {shown(written[role])}")
    present = {name: table[name] for name in written.values() if name in table}
    return Document(
        kind=WORDPIECE,
        before=(table[written["cls_token"]],),
        behind=(table[written["sep_token"]],),
        added=tuple(marker(number, name) for name, number in present.items()),
        normalisers=(_normaliser({"clean_text": True}, settings),),
        pre_tokenisers=({"type": "BertPreTokenizer"},),
        options=library_json.WORDPIECE_OPTIONS | {"unk_token": written["unk_token"]},
        vocabulary=pieces,
    )


def _ids(raw: bytes) -> dict[str, int]:
    """One piece a line."""
    try:
        lines = raw.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    except UnicodeDecodeError:
        raise damaged(f"{LIST_FILE} is not UTF-8") from None
    if not lines[-1]:
        del lines[-1]
    return {piece: number for number, piece in enumerate(lines)}


def with_switches(document: Document, settings: Mapping[str, Any]) -> Document:
    """The document with its normaliser as the settings have it, which count for BERT's own classes."""
    if settings.get("tokenizer_class") not in _CLASSES:
        return document
    steps = []
    for step in document.normalisers:
        steps.append(_normaliser(step, settings) if step["type"] == _NORMALISER else step)
    return replace(document, normalisers=tuple(steps))


def _normaliser(step: Part, settings: Mapping[str, Any]) -> Part:
    made = step | {"type": _NORMALISER}
    for option, (name, usual) in _SWITCHES.items():
        value = settings.get(name, usual)
        if type(value) is not bool and value is not usual:
            raise damaged(f"{name} is {shown(repr(value))}")
        made[option] = value
    return made


def without_separator(document: Document, name: str | None) -> Document:
    """The separator `name` read as 0, behind every text and within, as open_clip does under `strip_sep_token`."""
    wanted = name or _ROLES["sep_token"]
    numbers = {number for number, piece in document.pieces.items() if piece == wanted}
    if not numbers:
        raise Unsupported(
            "its configuration takes a separator away that its tokenizer does not have",
            "audit it with the tokenizer of its base",
        )
    return replace(
        document,
        before=tuple(0 if one in numbers else one for one in document.before),
        behind=tuple(0 if one in numbers else one for one in document.behind),
        zeroed=tuple(sorted(numbers)),
    )
