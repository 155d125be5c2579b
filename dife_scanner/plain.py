"""Make a string that a stranger wrote safe to show."""

from __future__ import annotations

import re
import unicodedata

_ESCAPES = re.compile(
    r"(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC: window titles, hyperlinks, clipboard writes
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c]*(?:\x1b\\|\x9c)"  # DCS, SOS, PM, APC
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor, erasing
    r"|\x1b[ -/]*[0-~]"  # all other two- and three-byte sequences, and introducers left without an end
)

# Characters that draw nothing although Unicode does not file them under "format".
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
# Unicode categories.
_MARKS = ("Mn", "Me")
_BREAKS = ("Zl", "Zp")
_UNPRINTABLE = ("Cs", "Co", "Cn")
"""Surrogates, private use and unassigned."""
_CONTROLS = ("Cc", "Cf")
_STACKED = 2
"""Combining marks kept on one character; more only serves to paint over neighbouring lines."""


def plain(text: str, limit: int = 300) -> str:
    """`text` as one line of at most `limit` visible characters; never raises, never returns a control character.

    Terminal escape sequences, bidirectional overrides, zero-width and other invisible characters are dropped, line
    breaks and tabs become one space, lone surrogates and unassigned code points become U+FFFD, and what is too long
    ends in an ellipsis. It does not escape any markup: HTML, Rich and Slack text still need their own escaping.

    >>> plain("clip\\x1b[31m-red\\r\\nBcc: me")
    'clip-red Bcc: me'
    >>> plain("abcdef", limit=4)
    'abc…'
    """
    bounded = text[: _most_read(limit)]
    visible = "".join(_visible(_ESCAPES.sub("", bounded)))
    shown = " ".join(visible.split())
    if len(shown) <= limit and len(bounded) == len(text):
        return shown
    if limit <= 0:
        return ""
    return shown[: limit - 1].rstrip() + "…"


def _most_read(limit: int) -> int:
    """Characters of a text that are looked at: hub strings may be megabytes long, and most of one may be escapes."""
    return 20 * max(limit, 0) + 1000


def _visible(text: str) -> list[str]:
    kept: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in _MARKS else 0
        if character.isspace() or category in _BREAKS:
            kept.append(" ")
        elif category in _UNPRINTABLE:
            kept.append("\ufffd")
        elif category not in _CONTROLS and not _is_blank(character) and marks <= _STACKED:
            kept.append(character)
    return kept


def _is_blank(character: str) -> bool:
    return character in _BLANK or _is_variation_selector(character)


def _is_variation_selector(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
