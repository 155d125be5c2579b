"""Schema changes, oldest first: functions are appended and never edited; each is committed with its own record."""

# ruff: noqa: S608 - what is formatted into SQL are names from this file

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from typing import Any

from sqlite_utils import Database, Migrations

MIGRATIONS: Any = Migrations("dife-scanner")
"""`Any`: the decorator of sqlite-utils carries no usable types."""

_FIRST = """
CREATE TABLE audits (
  id TEXT PRIMARY KEY,
  identity TEXT NOT NULL UNIQUE,
  record_sha256 TEXT NOT NULL,
  repo_id TEXT NOT NULL,
  revision TEXT NOT NULL,
  local INTEGER NOT NULL,
  architecture TEXT NOT NULL,
  reference TEXT NOT NULL,
  image_tower TEXT NOT NULL,
  text_tower TEXT NOT NULL,
  audit_version TEXT NOT NULL,
  budget TEXT NOT NULL,
  seed INTEGER NOT NULL,
  verdict TEXT NOT NULL,
  reason TEXT NOT NULL,
  carrier TEXT NOT NULL,
  channel TEXT NOT NULL,
  trigger TEXT NOT NULL,
  source TEXT NOT NULL,
  target TEXT NOT NULL,
  interfaces TEXT NOT NULL,
  started_at TEXT NOT NULL,
  seconds REAL NOT NULL,
  stored_at TEXT NOT NULL
) STRICT;
CREATE INDEX audits_repo ON audits (repo_id, revision);

CREATE TABLE findings (
  fingerprint TEXT PRIMARY KEY,
  repo_id TEXT NOT NULL,
  revision TEXT NOT NULL,
  local INTEGER NOT NULL,
  kind TEXT NOT NULL,
  severity TEXT NOT NULL,
  confidence TEXT NOT NULL,
  carrier TEXT NOT NULL,
  channel TEXT NOT NULL,
  trigger TEXT NOT NULL,
  source TEXT NOT NULL,
  target TEXT NOT NULL,
  interfaces TEXT NOT NULL,
  reason TEXT NOT NULL,
  audit_id TEXT REFERENCES audits (id),
  triage TEXT NOT NULL,
  created_at TEXT NOT NULL,
  last_seen_at TEXT NOT NULL
) STRICT;
CREATE INDEX findings_repo ON findings (repo_id);

CREATE TABLE jobs (
  id INTEGER PRIMARY KEY,
  endpoint TEXT NOT NULL,
  repo_id TEXT NOT NULL,
  revision TEXT NOT NULL,
  local INTEGER NOT NULL,
  pinned INTEGER NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  last_modified TEXT NOT NULL,
  next_check_at TEXT,
  attempts INTEGER NOT NULL DEFAULT 0,
  deaths INTEGER NOT NULL DEFAULT 0,
  lost_leases INTEGER NOT NULL DEFAULT 0,
  last_error TEXT NOT NULL DEFAULT '',
  repeats INTEGER NOT NULL DEFAULT 0,
  worker TEXT,
  lease_until TEXT,
  audit_id TEXT REFERENCES audits (id),
  fingerprint TEXT REFERENCES findings (fingerprint),
  layout TEXT NOT NULL,
  model TEXT,
  manifest TEXT,
  UNIQUE (endpoint, repo_id, revision)
) STRICT;
CREATE INDEX jobs_state ON jobs (state, next_check_at);

CREATE TABLE job_events (
  id INTEGER PRIMARY KEY,
  job_id INTEGER NOT NULL REFERENCES jobs (id),
  at TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  worker TEXT
) STRICT;
CREATE INDEX job_events_job ON job_events (job_id);

CREATE TABLE finding_history (
  id INTEGER PRIMARY KEY,
  fingerprint TEXT NOT NULL REFERENCES findings (fingerprint),
  job_id INTEGER REFERENCES jobs (id),
  revision TEXT NOT NULL,
  audit_id TEXT REFERENCES audits (id),
  record TEXT NOT NULL,
  at TEXT NOT NULL
) STRICT;
CREATE INDEX finding_history_fingerprint ON finding_history (fingerprint);

CREATE TABLE triage_events (
  id INTEGER PRIMARY KEY,
  fingerprint TEXT NOT NULL REFERENCES findings (fingerprint),
  state TEXT NOT NULL,
  actor TEXT NOT NULL,
  note TEXT NOT NULL,
  at TEXT NOT NULL
) STRICT;
CREATE INDEX triage_events_fingerprint ON triage_events (fingerprint);
CREATE TRIGGER triage_events_no_update BEFORE UPDATE ON triage_events
  BEGIN SELECT RAISE(ABORT, 'triage_events is append-only'); END;
CREATE TRIGGER triage_events_no_delete BEFORE DELETE ON triage_events
  BEGIN SELECT RAISE(ABORT, 'triage_events is append-only'); END;

CREATE TABLE outbox (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  channel TEXT NOT NULL,
  event TEXT NOT NULL,
  fingerprint TEXT NOT NULL REFERENCES findings (fingerprint),
  finding TEXT NOT NULL,
  state TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  due_at TEXT NOT NULL,
  last_error TEXT NOT NULL DEFAULT '',
  created_at TEXT NOT NULL,
  sent_at TEXT
) STRICT;
CREATE INDEX outbox_due ON outbox (state, due_at);

CREATE TABLE watermarks (
  endpoint TEXT NOT NULL,
  source TEXT NOT NULL,
  value TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  PRIMARY KEY (endpoint, source)
) STRICT;

CREATE TABLE passes (
  id INTEGER PRIMARY KEY,
  endpoint TEXT NOT NULL,
  at TEXT NOT NULL,
  seen INTEGER NOT NULL,
  new INTEGER NOT NULL,
  malformed INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  complete INTEGER NOT NULL,
  problems TEXT NOT NULL
) STRICT;

CREATE TABLE beats (
  role TEXT NOT NULL,
  pid INTEGER NOT NULL,
  note TEXT NOT NULL,
  at TEXT NOT NULL,
  PRIMARY KEY (role, pid)
) STRICT;

CREATE TABLE model_references (
  name TEXT PRIMARY KEY,
  path TEXT NOT NULL,
  image_tower TEXT NOT NULL,
  text_tower TEXT NOT NULL,
  weights_sha256 TEXT NOT NULL,
  architecture TEXT NOT NULL,
  added_at TEXT NOT NULL,
  bundled INTEGER NOT NULL
) STRICT;

CREATE TABLE requests (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  target TEXT NOT NULL,
  actor TEXT NOT NULL,
  created_at TEXT NOT NULL,
  taken_at TEXT
) STRICT;
"""


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m001_first_tables(db: Database) -> None:
    for statement in _statements(_FIRST):
        db.execute(statement)


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m002_listed_revisions(db: Database) -> None:
    """A revision somebody requested may also be the one that the hub lists: two different things."""
    db.execute("ALTER TABLE jobs ADD COLUMN listed INTEGER NOT NULL DEFAULT 0")
    db.execute("UPDATE jobs SET listed = 1 - pinned")


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m003_calibration(db: Database) -> None:
    """What lists need of an audit's calibration, and the batch in which its p-value was corrected."""
    for column in (
        "score REAL",
        "p_value REAL",
        "alarm_bound REAL",
        "pack TEXT NOT NULL DEFAULT ''",
    ):
        db.execute(f"ALTER TABLE audits ADD COLUMN {column}")
    db.execute("ALTER TABLE audits ADD COLUMN batch TEXT NOT NULL DEFAULT ''")
    db.execute("CREATE INDEX audits_open_batch ON audits (batch) WHERE p_value IS NOT NULL")


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m004_identities(db: Database) -> None:
    """Further identities of audits up to version dife-7. Nothing reads or writes them since dife-8: those audits are
    stale. The table stays, because homes have it and migrations are never edited.
    """
    db.execute(
        "CREATE TABLE identities (identity TEXT PRIMARY KEY, audit_id TEXT NOT NULL REFERENCES audits (id),"
        " added_at TEXT NOT NULL) STRICT"
    )
    db.execute("CREATE INDEX identities_audit ON identities (audit_id)")


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m005_nothing_beside_nothing_found(db: Database) -> None:
    """Lists name no trigger and no footprint where nothing was found; the record of the audit keeps what it has."""
    db.execute(
        "UPDATE audits SET carrier = '', channel = '', trigger = '', source = '', target = ''"
        " WHERE verdict = 'nothing-found'"
    )


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m006_where_decided(db: Database) -> None:
    """Where each decision was made: a repository can get another name, and keeps its findings with it."""
    db.execute("ALTER TABLE triage_events ADD COLUMN repo_id TEXT NOT NULL DEFAULT ''")
    # edited once: in a home with a decision the trigger refused the update, so that it was never applied to one
    (kept,) = db.execute(
        "SELECT sql FROM sqlite_master WHERE name = 'triage_events_no_update'"
    ).fetchone()
    db.execute("DROP TRIGGER triage_events_no_update")
    db.execute(
        "UPDATE triage_events SET repo_id = (SELECT f.repo_id FROM findings AS f"
        " WHERE f.fingerprint = triage_events.fingerprint)"
    )
    db.execute(kept)


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m007_second_opinions(db: Database) -> None:
    """What other scanners said of the files of a job, whatever it ended as."""
    db.execute(
        "CREATE TABLE opinions (job_id INTEGER PRIMARY KEY REFERENCES jobs (id), at TEXT NOT NULL,"
        " opinions TEXT NOT NULL) STRICT"
    )


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m008_room_for_downloads(db: Database) -> None:
    """What a job that a worker holds may still fetch, and when it was fetched ahead of its audit."""
    db.execute("ALTER TABLE jobs ADD COLUMN reserved_bytes INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE jobs ADD COLUMN ahead_at TEXT")


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m009_announced_files(db: Database) -> None:
    """Which audit the files that a hub announced led to."""
    db.execute(
        "CREATE TABLE announced (key TEXT PRIMARY KEY, identity TEXT NOT NULL, reference TEXT NOT NULL,"
        " added_at TEXT NOT NULL) STRICT"
    )


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m010_tensor_marks(db: Database) -> None:
    """What is kept of the tensors of an audited checkpoint, to see what moved in its next revision."""
    db.execute(
        "CREATE TABLE tensor_marks (identity TEXT PRIMARY KEY, marks BLOB NOT NULL, added_at TEXT NOT NULL) STRICT"
    )


