"""What an error status of a hub, or of the storage behind it, means."""

from __future__ import annotations

import codecs
import json
from typing import Any

from dife_scanner.durable.clock import retry_after
from dife_scanner.errors import (
    BadToken,
    FileNotOnHub,
    HubError,
    HubUnavailable,
    RepoDisabled,
    RepoGated,
    RepoNotFound,
    RepoPrivate,
    RevisionNotFound,
)
from dife_scanner.plain import plain

CHUNK = 256 * 1024
"""Bytes read at once: enough that Python is not what limits a download, little enough to stop soon."""
TOO_MANY = 429
LONGEST_WAIT = 6 * 3600.0
"""Seconds. A longer wait is no wait that anybody means."""
ERROR_BYTES = 64 * 1024
"""Read of an error's body, which is only searched for a sentence."""
LATER = "try again later"

_BAD_TOKEN = "Invalid credentials in Authorization header"  # noqa: S105
"""How the hub distinguishes a wrong token from a repository that is not there; both are 401."""
_CHECK_NAME = "check the name; for a private repository set the secret hf-token"
_IN_BETWEEN = (
    "see in a browser what the endpoint shows: a login, filter or proxy may stand in between"
)
_RATE_CHARACTERS = 200
"""Of a header about our rate; real ones have about fifty."""
_PAGE_OPENING = 20
"""Bytes at the beginning of a page that show what it is."""
_DEFAULT_PORTS = {"http": 80, "https": 443}


class RangeRefused(HubUnavailable):
    """The rest of a file was requested and the server says there is none."""


def error_of(response: Any, what: str, endpoint: str, tools: Any) -> HubError:
    """The error that a status of 400 or more stands for; reads a little of the body.

    `what` says what was requested, `tools` is `huggingface_hub.utils`. Only what the hub says in its own form tells
    anything about a repository: a filter of the network answers for thousands of them at once.
    """
    status = response.status_code
    address = response.request.url
    if status == 416:
        return RangeRefused(f"{endpoint} has no more of {what} than what arrived before", LATER)
    if not same_origin(address, tools.httpx.URL(endpoint)):
        # A storage host knows no repositories. Its 403 says that our signed link ran out: ask the hub again.
        return HubUnavailable(
            f"{plain(address.host)} answered {status} for {what}", LATER, _wait(response, tools)
        )
    # Too early, too many, or the server's own trouble: never a reason to call a repository gone.
    if status in (408, 425, 429) or status >= 500:
        return _unavailable(response, what, endpoint, tools)
    body = read_body(response, ERROR_BYTES)[:ERROR_BYTES]
    if not _is_the_hubs(response, body):
        return _not_the_hubs(response, body, what, endpoint)
    message = response.headers.get("X-Error-Message", "")
    if status == 401 and (_BAD_TOKEN in message or _BAD_TOKEN.encode() in body):
        return BadToken(f"{endpoint} refused the access token", "check the secret hf-token")
    return _by_code(response, what, tools) or _by_status(status, what, message)


def read_body(response: Any, most: int) -> bytes:
    """The unpacked body, read on only until it is longer than `most` bytes."""
    body = bytearray()
    for chunk in response.iter_bytes(CHUNK):
        body += chunk
        if len(body) > most:
            break
    return bytes(body)


def same_origin(one: Any, other: Any) -> bool:
    """Whether two addresses have the same scheme, host and port."""
    return _origin(one) == _origin(other)


def _origin(url: Any) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or _DEFAULT_PORTS.get(url.scheme)


def is_page(response: Any, start: bytes) -> bool:
    """Whether a web page came, of a login, a filter or a proxy; `start` is what arrived of its body."""
    kind = response.headers.get("Content-Type", "").lower()
    opening = start.removeprefix(codecs.BOM_UTF8).lstrip()[:_PAGE_OPENING].lower()
    return kind.startswith("text/html") or opening.startswith((b"<!doctype html", b"<html"))


def page_instead(response: Any, what: str) -> HubUnavailable:
    """The error for a web page that came instead of `what`."""
    return HubUnavailable(
        f"{plain(response.request.url.host)} sent a web page instead of {what}", _IN_BETWEEN
    )


def _is_the_hubs(response: Any, body: bytes) -> bool:
    """Whether an error has the hub's own form: its headers, or JSON with an `error`."""
    if "X-Error-Code" in response.headers or "X-Error-Message" in response.headers:
        return True
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):  # the latter from brackets nested thousands deep
        return False
    return isinstance(said, dict) and "error" in said


