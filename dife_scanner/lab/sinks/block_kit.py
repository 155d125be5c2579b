"""Slack's limits on a message, as documented for Block Kit."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

_MOST_TEXT, _MOST_BLOCKS, _MOST_BLOCK_TEXT = 40_000, 50, 13_000
"""Characters of the text, blocks, and characters of all blocks as JSON."""
_MOST_PARTS = 10
"""Fields of a section, elements of a context."""
_HEADER_TEXT, _SECTION_TEXT, _PART_TEXT = 150, 3000, 2000
"""Characters of one text, by where it stands."""


def slack_problem(payload: dict[str, Any]) -> str:
    """Return Slack's error code and why, or nothing where it would accept the payload."""
    text = payload.get("text")
    blocks = payload.get("blocks", [])
    if not isinstance(text, str) or not text.strip():
        return "no_text: no top-level text for notifications"
    if len(text) > _MOST_TEXT:
        return "msg_too_long: text"
    if not isinstance(blocks, list) or len(blocks) > _MOST_BLOCKS:
        return "invalid_blocks: more than 50"
    for number, block in enumerate(blocks):
        if problem := _block_problem(block):
            return f"invalid_blocks: block {number} {problem}"
    if len(json.dumps(blocks, ensure_ascii=False)) > _MOST_BLOCK_TEXT:
        return "msg_blocks_too_long: all blocks together"
    return ""


def _block_problem(block: Any) -> str:
    """Return what is wrong with a block, or nothing."""
    check = None
    if isinstance(block, dict):
        check = _BLOCKS.get(block.get("type"))
    if check is None:
        return "of a kind this webhook does not know"
    return check(block)


def _text(
    value: Any,
    limit: int,
    kinds: tuple[str, ...] = ("plain_text", "mrkdwn"),
) -> str:
    """Return what is wrong with a text object, or nothing."""
    if not isinstance(value, dict) or value.get("type") not in kinds:
        return f"needs a text object of {' or '.join(kinds)}"
    option = "emoji" if value["type"] == "plain_text" else "verbatim"
    unknown = set(value) - {"type", "text", option}
    if unknown:
        return f"has unknown keys {sorted(unknown)}"
    text = value.get("text")
    if not isinstance(text, str) or not 1 <= len(text) <= limit:
        return f"needs a text of 1 to {limit} characters"
    return ""


def _header(block: dict[str, Any]) -> str:
    return _text(block.get("text"), _HEADER_TEXT, ("plain_text",))


def _section(block: dict[str, Any]) -> str:
    fields = block.get("fields")
    if "text" not in block and not fields:
        return "needs text or fields"
    if fields is not None and not _is_list_of_parts(fields):
        return "needs 1 to 10 fields"
    if "text" in block:
        problem = _text(block["text"], _SECTION_TEXT)
        if problem:
            return problem
    return _parts_problem(fields or [])


def _context(block: dict[str, Any]) -> str:
    elements = block.get("elements")
    if not _is_list_of_parts(elements):
        return "needs 1 to 10 elements"
    return _parts_problem(elements)


def _is_list_of_parts(value: Any) -> bool:
    return isinstance(value, list) and 1 <= len(value) <= _MOST_PARTS


def _parts_problem(parts: Any) -> str:
    """Return what is wrong with the first bad one of several texts, or nothing."""
    for part in parts:
        problem = _text(part, _PART_TEXT)
        if problem:
            return problem
    return ""


_BLOCKS: dict[Any, Callable[[dict[str, Any]], str]] = {
    "header": _header,
    "section": _section,
    "context": _context,
    "divider": lambda block: "",
}
"""Kind of block -> what is wrong with one."""
