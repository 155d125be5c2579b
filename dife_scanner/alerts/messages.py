"""Alerts as words: one `Message`, written out as an e-mail or as a Slack payload. Pure.

Names and targets come from strangers. Everything in a `Message` has been through `plain` and has no working
links; each writer below escapes for its own markup on top of that.
"""

from __future__ import annotations

import hashlib
import html
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from email.headerregistry import Address, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy, Policy
from email.utils import formatdate
from typing import Any, cast
from urllib.parse import quote

from dife_scanner.alerts.rules import key
from dife_scanner.core.plain import plain
from dife_scanner.records import Alert, AlertEvent, FindingKind, News, Notice, Thread
from dife_scanner.sentences.alerts import why_text
from dife_scanner.sentences.findings import finding_meaning, finding_title
from dife_scanner.sentences.numbers import signed

SUBJECT_PREFIX = "[DIFE] "
MOST_ENTRIES = 50
"""Findings written out in one message; the others are counted."""

SLACK_HEADER = 150
SLACK_SECTION = 3000
SLACK_FIELDS = 10
SLACK_FIELD = 2000
SLACK_BLOCKS = 50
SLACK_TOTAL = 10_000
"""Characters over all blocks. Slack documents no such limit but refuses somewhere above 13,000."""


@dataclass(frozen=True)
class Entry:
    """One finding in words."""

    title: str
    facts: tuple[tuple[str, str], ...]
    """At most ten pairs of label and value."""
    reason: str
    command: str
    """Shows the evidence."""
    link: str = ""
    """Opens it in the window; empty where there is nothing to open."""


@dataclass(frozen=True)
class Picture:
    """A PNG that this program drew and that shows no input with the trigger in it."""

    png: bytes
    caption: str


@dataclass(frozen=True)
class Message:
    """What a channel sends."""

    key: str
    """Equal for every attempt at the same message."""
    subject: str
    summary: str
    entries: tuple[Entry, ...] = ()
    more: int = 0
    """How many findings have no entry."""
    follows: str = ""
    """Key of the message that this one continues."""
    picture: Picture | None = None
    """For channels that can carry one; an incoming webhook cannot."""
    taken: tuple[str, ...] = ()
    """Recipients that have it already."""
    model: str = ""
    """The repository that it is about; empty where it is about several, or none."""
    fingerprint: str = ""
    """Of the one finding that it is about."""
    edits: bool = False
    """Whether it says anew what an earlier one said."""
    thread: Thread | None = None
    """Where the channel keeps all about that model."""


# --- from alerts ----------------------------------------------------------------------------------------------


_COUNTED = {
    FindingKind.FLAGGED: "with a demonstrated trigger",
    FindingKind.REFUSED: "refused as hostile",
    FindingKind.CHANGED: "about a clean base that changed",
}


def message(alerts: Sequence[Alert], picture: Picture | None = None) -> Message:
    """Write one alert as a message of its own, several as one digest (which takes no picture)."""
    if len(alerts) == 1:
        return _single(alerts[0], picture)
    return _digest(alerts)


def trial(channel: str, moment: str) -> Message:
    """What `dife alerts test` sends; `moment` keeps two trials apart."""
    return Message(
        key=f"test|{moment}|{channel}",
        subject=f"{SUBJECT_PREFIX}Test message",
        summary="This is a test: alerts of DIFE Scanner reach this channel. Nothing was found.",
    )


EDITS = (AlertEvent.RESOLVED, AlertEvent.TRIAGED)
"""Events after which an earlier message says anew where things stand, where it can be edited."""
_HEADED = {
    AlertEvent.REGRESSED: "Back again: ",
    AlertEvent.ESCALATED: "Escalated: ",
    AlertEvent.RESOLVED: "Resolved: ",
    AlertEvent.TRIAGED: "Looked at: ",
}
_SAID = {
    AlertEvent.REGRESSED: "This finding was marked as fixed and is back.",
    AlertEvent.ESCALATED: "This finding is worse than it was: it is exposed, or through more interfaces.",
}