_WATCHING = """
CREATE TABLE reaches (
  endpoint TEXT NOT NULL,
  source TEXT NOT NULL,
  next TEXT NOT NULL,
  oldest TEXT NOT NULL,
  ended INTEGER NOT NULL,
  pages INTEGER NOT NULL,
  updated_at TEXT NOT NULL,
  PRIMARY KEY (endpoint, source)
) STRICT;

CREATE TABLE in_use (
  endpoint TEXT NOT NULL,
  repo_id TEXT NOT NULL,
  revision TEXT NOT NULL,
  place TEXT NOT NULL,
  found_as TEXT NOT NULL DEFAULT '',
  sha TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL DEFAULT '',
  reason TEXT NOT NULL DEFAULT '',
  misses INTEGER NOT NULL DEFAULT 0,
  bases TEXT NOT NULL DEFAULT '[]',
  looked_at TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (endpoint, repo_id, revision)
) STRICT;

ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN in_use TEXT NOT NULL DEFAULT '';
UPDATE jobs SET priority = 2 WHERE pinned = 1;
"""


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m011_watching(db: Database) -> None:
    """How far back each source was read, the models in use, and which jobs go first."""
    for statement in _statements(_WATCHING):
        db.execute(statement)


_BASES = """
CREATE TABLE reference_files (
  name TEXT NOT NULL,
  path TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  PRIMARY KEY (name, path)
) STRICT;

CREATE TABLE reference_uses (
  job_id INTEGER NOT NULL,
  name TEXT NOT NULL,
  PRIMARY KEY (job_id, name)
) STRICT;

CREATE TABLE trusted_repositories (
  repository TEXT PRIMARY KEY,
  revision TEXT NOT NULL,
  files TEXT NOT NULL,
  first_at TEXT NOT NULL,
  pinned_at TEXT NOT NULL DEFAULT '',
  changed TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE wanted_bases (
  job_id INTEGER PRIMARY KEY,
  base TEXT NOT NULL
) STRICT;
"""


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m012_fetched_bases(db: Database) -> None:
    """Where a reference came from, what is trusted of that place, who uses it, and which audits lack which base."""
    for column in (
        "repository TEXT NOT NULL DEFAULT ''",
        "revision TEXT NOT NULL DEFAULT ''",
        "base TEXT NOT NULL DEFAULT ''",
        "size INTEGER NOT NULL DEFAULT 0",
        "fetched INTEGER NOT NULL DEFAULT 0",
        "used_at TEXT NOT NULL DEFAULT ''",
    ):
        db.execute(f"ALTER TABLE model_references ADD COLUMN {column}")
    for statement in _statements(_BASES):
        db.execute(statement)


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m013_cast_references(db: Database) -> None:
    """Hashes of references' towers in copies of shorter types; of those that stand here none is known."""
    db.execute("ALTER TABLE model_references ADD COLUMN cast_towers TEXT NOT NULL DEFAULT '[]'")


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m014_looks_at_bases(db: Database) -> None:
    """When the hub was last asked what a trusted repository holds; of those that stand here it was not asked yet."""
    db.execute("ALTER TABLE trusted_repositories ADD COLUMN looked_at TEXT NOT NULL DEFAULT ''")


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m015_qualifications(db: Database) -> None:
    """What bases recognise of the wide probe set; by what they compute, so that a renamed one is not measured again."""
    db.execute(
        "CREATE TABLE qualifications (image_tower TEXT NOT NULL, text_tower TEXT NOT NULL, probes TEXT NOT NULL,"
        " version TEXT NOT NULL, found TEXT NOT NULL, at TEXT NOT NULL,"
        " PRIMARY KEY (image_tower, text_tower, probes, version)) STRICT"
    )


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m016_index_of_texts(db: Database) -> None:
    """Changes no table. Being due, it makes the first opening, even one for reading, go on to make the index of texts,
    which `trigrams` derives from the tables as they are after the last migration.
    """


