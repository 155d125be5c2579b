"""What retention removes, what it never removes, and what is said where a removed file would be shown."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest
from queue_kit import work_for
from store_records import make_alert, make_audit, make_finding, put_finding

from dife_scanner.app import archive
from dife_scanner.durable import life
from dife_scanner.durable.clock import later, now
from dife_scanner.errors import NotFound, StoreCorrupt
from dife_scanner.queue import hanging, retention
from dife_scanner.queue.watch import watch
from dife_scanner.records import Alert, AlertEvent, Audit, EvidenceFile, EvidenceRole, News
from dife_scanner.reports import in_full
from dife_scanner.settings import Retention
from dife_scanner.store import Store, audits, evidence, outbox, polls

DAY = retention.DAY_SECONDS
SHORT = Retention(evidence_days=7, news_days=30, passes_days=30, log_bytes=64 * 1024)


def picture(store: Store, name: str, days: float = 10.0) -> EvidenceFile:
    """An evidence file that nobody has put for so many days."""
    sha256 = evidence.put(store.home, name.encode(), ".png")
    then = datetime.fromisoformat(later(-days * DAY)).timestamp()
    os.utime(evidence.path(store.home, sha256), (then, then))
    return EvidenceFile(sha256, "image/png", EvidenceRole.TRIGGER, name)


def audited(store: Store, name: str, *files: EvidenceFile, days: float = 10.0) -> Audit:
    """An audit that was stored so many days ago."""
    made = make_audit(name, name * 8, evidence=files)
    record = audits.keep_record(store, made)
    with store.atomic("test"):
        audits.insert_audit(store, made, record)
        store.write("UPDATE audits SET stored_at = ? WHERE id = ?", (later(-days * DAY), name))
    return made


def is_kept(store: Store, file: EvidenceFile) -> bool:
    return evidence.verify(store.home, file.sha256)


def test_only_old_evidence_on_which_nothing_rests_is_removed(store: Store) -> None:
    old, young, shared, rested_on = (picture(store, name) for name in ("old", "young", "both", "f"))
    audited(store, "a", old, shared)
    audited(store, "b", young, shared, days=1.0)
    flagged = audited(store, "c", rested_on)
    put_finding(store, make_finding())
    with store.atomic("test"):
        store.write("UPDATE findings SET audit_id = ?", (flagged.id,))
    removed = retention.retain(store, SHORT)
    assert (removed.files, removed.bytes) == (1, len("old"))
    assert not is_kept(store, old)
    assert all(is_kept(store, file) for file in (young, shared, rested_on))
    assert audits.audit(store, "a").evidence == (old, shared)  # the record stays
    assert retention.retain(store, SHORT).files == 0


def test_each_evidence_file_that_is_looked_at_is_a_sign_of_life(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are: nobody takes retention that works for one that hangs."""
    monkeypatch.setattr(life, "_counts", [])
    audited(store, "a", *(picture(store, name) for name in ("one", "two", "three")))
    stored = len(list(evidence.stored(store.home)))
    count = hanging.new_count()
    life.count_in(count)
    retention.retain(store, SHORT)
    assert count.value == stored > 3  # the record of the audit is one of them


def test_by_default_all_evidence_is_kept(store: Store) -> None:
    old = picture(store, "old", days=1000.0)
    audited(store, "a", old, days=1000.0)
    assert retention.retain(store, Retention()).files == 0
    assert is_kept(store, old)


def test_what_was_removed_is_said_where_it_was_shown(store: Store) -> None:
    old = picture(store, "old")
    audit = audited(store, "a", old)
    retention.retain(store, SHORT)
    said = f"evidence removed by retention on {now()[:10]}"
    with pytest.raises(NotFound, match=said):
        evidence.read(store.home, old.sha256)
    assert in_full._where(store.home, audit.evidence[0].sha256) == said
    assert archive.kind_of(f"evidence/{old.sha256[:2]}/{evidence.REMOVED}") == archive.EVIDENCE
    assert "1 evidence file" in (store.home / "logs" / retention.NOTES).read_text()
    evidence.put(store.home, b"old", ".png")  # the same is found again
    assert evidence.read(store.home, old.sha256) == b"old"