def _single(alert: Alert, picture: Picture | None) -> Message:
    about = alert.about
    if isinstance(about, News):
        title = _safe(about.title, 200)
        return Message(alert.key, SUBJECT_PREFIX + title, _safe(about.text, 1000), (_entry(alert),))
    title = finding_title(about, _safe(about.ref.repo_id, 100))
    follows = ""
    if alert.event is not AlertEvent.NEW:
        follows = key(about, AlertEvent.NEW, alert.channel)
    if picture:
        picture = Picture(picture.png, _safe(picture.caption, 300))
    return Message(
        key=alert.key,
        subject=f"{SUBJECT_PREFIX}{_HEADED.get(alert.event, '')}{title}",
        summary=f"{_said(alert.event, about)} {finding_meaning(about)}".lstrip(),
        entries=(_entry(alert),),
        follows=follows,
        picture=picture,
        model=about.ref.repo_id,
        fingerprint=about.fingerprint,
        edits=alert.event in EDITS,
    )


def _said(event: AlertEvent, about: Notice) -> str:
    if event in EDITS:
        return f"Somebody decided {_safe(about.decision, 40)} about this finding."
    return _SAID.get(event, "")


def _digest(alerts: Sequence[Alert]) -> Message:
    keys = "\n".join(sorted(alert.key for alert in alerts))
    kinds = Counter(alert.about.kind for alert in alerts if isinstance(alert.about, Notice))
    counts = []
    for kind, words in _COUNTED.items():
        if kinds[kind]:
            counts.append(f"{kinds[kind]} {words}")
    events = Counter(alert.event.value for alert in alerts)
    if set(events) != {AlertEvent.NEW}:
        counts += [f"{amount} {event}" for event, amount in sorted(events.items())]
    what = "findings" if kinds.total() == len(alerts) else "alerts"
    return Message(
        key=f"digest|{_sha256(keys)}|{alerts[0].channel}",
        subject=f"{SUBJECT_PREFIX}{len(alerts)} {what}",
        summary=f"{len(alerts)} {what} at once, sent as one message: {', '.join(counts)}.",
        entries=tuple(_entry(alert) for alert in alerts[:MOST_ENTRIES]),
        more=max(0, len(alerts) - MOST_ENTRIES),
    )


def _entry(alert: Alert) -> Entry:
    if isinstance(alert.about, News):
        return _news_entry(alert.about)
    return _finding_entry(alert.event, alert.about)


def _news_entry(about: News) -> Entry:
    return Entry(
        title=_safe(about.title, 120),
        facts=tuple((label, _safe(value, 200)) for label, value in about.facts),
        reason=_safe(about.text, 1500),
        command=about.command,
    )


def _finding_entry(kind: AlertEvent, about: Notice) -> Entry:
    event = "" if kind is AlertEvent.NEW else kind.value
    if about.decision:
        event = f"{event}: {about.decision}"
    found_at = about.created_at[:16].replace("T", " ")
    values = {
        "Base" if about.kind == FindingKind.CHANGED else "Model": about.ref.repo_id,
        "Revision": about.ref.revision,
        "Severity": about.severity,
        "Confidence": about.confidence,
        "Footprint": about.carrier,
        "Enters through": about.channel,
        "Leads to": about.target,
        "Exposed interfaces": ", ".join(about.interfaces),
        "Largest difference": _difference(about.exposure),
        "Event": event,
        "Found": f"{found_at} UTC",
    }
    facts = []
    for label, value in values.items():
        if value:
            facts.append((label, _safe(value, 200)))
    return Entry(
        title=_safe(str(about.ref), 120),
        facts=tuple(facts),
        reason=_safe(why_text(about), 1500),
        command=f"dife show {_safe(about.fingerprint, 60)}",
        link=f"dife://finding/{quote(about.fingerprint, safe=':')}",
    )


def _difference(exposure: float | None) -> str:
    if exposure is None:
        return ""
    return f"{signed(exposure)} over the clean base"


def _safe(text: str, limit: int) -> str:
    """Plain, and without anything a mail program would turn into a link."""
    unlinked = plain(text, limit).replace("://", "[:]//").replace("www.", "www[.]")
    return plain(unlinked, limit)


# --- e-mail ---------------------------------------------------------------------------------------------------


