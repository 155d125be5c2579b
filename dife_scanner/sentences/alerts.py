"""A notice in words: what an alert says, none of which lets anybody set off the trigger."""

from __future__ import annotations

from dife_scanner.records import Carrier, Finding, FindingKind, Notice
from dife_scanner.sentences.footprint import CARRIER_MEANING
from dife_scanner.sentences.numbers import count

ABOUT_FILES = (FindingKind.REFUSED, FindingKind.CHANGED)
"""Kinds of findings whose reason is about files: they know no trigger."""
WITHHELD = "The trigger itself is in no message; the command shows it."


def notice_of(finding: Finding) -> Notice:
    """What may be told of a finding outside this home."""
    return Notice(
        fingerprint=finding.fingerprint,
        ref=finding.ref,
        kind=finding.kind,
        severity=finding.severity,
        confidence=finding.confidence,
        carrier=finding.carrier,
        channel=finding.channel,
        target=finding.target,
        interfaces=finding.interfaces,
        audit_id=finding.audit_id,
        created_at=finding.created_at,
        files=finding.reason if finding.kind in ABOUT_FILES else "",
    )


def why_text(notice: Notice) -> str:
    """Why there is an alert: what is wrong with the files, or how the trigger works, without the trigger."""
    if notice.files:
        return notice.files
    return f"{entrance_and_footprint(notice)} {WITHHELD}".lstrip()


def entrance_and_footprint(notice: Notice) -> str:
    """Where the trigger enters, where it leads, and what carries it; empty where none of it is known."""
    sentences = [_entrance(notice), _footprint(notice.carrier)]
    return " ".join(sentence for sentence in sentences if sentence)


def alert_lines(waiting: int, dead: int, error: str, silences: int) -> list[str]:
    """The outbox for somebody who looks whether all is well; what nobody got first of all."""
    lines = [f"alerts: {waiting} waiting, {dead} given up on"]
    if dead:
        what = f"{count(dead, 'alert')} could not be delivered"
        lines.insert(0, f"{what}: {error}; `dife alerts retry` starts afresh")
    if silences:
        lines.append(f"{count(silences, 'silence')} in force: `dife alerts silences`")
    return lines


def _entrance(notice: Notice) -> str:
    ways = {"": "", "both": "through image and text together"}
    way = ways.get(notice.channel, f"through the {notice.channel}")
    target = f"leads to {notice.target}" if notice.target else ""
    parts = [part for part in (f"enters {way}" if way else "", target) if part]
    if not parts:
        return ""
    return f"The trigger {' and '.join(parts)}."


def _footprint(carrier: str) -> str:
    if carrier not in set(Carrier):
        return ""
    return f"Footprint {carrier}; {CARRIER_MEANING[Carrier(carrier)]}."
