"""Which alerts go where, when and together with what; and what a silence keeps from being told."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from alert_kit import after, make_finding, put

from dife_scanner.alerts import Delivered, deliver
from dife_scanner.alerts.calendar import digest_after, quiet_until
from dife_scanner.alerts.messages import Message
from dife_scanner.alerts.planning import check
from dife_scanner.errors import AlertFailed, NotFound, SettingsError, UsageError
from dife_scanner.records import Finding, ModelRef
from dife_scanner.settings import Alerts, Route
from dife_scanner.store import QueryError, Store, outbox, silences

NOON = "2031-01-07T12:10:00.000000+00:00"  # a Tuesday
ONCALL = "email:oncall@example.org"


@dataclass
class Chat:
    """A channel in memory."""

    name: str = "slack"
    takes_pictures: bool = False
    error: Exception | None = None
    messages: list[Message] = field(default_factory=list)

    def send(self, message: Message) -> None:
        if self.error:
            raise self.error
        self.messages.append(message)

    @property
    def subjects(self) -> list[str]:
        return [message.subject.removeprefix("[DIFE] ") for message in self.messages]


def about(number: int) -> str:
    return f"Backdoor trigger demonstrated in acme/clip-{number}"


def states(store: Store) -> dict[str, str]:
    return {alert.channel: alert.state.value for alert in outbox.alerts(store)}


# --- routes -----------------------------------------------------------------------------------------------------


def test_routes_lead_findings_to_channels_by_filter(store: Store) -> None:
    rules = Alerts(
        group_seconds=0,
        routes=(
            Route(filter="target:dog severity:exposed", to=(ONCALL, "slack")),
            Route(filter="target:cat", to=("slack",)),
        ),
    )
    channels = [Chat("email"), Chat("slack"), Chat(ONCALL)]
    for number, target in enumerate(("dog", "cat", "bird")):
        put(store, make_finding(number, target=target), "email", "slack", ONCALL)
    assert deliver(store, channels, NOON, rules=rules).sent == 3
    assert [chat.subjects for chat in channels] == [[], [about(0), about(1)], [about(0)]]
    aside = [alert for alert in outbox.alerts(store) if alert.state == "unrouted"]
    assert len(aside) == 6 and {alert.last_error for alert in aside} == {"no route leads here"}


def test_a_route_of_some_events_leaves_the_others(store: Store) -> None:
    put(store, make_finding(), "slack")
    rules = Alerts(routes=(Route(to=("slack",), events=("regressed",)),))
    assert deliver(store, [Chat()], NOON, rules=rules) == Delivered()
    assert states(store) == {"slack": "unrouted"}


def test_of_several_routes_the_most_eager_one_counts(store: Store) -> None:
    put(store, make_finding(), "slack")
    rules = Alerts(
        routes=(
            Route(to=("slack",), urgent=True, filter="severity:exposed"),
            Route(to=("slack",), digest="weekly"),
        )
    )
    assert deliver(store, [Chat()], NOON, rules=rules).sent == 1


@pytest.mark.parametrize(
    ("route", "said"),
    [
        (Route(filter="colour:red", to=("slack",)), "alerts.routes.0.filter"),
        (Route(filter="(target:dog", to=("slack",)), "column"),
        (Route(to=("email",)), "the channel email is off"),
        (Route(to=(ONCALL,)), "the channel email:oncall@example.org is off"),
    ],
)
def test_a_route_that_leads_nowhere_is_an_error_with_its_key(route: Route, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check(Alerts(routes=(route,), slack={"enabled": True}))
    assert said in caught.value.what and caught.value.advice


# --- together ---------------------------------------------------------------------------------------------------


def repository(number: int, name: str) -> Finding:
    return make_finding(number, ref=ModelRef(name, f"{number:040x}"))


@pytest.mark.parametrize(("group_by", "messages"), [("repository", 3), ("author", 2), ("all", 1)])
def test_alerts_wait_for_others_about_the_same_and_go_together(
    store: Store, group_by: str, messages: int
) -> None:
    rules = Alerts(group_seconds=30, group_by=group_by)
    chat = Chat()
    put(store, repository(1, "acme/one"), "slack")
    put(store, repository(2, "acme/one"), "slack")
    assert deliver(store, [chat], NOON, rules=rules) == Delivered()
    put(store, repository(3, "acme/two"), "slack")
    put(store, repository(4, "other/one"), "slack")
    assert deliver(store, [chat], after(NOON, seconds=20), rules=rules) == Delivered()
    deliver(store, [chat], after(NOON, seconds=31), rules=rules)
    deliver(store, [chat], after(NOON, seconds=51), rules=rules)
    assert len(chat.messages) == messages
    assert sum(len(message.entries) for message in chat.messages) == 4


def test_once_nobody_waits_for_others_any_more_all_go(store: Store) -> None:
    """As in `dife watch --once` after a watcher that was stopped while a group waited."""
    chat = Chat()
    put(store, make_finding(), "slack")
    assert deliver(store, [chat], NOON, rules=Alerts(group_seconds=30)) == Delivered()
    assert deliver(store, [chat], NOON, rules=Alerts(group_seconds=0)).sent == 1


def test_a_digest_goes_at_its_time_in_one_message(store: Store) -> None:
    rules = Alerts(routes=(Route(to=("slack",), digest="daily"),), time_zone="Europe/Berlin")
    chat = Chat()
    for number in range(3):
        put(store, make_finding(number), "slack")
        assert deliver(store, [chat], NOON, rules=rules) == Delivered()
    assert deliver(store, [chat], "2031-01-08T06:59:00+00:00", rules=rules) == Delivered()
    assert deliver(store, [chat], "2031-01-08T07:00:01+00:00", rules=rules).sent == 3
    assert chat.subjects == ["3 findings"]


def test_a_storm_is_one_message_at_once_and_one_at_the_end_of_the_hour(store: Store) -> None:
    rules = Alerts(group_seconds=0, storm=3)
    chat = Chat()
    for number in range(5):
        put(store, make_finding(number), "slack")
    assert deliver(store, [chat], NOON, rules=rules).sent == 5
    for number in range(5, 9):
        put(store, make_finding(number), "slack")
        assert deliver(store, [chat], after(NOON, minutes=number), rules=rules) == Delivered()
    assert deliver(store, [chat], after(NOON, minutes=50), rules=rules).sent == 4
    assert chat.subjects == ["5 findings", "4 findings"]


def test_findings_that_drip_in_are_one_message_too(store: Store) -> None:
    rules = Alerts(group_seconds=0, storm=3)
    chat = Chat()
    for number in range(8):
        put(store, make_finding(number), "slack")
        deliver(store, [chat], after(NOON, minutes=number), rules=rules)
    assert chat.subjects == [about(0), about(1), about(2)]
    assert deliver(store, [chat], after(NOON, minutes=50), rules=rules).sent == 5
    assert chat.subjects[3:] == ["5 findings"]


# --- quiet hours ------------------------------------------------------------------------------------------------


def test_quiet_hours_hold_everything_but_what_is_urgent(store: Store) -> None:
    rules = Alerts(
        group_seconds=0,
        quiet_hours="22:00-07:00",
        time_zone="Europe/Berlin",
        routes=(
            Route(to=("slack",)),
            Route(to=("slack",), filter="target:dog", urgent=True),
        ),
    )
    chat = Chat()
    night, morning = "2031-01-07T22:30:00+00:00", "2031-01-08T06:00:01+00:00"
    for number, target in enumerate(("cat", "dog", "bird")):
        put(store, make_finding(number, target=target), "slack")
    assert deliver(store, [chat], night, rules=rules).sent == 1
    assert chat.subjects == [about(1)]
    assert deliver(store, [chat], "2031-01-08T05:59:00+00:00", rules=rules) == Delivered()
    assert deliver(store, [chat], morning, rules=rules).sent == 2
    assert chat.subjects[1:] == ["2 findings"]


def test_a_later_attempt_waits_for_the_end_of_quiet_hours_too(store: Store) -> None:
    rules = Alerts(group_seconds=0, quiet_hours="22:00-07:00")
    chat = Chat(error=AlertFailed("down"))
    put(store, make_finding(), "slack")
    deliver(store, [chat], "2031-01-07T21:59:50+00:00", rules=rules)
    chat.error = None
    assert deliver(store, [chat], "2031-01-07T23:00:00+00:00", rules=rules) == Delivered()
    assert deliver(store, [chat], "2031-01-08T07:00:00+00:00", rules=rules).sent == 1


@pytest.mark.parametrize(
    ("hours", "now", "until"),
    [
        ("22:00-07:00", "2026-12-01T20:59:59+00:00", ""),
        ("22:00-07:00", "2026-12-01T21:00:00+00:00", "2026-12-02T06:00"),
        ("22:00-07:00", "2026-12-02T05:59:59+00:00", "2026-12-02T06:00"),
        ("22:00-07:00", "2026-12-02T06:00:00+00:00", ""),
        ("22:00-07:00", "2026-07-01T20:30:00+00:00", "2026-07-02T05:00"),  # summer time
        ("12:00-13:00", "2026-12-02T11:30:00+00:00", "2026-12-02T12:00"),
        (
            "01:00-02:30",
            "2026-03-29T00:30:00+00:00",
            "2026-03-29T01:30",
        ),  # 02:30 is no time that day
        ("01:00-02:30", "2026-10-25T00:10:00+00:00", "2026-10-25T00:30"),  # 02:30 comes twice
        ("01:00-02:30", "2026-10-25T01:10:00+00:00", "2026-10-25T01:30"),
    ],
)
def test_quiet_hours_end_by_the_clock_on_the_wall(hours: str, now: str, until: str) -> None:
    rules = Alerts(quiet_hours=hours, time_zone="Europe/Berlin")
    assert quiet_until(rules, now)[:16] == until


@pytest.mark.parametrize(
    ("every", "now", "then"),
    [
        ("daily", "2026-12-02T06:59:00+00:00", "2026-12-02T07:00"),
        ("daily", "2026-12-02T07:00:00.000001+00:00", "2026-12-03T07:00"),
        ("weekly", "2026-12-02T07:00:00+00:00", "2026-12-04T07:00"),
        ("weekly", "2026-12-04T08:00:00+00:00", "2026-12-11T07:00"),
    ],
)
def test_digests_go_at_their_hour_and_day(every: str, now: str, then: str) -> None:
    rules = Alerts(time_zone="Europe/Berlin", digest_day="friday")
    assert digest_after(rules, every, now)[:16] == then


# --- silences ---------------------------------------------------------------------------------------------------


def test_a_silence_keeps_what_it_covers_from_being_told_until_it_ends(store: Store) -> None:
    chat = Chat()
    rules = Alerts(group_seconds=0)
    until = after(NOON, days=7)
    made = silences.add(store, "target:dog", until=until, reason="a test series", actor="ada")
    put(store, make_finding(1), "slack")
    put(store, make_finding(2, target="cat"), "slack")
    assert deliver(store, [chat], NOON, rules=rules).sent == 1
    assert chat.subjects == [about(2)]
    (aside,) = outbox.alerts(store, state="silenced")
    assert aside.last_error == f"silence {made.id}: a test series"
    put(store, make_finding(3), "slack")
    assert deliver(store, [chat], until, rules=rules).sent == 1
    assert chat.subjects[1:] == [about(3)]
    assert silences.silences(store, at=until) == [] and silences.silences(store) == [made]


def test_a_silence_also_covers_what_still_waits_and_never_what_was_sent(store: Store) -> None:
    rules, chat = Alerts(group_seconds=30), Chat()
    put(store, make_finding(1), "slack")
    deliver(store, [chat], NOON, rules=rules)
    silences.add(store, "target:dog", until=after(NOON, days=1), reason="r", actor="ada")
    assert deliver(store, [chat], after(NOON, seconds=40), rules=rules) == Delivered()
    assert states(store) == {"slack": "silenced"}


def test_what_was_silenced_is_sent_where_somebody_wants_it(store: Store) -> None:
    silences.add(store, "target:dog", until=after(NOON, days=1), reason="r", actor="ada")
    put(store, make_finding(1), "slack")
    deliver(store, [Chat()], NOON)
    (alert,) = outbox.alerts(store)
    assert outbox.revive(store) == 0  # only what failed comes back all at once
    assert outbox.revive(store, alert.id) == 1
    assert deliver(store, [Chat()], NOON) == Delivered(sent=1)


def test_a_silence_whose_filter_is_no_longer_one_covers_nothing_and_stops_no_alert(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    silences.add(store, "target:dog", until=after(NOON, days=1), reason="r", actor="ada")
    with store.atomic("silences.keep"):
        store.write("UPDATE silences SET filter = 'triage:no-such-state'")
    put(store, make_finding(1), "slack")
    assert deliver(store, [Chat()], NOON, rules=Alerts(group_seconds=0)).sent == 1
    assert "covers nothing" in caplog.text and "triage is never" in caplog.text


def test_a_silence_can_be_ended_and_has_to_be_one(store: Store) -> None:
    made = silences.add(store, "target:dog", until=after(NOON, days=1), reason="r", actor="ada")
    ended = silences.end(store, made.id)
    assert ended.until < NOON and silences.end(store, made.id) == ended
    with pytest.raises(NotFound):
        silences.end(store, 99)
    with pytest.raises(QueryError, match="no field"):
        silences.add(store, "colour:red", until=NOON, reason="r", actor="ada")
    with pytest.raises(UsageError, match="silence everything"):
        silences.add(store, " ", until=NOON, reason="r", actor="ada")


# --- recipients -------------------------------------------------------------------------------------------------


def test_who_has_a_mail_does_not_get_it_again_after_a_restart(store: Store) -> None:
    rules = Alerts(group_seconds=0)
    put(store, make_finding(), "slack")
    refused = AlertFailed("b@x.org refused", taken=("a@x.org",))
    deliver(store, [Chat(error=refused)], NOON, rules=rules)
    deliver(store, [Chat(error=AlertFailed("down"))], after(NOON, minutes=2), rules=rules)
    chat = Chat()
    deliver(store, [chat], after(NOON, minutes=9), rules=rules)
    assert chat.messages[0].taken == ("a@x.org",)