_ARTEFACTS = """
CREATE TABLE artefacts (
  id TEXT PRIMARY KEY,
  record TEXT NOT NULL,
  first_at TEXT NOT NULL
) STRICT;

CREATE TABLE artefact_jobs (
  job_id INTEGER PRIMARY KEY REFERENCES jobs (id),
  artefact TEXT NOT NULL REFERENCES artefacts (id)
) STRICT;
CREATE INDEX artefact_jobs_artefact ON artefact_jobs (artefact);
"""


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m017_artefacts(db: Database) -> None:
    """The files of which each audited checkpoint is made; of jobs that stand here they are not recorded."""
    for statement in _statements(_ARTEFACTS):
        db.execute(statement)


_DEPLOYMENTS = """
CREATE TABLE deployments (
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  digest TEXT NOT NULL,
  profile TEXT NOT NULL,
  actor TEXT NOT NULL,
  at TEXT NOT NULL,
  removed INTEGER NOT NULL,
  PRIMARY KEY (name, version)
) STRICT;
CREATE TRIGGER deployments_no_update BEFORE UPDATE ON deployments
  BEGIN SELECT RAISE(ABORT, 'deployments is append-only'); END;
CREATE TRIGGER deployments_no_delete BEFORE DELETE ON deployments
  BEGIN SELECT RAISE(ABORT, 'deployments is append-only'); END;
"""


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m018_deployments(db: Database) -> None:
    """What checkpoints are used for: every version of every profile."""
    for statement in _statements(_DEPLOYMENTS):
        db.execute(statement)


