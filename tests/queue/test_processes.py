"""Children are started by a server process, which may be killed like any other."""

from __future__ import annotations

import os
import signal
import sys
import time
from multiprocessing import forkserver
from typing import Any

import pytest

from dife_scanner.queue.children import process_context
from dife_scanner.queue.processes import start_child

SERVER: Any = forkserver._forkserver  # type: ignore[attr-defined]


def _started() -> Any:
    process = process_context().Process(target=sys.exit, args=(7,))
    start_child(process)
    return process


def _killed() -> None:
    os.kill(SERVER._forkserver_pid, signal.SIGKILL)


def test_a_child_starts_where_its_server_was_killed_before() -> None:
    _started().join()
    _killed()
    child = _started()
    child.join()
    assert child.exitcode == 7


@pytest.mark.parametrize("moment", ["before it hears of the child", "while it starts the child"])
def test_a_child_starts_where_its_server_is_killed_meanwhile(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = forkserver.connect_to_new_process
    servers = []

    def asked(descriptors: list[int]) -> Any:
        SERVER.ensure_running()
        servers.append(SERVER._forkserver_pid)
        if len(servers) > 1:
            return ask(descriptors)
        if moment.startswith("before"):
            _killed()
            return ask(descriptors)
        os.kill(servers[0], signal.SIGSTOP)
        reached = ask(descriptors)
        _killed()
        return reached

    monkeypatch.setattr(forkserver, "connect_to_new_process", asked)
    child = _started()
    child.join()
    assert child.exitcode == 7
    assert len(set(servers)) == 2


def test_a_server_that_can_never_be_asked_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(descriptors: list[int]) -> Any:
        raise ConnectionRefusedError("nobody listens")

    waited: list[float] = []
    monkeypatch.setattr(forkserver, "connect_to_new_process", lost)
    monkeypatch.setattr(time, "sleep", waited.append)
    with pytest.raises(ConnectionRefusedError):
        _started()
    assert len(waited) > 1
