"""A message as Slack's blocks, within their limits."""

from __future__ import annotations

import json
from typing import Any

from dife_scanner.alerts.messages import SUBJECT_PREFIX, Entry, Message, left_out

SLACK_HEADER = 150
SLACK_SECTION = 3000
SLACK_FIELDS = 10
SLACK_FIELD = 2000
SLACK_BLOCKS = 50
SLACK_TOTAL = 10_000
"""Characters over all blocks. Slack documents no such limit but refuses somewhere above 13,000."""


def as_slack(message: Message) -> dict[str, Any]:
    """A webhook payload within Block Kit's limits; `text` is what notifications and screen readers get."""
    title = message.subject.removeprefix(SUBJECT_PREFIX)
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain_text(title, SLACK_HEADER)},
        {"type": "section", "text": _plain_text(message.summary, SLACK_SECTION)},
    ]
    if len(message.entries) == 1:
        blocks += _full_entry(message.entries[0])
    else:
        blocks += _short_entries(message, SLACK_TOTAL - _size(blocks))
    return {
        "text": _escaped(message.subject, SLACK_SECTION),
        "mrkdwn": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "blocks": blocks,
    }


def _full_entry(entry: Entry) -> list[dict[str, Any]]:
    fields = []
    for label, value in entry.facts[:SLACK_FIELDS]:
        fields.append(_mrkdwn(f"*{label}*\n{_code(value, 300)}"))
    reason = entry.reason or "not stated"
    shown = [_mrkdwn(f"Evidence: {_code(entry.command, 200)}")]
    if entry.link:
        shown.append(_mrkdwn(f"Open: {_code(entry.link, 200)}"))
    return [
        {"type": "section", "fields": fields},
        {"type": "section", "text": _plain_text(f"Why: {reason}", SLACK_SECTION)},
        {"type": "context", "elements": shown},
    ]


def _short_entries(message: Message, characters: int) -> list[dict[str, Any]]:
    """As many entries as fit, then how many did not."""
    blocks: list[dict[str, Any]] = []
    room = characters - 200  # the rest is for the closing line
    for entry in message.entries:
        text = f"{_code(entry.title, 200)}\n{_code(entry.command, 100)}"
        block = {"type": "section", "text": _mrkdwn(text)}
        # three blocks are taken: header, summary, and the closing line
        if _size([*blocks, block]) > room or len(blocks) >= SLACK_BLOCKS - 3:
            break
        blocks.append(block)
    for line in left_out(message, len(blocks)):
        blocks.append({"type": "context", "elements": [_plain_text(line, SLACK_FIELD)]})
    return blocks


def _size(blocks: list[dict[str, Any]]) -> int:
    return len(json.dumps(blocks, ensure_ascii=False))


def _plain_text(text: str, limit: int) -> dict[str, Any]:
    """Text without markup: no mentions, no formatting, no emoji names."""
    return {"type": "plain_text", "text": _escaped(text, limit), "emoji": False}


def _mrkdwn(mrkdwn: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": mrkdwn, "verbatim": True}


def _code(text: str, limit: int) -> str:
    """Inside backticks Slack interprets nothing but its three control characters."""
    shown = text.replace("`", "'") or "-"
    return f"`{_escaped(shown, limit - 2)}`"


def _escaped(text: str, limit: int) -> str:
    """`text` with Slack's control characters escaped, cut between characters to at most `limit`."""
    pieces = [_ENTITIES.get(character, character) for character in text]
    if sum(map(len, pieces)) <= limit:
        return "".join(pieces)
    used = 1
    for count, piece in enumerate(pieces):
        used += len(piece)
        if used > limit:
            return "".join(pieces[:count]) + "…"
    return "".join(pieces)


_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