_DECISIONS = """
CREATE TABLE decisions (
  id INTEGER PRIMARY KEY,
  event TEXT NOT NULL,
  desk TEXT NOT NULL,
  artefact TEXT NOT NULL,
  deployment TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  owner TEXT NOT NULL,
  actor TEXT NOT NULL,
  model TEXT NOT NULL,
  at TEXT NOT NULL,
  expires TEXT NOT NULL,
  record TEXT NOT NULL,
  stored_at TEXT NOT NULL,
  UNIQUE (event, desk)
) STRICT;
CREATE INDEX decisions_of ON decisions (artefact, deployment);
CREATE TRIGGER decisions_no_update BEFORE UPDATE ON decisions
  BEGIN SELECT RAISE(ABORT, 'decisions is append-only'); END;
CREATE TRIGGER decisions_no_delete BEFORE DELETE ON decisions
  BEGIN SELECT RAISE(ABORT, 'decisions is append-only'); END;
"""


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m019_decisions(db: Database) -> None:
    """What was decided about an artefact for a deployment, here and at other desks."""
    for statement in _statements(_DECISIONS):
        db.execute(statement)


_LINE_VALUES = {
    "job_id": "j.id",
    "urgency": (
        "CASE WHEN a.verdict = 'nothing-found' AND j.fingerprint IS NOT NULL THEN 3"
        " WHEN a.verdict IS NOT NULL THEN CASE a.verdict WHEN 'flagged' THEN 0 WHEN 'inherited' THEN 2"
        " WHEN 'inconclusive' THEN 3 WHEN 'nothing-found' THEN 6 ELSE 7 END"
        " WHEN j.state IN ('queued', 'downloading', 'auditing', 'retry-wait', 'paused') THEN 5"
        " WHEN j.state IN ('refused', 'quarantined') THEN 1"
        " WHEN j.state IN ('failed', 'limit-exceeded') THEN 4 ELSE 8 END"
    ),
    "repo_id": "j.repo_id",
    "revision": "j.revision",
    "endpoint": "j.endpoint",
    "author": (
        "coalesce(nullif(json_extract(j.model, '$.author'), ''),"
        " CASE WHEN j.local THEN '' ELSE substr(j.repo_id, 1, max(instr(j.repo_id, '/') - 1, 0)) END)"
    ),
    "state": "j.state",
    "layout": "j.layout",
    "verdict": "coalesce(a.verdict, '')",
    "severity": "coalesce(f.severity, '')",
    "confidence": "coalesce(f.confidence, '')",
    "triage": "coalesce(f.triage, '')",
    "carrier": "coalesce(a.carrier, '')",
    "channel": "coalesce(a.channel, '')",
    "trigger": "coalesce(a.trigger, '')",
    "source": "coalesce(a.source, '')",
    "target": "coalesce(a.target, '')",
    "interfaces": "coalesce(a.interfaces, '[]')",
    "reference": "coalesce(a.reference, '')",
    "fingerprint": "coalesce(j.fingerprint, '')",
    "tags": (
        "(SELECT json_group_array(t.value) FROM"
        " (SELECT value FROM json_each(coalesce(j.model, '{}'), '$.tags') LIMIT 20) AS t)"
    ),
    "comment": "coalesce(f.comment, '')",
    "reason": "j.reason",
    "created_at": "j.created_at",
    "updated_at": "j.updated_at",
    "last_modified": "j.last_modified",
    "stored_at": "coalesce(a.stored_at, '')",
    "attempts": "j.attempts",
    "downloads": "json_extract(j.model, '$.downloads')",
    "exposure": "a.exposure",
    "score": "a.score",
    "p_value": "a.p_value",
    "alarm_bound": "a.alarm_bound",
}
"""What a line about a job holds. Its urgency is the order of a list that somebody opens, smaller first: flagged,
refused, inherited, doubtful or standing out, failed, in work, nothing found, identical, last what cannot be audited.
"""
_LINE_OF_JOB = (
    *(
        "repo_id",
        "revision",
        "endpoint",
        "local",
        "state",
        "layout",
        "model",
        "audit_id",
        "fingerprint",
    ),
    *("reason", "created_at", "updated_at", "last_modified", "attempts"),
)
"""Of a job, what its line tells: a heartbeat changes none of it."""
_LINES_FOLLOW = (
    ("insert", "INSERT ON jobs", "j.id = NEW.id"),
    ("update", f"UPDATE OF {', '.join(_LINE_OF_JOB)} ON jobs", "j.id = NEW.id"),
    ("audit", "UPDATE ON audits", "j.audit_id = NEW.id"),
    ("finding", "UPDATE ON findings", "j.fingerprint = NEW.fingerprint"),
)
"""After what a line is written anew, and which."""
_LINE_NUMBERS = {
    "job_id": "INTEGER PRIMARY KEY",
    "urgency": "INTEGER NOT NULL",
    "attempts": "INTEGER NOT NULL",
    "downloads": "INTEGER",
    **dict.fromkeys(("exposure", "score", "p_value", "alarm_bound"), "REAL"),
}


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m020_lines_of_models(db: Database) -> None:
    """The list of models as one narrow table that triggers keep, so that filters and orders join nothing.

    With it come the largest exposure of an audit, of which older audits have none, and the latest note about a finding.
    """
    db.execute("ALTER TABLE audits ADD COLUMN exposure REAL")
    db.execute("ALTER TABLE findings ADD COLUMN comment TEXT NOT NULL DEFAULT ''")
    db.execute(
        "UPDATE findings SET comment = coalesce((SELECT e.note FROM triage_events AS e"
        " WHERE e.fingerprint = findings.fingerprint AND e.note != '' ORDER BY e.id DESC LIMIT 1), '')"
    )
    db.execute("CREATE INDEX jobs_audit ON jobs (audit_id) WHERE audit_id IS NOT NULL")
    db.execute("CREATE INDEX jobs_fingerprint ON jobs (fingerprint) WHERE fingerprint IS NOT NULL")
    db.execute("CREATE INDEX findings_kind ON findings (kind, triage)")
    db.execute("CREATE INDEX audits_tally ON audits (verdict, alarm_bound, id)")
    columns = [f"{name} {_LINE_NUMBERS.get(name, 'TEXT NOT NULL')}" for name in _LINE_VALUES]
    db.execute(f"CREATE TABLE model_lines ({', '.join(columns)}) STRICT")
    db.execute(_write_lines("1"))
    db.execute(
        "CREATE INDEX model_lines_urgency ON model_lines (urgency, updated_at DESC, job_id DESC)"
    )
    db.execute("CREATE INDEX model_lines_updated ON model_lines (updated_at, job_id)")
    db.execute("CREATE INDEX model_lines_name ON model_lines (repo_id COLLATE NOCASE, job_id)")
    for name, when, which in _LINES_FOLLOW:
        body = _write_lines(which)
        db.execute(f"CREATE TRIGGER model_lines_{name} AFTER {when} BEGIN {body}; END")
    db.execute(
        "CREATE TRIGGER model_lines_delete AFTER DELETE ON jobs"
        " BEGIN DELETE FROM model_lines WHERE job_id = OLD.id; END"
    )
    _drop_texts_of_jobs(db)


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m021_audits_cut_short(db: Database) -> None:
    """Which audits had too little time for all their searches: what these finished is kept, to go on from."""
    db.execute("ALTER TABLE audits ADD COLUMN cut INTEGER NOT NULL DEFAULT 0")