def test_what_an_audit_puts_while_files_are_removed_stays(store: Store) -> None:
    old = picture(store, "old")
    place = evidence.path(store.home, old.sha256)
    evidence.put(store.home, b"old", ".png")
    before = datetime.fromisoformat(later(-7 * DAY)).timestamp()
    assert evidence.remove(store.home, place, now(), before) == 0
    assert is_kept(store, old)


def test_a_file_is_named_before_it_goes_and_half_a_name_is_none(store: Store) -> None:
    """However a removal is killed, a file that is there is read, and one that is gone has its day."""
    old, other = picture(store, "old"), picture(store, "other")
    notes = evidence.path(store.home, old.sha256).with_name(evidence.REMOVED)
    notes.write_text(f"\n{old.sha256} 2026-")
    assert evidence.read(store.home, old.sha256) == b"old"
    audited(store, "a", old, other)
    assert retention.retain(store, SHORT).files == 2
    assert evidence.removed_on(store.home, old.sha256) == now()[:10]


def test_nothing_is_removed_while_a_record_cannot_be_read(store: Store) -> None:
    """Nobody knows what it names."""
    old = picture(store, "old")
    audited(store, "a", old)
    damaged = audited(store, "b", old)
    evidence.path(store.home, audits.keep_record(store, damaged)).write_bytes(b"{}")
    with pytest.raises(StoreCorrupt):
        retention.retain(store, SHORT)
    assert is_kept(store, old)


def told(store: Store, alert: Alert, state: str, days: float) -> None:
    with store.atomic("test"):
        outbox.insert(store, [alert])
        store.write(
            "UPDATE outbox SET state = ?, sent_at = ?, created_at = ? WHERE key = ?",
            (state, later(-days * DAY), later(-days * DAY), alert.key),
        )


def test_delivered_news_go_and_what_nobody_got_stays(store: Store) -> None:
    news = News("Daily report", "Nothing found.", (), "dife status")
    for key, state, days in (
        ("old", "sent", 40.0),
        ("new", "sent", 20.0),
        ("waits", "pending", 400.0),
        ("dead", "dead", 400.0),
    ):
        told(store, Alert(key, "slack", AlertEvent.HEARTBEAT, news), state, days)
    put_finding(store, make_finding())
    about_it = make_alert(make_finding())
    told(store, about_it, "sent", 400.0)
    assert retention.retain(store, SHORT).news == 1
    assert {alert.key for alert in outbox.alerts(store)} == {"new", "waits", "dead", about_it.key}


def test_old_passes_go_but_for_the_newest_and_the_last_complete_one(store: Store) -> None:
    for number in range(60):
        polls.complete_pass(store, "http://hub", {}, number, 0, 0, complete=number == 3)
    with store.atomic("test"):
        store.write("UPDATE passes SET at = ?", (later(-31 * DAY),))
    assert retention.retain(store, SHORT).passes == 39
    seen = [one.seen for one in polls.passes(store, limit=100)]
    assert seen == [*range(59, 39, -1), 3]


def test_a_log_that_is_too_long_starts_again_under_the_program_that_writes_it(store: Store) -> None:
    log = store.home / "logs" / "watch.log"
    with log.open("ab", buffering=0) as stream:
        stream.write(b"x" * (SHORT.log_bytes + 1))
        retention.retain(store, SHORT)
        stream.write(b"goes on\n")
    assert log.read_bytes() == b"goes on\n"
    assert log.with_name("watch.log.1").stat().st_size == SHORT.log_bytes + 1


def test_it_is_due_once_a_day_however_often_the_watcher_starts(home: Path, store: Store) -> None:
    assert retention.is_due(home)
    retention.retain(store, Retention())
    assert not retention.is_due(home)
    notes = home / "logs" / retention.NOTES
    notes.write_text(f"{later(-DAY - 60)} removed nothing\n")
    assert retention.is_due(home)
    notes.write_text("half a li")
    assert retention.is_due(home)


def test_the_watcher_lets_a_process_of_its_own_remove_what_is_old(store: Store) -> None:
    old = picture(store, "old")
    audited(store, "a", old)
    work = work_for(store.home, retention={"evidence_days": 7})
    watch(work, once=True)  # the hub is down: what is due here does not depend on it
    assert not is_kept(store, old)
    assert not retention.is_due(store.home)
