"""News about the scanner itself: the daily report, staleness, revisions after an approval, the dead man's switch."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from alert_kit import after, email_to, make_finding, put, slack_to
from store_records import make_audit

from dife_scanner import settings
from dife_scanner.alerts import deadman, deliver
from dife_scanner.alerts.operations import FAILING_AUDITS, note, stale_seconds
from dife_scanner.durable.clock import now
from dife_scanner.errors import AlertFailed
from dife_scanner.lab.sinks import SlackSink, SmtpSink
from dife_scanner.records import (
    Artefact,
    DecisionState,
    DeploymentDecision,
    DeploymentProfile,
    JobState,
    ModelRef,
)
from dife_scanner.settings import Alerts, Route, Settings
from dife_scanner.store import Store, artefacts, decisions, deployments, jobs, outbox, polls

HUB = "https://hub.example"


@pytest.fixture
def read(store: Store) -> Settings:
    return settings.load(store.home)


def passed(store: Store, *, complete: bool = True) -> None:
    polls.complete_pass(store, HUB, {}, 1, 1, 0, complete=complete)


def told(store: Store) -> list[str]:
    return [alert.subject for alert in reversed(outbox.alerts(store))]


# --- the daily report -------------------------------------------------------------------------------------------


def test_each_day_it_is_told_how_the_last_one_went_also_where_nothing_was_found(
    store: Store, read: Settings, smtp: SmtpSink, slack: SlackSink
) -> None:
    passed(store)
    note(store, read, ["email", "slack"], now(), 0.0)
    assert told(store) == [], "no whole day was watched yet"
    tomorrow = after(now(), days=1)
    for _ in range(3):
        note(store, read, ["email", "slack"], tomorrow, 0.0)
    assert deliver(store, (email_to(smtp.port), slack_to(slack.url)), tomorrow).sent == 2
    (mail,), (payload,) = smtp.mails, slack.payloads
    assert mail["Subject"] == "[DIFE] Daily report: nothing found, 0 audited, 0 failed"
    assert "nothing found, 0 audited, 0 failed" in json.dumps(payload)
    assert "dife://" not in mail.get_body(("html",)).get_content()


def test_the_report_counts_the_day(store: Store, read: Settings) -> None:
    passed(store)
    put(store, make_finding(created_at=now(), audit_id="aud1"), "email", audit=make_audit())
    jobs.discover(
        store, ModelRef("acme/bad", "c" * 40), endpoint=HUB, state=JobState.FAILED, reason=""
    )
    day_after = after(now(), days=1)
    note(store, read, ["email"], day_after, 0.0)
    assert told(store)[1:] == ["Daily report: 1 new finding, 1 audited, 1 failed"]


def test_the_report_can_be_switched_off(store: Store, read: Settings) -> None:
    passed(store)
    off = read.model_copy(update={"alerts": Alerts(heartbeat=False)})
    note(store, off, ["email"], after(now(), days=1), 0.0)
    assert told(store) == []


def test_news_go_where_a_route_has_no_filter_or_else_everywhere(
    store: Store, read: Settings
) -> None:
    passed(store)
    tomorrow = after(now(), days=1)
    note(store, read, ["email", "slack"], tomorrow, 0.0)
    narrow = Route(filter="target:dog", to=("slack",))
    deliver(store, (), tomorrow, rules=Alerts(routes=(narrow, Route(to=("email",)))))
    assert {one.channel: one.state.value for one in outbox.alerts(store)} == {
        "email": "pending",
        "slack": "unrouted",
    }
    day_after = after(tomorrow, days=1)
    note(store, read, ["email", "slack"], day_after, 0.0)
    deliver(store, (), day_after, rules=Alerts(routes=(narrow,)))
    assert [one.state.value for one in outbox.alerts(store)][:2] == ["pending"] * 2


# --- trouble ----------------------------------------------------------------------------------------------------


def test_a_scanner_that_reads_no_hub_any_more_says_so_once_for_each_time(
    store: Store, read: Settings
) -> None:
    quiet = read.model_copy(update={"alerts": Alerts(heartbeat=False)})
    passed(store, complete=False)
    limit = stale_seconds(read)
    assert limit == 3 * 1800 + 1800
    note(store, quiet, ["email"], after(now(), seconds=limit - 60), limit + 1)
    note(
        store, quiet, ["email"], after(now(), days=9), 60.0
    )  # it slept, and has only just begun again
    assert told(store) == []
    for hours in (3, 4, 5):
        note(store, quiet, ["email"], after(now(), hours=hours), limit + 1)
    passed(store)
    note(store, quiet, ["email"], after(now(), hours=3), limit + 1)
    assert told(store) == ["The scanner reads the hub no more"] * 2


def test_a_scanner_whose_audits_all_fail_says_so_once_a_day(store: Store, read: Settings) -> None:
    quiet = read.model_copy(update={"alerts": Alerts(heartbeat=False)})

    def fail(number: int) -> None:
        ref = ModelRef(f"acme/bad-{number}", "c" * 40)
        jobs.discover(store, ref, endpoint=HUB, state=JobState.FAILED, reason="no memory")

    for number in range(FAILING_AUDITS - 1):
        fail(number)
    soon = after(now(), seconds=1)
    note(store, quiet, ["email"], soon, 0.0)
    assert told(store) == []
    fail(FAILING_AUDITS)
    soon = after(now(), seconds=1)
    for _ in range(3):
        note(store, quiet, ["email"], f"{soon[:10]}T23:59:59.999999+00:00", 0.0)
    assert told(store) == ["No audit succeeds any more"]
    note(store, quiet, ["email"], after(soon, days=2), 0.0)
    assert len(told(store)) == 1, "nothing failed in the day before"


def test_failures_beside_audits_that_succeed_are_for_the_daily_report(
    store: Store, read: Settings
) -> None:
    quiet = read.model_copy(update={"alerts": Alerts(heartbeat=False)})
    put(store, make_finding(created_at=now(), audit_id="aud1"), "slack", audit=make_audit())
    for number in range(FAILING_AUDITS):
        ref = ModelRef(f"acme/bad-{number}", "c" * 40)
        jobs.discover(store, ref, endpoint=HUB, state=JobState.FAILED, reason="no memory")
    note(store, quiet, ["email"], after(now(), seconds=1), 0.0)
    assert [alert.event.value for alert in outbox.alerts(store)] == ["new"]


# --- what is approved -------------------------------------------------------------------------------------------


def test_a_new_revision_of_an_approved_model_is_told_once(store: Store, read: Settings) -> None:
    def discover(revision: str) -> int:
        ref = ModelRef("acme/clip", revision * 40)
        return jobs.discover(store, ref, endpoint=HUB, state=JobState.QUEUED, reason="").id

    quiet = read.model_copy(update={"alerts": Alerts(heartbeat=False)})
    first = discover("a")
    files = Artefact("art1:" + "0" * 64, ())
    artefacts.keep(store, first, files)
    deployments.add(store, DeploymentProfile("shop", ("text reranking",), queries=("x",)), "ada")
    made = DeploymentDecision(
        *("1" * 64, files.id, "shop", "0" * 64),
        *(DecisionState.APPROVED, "looked at", "ada", "ada", now(), "acme/clip"),
    )
    decisions.append(store, [made])
    note(store, quiet, ["email"], now(), 0.0)
    assert told(store) == []
    discover("b")
    for _ in range(2):
        note(store, quiet, ["email"], now(), 0.0)
    assert told(store) == ["New revision of an approved model: acme/clip"]
    (alert,) = outbox.alerts(store)
    assert dict(alert.about.facts)["Approved revision"] == "a" * 40  # type: ignore[union-attr]


# --- the dead man's switch --------------------------------------------------------------------------------------


def test_an_address_is_asked_for_once_after_each_complete_pass(
    store: Store, tmp_path: Path
) -> None:
    asked: list[str] = []
    answers = [500, 200, 200]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(answers[len(asked) - 1])
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        secret = "0f9c-switch-of-ours"
        address = f"http://127.0.0.1:{server.server_address[1]}/{secret}"
        deadman.tell(store, lambda: address)
        passed(store, complete=False)
        deadman.tell(store, lambda: address)
        assert asked == []
        passed(store)
        with pytest.raises(AlertFailed, match="500") as caught:
            deadman.tell(store, lambda: address)
        assert secret not in caught.value.what
        for _ in range(3):
            deadman.tell(store, lambda: address)
        assert len(asked) == 2
        passed(store)
        deadman.tell(store, lambda: address)
        assert asked == [f"/{secret}"] * 3
        server.shutdown()
    passed(store)
    deadman.tell(store, lambda: None)
    for wrong in ("http://switch.example.org/x", "file:///etc/passwd", address):
        with pytest.raises(AlertFailed) as caught:
            deadman.tell(store, lambda wrong=wrong: wrong)
        assert secret not in caught.value.what
