"""A home, its open store, and a hub on this machine: fixtures for every folder of tests that works through a queue."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest
import queue_kit

from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.models import sandbox
from dife_scanner.store import Store, open_store

_in_a_child = sandbox._ask
_of_real_audits: dict[str, Any] = {}
"""The state of their server, once there was one."""


@pytest.fixture(scope="module")
def audit_server() -> Iterator[None]:
    """Audits that are started in this process come from one server with what the first of them needs.

    The server that starts the double lacks torch, and every real audit would load it for itself. This one stays for
    the next module that asks for it.
    """
    state = vars(forkserver._forkserver)  # type: ignore[attr-defined]
    doubles = dict(state)
    state.update(_of_real_audits or vars(forkserver.ForkServer()))
    yield
    _of_real_audits.update(state)
    state.update(doubles)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    with open_store(home) as opened:
        yield opened


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    with LoopbackHub(tmp_path / "hub") as serving:
        yield serving


@pytest.fixture
def read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read in this process, where the limited child that reads them otherwise is not what is tested."""
    monkeypatch.setattr(sandbox, "_ask", queue_kit.read_here)


@pytest.fixture(autouse=True)
def read_here_as_a_rule(read_here: None) -> None:
    """In the rooms that import this fixture, but for tests that ask for `limited_child`."""


@pytest.fixture
def limited_child(read_here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read by a limited child after all."""
    monkeypatch.setattr(sandbox, "_ask", _in_a_child)
