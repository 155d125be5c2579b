"""`dife doctor`: what is needed, how it stands, what to do, and no secret in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import calling
import pytest
from desk_kit import said

from dife_scanner.app import doctor_hub
from dife_scanner.lab.loopback import LoopbackHub, faults
from dife_scanner.store import open_store

SECRET = "xoxb-1234567890-planted"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    with LoopbackHub(tmp_path / "hub") as running:
        yield running


def by_name(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"{line['part']}/{line['what']}": line for line in document["lines"]}


def settings_in(home: Path, text: str) -> None:
    open_store(home).close()
    (home / "config.toml").write_text(text)


def test_a_home_that_is_well_has_no_problem(hub: LoopbackHub, tmp_path: Path) -> None:
    home = tmp_path / "home"
    settings_in(home, f'endpoint = "{hub.endpoint}"\n[disk]\nfree_bytes = 0\n')
    found = said(home, "doctor")
    lines = by_name(found)
    assert found["problems"] == 0
    for name in (
        "store/schema",
        "store/integrity",
        "endpoint/endpoint",
        "clock/clock",
        "disk/room",
    ):
        assert lines[name]["state"] == "ok", lines[name]
    assert lines["channels/channels"]["state"] == "warning"


def test_each_thing_that_is_wrong_has_a_line_with_what_to_do(tmp_path: Path) -> None:
    home = tmp_path / "home"
    settings_in(
        home,
        'endpoint = "http://127.0.0.1:9"\ndevice = "cuda:77"\n[disk]\nfree_bytes = 1000000000000000\n'
        "[alerts.slack]\nenabled = true\n",
    )
    lines = by_name(said(home, "doctor", code=1))
    wrong = {name for name, line in lines.items() if line["state"] == "problem"}
    assert wrong == {"environment/device", "endpoint/endpoint", "channels/slack", "disk/room"}
    assert all(lines[name]["next"] for name in wrong)


def test_no_secret_is_shown(hub: LoopbackHub, tmp_path: Path) -> None:
    home = tmp_path / "home"
    settings_in(
        home, f'endpoint = "{hub.endpoint}"\n[alerts.slack]\nenabled = true\nchannel = "C0123ABC"\n'
    )
    for name in ("slack-token", "hf-token"):
        path = home / "secrets" / name
        path.touch(mode=0o600)
        path.write_text(SECRET)
    done = calling.dife(
        "--home", home, "doctor", HTTPS_PROXY="http://me:" + SECRET + "@proxy.example"
    )
    assert SECRET not in done.stdout + done.stderr
    assert "slack-token from" in done.stdout and "HTTPS_PROXY" in done.stdout


def test_a_token_is_accepted_or_a_problem(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with LoopbackHub(tmp_path / "hub", tokens={SECRET: "*"}) as hub:
        settings_in(home, f'endpoint = "{hub.endpoint}"\n[disk]\nfree_bytes = 0\n')
        path = home / "secrets" / "hf-token"
        path.touch(mode=0o600)
        path.write_text(SECRET)
        assert by_name(said(home, "doctor"))["endpoint/token"]["said"].startswith("accepted; from")
        path.write_text("hf_of_somebody_else")
        line = by_name(said(home, "doctor", code=1))["endpoint/token"]
    assert line["state"] == "problem" and line["next"]


def test_a_page_in_the_place_of_the_hub_is_a_problem(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.inject(faults.page("GET /api/models", 200, times=None))
    settings_in(tmp_path, f'endpoint = "{hub.endpoint}"\n')
    line = by_name(said(tmp_path, "doctor", code=1))["endpoint/endpoint"]
    assert line["state"] == "problem" and "web page" in line["said"]


def test_settings_that_cannot_be_read_are_named_and_the_rest_is_not_checked(tmp_path: Path) -> None:
    home = tmp_path / "home"
    settings_in(home, "workers = -1\n")
    lines = by_name(said(home, "doctor", code=1))
    assert lines["settings/config.toml"]["state"] == "problem"
    assert lines["store/store"]["state"] == "not-checked"


def test_a_damaged_database_is_a_problem(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dife.db").write_bytes(b"no database " * 1000)
    lines = by_name(said(home, "doctor", "--offline", code=1))
    assert lines["store/database"]["state"] == "problem"
    assert lines["endpoint/endpoint"]["state"] == lines["clock/clock"]["state"] == "not-checked"


def test_looking_makes_no_home(tmp_path: Path) -> None:
    calling.dife("--home", tmp_path / "none", "doctor", "--offline")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("at", "state", "words"),
    [
        ("2026-12-02T10:00:01.000000+00:00", "ok", "to the second"),
        ("2026-12-02T10:00:40.000000+00:00", "warning", "ahead of"),
        ("2026-12-02T09:00:00.000000+00:00", "problem", "3,598 s behind"),
    ],
)
def test_the_clock_is_compared_with_the_hubs(at: str, state: str, words: str) -> None:
    line = doctor_hub.clock("Wed, 02 Dec 2026 10:00:00 GMT", at, 1.0)
    assert line.state == state and words in line.said
    assert bool(line.next) == (state != "ok")


@pytest.mark.parametrize("date", ["", "yesterday", "x" * 5000])
def test_what_is_no_date_says_nothing_of_the_clock(date: str) -> None:
    line = doctor_hub.clock(date, "2026-12-02T10:00:00.000000+00:00", 0.1)
    assert line.state == "not-checked"
