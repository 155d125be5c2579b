"""Alerts as words: one `Message`, which `mail` and `block_kit` write out. Pure.

Names and targets come from strangers. Everything in a `Message` has been through `plain` and has no working links; each
writer escapes for its own markup on top of that.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from dife_scanner.alerts.rules import key
from dife_scanner.plain import plain
from dife_scanner.records import Alert, AlertEvent, FindingKind, News, Notice, Thread
from dife_scanner.sentences.alerts import why_text
from dife_scanner.sentences.findings import finding_meaning, finding_title
from dife_scanner.sentences.numbers import signed

SUBJECT_PREFIX = "[DIFE] "
MOST_ENTRIES = 50
"""Findings written out in one message; the others are counted."""


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
        picture = Picture(picture.png, _safe(picture.caption, 700))
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
    decided = ""
    if about.decision:
        decided = f"Somebody decided {_safe(about.decision, 40)} about this finding."
    return f"{_SAID.get(event, '')} {decided}".strip()


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
        key=f"digest|{sha256_of(keys)}|{alerts[0].channel}",
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
    event = ": ".join(part for part in (event, about.decision) if part)
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


def left_out(message: Message, shown: int) -> list[str]:
    """A line about the findings that are not written out; none where all are."""
    count = len(message.entries) + message.more - shown
    if count <= 0:
        return []
    return [f"And {count} more; `dife findings` lists them all."]


def sha256_of(text: str) -> str:
    """Hexadecimal; of text that no encoding takes as it is, too."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
