"""JSON from a stranger: UTF-8 only, one value for each key, no NaN, no bomb. Standard library only."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from typing import Any, NoReturn

_INVISIBLE = frozenset({"Cc", "Cf", "Zl", "Zp"})
"""Unicode categories: control, format (text direction among them), line and paragraph separators."""
MOST_DIGITS = 100
"""Of a whole number; none that counts anything has more."""


class NotStrictError(ValueError):
    """Bytes that are not strict JSON; the message is safe to show."""


class HostileJsonError(NotStrictError):
    """JSON that no program writes by mistake: a bomb, or two values under one key, of which readers choose either."""


class TooManyObjectsError(ValueError):
    """More JSON objects than the caller allowed, noticed while reading."""


def shown(text: str, most: int = 80) -> str:
    """A stranger's string as one short, quoted, pure-ASCII word that no terminal acts on; `...` follows a cut one."""
    return ascii(text) if len(text) <= most else f"{text[:most]!a}..."


def is_invisible(text: str) -> bool:
    """Whether a stranger's string holds a character that acts on a terminal or draws nothing."""
    return any(unicodedata.category(character) in _INVISIBLE for character in text)


def climbs_out(name: str) -> bool:
    """Whether a stranger's name, taken for a path, leaves the folder that it stands in by `..`.

    One that begins with a slash does not count: exporters write such names, and authors leave their own paths behind.
    """
    return ".." in re.split(r"[/\\]", name)


def read(raw: bytes, most_objects: float = math.inf) -> dict[str, Any]:
    """The JSON object in `raw`.

    Raises `NotStrictError` for anything but a single UTF-8 JSON object with one value for each key and finite numbers,
    `HostileJsonError` where that is no mistake, and `TooManyObjectsError` once `most_objects` objects are passed,
    without building the rest.
    """
    seen = 0

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal seen
        seen += 1
        if seen > most_objects:
            raise TooManyObjectsError
        made: dict[str, Any] = {}
        for key, value in pairs:
            if key in made and repr(made[key]) != repr(value):
                raise HostileJsonError(f"the key {shown(key)} occurs twice, with different values")
            made[key] = value
        return made

    try:
        document = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=unique,
            parse_int=_whole_number,
            parse_constant=_no_constant,
        )
    except (NotStrictError, TooManyObjectsError):
        raise
    except UnicodeDecodeError:
        raise NotStrictError("not UTF-8") from None
    except RecursionError:
        raise HostileJsonError("nested too deeply") from None
    except ValueError as error:
        raise NotStrictError(f"not JSON ({error})") from None
    if not isinstance(document, dict):
        raise NotStrictError("not a JSON object")
    return document


def _whole_number(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise HostileJsonError(f"a number of {len(digits)} digits")
    return int(digits)


def _no_constant(word: str) -> NoReturn:
    raise NotStrictError(f"{word} is not a JSON number")
