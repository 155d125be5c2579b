"""Pickles that a file carries as plain bytes or text, for a program to unpickle later."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

_START = re.compile(rb"\x80[\x01-\x05]")
_BASE64 = re.compile(r"gA[A-Za-z0-9+/_\-]{8,}={0,2}")
"""What bytes with such a start look like in base64, without white space."""
_HEXADECIMAL = re.compile(r"800[1-5](?:[0-9a-fA-F]{2}){4,}")


def carried_pickle(value: Any) -> bytes | None:
    """The bytes of the pickle that `value` is, or is the text of; None where it looks like none."""
    raw = _decoded(value) if isinstance(value, str) else value
    if isinstance(raw, bytes) and _START.match(raw):
        return raw
    return None


def _decoded(text: str) -> bytes | None:
    if text.startswith("\x80"):  # bytes as protocol 2 writes them
        return text.encode("latin-1", "replace")
    if _HEXADECIMAL.fullmatch(text):
        return bytes.fromhex(text)
    # White space of any kind: Unicode has more of it than a decoder takes.
    written = "".join(text.split())
    if not _BASE64.fullmatch(written):
        return None
    try:
        return base64.b64decode(written.replace("-", "+").replace("_", "/"))
    except binascii.Error:
        return None
