"""What the card of a data set (`README.md` at its root) says about its licence. Nothing here trusts a file."""

from __future__ import annotations

import re
from pathlib import Path

from dife_scanner.plain import plain

NAME = "README.md"
MAX_BYTES = 2**20
NOT_STATED = "not stated by the source"
"""A manifest's licence where neither the card nor the data's own files give one."""

_FRONT = re.compile(r"---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"^license:(.*(?:\n[ \t]*-[^\n]*)*)", re.MULTILINE)
_COMMENT = re.compile(r"[ \t]#[^\n]*")
_WORD = re.compile(r"[\w.+-]*\w[\w.+-]*")


def licence(folder: Path) -> str:
    """The licence identifiers in the front matter of the folder's card, else `NOT_STATED`."""
    path = folder / NAME
    try:
        if path.stat().st_size > MAX_BYTES:
            return NOT_STATED
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return NOT_STATED
    return stated(text) or NOT_STATED


def stated(text: str) -> str:
    """What a card's front matter names as its licence, several joined by commas; empty where it names none.

    >>> stated("---\\nlicense: cc-by-4.0\\n---\\n# Data"), stated("---\\nlicense:\\n- mit\\n- odbl # data\\n---")
    ('cc-by-4.0', 'mit, odbl')
    """
    front = _FRONT.match(text.replace("\r\n", "\n"))
    if front is None:
        return ""
    found = _FIELD.search(front[1])
    if found is None:
        return ""
    uncommented = _COMMENT.sub("", found[1])
    names = _WORD.findall(plain(uncommented))
    return plain(", ".join(names), 80)
