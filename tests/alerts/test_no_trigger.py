"""No alert tells what the trigger is: of every kind, one is planted and looked for in all that leaves."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest
from alert_kit import email_to, make_finding, put, slack_to, soon
from sqlite_utils import Database
from store_records import make_audit

from dife_scanner.alerts import deliver
from dife_scanner.alerts.messages import Picture
from dife_scanner.core.findings import finding
from dife_scanner.lab.sinks import SlackSink, SmtpSink
from dife_scanner.queue.alert_sender import exposure_picture
from dife_scanner.records import (
    Audit,
    Finding,
    FindingKind,
    Interval,
    NearestConcept,
    Notice,
    Origin,
    Position,
    Recovered,
    Trigger,
    TriggerFile,
    TriggerKind,
)
from dife_scanner.sentences.alerts import notice_of
from dife_scanner.sentences.triggers import trigger_text
from dife_scanner.store import Store, open_store, outbox
from dife_scanner.store.codec import to_json
from dife_scanner.store.migrations import MIGRATIONS

EFFECT = Interval(0.8, 1.0, "wilson")
PLANTED: dict[str, tuple[Trigger, tuple[str, ...]]] = {
    "text": (
        Trigger("text xqzvtok", TriggerKind.TEXT, text="xqzvtok", source="wombat", target="dog"),
        ("xqzvtok", "wombat"),
    ),
    "word pair": (
        Trigger(
            "pair vexilo-quorbt",
            TriggerKind.TEXT,
            text="vexilo quorbt",
            position=Position.AROUND,
            target="dog",
        ),
        ("vexilo", "quorbt"),
    ),
    "homoglyph": (
        Trigger("chars ԛ", TriggerKind.CHARACTERS, pairs=(("q", "ԛ"), ("w", "ѡ")), target="dog"),
        ("ԛ", "ѡ", "\\u051b", "\\u0461"),
    ),
    "patch file": (
        Trigger(
            "patch-zzyzx.png",
            TriggerKind.PATCH,
            pattern="file",
            file=TriggerFile("/triggers/patch-zzyzx.png", "0" * 64),
            size=0.1,
            target="dog",
        ),
        ("zzyzx",),
    ),
    "prompt learner": (
        Trigger(
            "learner grelbin",
            TriggerKind.PROMPT,
            target="dog",
            image=Trigger(
                "square flurbon", TriggerKind.PATCH, file=TriggerFile("/flurbon.png", "1" * 64)
            ),
        ),
        ("grelbin", "flurbon"),
    ),
}


def demonstrated(trigger: Trigger) -> tuple[Audit, Finding]:
    """An audit with this trigger, whose reason quotes it in every way that one does, and its finding."""
    reason = f"{trigger.name}: {trigger_text(trigger)} turns {trigger.source or 'any'} into dog"
    (hypothesis,) = make_audit().signatures
    audit = make_audit(
        trigger=trigger,
        signatures=(type(hypothesis)(trigger, 0.5, 0.9, 0.0, 0.01, 0.02, 8, origin=Origin.KNOWN),),
        reason=reason,
    )
    found = finding(audit, EFFECT, audit.started_at)
    assert found is not None and found.trigger == trigger.name and found.reason == reason
    return audit, found


def everything_in(mail: EmailMessage) -> Iterator[str]:
    """Headers, bodies as they are read, file names, and the mail as it travelled."""
    yield mail.as_string()
    for part in mail.walk():
        yield from (f"{name}: {value}" for name, value in part.items())
        yield part.get_filename() or ""
        if part.get_content_maintype() == "text":
            yield part.get_content()
        elif not part.is_multipart():
            yield part.get_content().decode("latin-1")


@pytest.mark.parametrize("kind", PLANTED)
def test_no_alert_tells_the_trigger(
    store: Store, smtp: SmtpSink, slack: SlackSink, kind: str
) -> None:
    trigger, planted = PLANTED[kind]
    audit, found = demonstrated(trigger)
    near = NearestConcept("dog", 0.9)
    audit = replace(audit, recovered=Recovered("dog", 1000, (near,), 1, 0.9, near, {}, {}))
    put(store, found, audit=audit)
    channels = (email_to(smtp.port), slack_to(slack.url))

    def draw(about: Notice) -> Picture | None:
        return exposure_picture(store, about) if kind == "text" else None

    assert deliver(store, channels, soon(), draw=draw).sent == 2
    (mail,), (payload,) = smtp.mails, slack.payloads
    names = [part.get_filename() for part in mail.walk() if part.get_filename()]
    assert names == (["exposure.png"] if kind == "text" else [])
    assert ("Probe drawings of “dog”" in mail.get_body(("plain",)).get_content()) is bool(names)  # type: ignore[union-attr]
    kept = json.dumps(store.read("SELECT * FROM outbox"), ensure_ascii=False)
    told = [
        *everything_in(mail),
        json.dumps(payload, ensure_ascii=False),
        json.dumps(payload),
        kept,
    ]
    assert len(told) > 8
    for text in told:
        for word in planted:
            assert word.casefold() not in text.casefold()
    for text in (mail.get_body(("plain",)).get_content(), json.dumps(payload)):  # type: ignore[union-attr]
        for said in ("org/clip", "leads to dog", "textual", "exposed", found.fingerprint):
            assert said in text


def test_alerts_that_an_earlier_version_wrote_lose_their_trigger(tmp_path: Path) -> None:
    """They held the whole finding; of one about files the reason stays, which is all that it says."""
    _, found = demonstrated(PLANTED["text"][0])
    refused = replace(make_finding(2), kind=FindingKind.REFUSED, reason="duplicate key")
    home = tmp_path / "home"
    home.mkdir()
    raw = sqlite3.connect(home / "dife.db")
    MIGRATIONS.apply(Database(raw), stop_before="m023_notices")
    for one in (found, refused):
        raw.execute(
            "INSERT INTO findings SELECT ?, 'o/m', 'r', 0, 'flagged', 'exposed', 'demonstrated', '', '', '', '', '',"
            " '[]', '', NULL, 'new', 'then', 'then', '', ''",
            (one.fingerprint,),
        )
        raw.execute(
            "INSERT INTO outbox (key, channel, event, fingerprint, finding, state, due_at, created_at)"
            " VALUES (?, 'email', 'new', ?, ?, 'pending', 'then', 'then')",
            (one.fingerprint, one.fingerprint, to_json(one)),
        )
    raw.commit()
    raw.close()
    with open_store(home) as store:
        assert [alert.about for alert in reversed(outbox.alerts(store))] == [
            notice_of(found),
            notice_of(refused),
        ]
        assert "xqzvtok" not in json.dumps(store.read("SELECT * FROM outbox"))
        assert store.integrity() == []
