"""Things that go wrong on the way, each a change to the response of requests that match.

`match` is a regular expression searched in `METHOD /path?query`. A fault strikes `times` times (`None`: until it is
healed) after letting `skip` matching requests pass. Several faults on one request apply in the order of their
injection. Every function takes the other fields of `Fault` by name and returns one.
"""

from __future__ import annotations

import gzip
import json
import re
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
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


@dataclass
class _Injected:
    """A fault in force, and how many requests it has matched."""

    fault: Fault
    matched: int = 0

    def strikes(self, request: Request) -> bool:
        """Whether it changes the response to this request, which is counted where it matches."""
        fault = self.fault
        if fault.port not in ("", request.port):
            return False
        if not re.search(fault.match, f"{request.method} {request.target}"):
            return False
        self.matched += 1
        if self.matched <= fault.skip:
            return False
        return fault.times is None or self.matched <= fault.skip + fault.times


class Faults:
    """The faults in force. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._injected: list[_Injected] = []

    def inject(self, fault: Fault) -> None:
        """Let `fault` strike from now on."""
        with self._lock:
            self._injected.append(_Injected(fault))

    def heal(self) -> None:
        """Forget every fault."""
        with self._lock:
            self._injected.clear()

    def apply(self, request: Request, response: Response) -> Response:
        """The response with every fault that strikes this request."""
        with self._lock:
            striking = [injected.fault for injected in self._injected if injected.strikes(request)]
        for fault in striking:
            response = fault.edit(request, response)
        return response


# --- the line -------------------------------------------------------------------------------------------------


def hang(
    match: str,
    seconds: float = 3600.0,
    **when: Any,
) -> Fault:
    """Silence before the first byte; ends early when the hub closes."""
    return _deliver(match, when, wait=seconds)


def drip(
    match: str,
    piece: int = 1,
    pause: float = 1.0,
    **when: Any,
) -> Fault:
    """`piece` bytes of body every `pause` seconds: no single read ever times out."""
    return _deliver(match, when, piece=piece, pause=pause)


def drop(match: str, **when: Any) -> Fault:
    """The connection ends before the status line."""
    return _deliver(match, when, cut=-1)


def truncate(match: str, after: int, **when: Any) -> Fault:
    """The announced length, `after` bytes of it, then the end of the connection."""
    return _deliver(match, when, cut=after)


# --- the contents ---------------------------------------------------------------------------------------------


def corrupt(
    match: str,
    offset: int | None = None,
    **when: Any,
) -> Fault:
    """The right size with one byte inverted, at `offset` of the file or in its middle."""

    def edit(_: Request, response: Response) -> Response:
        flip = offset
        if flip is None:
            flip = response.body.whole // 2
        return replace(response, body=replace(response.body, flip=flip))

    return Fault(match, edit, **when)


def shorten(match: str, size: int, **when: Any) -> Fault:
    """Only the first `size` bytes, announced as if that were all."""

    def edit(_: Request, response: Response) -> Response:
        length = min(size, response.body.whole)
        return replace(response, body=response.body.part(0, length))

    return Fault(match, edit, **when)


def ignore_range(match: str, **when: Any) -> Fault:
    """200 and the whole file, whatever range was requested."""

    def edit(_: Request, response: Response) -> Response:
        if response.status != 206:
            return response
        headers = dict(response.headers)
        headers.pop("Content-Range", None)
        headers.pop("Accept-Ranges", None)
        whole = response.body.part(0, response.body.whole)
        return replace(response, status=200, headers=headers, body=whole)

    return Fault(match, edit, **when)


def body(match: str, data: bytes, **when: Any) -> Fault:
    """Other bytes under the same status: a captive portal, a proxy's page, an empty answer."""

    def edit(_: Request, response: Response) -> Response:
        return replace(response, body=Body.of(data))

    return Fault(match, edit, **when)


def packed(match: str, encoding: str = "gzip", **when: Any) -> Fault:
    """The body compressed on its way, whatever the client accepts: `gzip`, `deflate`, or only called so."""

    def edit(_: Request, response: Response) -> Response:
        data = b"".join(response.body.pieces())
        if encoding in _PACKERS:
            data = _PACKERS[encoding](data)
        return replace(response, body=Body.of(data)).with_headers(Content_Encoding=encoding)

    return Fault(match, edit, **when)


_PACKERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}


def items(
    match: str,
    change: Callable[[list[dict[str, Any]]], Any],
    **when: Any,
) -> Fault:
    """Change a JSON array before it is sent; `change` returns what to send."""

    def edit(_: Request, response: Response) -> Response:
        listed = json.loads(b"".join(response.body.pieces()))
        changed = json.dumps(change(listed))
        return replace(response, body=Body.of(changed.encode()))

    return Fault(match, edit, **when)


