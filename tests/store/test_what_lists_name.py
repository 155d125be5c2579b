"""What a list says beside a verdict, and what an audit that is made again replaces."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

from store_records import make_audit

from dife_scanner.records import Gap, Verdict
from dife_scanner.store import Store, audits, open_store
from dife_scanner.store.db import DATABASE


def kept(store: Store, verdict: Verdict, audit_id: str = "aud1") -> audits.AuditRow:
    """The row of an audit that examined a trigger and came to this verdict."""
    audit = make_audit(audit_id, f"identity {audit_id}", verdict=verdict)
    record = audits.keep_record(store, audit)
    with store.atomic("test"):
        audits.insert_audit(store, audit, record)
    (row,) = [one for one in audits.audits(store) if one.id == audit_id]
    return row


def test_nothing_found_has_no_trigger_and_no_footprint_beside_it(store: Store) -> None:
    row = kept(store, Verdict.NOTHING_FOUND)
    assert {row.carrier, row.channel, row.trigger, row.source, row.target} == {""}
    assert audits.audit(store, "aud1").trigger is not None, "the record has what was examined"
    flagged = kept(store, Verdict.FLAGGED, "aud2")
    assert (flagged.carrier, flagged.trigger, flagged.target) == ("textual", "word", "dog")


def test_what_older_programs_wrote_there_goes(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with open_store(home) as store:
        kept(store, Verdict.NOTHING_FOUND)
        kept(store, Verdict.FLAGGED, "aud2")
    with sqlite3.connect(home / DATABASE) as database:
        database.execute("UPDATE audits SET carrier = 'visual', trigger = 'word', target = 'dog'")
        database.execute(
            "DELETE FROM _sqlite_migrations WHERE name = 'm005_nothing_beside_nothing_found'"
        )
    database.close()
    with open_store(home) as store:
        rows = {row.id: (row.carrier, row.trigger, row.target) for row in audits.audits(store)}
    assert rows == {"aud1": ("", "", ""), "aud2": ("visual", "word", "dog")}


def test_an_audit_that_is_made_again_without_its_gap_takes_its_place(store: Store) -> None:
    first = make_audit(verdict=Verdict.INCONCLUSIVE, gaps=(Gap("evidence", "the disk"),))
    for audit in (first, replace(first, verdict=Verdict.FLAGGED, gaps=(), reason="whole")):
        record = audits.keep_record(store, audit)
        with store.atomic("test"):
            assert audits.insert_audit(store, audit, record) == first.id
    (row,) = audits.audits(store)
    assert (row.verdict, row.reason, row.trigger) == (Verdict.FLAGGED, "whole", "word")
    assert audits.audit(store, first.id).gaps == ()
