"""Requests and responses as values: routes make them, faults change them, the server sends them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

CHUNK = 1 << 18
"""Bytes sent at once."""


@dataclass(frozen=True)
class Request:
    """One request as it was received."""

    method: str
    path: str
    """As sent, still percent-encoded, without the query."""
    query: Mapping[str, tuple[str, ...]]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = b""
    port: str = "hub"
    """`hub` or `cdn`."""
    target: str = ""
    """Path and query as sent: what faults are matched against, after the method."""
    origin: str = ""
    """`http://127.0.0.1:PORT` of the port that received the request."""

    def one(self, name: str, default: str = "") -> str:
        """A parameter of the query; the last one where it stands more than once."""
        return self.query.get(name, (default,))[-1]

    def flag(self, name: str) -> bool:
        """Whether a parameter is `true`."""
        return self.one(name).lower() in ("true", "1")

    def many(self, name: str) -> tuple[str, ...]:
        """Every value of a parameter, in both ways that clients write a list."""
        return self.query.get(name, ()) + self.query.get(f"{name}[]", ())


@dataclass(frozen=True)
class Body:
    """Bytes, or a slice of a file that is never loaded whole."""

    data: bytes = b""
    path: Path | None = None
    start: int = 0
    length: int = 0
    whole: int = 0
    """Size of what this is a slice of."""
    flip: int | None = None
    """Offset in the whole of one byte to send inverted."""

    @classmethod
    def of(cls, data: bytes) -> Body:
        """All of `data`."""
        return cls(data=data, length=len(data), whole=len(data))

    @classmethod
    def file(cls, path: Path, size: int) -> Body:
        """All of a file of `size` bytes."""
        return cls(path=path, length=size, whole=size)

    def part(self, start: int, length: int) -> Body:
        """`length` bytes of the whole from `start` on."""
        return replace(self, start=start, length=length)

    def pieces(self, size: int = CHUNK) -> Iterator[bytes]:
        """The body in order, in pieces of at most `size` bytes."""
        end = self.start + self.length
        if self.path is None:
            for offset in range(self.start, end, size):
                piece = self.data[offset : min(offset + size, end)]
                yield self._flipped(piece, offset)
            return
        with self.path.open("rb") as stream:
            stream.seek(self.start)
            offset = self.start
            while offset < end:
                piece = stream.read(min(size, end - offset))
                if not piece:  # the file is shorter than it was
                    return
                yield self._flipped(piece, offset)
                offset += len(piece)

    def _flipped(self, piece: bytes, offset: int) -> bytes:
        """`piece`, which stands at `offset`, with the byte inverted that is to be."""
        if self.flip is None or not offset <= self.flip < offset + len(piece):
            return piece
        changed = bytearray(piece)
        changed[self.flip - offset] ^= 0xFF
        return bytes(changed)


@dataclass(frozen=True)
class Delivery:
    """How a response leaves: the place where faults of the line, not of the content, are described."""

    wait: float = 0.0
    """Seconds of silence before the first byte."""
    piece: int = CHUNK
    pause: float = 0.0
    """Seconds between pieces of `piece` bytes."""
    cut: int | None = None
    """Close the connection after so many bytes of body; `-1`: before the status line."""


@dataclass(frozen=True)
class Response:
    """What a route answers."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = field(default_factory=Body)
    delivery: Delivery = field(default_factory=Delivery)

    def with_headers(self, **headers: str) -> Response:
        """Set headers; `_` in names stands for `-`."""
        changed = dict(self.headers)
        for name, value in headers.items():
            changed[name.replace("_", "-")] = value
        return replace(self, headers=changed)


def as_json(value: Any, **headers: str) -> Response:
    """A 200 with `value` as JSON."""
    data = json.dumps(value, separators=(",", ":")).encode()
    response = Response(
        status=200,
        headers={"Content-Type": "application/json; charset=utf-8"},
        body=Body.of(data),
    )
    return response.with_headers(**headers)


def error(status: int, message: str, code: str = "") -> Response:
    """An error the way the Hub words it: body, `X-Error-Message` and, where there is one, `X-Error-Code`."""
    # A revision, which the message quotes, may hold line breaks or anything.
    printable = re.sub(r"[^ -~]", "?", message)
    response = as_json({"error": message}, X_Error_Message=printable)
    response = replace(response, status=status)
    if not code:
        return response
    return response.with_headers(X_Error_Code=code)


def redirect(status: int, location: str, **headers: str) -> Response:
    """A redirect with the text that the Hub sends along."""
    text = f"{HTTPStatus(status).phrase}. Redirecting to {location}"
    response = Response(
        status=status,
        headers={"Content-Type": "text/plain", "Location": location},
        body=Body.of(text.encode()),
    )
    return response.with_headers(**headers)


def ranged(request: Request, response: Response) -> Response:
    """Answer a `Range: bytes=a-b`, `a-` or `-n` header with 206 or 416; anything else leaves the whole body."""
    response = response.with_headers(Accept_Ranges="bytes")
    size = response.body.whole
    span = _span(request.headers.get("range", ""), size)
    if span is None:
        return response
    first, last = span
    if first > last or first >= size:
        return error(416, "Range Not Satisfiable").with_headers(Content_Range=f"bytes */{size}")
    body = response.body.part(first, last - first + 1)
    part = replace(response, status=206, body=body)
    return part.with_headers(Content_Range=f"bytes {first}-{last}/{size}")


def _span(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte that a `Range` requests; `None` where it requests nothing that we understand."""
    unit, _, spec = header.partition("=")
    first, dash, last = spec.strip().partition("-")
    if unit.strip() != "bytes" or not dash or not (first + last).isdecimal():
        return None
    if not first:
        return max(0, size - int(last)), size - 1
    if not last:
        return int(first), size - 1
    return int(first), min(int(last), size - 1)