def malformed_items(match: str = LISTING, **when: Any) -> Fault:
    """In front of every page: items without id, with a bad date, a traversal id or a bad sha, and what is no item."""
    without_id = {
        "_id": "f" * 24,
        "sha": "a" * 40,
        "lastModified": "2026-01-01T00:00:00.000Z",
    }
    bad_date = {**without_id, "_id": "e" * 24, "id": "evil/bad-date", "lastModified": "yesterday"}
    traversal = {**without_id, "_id": "d" * 24, "id": "../../evil"}
    bad_sha = {**without_id, "_id": "c" * 24, "id": "evil/bad-sha", "sha": "../../../etc/passwd"}
    malformed = [without_id, bad_date, traversal, bad_sha, "not an object"]
    return items(match, lambda listed: [*malformed, *listed], **when)


# --- status and headers ---------------------------------------------------------------------------------------


def status(
    match: str,
    code: int,
    message: str = "Service unavailable",
    **when: Any,
) -> Fault:
    """An error status, without an `X-Error-Code`: 500, 502, 503, 504, 408, 451, …"""
    return _instead(match, error(code, message), when)


def page(match: str, code: int = 200, **when: Any) -> Fault:
    """A web page of a login or a filter in front of the hub, which knows none of the hub's headers."""
    text = "<!DOCTYPE html>\n<html><head><title>Blocked</title></head><body>error</body></html>"
    blocked = Response(
        status=code, headers={"Content-Type": "text/html"}, body=Body.of(text.encode())
    )
    return _instead(match, blocked, when)


def rate_limited(
    match: str,
    seconds: int,
    *,
    retry_after: bool = False,
    as_date: bool = False,
    **when: Any,
) -> Fault:
    """429 with `RateLimit: "api";r=0;t=seconds`, or with `Retry-After` instead, in seconds or as a date."""
    limited = error(429, "We had to rate limit you. Retry later or log in to get a higher limit.")
    if as_date:
        limited = limited.with_headers(Retry_After=formatdate(time.time() + seconds, usegmt=True))
    elif retry_after:
        limited = limited.with_headers(Retry_After=str(seconds))
    else:
        limited = limited.with_headers(RateLimit=f'"api";r=0;t={seconds}')
    return _instead(match, limited, when)


def headers(
    match: str,
    values: dict[str, str],
    **when: Any,
) -> Fault:
    """Set response headers, as `{"Link": "<http://elsewhere>; rel=\\"next\\""}`."""

    def edit(_: Request, response: Response) -> Response:
        return response.with_headers(**values)

    return Fault(match, edit, **when)


def link_to(
    origin: str,
    match: str = LISTING,
    **when: Any,
) -> Fault:
    """Every page names a next one on another host."""
    return headers(match, {"Link": f'<{origin}/api/models?cursor=eA==>; rel="next"'}, **when)


def mirror_links(
    origin: str,
    match: str = LISTING,
    **when: Any,
) -> Fault:
    """Pages name their next one on another host, as a mirror does that hands on the links of the hub behind it."""

    def edit(request: Request, response: Response) -> Response:
        link = response.headers.get("Link", "")
        return response.with_headers(Link=link.replace(request.origin, origin))

    return Fault(match, edit, **when)


def link_loop(match: str = LISTING, **when: Any) -> Fault:
    """Every page names itself as the next one."""

    def edit(request: Request, response: Response) -> Response:
        return response.with_headers(Link=f'<{request.origin}{request.target}>; rel="next"')

    return Fault(match, edit, **when)


def hostile_etag(
    match: str = r"/resolve/",
    etag: str = '"../../../../evil"',
    **when: Any,
) -> Fault:
    """An ETag that is a path; `huggingface_hub` uses it as a file name."""
    return headers(match, {"ETag": etag, "X-Linked-ETag": etag}, **when)


# --- the world moves ------------------------------------------------------------------------------------------


def meanwhile(
    match: str,
    act: Callable[[], object],
    **when: Any,
) -> Fault:
    """Act once a request was answered, before the answer leaves: a push between listing and download."""

    def edit(_: Request, response: Response) -> Response:
        act()
        return response

    return Fault(match, edit, **when)


def _instead(match: str, answer: Response, when: dict[str, Any]) -> Fault:
    """Another answer than the route's."""

    def edit(_: Request, __: Response) -> Response:
        return answer

    return Fault(match, edit, **when)


def _deliver(match: str, when: dict[str, Any], **fields: Any) -> Fault:
    """The same answer, sent another way: `fields` are those of `Delivery`."""

    def edit(_: Request, response: Response) -> Response:
        delivery = replace(response.delivery, **fields)
        return replace(response, delivery=delivery)

    return Fault(match, edit, **when)
