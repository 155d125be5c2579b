"""One GET with every limit on it: time, size, retries, redirects, and where the token may go.

Knows HTTP and the hub's error codes, not what is asked for. huggingface_hub's tools are handed in by `client.py`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import dife_scanner
from dife_scanner.core.plain import plain
from dife_scanner.errors import (
    BadToken,
    FileNotOnHub,
    HubError,
    HubUnavailable,
    LimitExceeded,
    RepoDisabled,
    RepoGated,
    RepoNotFound,
    RepoPrivate,
    RevisionNotFound,
)
from dife_scanner.hub.deadline import Deadline, enforced

Params = list[tuple[str, str]]

CHUNK = 256 * 1024
ANSWER_BYTES = 64 * 1024**2
ERROR_BYTES = 64 * 1024
MAX_REDIRECTS = 5
LONGEST_BACKOFF = 8.0
"""Seconds between tries where the hub does not say how long."""
WORTH_BYTES = 1024**2
"""What a try has to bring for the next failure to count as the first one again."""

_PACKED = {"Accept-Encoding": "gzip"}  # others, or several at once, can grow a network read to gigabytes
_BAD_TOKEN = "Invalid credentials in Authorization header"  # noqa: S105
_CHECK_NAME = "check the name; for a private repository set the secret hf-token"
_LATER = "try again later"
_T = TypeVar("_T")


class RangeRefused(HubUnavailable):
    """The rest of a file was asked for and the server says there is none."""


@dataclass(frozen=True)
class RateLimit:
    """What the hub last said about its own limits."""

    bucket: str
    remaining: int
    resets_in: int
    """Seconds."""
    quota: int | None
    window: int | None
    """Seconds."""


class Wire:
    """All traffic with one endpoint. `session` gives an httpx client, `tools` is `huggingface_hub.utils`."""

    def __init__(
        self,
        endpoint: str,
        token: str | None,
        session: Callable[[], Any],
        tools: Any,
        *,
        request_seconds: float,
        patience_seconds: float,
        tries: int,
        pause: Callable[[float], object],
    ) -> None:
        self.endpoint = endpoint
        self.requests = 0
        self.answers = 0
        self.rate: RateLimit | None = None
        self._token = token
        self._session = session
        self._tools = tools
        self._request_seconds = request_seconds
        self._patience_seconds = patience_seconds
        self._tries = tries
        self._pause = pause

    def paged(self, url: str, params: Params, what: str, deadline: Deadline, *, most: int) -> Iterator[list[object]]:
        """Lists, following `Link: rel="next"` as long as it stays on this hub and leads somewhere new."""
        visited: set[str] = set()
        given: Params | None = params
        for _ in range(most):
            raw, here, link = self.json(url, given, what, deadline)
            if not isinstance(raw, list):
                raise HubError(f"{self.endpoint} answered with something else than a list for {what}")
            yield raw
            if not link:
                return
            url, given = self._next_page(here, link, what), None
            if url in visited:
                raise HubError(f"{self.endpoint} leads in circles in {what}")
            visited.add(url)
        raise LimitExceeded(f"{what} has more than {most} pages", "narrow the filter or the time it looks back")

    def json(self, url: str, params: Params | None, what: str, deadline: Deadline) -> tuple[Any, Any, str]:
        """One complete JSON answer, the address it came from, and what it says is the next page (or nothing)."""

        def attempt() -> tuple[bytes, Any, str]:
            with self.open(url, params, what, deadline.sooner(3 * self._request_seconds)) as response:
                body = _read(response, ANSWER_BYTES)
                if len(body) > ANSWER_BYTES:
                    raise LimitExceeded(f"the answer of {self.endpoint} for {what} is larger than {ANSWER_BYTES} bytes")
                return body, response.url, response.links.get("next", {}).get("url", "")

        body, here, link = self.retrying(attempt, deadline)
        try:
            return json.loads(body), here, link
        except (ValueError, RecursionError) as error:
            raise HubUnavailable(
                f"{self.endpoint} did not answer with JSON for {what}", "check that the endpoint is a hub"
            ) from error

    def retrying(self, attempt: Callable[[], _T], deadline: Deadline, progress: Callable[[], int] = lambda: 0) -> _T:
        """Repeat `attempt` after transient errors while the wait is bearable; `progress` in bytes."""
        failures, had = 0, progress()
        while True:
            try:
                return attempt()
            except HubUnavailable as error:
                failures = 1 if progress() >= had + WORTH_BYTES else failures + 1
                had = progress()
                wait = _backoff(failures) if error.retry_after is None else error.retry_after
                if failures >= self._tries or wait > self._patience_seconds or wait >= deadline.remaining:
                    raise
            self._pause(wait)

    @contextmanager
    def open(
        self,
        url: str,
        params: Params | None,
        what: str,
        deadline: Deadline,
        *,
        headers: dict[str, str] | None = None,
        elsewhere: bool = False,
    ) -> Iterator[Any]:
        """A successful answer, to be streamed inside. Errors of status, network and time become ours there too.

        Redirects to another host are followed only with `elsewhere`, without the token, never from https to http.
        """
        httpx = self._tools.httpx
        try:
            with enforced(deadline):
                response = self._follow(
                    httpx.URL(url, params=params) if params else httpx.URL(url), what, headers, elsewhere
                )
                try:
                    if response.headers.get("Content-Encoding", "identity").lower() not in ("gzip", "identity"):
                        raise HubError(f"{self.endpoint} packs its answer for {what} in a way that was not asked for")
                    if response.status_code >= 400:
                        raise self._error(response, what)
                    yield response
                finally:
                    response.close()
        except httpx.TimeoutException as error:
            seconds = deadline.seconds if deadline.passed else self._request_seconds
            raise HubUnavailable(f"{self.endpoint} gave no answer in {seconds:g} s for {what}", _LATER) from error
        except httpx.ConnectError as error:
            raise HubUnavailable(
                f"{self.endpoint} cannot be reached: {plain(str(error))}", "check the endpoint and the network"
            ) from error
        except httpx.RequestError as error:
            raise HubUnavailable(f"the connection to {self.endpoint} broke during {what}", _LATER) from error

    # --- where to -----------------------------------------------------------------------------------------------

    def _follow(self, target: Any, what: str, headers: dict[str, str] | None, elsewhere: bool) -> Any:
        session = self._session()
        for _ in range(MAX_REDIRECTS + 1):
            request = session.build_request(
                "GET", target, headers=self._headers(target) | (headers or _PACKED), timeout=self._request_seconds
            )
            self.requests += 1
            response = session.send(request, stream=True, follow_redirects=False)
            self.answers += 1
            if self._is_home(target):
                self._note_rate(response)
            if not response.has_redirect_location:
                return response
            response.close()
            target = self._redirected(target, response.headers["Location"], what, elsewhere)
        raise HubError(f"{self.endpoint} redirects without end for {what}")

    def _headers(self, target: Any) -> dict[str, str]:
        """Those of huggingface_hub, with the token only for the endpoint itself."""
        token = self._token if self._token and self._is_home(target) else False
        headers: dict[str, str] = self._tools.build_hf_headers(
            token=token, library_name="dife-scanner", library_version=dife_scanner.__version__
        )
        return headers

    def _redirected(self, here: Any, location: str, what: str, elsewhere: bool) -> Any:
        target = self._joined(here, location, f"redirects {what}")
        if (here.scheme, target.scheme) == ("https", "http"):
            raise HubError(f"{self.endpoint} redirects {what} to an address without encryption: not followed")
        if not elsewhere and not self._is_home(target):
            raise HubError(f"{self.endpoint} redirects {what} to another host, {plain(target.host)}: not followed")
        return target

    def _next_page(self, here: Any, link: str, what: str) -> str:
        target = self._joined(here, link, f"continues {what}")
        if not self._is_home(target):
            raise HubError(
                f"{self.endpoint} names another host, {plain(target.host)}, for the next page of {what}",
                "it was not asked, and no token was sent there; set the endpoint to the host you mean",
            )
        return str(target)

    def _joined(self, here: Any, address: str, doing: str) -> Any:
        try:
            target = here.join(address)
            _ = target.host, target.port
        except (self._tools.httpx.InvalidURL, ValueError) as error:
            raise HubError(f"{self.endpoint} {doing} at an address that is none") from error
        if target.scheme not in ("http", "https") or not target.host:
            raise HubError(f"{self.endpoint} {doing} at an address that is not of the web")
        return target

    def _is_home(self, target: Any) -> bool:
        return _origin(target) == _origin(self._tools.httpx.URL(self.endpoint))

    def _note_rate(self, response: Any) -> None:
        said = self._tools.parse_ratelimit_headers(response.headers)
        if said is not None:
            self.rate = RateLimit(
                said.resource_type, said.remaining, said.reset_in_seconds, said.limit, said.window_seconds
            )

    # --- what went wrong ----------------------------------------------------------------------------------------

    def _error(self, response: Any, what: str) -> HubError:
        status, host = response.status_code, response.request.url.host
        if status == 416:
            return RangeRefused(f"{self.endpoint} has no more of {what} than what arrived before", _LATER)
        if not self._is_home(response.request.url):  # a storage host knows no repositories: its signed link ran out
            return HubUnavailable(f"{plain(host)} answered {status} for {what}", _LATER, self._asked_to_wait(response))
        if status in (408, 425, 429) or status >= 500:
            return self._unavailable(response, what)
        body = _read(response, ERROR_BYTES)[:ERROR_BYTES]
        message = response.headers.get("X-Error-Message", "")
        if status == 401 and (_BAD_TOKEN in message or _BAD_TOKEN.encode() in body):
            return BadToken(f"{self.endpoint} refused the access token", "check the secret hf-token")
        return self._by_code(response, body, what) or _by_status(status, what, message)

    def _by_code(self, response: Any, body: bytes, what: str) -> HubError | None:
        """As the hub's own client reads it; `None` where that has no name for it."""
        tools = self._tools
        headers = {name: value for name, value in response.headers.items() if name.startswith("x-error")}
        whole = tools.httpx.Response(response.status_code, headers=headers, content=body, request=response.request)
        try:
            tools.hf_raise_for_status(whole)
        except tools.GatedRepoError:  # before RepositoryNotFoundError, whose subclass it is
            return RepoGated(f"{what}: access is gated", "ask for it on the hub's page, then set the secret hf-token")
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

    def _unavailable(self, response: Any, what: str) -> HubUnavailable:
        asked = self._asked_to_wait(response)
        if response.status_code != 429:
            return HubUnavailable(f"{self.endpoint} answered {response.status_code} for {what}", _LATER, asked)
        wait = "" if asked is None else f" for {asked:g} s"
        return HubUnavailable(
            f"{self.endpoint} limits our rate{wait} ({what})", "wait, or set the secret hf-token", asked
        )

    def _asked_to_wait(self, response: Any) -> float | None:
        """Seconds by `RateLimit`, when used up, or `Retry-After`; one more, both are rounded."""
        rate = self._tools.parse_ratelimit_headers(response.headers)
        if response.status_code == 429 and rate is not None and rate.remaining == 0:
            return float(rate.reset_in_seconds) + 1.0
        after: str = response.headers.get("Retry-After", "").strip()
        return float(after) + 1.0 if after.isascii() and after.isdigit() and len(after) < 10 else None


def _by_status(status: int, what: str, message: str) -> HubError:
    if status in (401, 404):
        return RepoNotFound(f"{what}: no such repository, or a private one", _CHECK_NAME)
    if status == 403:
        return RepoPrivate(f"{what}: the hub forbids access", "check what the secret hf-token is allowed to read")
    if status == 451:
        return RepoDisabled(f"{what}: withheld by the hub for legal reasons")
    return HubError(f"the hub answered {status} for {what}" + (f": {plain(message)}" if message else ""))


def _backoff(failures: int) -> float:
    return min(LONGEST_BACKOFF, 2.0 ** (failures - 1)) * random.uniform(0.5, 1.0)


def _read(response: Any, most: int) -> bytes:
    """The decoded body, read on only until it is longer than `most` bytes."""
    body = bytearray()
    for chunk in response.iter_bytes(CHUNK):
        body += chunk
        if len(body) > most:
            break
    return bytes(body)


def _origin(url: Any) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)
