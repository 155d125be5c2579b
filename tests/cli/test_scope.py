"""What is watched: asked at the first start, kept, changed, and told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from calling import dife
from queue_kit import checkpoint, work_for

from dife_scanner import settings as settings_
from dife_scanner.app import scopes
from dife_scanner.cli import first_start
from dife_scanner.cli.session import Session
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.queue.poller import poll_pass
from dife_scanner.store import open_store


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    """Eight models, one of each 100 days, the first two an open_clip each."""
    with LoopbackHub(tmp_path / "hub") as running:
        for number in range(8):
            files = checkpoint(number) if number < 2 else {"model.onnx": b"x"}
            moment = datetime.now(UTC) - timedelta(days=1 + 100 * number)
            stamp = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            running.add_repo(f"org/clip-{number}", files, tags=["clip"], last_modified=stamp)
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def session(home: Path) -> Session:
    return Session(home, as_json=False, quiet=False, no_color=True, verbose=False)


def test_the_first_start_asks_and_keeps_the_answer(
    home: Path, hub: LoopbackHub, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_.load(home, endpoint=hub.endpoint)
    assert scopes.is_fresh(settings)
    answers = iter(["what?", "everything", "yesterday", "all"])
    chosen = first_start.ask(session(home), settings, lambda question, default: next(answers))
    assert chosen == {"scope": "everything", "since": "all"}
    shown = capsys.readouterr().err
    rows = [line.split() for line in shown.splitlines() if line.startswith("everything")]
    assert [row[3] if row[1] != "all" else row[2] for row in rows] == ["1", "4", "8"]
    scopes.remember(home, chosen)
    read = settings_.load(home, endpoint=hub.endpoint)
    assert (read.watch.scope, read.watch.since) == ("everything", "all")
    assert not scopes.is_fresh(read)


def test_where_nobody_can_be_asked_one_line_says_what_is_watched(
    home: Path,
    hub: LoopbackHub,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    settings = settings_.load(home, endpoint=hub.endpoint)
    assert first_start.choose(session(home), settings, {}) is False
    (line,) = capsys.readouterr().err.splitlines()
    assert "everything" in line and "--scope" in line
    assert not settings_.config_path(home).exists()


def test_a_choice_keeps_the_rest_of_the_settings_file(home: Path, tmp_path: Path) -> None:
    home.mkdir()
    path = settings_.config_path(home)
    path.write_text(settings_.template().replace("#workers = 0", "workers = 3  # mine"))
    scopes.remember(home, {"scope": "in-use", "list": [str(tmp_path / "a b.txt")]})
    assert "workers = 3  # mine" in path.read_text()
    read = settings_.load(home, watch={"since": "7"})
    assert (read.workers, read.watch.scope, read.watch.since) == (3, "in-use", "7 days")
    assert read.watch.list == (tmp_path / "a b.txt",)


@pytest.mark.parametrize("since", ["2025-13-01", "-3", "1e9 days"])
def test_a_time_that_is_none_is_named(since: str, home: Path) -> None:
    done = dife("watch", "--once", "--since", since, "--home", home)
    assert done.returncode == 64 and "watch.since" in done.stderr
    assert "correct it on the command line" in done.stderr
    assert not settings_.config_path(home).exists()


def test_a_watch_list_that_cannot_be_read_is_not_kept(home: Path, tmp_path: Path) -> None:
    done = dife("watch", "--once", "--list", tmp_path / "missing", "--home", home)
    assert done.returncode == 64 and "cannot be read as a list of models" in done.stderr
    assert not settings_.config_path(home).exists()


def test_a_plan_of_all_there_is_costs_a_page_of_each_source(home: Path, hub: LoopbackHub) -> None:
    done = dife(
        "watch", "--plan", "--since", "all", "--home", home, "--json",
        DIFE_ENDPOINT=hub.endpoint, DIFE_FILTERS="filter=clip,search=clip",
    )  # fmt: skip
    document = json.loads(done.stdout)
    assert (document["models"], document["auditable"], document["exact"]) == (8, 2, True)
    assert len(hub.seen(r"GET /api/models\?")) == 2
    assert not settings_.config_path(home).exists()


def test_a_plan_takes_the_pace_of_one_page_for_what_it_did_not_read(
    home: Path, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dife_scanner.hub.query.PAGE_SIZE", 4)
    done = dife(
        "watch", "--plan", "--since", "601 days", "--home", home, "--json",
        DIFE_ENDPOINT=hub.endpoint, DIFE_FILTERS="filter=clip",
    )  # fmt: skip
    document = json.loads(done.stdout)
    assert document["models"] == 8 and not document["exact"]  # 4 in 301 days
    assert any("at the pace" in line for line in document["assumptions"])


def test_status_queue_and_show_tell_what_is_watched(
    home: Path, hub: LoopbackHub, tmp_path: Path
) -> None:
    source = tmp_path / "train.py"
    source.write_text('x = CLIPModel.from_pretrained("org/clip-0")\nfrom_pretrained("org/none")')
    chosen = {"scope": "in-use", "since": "30 days", "list": [str(source)]}
    with open_store(home) as store:
        scopes.remember(home, chosen)
        poll_pass(store, work_for(home, hub.endpoint))
    given = {"DIFE_ENDPOINT": hub.endpoint, "DIFE_HOME": str(home)}
    status = dife("status", **given).stdout
    assert "scope: the models in use" in status and "in use: 2 models" in status
    assert "org/none (train.py:2): model org/none: no such repository" in status
    document = json.loads(dife("status", "--json", **given).stdout)
    assert document["scope"] == "in-use" and document["in_use"][0]["wanted"]["place"]
    assert "in use: train.py:1" in dife("queue", **given).stdout
    shown = dife("show", "org/clip-0", **given).stdout
    assert "The hub's own scan: no file with an issue." in shown
    document = json.loads(dife("show", "org/clip-0", "--json", **given).stdout)
    assert document["hub_scan"] == {"done": True, "files": [], "more": 0}
