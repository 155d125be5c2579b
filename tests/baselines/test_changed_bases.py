"""A clean base whose repository changes is a finding, and each change goes out once, whoever notices it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from base_kit import changed, drawn, fetching, registry_file, towers, work
from calling import dife
from queue_kit import CONFIG, WEIGHTS

from dife_scanner.alerts.block_kit import as_slack
from dife_scanner.alerts.mail import as_email
from dife_scanner.alerts.messages import message
from dife_scanner.app.references import add_reference, verified
from dife_scanner.baselines import keeping, trusting, verifying
from dife_scanner.baselines.fetching import fetch_base
from dife_scanner.baselines.registry import registry
from dife_scanner.baselines.verifying import LOOK_EVERY
from dife_scanner.durable.clock import later
from dife_scanner.errors import BaseChanged
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.progress import SILENT
from dife_scanner.queue import targets, worker
from dife_scanner.queue.poller import poll_pass
from dife_scanner.queue.work import Work, hub_for
from dife_scanner.records import (
    Alert,
    FindingKind,
    HubFile,
    JobState,
    TriageState,
    TrustedFile,
    TrustRecord,
)
from dife_scanner.store import Store, findings, outbox, triage, trust
from dife_scanner.store.db import DATABASE

BOTH = ("email", "slack")
FIRST, SECOND, THIRD = "a" * 40, "b" * 40, "c" * 40


@pytest.fixture
def base_work(
    home: Path, hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Work:
    """One published base, both channels switched on, and towers hashed without torch."""
    monkeypatch.setattr(keeping, "towers_here", towers)
    monkeypatch.setattr(keeping, "towers_apart", lambda context: towers)
    hub.add_repo("acme/one", drawn(0))
    alerts = {
        "email": {"host": "127.0.0.1", "recipients": ["soc@example.org"]},
        "slack": {"enabled": True},
    }
    bases = registry_file(tmp_path, "one")
    return work(home, hub, bases, channels=BOTH, start="fork", alerts=alerts)


def keys(store: Store) -> list[str]:
    return [alert.key for alert in outbox.alerts(store)]


def said(alert: Alert) -> str:
    """All that reaches a person through the alert's channel."""
    written = message([alert])
    if alert.channel == "slack":
        return json.dumps(as_slack(written), ensure_ascii=False)
    mail = as_email(written, "dife@scanner.test", ["soc@example.org"])
    (text, _) = mail.iter_parts()
    return f"{mail['Subject']}\n{text.get_content()}"


# --- against a hub --------------------------------------------------------------------------------------------


def test_new_weights_in_the_repository_of_a_base_alert_once_until_they_change_again(
    store: Store, hub: LoopbackHub, base_work: Work
) -> None:
    settings = base_work.settings
    base = registry(settings.references.registry).base("acme/one")
    first = fetch_base(store, base, fetching(settings, hub, channels=BOTH))
    assert keys(store) == [] and findings.findings(store) == [], "a first fetch is no change"

    second_sha = hub.commit("acme/one", changed(drawn(0)))
    for _ in range(2):
        (check,) = verified(store, settings, "one", SILENT).checks
        assert check.on_hub is False
        assert len(set(keys(store))) == len(BOTH)
    (finding,) = findings.findings(store, filter="kind:changed")
    assert (finding.ref.repo_id, finding.ref.revision) == ("acme/one", second_sha)
    for alert in outbox.alerts(store):
        told = said(alert)
        assert alert.about.fingerprint == finding.fingerprint
        for words in (
            "Clean base changed in acme/one",
            f"{WEIGHTS} is another file",
            f"trusted since {first.trusted_at[:10]} (commit {first.revision[:12]})",
            "None of them was accepted",
            "dife reference verify one",
            "dife reference pin acme/one --revision COMMIT",
        ):
            assert words in told
    shown = dife("show", finding.fingerprint, "--home", store.home, COLUMNS="300").stdout
    assert "is another file" in shown and "dife reference pin acme/one" in shown

    hub.commit("acme/one", drawn(0))
    (check,) = verified(store, settings, "one", SILENT).checks
    assert check.on_hub is True and trust.records(store)[0].changed == ""
    assert len(keys(store)) == len(BOTH), "what is trusted again is no news"

    third_sha = hub.commit("acme/one", changed(changed(drawn(0))))
    verifying._forget(store, first)
    for _ in range(2):
        with pytest.raises(BaseChanged) as error:
            add_reference(store, settings, "acme/one", "", SILENT)
        assert third_sha[:12] in error.value.what
        assert "`dife reference add acme/one` looks again" in error.value.advice
        assert len(set(keys(store))) == 2 * len(BOTH)
    about = triage.seen(store, [finding.fingerprint])
    triage.decide(store, TriageState.ACCEPTED_RISK, about, actor="somebody", note="known")
    decided = findings.finding(store, finding.fingerprint)
    assert decided.kind is FindingKind.CHANGED