def _write_lines(which: str, values: Mapping[str, str] = _LINE_VALUES) -> str:
    """The statement that writes the lines of some jobs anew."""
    names = list(values)
    changes = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
    return (
        f"INSERT INTO model_lines ({', '.join(names)}) SELECT {', '.join(values.values())} FROM jobs AS j"
        " LEFT JOIN audits AS a ON a.id = j.audit_id LEFT JOIN findings AS f ON f.fingerprint = j.fingerprint"
        f" WHERE {which} ON CONFLICT (job_id) DO UPDATE SET {changes}"
    )


def _drop_texts_of_jobs(db: Database) -> None:
    """Words are looked for in the lines from now on. A SQLite without the tokenizer cannot drop such an index."""
    for event in ("insert", "delete", "update"):
        db.execute(f"DROP TRIGGER IF EXISTS jobs_texts_{event}")
    with contextlib.suppress(sqlite3.OperationalError):
        db.execute("DROP TABLE IF EXISTS jobs_texts")
    db.execute("DROP TABLE IF EXISTS jobs_numbers")


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m022_acts_of_triage(db: Database) -> None:
    """Decisions about several findings at once, with the day on which they run out, and what took them back."""
    db.execute("ALTER TABLE triage_events ADD COLUMN expires TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE triage_events ADD COLUMN act INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE triage_events ADD COLUMN undoes INTEGER REFERENCES triage_events (id)")
    db.execute("CREATE INDEX triage_events_act ON triage_events (act) WHERE act != 0")
    db.execute(
        "CREATE UNIQUE INDEX triage_events_undoes ON triage_events (undoes) WHERE undoes IS NOT NULL"
    )
    db.execute("ALTER TABLE findings ADD COLUMN expires TEXT NOT NULL DEFAULT ''")
    db.execute("CREATE INDEX findings_expires ON findings (expires) WHERE expires != ''")


