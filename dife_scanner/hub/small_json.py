"""Values out of JSON that a stranger wrote: whatever is of another type counts as absent. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dife_scanner.plain import plain


def json_object(raw: bytes) -> dict[str, Any]:
    """The object in `raw`; an empty one where it holds anything else, nested too deep included."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def section(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The object under `key`, or an empty one."""
    found = body.get(key)
    return found if isinstance(found, Mapping) else {}


def text(body: Mapping[str, Any], key: str, limit: int = 80) -> str:
    """The string under `key`, safe to show and at most `limit` characters long, or an empty one."""
    found = body.get(key)
    return plain(found, limit) if isinstance(found, str) else ""


def json_list(raw: bytes) -> list[Any]:
    """The list in `raw`; an empty one where it holds anything else, nested too deep included."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return []
    return body if isinstance(body, list) else []
