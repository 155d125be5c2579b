"""Things that go wrong on the way, each a change to the response of requests that match.

`match` is a regular expression searched in `METHOD /path?query`. A fault strikes `times` times (`None`: until it is
healed) after letting `skip` matching requests pass. Several faults on one request apply in the
order of their injection.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from dife_scanner.lab.loopback.messages import Body, Request, Response, error

LISTING = r"GET /api/models($|\?)"
"""Matches every page of a listing."""

Edit = Callable[[Request, Response], Response]


@dataclass(frozen=True)
class Fault:
    """One injected fault; make it with a function of this module, or with any `edit` of your own."""

    match: str
    edit: Edit
    times: int | None = 1
    skip: int = 0
    port: str = ""
    """`hub`, `cdn`, or empty for both."""


class Faults:
    """The faults in force, and how often each has struck. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[tuple[Fault, list[int]]] = []

    def inject(self, fault: Fault) -> None:
        with self._lock:
            self._armed.append((fault, [0]))

    def heal(self) -> None:
        """Forget every fault."""
        with self._lock:
            self._armed.clear()

    def apply(self, request: Request, response: Response) -> Response:
        for fault in self._striking(request):
            response = fault.edit(request, response)
        return response

    def _striking(self, request: Request) -> list[Fault]:
        line = f"{request.method} {request.target}"
        striking = []
        with self._lock:
            for fault, count in self._armed:
                if fault.port not in ("", request.port) or not re.search(fault.match, line):
                    continue
                count[0] += 1
                if count[0] > fault.skip and (fault.times is None or count[0] <= fault.skip + fault.times):
                    striking.append(fault)
        return striking


# --- the line -------------------------------------------------------------------------------------------------


def hang(match: str, seconds: float = 3600.0, **when: Any) -> Fault:
    """Silence before the first byte; ends early when the hub closes."""
    return _deliver(match, when, wait=seconds)


def drip(match: str, piece: int = 1, pause: float = 1.0, **when: Any) -> Fault:
    """`piece` bytes of body every `pause` seconds: no single read ever times out."""
    return _deliver(match, when, piece=piece, pause=pause)


def drop(match: str, **when: Any) -> Fault:
    """The connection ends before the status line."""
    return _deliver(match, when, cut=-1)


def truncate(match: str, after: int, **when: Any) -> Fault:
    """The announced length, `after` bytes of it, then the end of the connection."""
    return _deliver(match, when, cut=after)


# --- the contents ---------------------------------------------------------------------------------------------


def corrupt(match: str, offset: int | None = None, **when: Any) -> Fault:
    """The right size with one byte inverted, at `offset` of the file or in its middle."""

    def edit(_: Request, response: Response) -> Response:
        at = response.body.whole // 2 if offset is None else offset
        return replace(response, body=replace(response.body, flip=at))

    return Fault(match, edit, **when)


def shorten(match: str, size: int, **when: Any) -> Fault:
    """Only the first `size` bytes, announced as if that were all."""

    def edit(_: Request, response: Response) -> Response:
        return replace(response, body=response.body.part(0, min(size, response.body.whole)))

    return Fault(match, edit, **when)


def ignore_range(match: str, **when: Any) -> Fault:
    """200 and the whole file, whatever range was asked for."""

    def edit(_: Request, response: Response) -> Response:
        if response.status != 206:
            return response
        headers = {k: v for k, v in response.headers.items() if k not in ("Content-Range", "Accept-Ranges")}
        return replace(response, status=200, headers=headers, body=response.body.part(0, response.body.whole))

    return Fault(match, edit, **when)


def body(match: str, data: bytes, **when: Any) -> Fault:
    """Other bytes under the same status: a captive portal, a proxy's page, an empty answer."""
    return Fault(match, lambda _, response: replace(response, body=Body.of(data)), **when)


def items(match: str, edit: Callable[[list[dict[str, Any]]], Any], **when: Any) -> Fault:
    """Change a JSON array before it is sent; `edit` returns what to send."""

    def change(_: Request, response: Response) -> Response:
        data = b"".join(response.body.pieces())
        return replace(response, body=Body.of(json.dumps(edit(json.loads(data))).encode()))

    return Fault(match, change, **when)


def malformed_items(match: str = LISTING, **when: Any) -> Fault:
    """In front of every page: an item without id, one with a bad date, one with a traversal id, and no item at all."""
    sha, date = "a" * 40, "2026-01-01T00:00:00.000Z"
    bad = [
        {"_id": "f" * 24, "sha": sha, "lastModified": date},
        {"_id": "e" * 24, "id": "evil/bad-date", "sha": sha, "lastModified": "yesterday"},
        {"_id": "d" * 24, "id": "../../evil", "sha": sha, "lastModified": date},
        {"_id": "c" * 24, "id": "evil/bad-sha", "sha": "../../../etc/passwd", "lastModified": date},
        "not an object",
    ]
    return items(match, lambda listed: [*bad, *listed], **when)


# --- status and headers ---------------------------------------------------------------------------------------


def status(match: str, code: int, message: str = "Service unavailable", **when: Any) -> Fault:
    """An error status, without an `X-Error-Code`: 500, 502, 503, 504, 408, 451, …"""
    return Fault(match, lambda _, __: error(code, message), **when)


def rate_limited(match: str, seconds: int, *, retry_after: bool = False, **when: Any) -> Fault:
    """429 with `RateLimit: "api";r=0;t=seconds`, or with `Retry-After` instead."""
    name, value = ("Retry-After", str(seconds)) if retry_after else ("RateLimit", f'"api";r=0;t={seconds}')
    limited = error(429, "We had to rate limit you. Retry later or log in to get a higher limit.")
    return Fault(match, lambda _, __: limited.with_headers(**{name: value}), **when)


def headers(match: str, values: dict[str, str], **when: Any) -> Fault:
    """Set response headers, as `{"Link": "<http://elsewhere>; rel=\\"next\\""}`."""
    return Fault(match, lambda _, response: response.with_headers(**values), **when)


def link_to(origin: str, match: str = LISTING, **when: Any) -> Fault:
    """Every page names a next one on another host."""
    return headers(match, {"Link": f'<{origin}/api/models?cursor=eA==>; rel="next"'}, **when)


def link_loop(match: str = LISTING, **when: Any) -> Fault:
    """Every page names itself as the next one."""

    def edit(request: Request, response: Response) -> Response:
        return response.with_headers(Link=f'<{request.origin}{request.target}>; rel="next"')

    return Fault(match, edit, **when)


def hostile_etag(match: str = r"/resolve/", etag: str = '"../../../../evil"', **when: Any) -> Fault:
    """An ETag that is a path; `huggingface_hub` uses it as a file name."""
    return headers(match, {"ETag": etag, "X-Linked-ETag": etag}, **when)


# --- the world moves ------------------------------------------------------------------------------------------


def meanwhile(match: str, act: Callable[[], object], **when: Any) -> Fault:
    """Act once a request was answered, before the answer leaves: a push between listing and download."""

    def edit(_: Request, response: Response) -> Response:
        act()
        return response

    return Fault(match, edit, **when)


def _deliver(match: str, when: dict[str, Any], **fields: Any) -> Fault:
    def edit(_: Request, response: Response) -> Response:
        return replace(response, delivery=replace(response.delivery, **fields))

    return Fault(match, edit, **when)