_NOTICES = """
CREATE TABLE outbox_23 (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  channel TEXT NOT NULL,
  event TEXT NOT NULL,
  fingerprint TEXT REFERENCES findings (fingerprint),
  notice TEXT NOT NULL,
  state TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  due_at TEXT NOT NULL,
  last_error TEXT NOT NULL DEFAULT '',
  created_at TEXT NOT NULL,
  sent_at TEXT,
  batch TEXT NOT NULL DEFAULT '',
  taken TEXT NOT NULL DEFAULT '[]'
) STRICT;
INSERT INTO outbox_23
  (id, key, channel, event, fingerprint, notice, state, attempts, due_at, last_error, created_at, sent_at)
  SELECT id, key, channel, event, fingerprint,
    json_set(
      json_remove(finding, '$.trigger', '$.source', '$.reason', '$.triage', '$.decided_for'),
      '$.files',
      CASE WHEN json_extract(finding, '$.kind') IN ('refused', 'changed')
        THEN json_extract(finding, '$.reason') ELSE '' END
    ),
    state, attempts, due_at, last_error, created_at, sent_at
  FROM outbox;
DROP TABLE outbox;
ALTER TABLE outbox_23 RENAME TO outbox;
CREATE INDEX outbox_due ON outbox (state, due_at);
CREATE INDEX outbox_sent ON outbox (channel, sent_at);
CREATE INDEX outbox_findings ON outbox (fingerprint);
CREATE TABLE channel_pauses (channel TEXT PRIMARY KEY, until TEXT NOT NULL) STRICT;
CREATE TABLE threads (
  channel TEXT NOT NULL,
  model TEXT NOT NULL,
  reference TEXT NOT NULL,
  place TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  PRIMARY KEY (channel, model)
) STRICT;
CREATE TABLE pings (pass_at TEXT PRIMARY KEY) STRICT;
CREATE TABLE silences (
  id INTEGER PRIMARY KEY,
  filter TEXT NOT NULL,
  reason TEXT NOT NULL,
  actor TEXT NOT NULL,
  created_at TEXT NOT NULL,
  until TEXT NOT NULL
) STRICT;
"""


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m023_notices(db: Database) -> None:
    """Alerts hold notices, which have no place for a trigger; what earlier ones say of theirs goes.

    With it come what a plan makes of an alert, who has it already, pauses that channels asked for, and silences.
    """
    for statement in _statements(_NOTICES):
        db.execute(statement)


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m025_decided_again(db: Database) -> None:
    """An event that decides again what was taken back names the event that took it back."""
    db.execute("ALTER TABLE triage_events ADD COLUMN redoes INTEGER REFERENCES triage_events (id)")
    db.execute(
        "CREATE UNIQUE INDEX triage_events_redoes ON triage_events (redoes) WHERE redoes IS NOT NULL"
    )


