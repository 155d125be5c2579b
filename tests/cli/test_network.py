"""What stands between a command and its hub: proxies, certificates, mirrors, filters. One line, the right exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import calling
import pytest

from dife_scanner.hub.session import tools
from dife_scanner.lab.loopback import LoopbackHub, faults

BRIEF = {"DIFE_LIMITS__REQUEST_SECONDS": "1", "DIFE_FILTERS": '["filter=clip"]'}
dife, process = partial(calling.dife, **BRIEF), partial(calling.process, **BRIEF)
SOCKS = {"ALL_PROXY": "socks://127.0.0.1:7890"}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    """A hub with five models, none of which is fetched: they hold pickles only."""
    with LoopbackHub(tmp_path / "hub") as running:
        for i in range(5):
            running.add_repo(f"lab/clip-{i}", {"pytorch_model.bin": b"x"}, tags=["clip"])
        yield running


@pytest.mark.parametrize(
    "command",
    [("scan", "lab/clip-0"), ("scan", "lab/clip-0", "--plan"), ("watch", "--plan")],
)
def test_a_proxy_nobody_can_use_is_one_line_and_no_verdict(
    command: tuple[str, ...], hub: LoopbackHub, tmp_path: Path
) -> None:
    tools().close_session()
    done = dife(*command, "--endpoint", hub.endpoint, "--home", tmp_path / "home", **SOCKS)
    assert done.returncode == 3
    assert "variable ALL_PROXY names a proxy" in done.stderr and "unset ALL_PROXY" in done.stderr


def test_a_pass_says_why_it_could_not_be_made_or_is_not_complete(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    watch = ("watch", "--once", "--endpoint", hub.endpoint, "--home", tmp_path / "home")
    done = process(*watch, **SOCKS)
    assert done.returncode == 3 and "variable ALL_PROXY names a proxy" in done.stderr

    done = dife(*watch)  # once it is gone
    assert done.returncode == 2 and "5 models seen, 5 new" in done.stderr  # none has a verdict
    assert "lab/clip-4" in done.stdout

    hub.inject(faults.link_to("https://official.example", times=None))
    done = dife(*watch, "--quiet")
    assert done.returncode == 2 and "not complete: filter=clip" in done.stderr
    assert "Nothing new: 5 models seen" in done.stdout

    hub.heal()
    hub.inject(faults.mirror_links("https://official.example", times=None))
    done = dife(*watch, "--json")
    assert done.returncode == 0
    told = [json.loads(line)["message"] for line in done.stdout.splitlines()]
    assert "5 models seen, 0 new, 0 malformed" in told


def test_a_filter_in_front_of_the_hub_is_not_the_hubs_word(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    tools().close_session()
    hub.inject(faults.page("GET /api/models/", 403, times=None))
    done = dife("scan", "lab/clip-0", "--endpoint", hub.endpoint, "--home", tmp_path / "home")
    assert done.returncode == 3 and "answered 403 with a web page" in done.stderr
