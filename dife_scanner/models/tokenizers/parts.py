"""The parts of a `tokenizer.json`: those that are known, with the options that are known, and nothing else.

A part is what the library `tokenizers` writes: a type and its options. What comes back was made here from checked
values. Standard library only: this runs in the limited child.
"""

from __future__ import annotations

from typing import Any

from dife_scanner.errors import LimitExceeded, Unreadable, Unsupported
from dife_scanner.models.strict_json import shown

Part = dict[str, Any]

MOST_PARTS = 32
"""In one chain of normalisers or pre-tokenisers."""
MOST_WRITTEN = 4096
"""Characters that a chain of replacements may make of one."""
_LONGEST_PATTERN = 2000
_ADVICE = "audit it with the tokenizer of its base, or scan another revision"

_NORMALISERS: dict[str, dict[str, str]] = {
    "NFC": {},
    "NFD": {},
    "NFKC": {},
    "NFKD": {},
    "Nmt": {},
    "Lowercase": {},
    "StripAccents": {},
    "Strip": {"strip_left": "bool", "strip_right": "bool"},
    "Prepend": {"prepend": "text"},
    "Replace": {"pattern": "pattern", "content": "text"},
    "Precompiled": {"precompiled_charsmap": "charsmap"},
    "BertNormalizer": {
        "clean_text": "bool",
        "handle_chinese_chars": "bool",
        "strip_accents": "bool or none",
        "lowercase": "bool",
    },
}
_PRE_TOKENISERS: dict[str, dict[str, str]] = {
    "ByteLevel": {"add_prefix_space": "bool", "trim_offsets": "bool", "use_regex": "bool"},
    "Split": {"pattern": "pattern", "behavior": "text", "invert": "bool"},
    "Metaspace": {
        "replacement": "text",
        "prepend_scheme": "text",
        "split": "bool",
        "add_prefix_space": "bool",
        "str_rep": "text",
    },
    "Whitespace": {},
    "WhitespaceSplit": {},
    "Punctuation": {"behavior": "text"},
    "Digits": {"individual_digits": "bool"},
    "BertPreTokenizer": {},
}


def normalisers(part: Any) -> list[Part]:
    """The steps of a normaliser in order; raises `Unsupported` naming the first that is not known."""
    steps = [_checked(one, _NORMALISERS, "normaliser") for one in _chain(part, "normalizers")]
    _check_growth(steps)
    return steps


def pre_tokenisers(part: Any) -> list[Part]:
    """The steps of a pre-tokeniser in order; raises `Unsupported` naming the first that is not known."""
    return [
        _checked(one, _PRE_TOKENISERS, "pre-tokeniser") for one in _chain(part, "pretokenizers")
    ]


def _chain(part: Any, members: str) -> list[Any]:
    """A part, or those that a sequence consists of, however nested."""
    waiting = [part]
    found: list[Any] = []
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict) and one.get("type") == "Sequence":
            waiting.extend(reversed(_list(one.get(members))))
        elif one is not None:
            found.append(one)
        if len(found) + len(waiting) > MOST_PARTS:
            raise LimitExceeded(
                f"its tokenizer chains more than {MOST_PARTS} {members}", "look at the file by hand"
            )
    return found


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise damaged("a sequence of parts is no list")
    return value


def _checked(part: Any, known: dict[str, dict[str, str]], what: str) -> Part:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise damaged(f"a {what} has no type")
    kind = part["type"]
    if kind not in known:
        raise Unsupported(f"its tokenizer has a {what} of the kind {shown(kind)}", _ADVICE)
    options = known[kind]
    made: Part = {"type": kind}
    for name, value in part.items():
        if name == "type":
            continue
        if name not in options:
            raise Unsupported(f"its tokenizer's {kind} has an option {shown(name)}", _ADVICE)
        made[name] = _value(value, options[name], f"{kind}.{name}")
    if "pattern" in options and "pattern" not in made:
        raise damaged(f"a {kind} has no pattern")
    return made


def _value(value: Any, kind: str, path: str) -> Any:
    if kind == "pattern":
        return _pattern(value, path)
    if kind.startswith("bool") and isinstance(value, bool):
        return value
    if kind == "bool or none" and value is None:
        return value
    if kind == "text" and isinstance(value, str) and len(value) <= MOST_WRITTEN:
        return value
    if kind == "charsmap" and (value is None or isinstance(value, str)):
        return value
    raise damaged(f"{path} is {shown(repr(value))}")


def _pattern(value: Any, path: str) -> Part:
    if isinstance(value, dict) and len(value) == 1:
        ((kind, text),) = value.items()
        if kind in ("String", "Regex") and isinstance(text, str) and len(text) <= _LONGEST_PATTERN:
            return {kind: text}
    raise damaged(f"{path} is no pattern: {shown(repr(value))}")


def _check_growth(steps: list[Part]) -> None:
    """A chain of replacements may not make a flood of a drop."""
    growth = 1
    for step in steps:
        growth *= max(1, len(step.get("content", "")))
    if growth > MOST_WRITTEN:
        raise LimitExceeded(
            f"its tokenizer's normaliser may write {growth} characters for one",
            "look at the file by hand",
        )


def damaged(what: str) -> Unreadable:
    """The error for a tokenizer file that says what no library writes."""
    return Unreadable(f"its tokenizer is damaged: {what}", "fetch it again, or save it again")