_LINE_VALUES_26 = {
    **_LINE_VALUES,
    "assignee": "coalesce(f.assignee, '')",
    "deadline": "CASE f.triage WHEN 'disputed' THEN f.expires ELSE '' END",
}
"""The same, with who shall look at a finding and until when a dispute waits for an answer."""


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m026_assignees(db: Database) -> None:
    """Who shall look at a finding, and until when a dispute waits for an answer; lines of models tell both."""
    db.execute("ALTER TABLE triage_events ADD COLUMN assignee TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE triage_events ADD COLUMN assigns INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE findings ADD COLUMN assignee TEXT NOT NULL DEFAULT ''")
    for column in ("assignee", "deadline"):
        db.execute(f"ALTER TABLE model_lines ADD COLUMN {column} TEXT NOT NULL DEFAULT ''")
    for name, when, which in _LINES_FOLLOW:
        body = _write_lines(which, _LINE_VALUES_26)
        db.execute(f"DROP TRIGGER model_lines_{name}")
        db.execute(f"CREATE TRIGGER model_lines_{name} AFTER {when} BEGIN {body}; END")


_TURNS = """
ALTER TABLE jobs ADD COLUMN author TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN popularity INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET author = lower(substr(repo_id, 1, instr(repo_id, '/') - 1)) WHERE local = 0 AND instr(repo_id, '/') > 0;
UPDATE jobs SET popularity = length(json_extract(model, '$.downloads'))
  WHERE coalesce(json_extract(model, '$.downloads'), 0) > 0;
UPDATE jobs SET turn = (SELECT p.place FROM (
    SELECT id, row_number() OVER (PARTITION BY author ORDER BY id) - 1 AS place FROM jobs
    WHERE state IN ('queued', 'retry-wait', 'paused')) AS p WHERE p.id = jobs.id)
  WHERE state IN ('queued', 'retry-wait', 'paused');
UPDATE jobs SET priority = priority + 1 WHERE priority > 0;
CREATE INDEX jobs_waiting ON jobs (priority DESC, popularity DESC, turn, id, next_check_at, state, local, ahead_at)
  WHERE state IN ('queued', 'retry-wait', 'paused');
CREATE INDEX jobs_of_author ON jobs (author, turn) WHERE state IN ('queued', 'retry-wait', 'paused');
"""


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m027_turns(db: Database) -> None:
    """Jobs wait by downloads, with authors in turn; one step of priority for new revisions of judged models."""
    for statement in _statements(_TURNS):
        db.execute(statement)


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m028_of_late(db: Database) -> None:
    """What was done of late is found without reading every job and audit."""
    db.execute("CREATE INDEX jobs_updated ON jobs (updated_at)")
    db.execute("CREATE INDEX audits_stored ON audits (stored_at)")


