"""Parts of a large file, its header first, without the rest."""

from __future__ import annotations

from dife_scanner.errors import HubUnavailable
from dife_scanner.hub.deadline import Deadline
from dife_scanner.hub.part import continues
from dife_scanner.hub.status import read_body
from dife_scanner.hub.wire import Wire


def read_start(wire: Wire, url: str, what: str, most: int, deadline: Deadline) -> bytes:
    """The first `most` bytes at `url`; empty where the server does not send them.

    A server without ranges answers with the whole file: the connection is closed once there is enough of it. Nothing
    is verified. One try, and whatever the network does is no error: whoever needs the file downloads it. Raises the
    errors of access.
    """
    try:
        with wire.open(
            url, None, what, deadline, headers=_range(0, most), elsewhere=True
        ) as response:
            if response.status_code == 206 and not continues(response, 0):
                return b""
            return read_body(response, most)[:most]
    except HubUnavailable:
        return b""


def read_part(
    wire: Wire, url: str, what: str, start: int, length: int, deadline: Deadline
) -> bytes:
    """`length` bytes at `url` from `start` on; empty where the server sends anything else.

    A server without ranges would send everything that stands before: its answer is not read. Nothing is verified.
    Raises `HubUnavailable` and the errors of access.
    """
    headers = _range(start, length)
    with wire.open(url, None, what, deadline, headers=headers, elsewhere=True) as response:
        if not continues(response, start):
            return b""
        body = read_body(response, length)
    return body if len(body) == length else b""


def _range(start: int, length: int) -> dict[str, str]:
    return {"Accept-Encoding": "identity", "Range": f"bytes={start}-{start + length - 1}"}
