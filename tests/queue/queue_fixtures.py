"""A home, its open store, and a hub on this machine: fixtures for every folder of tests that works through a queue."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path

import pytest

from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.store import Store, open_store


@pytest.fixture(scope="module")
def audit_server() -> Iterator[None]:
    """Audits that are started in this process come from one new server with what the first of them needs.

    A server that was started for the double lacks torch, and every real audit would load it for itself.
    """
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    yield
    forkserver._forkserver._stop()  # type: ignore[attr-defined]


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