def as_email(message: Message, sender: str, recipients: Sequence[str]) -> EmailMessage:
    """Plain text first, then HTML with links to our own window alone and no picture but the one inside the mail.

    Equal keys give equal Message-IDs, so a retry is no new mail.
    """
    domain = Address(addr_spec=sender).domain
    mail = EmailMessage(policy=_policy())
    mail["Subject"] = message.subject
    mail["From"] = Address("DIFE Scanner", addr_spec=sender)
    mail["To"] = tuple(Address(addr_spec=recipient) for recipient in recipients)
    mail["Date"] = formatdate()
    mail["Message-ID"] = message_id(message.key, domain)
    if message.follows:
        followed = message_id(message.follows, domain)
        mail["In-Reply-To"] = followed
        mail["References"] = followed
    mail["List-Id"] = f"DIFE Scanner alerts <dife-alerts.{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(as_text(message), cte="quoted-printable")
    mail.add_alternative(as_html(message), subtype="html", cte="quoted-printable")
    if message.picture:
        _, page = mail.iter_parts()
        assert isinstance(page, EmailMessage)
        page.add_related(
            message.picture.png,
            "image",
            "png",
            cid=f"<{_CID}>",
            disposition="inline",
            filename="exposure.png",
        )
    return mail


class _Unfolded(UnstructuredHeader):
    """A header written as it stands, on one line: folded, a long id would become encoded words that match nothing."""

    name: str

    def fold(self, *, policy: Policy[Any]) -> str:
        return f"{self.name}: {self}{policy.linesep}"


def _policy() -> EmailPolicy[Any]:
    headers = HeaderRegistry()
    for name in ("message-id", "in-reply-to", "references", "list-id"):
        headers.map_to_type(name, cast(Any, _Unfolded))
    return SMTP.clone(header_factory=headers)


def message_id(key: str, domain: str) -> str:
    """The Message-ID of the mail with this key."""
    return f"<dife.{_sha256(key)[:40]}@{domain}>"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


_CID = "exposure@dife"
_FOOTER = "Sent by DIFE Scanner; replies are not read."


def as_text(message: Message) -> str:
    """Write a message as plain text."""
    parts = [message.subject.removeprefix(SUBJECT_PREFIX), message.summary]
    for entry in message.entries:
        width = max(len(label) for label, _ in entry.facts)
        facts = "\n".join(f"  {label:<{width}}  {value}" for label, value in entry.facts)
        why = f"  Why: {entry.reason}\n  Evidence: {entry.command}"
        if entry.link:
            why += f"\n  Open: {entry.link}"
        parts.append(f"{facts}\n\n{why}")
    if message.picture:
        parts.append(f"The attached picture: {message.picture.caption}")
    parts += _left_out(message, len(message.entries))
    parts.append(f"-- \n{_FOOTER}\n")
    return "\n\n".join(parts)


def as_html(message: Message) -> str:
    """Write a message as an HTML page; its links open the window of this program and nothing else."""
    title = message.subject.removeprefix(SUBJECT_PREFIX)
    parts = [f"<h2>{_html(title)}</h2>", f"<p>{_html(message.summary)}</p>"]
    for entry in message.entries:
        rows = "".join(_html_row(label, value) for label, value in entry.facts)
        parts.append(f"<table>{rows}</table><p><b>Why:</b> {_html(entry.reason)}</p>")
        link = f', or <a href="{_html(entry.link)}">open it in the window</a>'
        command = f"<code>{_html(entry.command)}</code>{link if entry.link else ''}"
        parts.append(f"<p><b>Evidence:</b> {command}</p><hr>")
    if message.picture:
        caption = _html(message.picture.caption)
        parts.append(
            f'<p><img src="cid:{_CID}" alt="{caption}" style="max-width:100%"><br>{caption}</p>'
        )
    for line in _left_out(message, len(message.entries)):
        parts.append(f"<p>{_html(line)}</p>")
    parts.append(f"<p><small>{_FOOTER}</small></p>")
    body = "\n".join(parts)
    return f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"></head><body>\n{body}\n</body></html>\n'


def _html_row(label: str, value: str) -> str:
    return f'<tr><th align="left" style="padding-right:1em">{_html(label)}</th><td>{_html(value)}</td></tr>'


def _html(text: str) -> str:
    return html.escape(text, quote=True)


def _left_out(message: Message, shown: int) -> list[str]:
    """A line about the findings that are not written out; none where all are."""
    count = len(message.entries) + message.more - shown
    if count <= 0:
        return []
    return [f"And {count} more; `dife findings` lists them all."]


# --- Slack ----------------------------------------------------------------------------------------------------


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
    for line in _left_out(message, len(blocks)):
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
