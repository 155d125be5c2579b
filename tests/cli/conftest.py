"""One server process for the audits of one file, with the product's own imports in it."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing import forkserver

import pytest
from queue_fixtures import home, hub

__all__ = ["home", "hub"]


@pytest.fixture(scope="module")
def audit_server() -> Iterator[None]:
    """Audits that commands start in this process come from a server with what they need, whoever ran before."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    yield
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