def test_an_audit_that_needs_a_base_that_changed_alerts_and_is_made_without_it(
    store: Store, hub: LoopbackHub, base_work: Work
) -> None:
    hub.add_repo("org/clip", drawn(0, 0.1), tags=["base_model:acme/one"])
    trust.keep(store, record("acme/one", "0" * 64))
    settings = base_work.settings
    job = targets.enqueue(
        store, "org/clip", settings.limits, lambda: hub_for(settings, settings.endpoint)
    )
    done = worker.process(store, job, base_work)
    assert done.state is JobState.DONE and f"{WEIGHTS} is another file" in done.reason
    assert sorted(alert.channel for alert in outbox.alerts(store)) == list(BOTH)
    (finding,) = findings.findings(store)
    assert finding.kind is FindingKind.CHANGED and finding.ref.repo_id == "acme/one"


def test_the_watcher_asks_once_a_day_what_the_repositories_of_its_bases_hold(
    store: Store, hub: LoopbackHub, base_work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A base that is here already is used from disk, and no audit would notice."""
    settings = base_work.settings
    base = registry(settings.references.registry).base("acme/one")
    fetch_base(store, base, fetching(settings, hub, channels=BOTH))
    hub.commit("acme/one", changed(drawn(0)))
    poll_pass(store, base_work)
    assert keys(store) == [], "it was looked at today: it was fetched"

    monkeypatch.setattr(verifying, "later", lambda seconds: later(seconds + 2 * LOOK_EVERY))
    poll_pass(store, base_work)
    assert len(set(keys(store))) == len(BOTH)
    (finding,) = findings.findings(store, filter="kind:changed")
    assert finding.ref.repo_id == "acme/one"
    looked_at = trust.not_looked_at_since(store, later(1))[0]
    assert looked_at.changed and not trust.not_looked_at_since(store, later(-60))


# --- without one ----------------------------------------------------------------------------------------------


def record(repository: str = "acme/one", sha256: str = "11" * 32) -> TrustRecord:
    return TrustRecord(repository, FIRST, (TrustedFile(WEIGHTS, sha256),), "2026-11-01T00:00:00")


def look(store: Store, revision: str, sha256: str | None, path: str = WEIGHTS) -> bool:
    """Whether the trusted record still fits a repository that announces this one file."""
    try:
        announced = [HubFile(path, 1, sha256)]
        trusting.check_announced(store, trust.record(store, "acme/one"), revision, announced, BOTH)
    except BaseChanged:
        return False
    return True


@pytest.mark.parametrize(
    ("looks", "changes"),
    [
        ([(FIRST, "11" * 32), (SECOND, "11" * 32), (SECOND, None)], 0),
        ([(SECOND, "22" * 32)] * 3, 1),
        ([(SECOND, "22" * 32), (FIRST, "11" * 32), (SECOND, "22" * 32)], 1),
        ([(SECOND, "22" * 32), (THIRD, "22" * 32)], 1),
        ([(FIRST, "22" * 32), (FIRST, "33" * 32)], 2),
    ],
    ids=["none", "the same", "back and the same", "another commit", "other bytes of one commit"],
)
def test_each_change_goes_once_to_each_channel(
    store: Store, looks: Sequence[tuple[str, str | None]], changes: int
) -> None:
    trust.keep(store, record())
    for revision, sha256 in looks:
        look(store, revision, sha256)
    assert len(keys(store)) == changes * len(BOTH)
    assert len(findings.findings(store)) == changes


def test_a_file_that_is_gone_is_another_change_than_a_file_that_is_another(store: Store) -> None:
    trust.keep(store, record())
    assert not look(store, SECOND, "22" * 32) and not look(store, SECOND, "11" * 32, CONFIG)
    assert len(set(keys(store))) == 2 * len(BOTH)


def test_weights_that_a_source_states_alert_before_anything_was_ever_fetched(store: Store) -> None:
    stated = TrustRecord("acme/one", "", (TrustedFile("", "11" * 32),), "", "2026-12-01")
    announced = [HubFile(WEIGHTS, 1, "22" * 32)]
    with pytest.raises(BaseChanged, match="since it was pinned"):
        trusting.check_announced(store, stated, SECOND, announced, BOTH)
    assert "no file is the pinned weights" in said(outbox.alerts(store)[0])


def test_note_finding_and_alerts_are_kept_together_or_not_at_all(store: Store) -> None:
    """Whatever ends the process between them: the next look finds nothing noted and tells everything."""
    trust.keep(store, record())
    with sqlite3.connect(store.home / DATABASE) as other:
        other.execute(
            "CREATE TRIGGER full BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    with pytest.raises(sqlite3.IntegrityError, match="full"):
        look(store, SECOND, "22" * 32)
    assert trust.records(store)[0].changed == "" and findings.findings(store) == []
    with sqlite3.connect(store.home / DATABASE) as other:
        other.execute("DROP TRIGGER full")
    assert not look(store, SECOND, "22" * 32)
    assert trust.records(store)[0].changed and len(findings.findings(store)) == 1
    assert len(keys(store)) == len(BOTH)


def test_what_a_hub_calls_its_files_does_nothing_in_a_message(store: Store) -> None:
    name = "weights\x1b[31m<!channel>\r\nBcc: a@example.org.bin"
    trust.keep(store, TrustRecord("acme/one", FIRST, (TrustedFile(name, "11" * 32),), "2026-11-01"))
    assert not look(store, SECOND, "22" * 32, name)
    for alert in outbox.alerts(store):
        told = said(alert)
        assert "is another file" in told and "\x1b" not in told and "\nBcc" not in told
        assert alert.channel == "email" or "<!channel>" not in told
