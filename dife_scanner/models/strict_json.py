"""JSON from a stranger: UTF-8 only, no key twice, no NaN, no bomb. Standard library only."""

from __future__ import annotations

import json
from typing import Any, NoReturn


class NotStrictError(ValueError):
    """Bytes that are not strict JSON; the message is safe to show."""


class TooManyObjectsError(ValueError):
    """More JSON objects than the caller allowed, noticed while reading."""


def shown(text: str, most: int = 80) -> str:
    """A stranger's string as one short, quoted, pure-ASCII word that no terminal acts on; `...` follows a cut one."""
    return ascii(text) if len(text) <= most else f"{text[:most]!a}..."


def read(raw: bytes, most_objects: int) -> dict[str, Any]:
    """The JSON object in `raw`.

    Raises `NotStrictError` for anything but a single UTF-8 JSON object with unique keys and finite numbers, and
    `TooManyObjectsError` once `most_objects` objects are passed, without building the rest.
    """
    seen = 0

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal seen
        seen += 1
        if seen > most_objects:
            raise TooManyObjectsError
        made: dict[str, Any] = {}
        for key, value in pairs:
            if key in made:
                raise NotStrictError(f"the key {shown(key)} occurs twice")
            made[key] = value
        return made

    try:
        document = json.loads(
            raw.decode("utf-8"), object_pairs_hook=unique, parse_constant=_no_constant
        )
    except (NotStrictError, TooManyObjectsError):
        raise
    except UnicodeDecodeError:
        raise NotStrictError("not UTF-8") from None
    except RecursionError:
        raise NotStrictError("nested too deeply") from None
    except ValueError as error:
        raise NotStrictError(f"not JSON ({error})") from None
    if not isinstance(document, dict):
        raise NotStrictError("not a JSON object")
    return document


def _no_constant(word: str) -> NoReturn:
    raise NotStrictError(f"{word} is not a JSON number")