def _not_the_hubs(response: Any, body: bytes, what: str, endpoint: str) -> HubUnavailable:
    status = response.status_code
    if status == 407:
        return HubUnavailable(
            f"the proxy wants a name and a password (status 407) for {what}",
            "write them into the proxy's variable: http://NAME:PASSWORD@HOST:PORT",
        )
    form = "a web page" if is_page(response, body) else "words that are not a hub's"
    return HubUnavailable(f"{endpoint} answered {status} with {form} for {what}", _IN_BETWEEN)


def _by_code(response: Any, what: str, tools: Any) -> HubError | None:
    """As the hub's own client reads it; `None` where that has no name for it.

    It gets a copy of the answer with the headers that it looks at. From the body it only makes its message, and it
    fails on one that is JSON of another shape than expected.
    """
    headers = {
        name: value for name, value in response.headers.items() if name.startswith("x-error")
    }
    copy = tools.httpx.Response(
        response.status_code, headers=headers, content=b"", request=response.request
    )
    try:
        tools.hf_raise_for_status(copy)
    except tools.GatedRepoError:  # before RepositoryNotFoundError, whose subclass it is
        return RepoGated(
            f"{what}: access is gated", "ask for it on the hub's page, then set the secret hf-token"
        )
    except tools.DisabledRepoError:
        return RepoDisabled(f"{what}: the hub has disabled the repository")
    except tools.RevisionNotFoundError:
        return RevisionNotFound(f"{what}: no such revision", "check the branch, tag or commit")
    except tools.EntryNotFoundError:
        return FileNotOnHub(f"{what}: no such file at this revision")
    except tools.RepositoryNotFoundError:
        return RepoNotFound(f"{what}: no such repository, or a private one", _CHECK_NAME)
    except tools.HfHubHTTPError:
        return None
    return None


def _by_status(status: int, what: str, message: str) -> HubError:
    """What a status means for which the hub gave no code of its own."""
    # Without a code, the hub's client calls a 401 a missing repository on https:// only; the same holds on http://.
    if status in (401, 404):
        return RepoNotFound(f"{what}: no such repository, or a private one", _CHECK_NAME)
    if status == 403:
        return RepoPrivate(
            f"{what}: the hub forbids access", "check what the secret hf-token is allowed to read"
        )
    if status == 451:
        return RepoDisabled(f"{what}: withheld by the hub for legal reasons")
    detail = f": {plain(message)}" if message else ""
    return HubError(f"the hub answered {status} for {what}{detail}")


def _unavailable(response: Any, what: str, endpoint: str, tools: Any) -> HubUnavailable:
    wait = _wait(response, tools)
    if response.status_code != TOO_MANY:
        return HubUnavailable(f"{endpoint} answered {response.status_code} for {what}", LATER, wait)
    return rate_limited(endpoint, what, wait)


def rate_limited(endpoint: str, what: str, wait: float | None) -> HubUnavailable:
    """The hub has no requests left for us, for so many seconds where that is known."""
    duration = "" if wait is None else f" for {wait:g} s"
    return HubUnavailable(
        f"{endpoint} limits our rate{duration} ({what})",
        "wait, or set the secret hf-token",
        wait,
    )


def stated_rate(response: Any, tools: Any) -> Any:
    """What `RateLimit` and `RateLimit-Policy` say, read by the hub's own client; `None` where they say nothing.

    Its numbers may have any length, and Python reads none of thousands of digits.
    """
    stated = (response.headers.get(name, "") for name in ("RateLimit", "RateLimit-Policy"))
    if any(len(text) > _RATE_CHARACTERS for text in stated):
        return None
    return tools.parse_ratelimit_headers(response.headers)


def _wait(response: Any, tools: Any) -> float | None:
    """Seconds that the hub requires us to wait: `RateLimit` when it is used up, else `Retry-After`.

    One more than it says, as both are rounded, and `LONGEST_WAIT` at most.
    """
    rate = stated_rate(response, tools)
    if response.status_code == TOO_MANY and rate is not None and rate.remaining == 0:
        seconds: float | None = float(rate.reset_in_seconds)
    else:
        seconds = retry_after(
            response.headers.get("Retry-After", ""), response.headers.get("Date", "")
        )
    if seconds is None:
        return None
    return min(seconds + 1.0, LONGEST_WAIT)
