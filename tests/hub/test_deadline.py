from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest
from waiting import BUSY_SECONDS

from dife_scanner.errors import HubUnavailable
from dife_scanner.hub import Deadline, Hub


def test_a_deadline_counts_down_and_stays_at_zero() -> None:
    moment = [10.0]
    deadline = Deadline(5, clock=lambda: moment[0])
    assert (deadline.remaining, deadline.passed) == (5.0, False)
    assert deadline.sooner(60) is deadline
    assert deadline.sooner(2).remaining == 2.0
    moment[0] = 16
    assert (deadline.remaining, deadline.passed) == (0.0, True)
    assert Deadline().remaining == float("inf")


def _drip_headers(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        connection.sendall(b"a")
        time.sleep(0.05)


def _drip_body(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b"[")
        time.sleep(0.05)


@pytest.mark.parametrize("talk", [_drip_headers, _drip_body])
def test_an_answer_that_drips_is_cut_by_the_clock_although_no_read_is_late(
    talk: Callable[[socket.socket], None],
    raw_server: Callable[..., str],
    connect: Callable[..., Hub],
) -> None:
    hub = connect(endpoint=raw_server(talk), tries=1, request_seconds=0.2)
    began = time.monotonic()
    with pytest.raises(HubUnavailable, match=r"gave no answer in 0\.3 s"):
        hub.info("org/clip", deadline=Deadline(0.3))
    assert 0.2 < time.monotonic() - began < BUSY_SECONDS
    began = time.monotonic()
    with pytest.raises(HubUnavailable, match=r"gave no answer in 0\.6 s"):
        hub.info("org/clip")  # three times request_seconds, without any deadline given
    assert 0.5 < time.monotonic() - began < BUSY_SECONDS


def test_the_shared_session_of_huggingface_hub_never_waits_without_limit(hub: Hub) -> None:
    from dife_scanner.hub.session import session as shared

    session = shared()
    request = session.build_request("GET", hub.endpoint, timeout=None)
    for hook in session.event_hooks["request"]:
        hook(request)
    assert request.extensions["timeout"]["read"] == 20.0
