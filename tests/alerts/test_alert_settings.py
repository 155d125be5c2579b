"""Settings of alerts: taken over while a watcher runs, and checked with line and key; commands over a real home."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from alert_kit import make_finding, put

from dife_scanner import settings
from dife_scanner.cli.commands import run
from dife_scanner.lab.sinks import SlackSink, SmtpSink
from dife_scanner.queue.alert_sender import Current, send_due
from dife_scanner.store import Store, outbox

GOOD = '[alerts]\ngroup_seconds = 0\n[alerts.email]\nhost = "127.0.0.1"\nport = {port}\nrecipients = ["{to}"]\n'


@pytest.fixture
def config(store: Store) -> Path:
    return settings.config_path(store.home)


def test_a_changed_file_is_taken_over_and_a_bad_one_changes_nothing(
    store: Store, smtp: SmtpSink, config: Path
) -> None:
    config.write_text(GOOD.format(port=smtp.port, to="first@example.org"))
    current = Current(settings.load(store.home))
    for number, text in enumerate(
        (
            GOOD.format(port=smtp.port, to="second@example.org"),
            "this is no TOML",
            '[alerts.email]\nport = "many"\n',
            GOOD.format(port=smtp.port, to="nobody"),
            GOOD.format(port=smtp.port, to="third@example.org")
            + '[[alerts.routes]]\nto = ["slack"]\n',
            GOOD.format(port=smtp.port, to="third@example.org"),
        )
    ):
        config.write_text(text)
        current.look()
        put(store, make_finding(number), "email")
        send_due(store, current.channels, current.rules)
        assert bool(current.problem) == (0 < number < 5), current.problem
    assert [one for (one,) in smtp.recipients] == ["second@example.org"] * 5 + ["third@example.org"]


def test_a_file_that_is_gone_is_no_file_that_is_wrong(store: Store, config: Path) -> None:
    config.write_text("[alerts]\nstorm = 3\n")
    current = Current(settings.load(store.home))
    assert current.rules.storm == 3
    config.unlink()
    current.look()
    assert (current.rules.storm, current.problem) == (20, "")


WRONG = """\
workers = -1
colour = "red"

[alerts]
quiet_hours = "22-7"
time_zone = "Mars/Base"

[[alerts.routes]]
to = ["slack"]

[[alerts.routes]]
to = ["pager"]
digest = "hourly"
"""


def test_every_error_of_the_file_is_said_with_line_and_key(
    store: Store, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(WRONG)
    assert run(["config", "check", "--home", str(store.home)]) == 64
    told = capsys.readouterr().err
    for line, key in (
        (1, "workers"),
        (2, "colour"),
        (5, "alerts.quiet_hours"),
        (6, "alerts.time_zone"),
        (12, "alerts.routes.1.to"),
        (13, "alerts.routes.1.digest"),
    ):
        (found,) = [text for text in told.splitlines() if f"`{key}`" in text]
        assert f"correct it in {config}, line {line}" in found
    assert "6 settings are not valid" in told


def test_routes_are_checked_against_filters_and_channels(
    store: Store, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(
        '[[alerts.routes]]\nto = ["slack"]\n\n[[alerts.routes]]\nfilter = "colour:red"\nto = ["slack"]\n'
    )
    assert run(["config", "check", "--home", str(store.home)]) == 64
    told = capsys.readouterr().err
    assert "the channel slack is off" in told and f"{config}, line 2" in told
    assert "there is no field" in told and f"{config}, line 5" in told
    config.write_text("[alerts]\nstorm = 3\n")
    assert run(["config", "check", "--home", str(store.home)]) == 0


def test_the_example_in_the_template_can_be_used(store: Store, config: Path) -> None:
    lines = settings.template().splitlines()
    begin = lines.index("# [[alerts.routes]]")
    example = "\n".join(line.removeprefix("# ") for line in lines[begin : begin + 4])
    on = '[alerts.email]\nhost = "127.0.0.1"\n[alerts.slack]\nenabled = true\n'
    config.write_text(on + example)
    read = settings.load(store.home)
    assert read.alerts.routes[0].urgent
    names = [channel.name for channel in Current(read).channels]
    assert names == ["email:oncall@example.org", "slack"]


def test_a_test_message_says_of_each_channel_whether_it_was_taken(
    store: Store, smtp: SmtpSink, slack: SlackSink, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(
        GOOD.format(port=smtp.port, to="soc@example.org") + "[alerts.slack]\nenabled = true\n"
    )
    assert run(["alerts", "test", "--home", str(store.home)]) == 3
    told = capsys.readouterr().err
    assert "slack: Slack alerts are on, but there is no webhook address" in told
    assert "1 of 2 channels did not take" in told
    assert smtp.mails[0]["Subject"] == "[DIFE] Test message"
    secret = store.home / "secrets" / "slack-webhook"
    secret.touch(mode=0o600)
    secret.write_text(slack.url)
    assert run(["alerts", "test", "--home", str(store.home)]) == 0
    assert len(slack.payloads) == 1 and slack.url not in capsys.readouterr().out


def test_silences_are_made_listed_and_ended_by_commands(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", str(store.home), "--json"]
    make = [
        "alerts",
        "silence",
        "repo:~acme",
        "--for",
        "7d",
        "--reason",
        "a test series",
        "--actor",
        "ada",
    ]
    assert run([*make, *home]) == 0
    (made,) = json.loads(capsys.readouterr().out)["silences"]
    assert (made["filter"], made["reason"], made["actor"]) == ("repo:~acme", "a test series", "ada")
    put(store, make_finding(), "slack")
    send_due(store, (), settings.load(store.home).alerts)
    assert [alert.state.value for alert in outbox.alerts(store)] == ["silenced"]
    assert run(["alerts", "unsilence", str(made["id"]), *home]) == 0
    capsys.readouterr()
    assert run(["alerts", "silences", *home]) == 0
    assert json.loads(capsys.readouterr().out)["silences"] == []
    assert run(["alerts", "silences", "--all", "--home", str(store.home)]) == 0
    assert "a test series" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["repo:~acme", "--for", "soon", "--reason", "r"],
        ["repo:~acme", "--for", "9999d", "--reason", "r"],
        ["repo:~acme", "--for", "7d", "--reason", " "],
        ["colour:red", "--for", "7d", "--reason", "r"],
        ["(repo:~acme", "--for", "7d", "--reason", "r"],
        ["repo:~acme", "--for", "7d"],
    ],
)
def test_a_silence_that_is_none_is_wrong_usage(
    store: Store, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["alerts", "silence", *arguments, "--home", str(store.home)]) == 64
    assert capsys.readouterr().err


def test_status_says_first_of_all_which_alerts_nobody_got(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    put(store, make_finding(), "email")
    (alert,) = outbox.alerts(store)
    outbox.dead(store, alert.id, "535 wrong password")
    assert run(["status", "--home", str(store.home)]) == 0
    told = capsys.readouterr().out
    assert "1 alert could not be delivered: email: 535 wrong password; `dife alerts retry`" in told
    assert run(["status", "--home", str(store.home), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["alerts_dead"], document["alerts_error"]) == (1, "email: 535 wrong password")