_LINE_VALUES_29 = {**_LINE_VALUES_26, "answer": "coalesce(f.answer, '')"}
"""The same, with what the supplier of a disputed one answered."""


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m029_answers(db: Database) -> None:
    """What the supplier of a disputed finding answered, as a field of its own; lines of models tell it."""
    for table in ("triage_events", "findings", "model_lines"):
        db.execute(f"ALTER TABLE {table} ADD COLUMN answer TEXT NOT NULL DEFAULT ''")
    for name, when, which in _LINES_FOLLOW:
        body = _write_lines(which, _LINE_VALUES_29)
        db.execute(f"DROP TRIGGER model_lines_{name}")
        db.execute(f"CREATE TRIGGER model_lines_{name} AFTER {when} BEGIN {body}; END")


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m031_numbers_by_index(db: Database) -> None:
    """The triggers of the index of texts find a row's number by its index: a column's type kept them from that, and
    each change of a job read the numbers of all. What is indexed stays.
    """
    triggers = db.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name GLOB '*_texts_*'"
    ).fetchall()
    for name, sql in triggers:
        db.execute(f"DROP TRIGGER {name}")
        db.execute(sql.replace("key = OLD.", "key = +OLD.").replace("key = NEW.", "key = +NEW."))


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m034_measurements(db: Database) -> None:
    """What audits found, measured again for deployments: one for each audit and profile."""
    db.execute(
        "CREATE TABLE deployment_measurements (audit TEXT NOT NULL, profile TEXT NOT NULL, deployment TEXT NOT NULL,"
        " record TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (audit, profile)) STRICT"
    )


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m035_devices(db: Database) -> None:
    """Which device each worker is bound to; and what audits took of theirs."""
    db.execute("ALTER TABLE beats ADD COLUMN device TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE audits ADD COLUMN device TEXT NOT NULL DEFAULT ''")
    for column in ("pictures", "texts", "remembered"):
        db.execute(f"ALTER TABLE audits ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0")


_COUNTED = (("jobs", "state"), ("audits", "verdict"), ("findings", "triage"))
"""Tables, and the column by whose values their rows are counted."""


def _count(table: str, column: str, row: str, by: int) -> str:
    """Count one row more, or less, in `row_counts`; of an audit also the bound of false alarms."""
    bound = f"coalesce({row}.alarm_bound, 0.0)" if table == "audits" else "0.0"
    rated = f"({row}.alarm_bound IS NOT NULL)" if table == "audits" else "0"
    return (
        "INSERT INTO row_counts (of_table, value, rows, rated, alarm_bounds)"
        f" VALUES ('{table}', {row}.{column}, {by}, {by} * {rated}, {by} * {bound})"
        " ON CONFLICT (of_table, value) DO UPDATE SET rows = rows + excluded.rows,"
        " rated = rated + excluded.rated, alarm_bounds = alarm_bounds + excluded.alarm_bounds;"
    )


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m036_row_counts(db: Database) -> None:
    """How many jobs, audits and findings there are of each kind, kept by triggers: counting millions takes seconds."""
    db.execute(
        "CREATE TABLE row_counts (of_table TEXT NOT NULL, value TEXT NOT NULL, rows INTEGER NOT NULL,"
        " rated INTEGER NOT NULL, alarm_bounds REAL NOT NULL, PRIMARY KEY (of_table, value)) STRICT"
    )
    for table, column in _COUNTED:
        bounds = "count(alarm_bound), coalesce(sum(alarm_bound), 0.0)"
        db.execute(
            f"INSERT INTO row_counts SELECT '{table}', {column}, count(*),"
            f" {bounds if table == 'audits' else '0, 0.0'} FROM {table} GROUP BY {column}"
        )
        more = _count(table, column, "NEW", 1)
        less = _count(table, column, "OLD", -1)
        told = f"{column}, alarm_bound" if table == "audits" else column
        db.execute(
            f"CREATE TRIGGER {table}_counted_insert AFTER INSERT ON {table} BEGIN {more} END"
        )
        db.execute(
            f"CREATE TRIGGER {table}_counted_delete AFTER DELETE ON {table} BEGIN {less} END"
        )
        db.execute(
            f"CREATE TRIGGER {table}_counted_update AFTER UPDATE OF {told} ON {table} BEGIN {less} {more} END"
        )


@MIGRATIONS()  # type: ignore[untyped-decorator]
def m037_one_revision(db: Database) -> None:
    """What is kept of one repository or one audit, what has no audit, and the newest findings need not every row."""
    db.execute("CREATE INDEX jobs_revision ON jobs (repo_id, revision)")
    db.execute("CREATE INDEX jobs_unaudited ON jobs (created_at, id) WHERE audit_id IS NULL")
    db.execute("CREATE INDEX findings_audit ON findings (audit_id)")
    db.execute("CREATE INDEX finding_history_audit ON finding_history (audit_id)")
    db.execute("CREATE INDEX findings_seen ON findings (last_seen_at)")


def _statements(script: str) -> list[str]:
    """One statement each: `executescript` would commit the migration's own transaction."""
    found, current = [], ""
    for line in script.splitlines():
        current += line + "\n"
        if current.strip() and sqlite3.complete_statement(current):
            found.append(current)
            current = ""
    return found
