"""One GET with every limit on it: time, size, retries, redirects, and where the token may go.

Knows HTTP, not what is requested. `client.py` hands in the tools of huggingface_hub.
Its own retries are not used: they sleep as long as the hub says, five times, and cannot be woken up.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import dife_scanner
from dife_scanner.errors import HubError, HubUnavailable, LimitExceeded
from dife_scanner.hub.budget import API, Budget, RateLimit, bucket_of
from dife_scanner.hub.deadline import Deadline, enforced
from dife_scanner.hub.environment import proxy_variables
from dife_scanner.hub.status import (
    LATER,
    LONGEST_WAIT,
    TOO_MANY,
    error_of,
    is_page,
    page_instead,
    rate_limited,
    read_body,
    same_origin,
    stated_rate,
)
from dife_scanner.plain import plain

Params = list[tuple[str, str]]
"""Names and values of a query; a name may stand more than once."""

ANSWER_BYTES = 64 * 1024**2
"""Of one JSON answer, unpacked. A listing page of 500 models with a thousand files each stays below it."""
MAX_REDIRECTS = 5
"""The hub needs two: a new name of the repository, then the storage."""
CHECK_ENDPOINT = "check that the endpoint is a hub"
LONGEST_BACKOFF = 8.0
"""Seconds between tries where the hub does not say how long."""
WORTH_BYTES = 1024**2
"""What a try has to bring for the next failure to count as the first one again."""

# Other encodings, or several at once, can grow one read of the network to gigabytes before we see its size.
_PACKED = {"Accept-Encoding": "gzip"}
_READABLE_ENCODINGS = ("gzip", "deflate", "identity", "")
_T = TypeVar("_T")


class Wire:
    """All traffic with one endpoint.

    `session` gives an httpx client, `tools` is `huggingface_hub.utils`, `pause` sleeps for so many seconds.
    `check` raises where nothing more is wanted; it is called while an answer is awaited.
    `what` says in messages what was requested.
    """

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
        check: Callable[[], None] | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.requests = 0
        self.answers = 0
        self._last_rate: RateLimit | None = None
        self._budget = budget
        self._token = token
        self._session = session
        self._tools = tools
        self._request_seconds = request_seconds
        self._patience_seconds = patience_seconds
        self._tries = tries
        self._pause = pause
        self._may_go_on = check

    @property
    def rate(self) -> RateLimit | None:
        """What the hub last said of its limits; of the one for its API what all processes of this home have left."""
        shared = self._budget.rate(API) if self._budget else None
        return shared or self._last_rate

    def paged(
        self, url: str, params: Params | None, what: str, deadline: Deadline, *, most: int
    ) -> Iterator[tuple[list[object], str]]:
        """The lists of a paged answer, each with the address of the next one; of `most` pages at most.

        `Link: rel="next"` is followed on this hub as long as it leads somewhere new. Raises `HubError` where it does
        not, `LimitExceeded` after `most` pages, and what `json` raises.
        """
        visited: set[str] = set()
        query = params
        for _ in range(most):
            answer, here, link = self.json(url, query, what, deadline)
            if not isinstance(answer, list):
                raise HubError(
                    f"{self.endpoint} sent something other than a list for {what}", CHECK_ENDPOINT
                )
            if not link:
                yield answer, ""
                return
            try:
                url = self._next_page(here, link, what)
            except HubError:
                yield answer, ""  # the page itself is as good as any
                raise
            yield answer, url
            query = None  # the link is complete
            if url in visited:
                raise HubError(
                    f"{self.endpoint} links from {what} back to a page that was already read"
                )
            visited.add(url)
        raise LimitExceeded(
            f"{what} has more than {most} pages", "narrow the filter or the time it looks back"
        )

    def json(
        self, url: str, params: Params | None, what: str, deadline: Deadline
    ) -> tuple[Any, Any, str]:
        """One complete JSON answer, the address it came from, and what it says is the next page (or nothing).

        Raises `HubUnavailable` for what is no JSON, `LimitExceeded` for more than `ANSWER_BYTES`, and the errors of
        access.
        """

        def attempt() -> tuple[bytes, Any, str]:
            # Three waits of the longest kind: to connect, for the headers, for the body.
            with self.open(
                url, params, what, deadline.sooner(3 * self._request_seconds)
            ) as response:
                body = read_body(response, ANSWER_BYTES)
                if len(body) > ANSWER_BYTES:
                    raise LimitExceeded(
                        f"the answer of {self.endpoint} for {what} is larger than {ANSWER_BYTES} bytes"
                    )
                if is_page(response, body):
                    raise page_instead(response, what)
                return body, response.url, response.links.get("next", {}).get("url", "")

        body, here, link = self.retrying(attempt, deadline)
        return self._parsed(body, what), here, link

    def _parsed(self, body: bytes, what: str) -> Any:
        try:
            return json.loads(body)
        except (
            ValueError,
            RecursionError,
        ) as error:  # the latter from brackets nested thousands deep
            # Transient, as the page of a proxy or of a network's login is: nothing is known about the repository.
            raise HubUnavailable(
                f"{self.endpoint} did not answer with JSON for {what}",
                CHECK_ENDPOINT,
            ) from error

    def retrying(
        self, attempt: Callable[[], _T], deadline: Deadline, progress: Callable[[], int] = lambda: 0
    ) -> _T:
        """The result of `attempt`, which is repeated after transient errors.

        Raises its error after `tries` failures in a row, or where the next wait would be longer than our patience or
        than the time left. `progress` gives the bytes that have arrived: a large file over a poor line may break often,
        as long as each try brings something.
        """
        failures = 0
        arrived_before = progress()
        while True:
            try:
                return attempt()
            except HubUnavailable as error:
                arrived = progress()
                if arrived >= arrived_before + WORTH_BYTES:
                    failures = 0
                failures += 1
                arrived_before = arrived
                wait = error.retry_after
                if wait is None:
                    wait = _backoff(failures)
                if (
                    failures >= self._tries
                    or wait > self._patience_seconds
                    or wait >= deadline.remaining
                ):
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
        """A successful answer, to be streamed inside a `with` block. Errors that arise there become ours too.

        Redirects to another host are followed only with `elsewhere`, without the token, never from https to http.
        Raises `HubUnavailable` for the network, time and the server's own trouble, other subclasses of `HubError` for
        what the hub says of the repository.
        """
        httpx = self._tools.httpx
        try:
            with enforced(deadline, self._may_go_on):
                response = self._follow(self._address(url, params), what, headers, elsewhere)
                try:
                    self._check(response, what)
                    yield response
                finally:
                    response.close()
        except httpx.TimeoutException as error:
            seconds = self._request_seconds
            if deadline.passed:
                seconds = deadline.seconds
            raise HubUnavailable(
                f"{self.endpoint} gave no answer in {seconds:g} s for {what}", LATER
            ) from error
        except httpx.ProxyError as error:
            raise HubUnavailable(
                f"the proxy does not connect to {self.endpoint}: {plain(str(error))}",
                _where_to_look(),
            ) from error
        except httpx.ConnectError as error:
            raise HubUnavailable(
                f"{self.endpoint} cannot be reached: {plain(str(error))}", _where_to_look()
            ) from error
        except httpx.DecodingError as error:
            raise HubUnavailable(
                f"{what} arrived packed and cannot be unpacked: {plain(str(error))}", LATER
            ) from error
        except httpx.RequestError as error:
            raise HubUnavailable(
                f"the connection to {self.endpoint} broke during {what}", LATER
            ) from error

    def _check(self, response: Any, what: str) -> None:
        """Raise what an answer means that cannot be used."""
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        if encoding not in _READABLE_ENCODINGS:
            raise HubUnavailable(
                f"{what} arrived compressed as {plain(encoding, 40)}, which was not requested and cannot be unpacked",
                "look for a proxy in between that compresses what it hands on",
            )
        if response.status_code >= 400:
            error = error_of(response, what, self.endpoint, self._tools)
            wait = getattr(error, "retry_after", None)
            if self._budget and wait and response.status_code == TOO_MANY:
                self._budget.refused(bucket_of(response.url.path), wait)
            raise error

    # --- where to -----------------------------------------------------------------------------------------------

    def _address(self, url: str, params: Params | None) -> Any:
        if params:
            return self._tools.httpx.URL(url, params=params)
        return self._tools.httpx.URL(url)  # with an empty query httpx would drop that of a link

    def _follow(
        self, target: Any, what: str, headers: dict[str, str] | None, elsewhere: bool
    ) -> Any:
        """The first answer that is no redirect.

        Redirects are followed here and not by httpx, because every one of them decides anew about the token.
        """
        session = self._session()
        for _ in range(MAX_REDIRECTS + 1):
            request = session.build_request(
                "GET",
                target,
                headers=self._headers(target) | (headers or _PACKED),
                timeout=self._request_seconds,
            )
            self._take(target, what)
            self.requests += 1
            response = self._sent(session, request)
            self.answers += 1
            if self._is_home(target):
                self._note_rate(response)
            if not response.has_redirect_location:
                return response
            response.close()
            target = self._redirected(target, response.headers["Location"], what, elsewhere)
        raise HubError(f"{self.endpoint} redirects more than {MAX_REDIRECTS} times for {what}")

    def _take(self, target: Any, what: str) -> None:
        """Count a request against the window. Raises `HubUnavailable` where nothing is left of it."""
        if self._budget is None or not self._is_home(target):
            return
        wait = self._budget.take(bucket_of(target.path))
        if wait > 0:
            raise rate_limited(self.endpoint, what, min(wait + 1.0, LONGEST_WAIT))

    def _sent(self, session: Any, request: Any) -> Any:
        try:
            return session.send(request, stream=True, follow_redirects=False)
        except (
            UnicodeError
        ) as error:  # of a host name that cannot be looked up; httpx lets it through
            raise HubUnavailable(
                f"{plain(request.url.host)} cannot be reached: it is no name of a host",
                _where_to_look(),
            ) from error

    def _headers(self, target: Any) -> dict[str, str]:
        """Those of huggingface_hub, with the token only for the endpoint itself."""
        token: str | bool = (
            False  # `None` would make huggingface_hub look for one in the user's home
        )
        if self._token and self._is_home(target):
            token = self._token
        headers: dict[str, str] = self._tools.build_hf_headers(
            token=token,
            library_name="dife-scanner",
            library_version=dife_scanner.__version__,
        )
        return headers

    def _redirected(self, here: Any, location: str, what: str, elsewhere: bool) -> Any:
        """Where a redirect leads. Raises `HubError` where we do not go."""
        target = self._joined(here, location, f"redirects {what}")
        if (here.scheme, target.scheme) == ("https", "http"):
            raise HubError(
                f"{self.endpoint} redirects {what} to an address without encryption: not followed"
            )
        if not elsewhere and not self._is_home(target):
            raise HubError(
                f"{self.endpoint} redirects {what} to another host, {plain(target.host)}: not followed"
            )
        return target

    def _next_page(self, here: Any, link: str, what: str) -> str:
        """The address of the next page, always on this hub. Raises `HubError` for what is no address of the web.

        A mirror hands on the links of the hub behind it. huggingface_hub goes there, and sends the token along; here
        the mirror is asked for the same path.
        """
        target = self._joined(here, link, f"continues {what}")
        if self._is_home(target):
            return str(target)
        home = self._tools.httpx.URL(self.endpoint)
        path = target.raw_path
        if not path.startswith(home.raw_path.rstrip(b"/") + b"/"):
            path = home.raw_path.rstrip(b"/") + path
        return str(home.copy_with(raw_path=path))

    def _joined(self, here: Any, address: str, doing: str) -> Any:
        """`address`, which may be relative, as an address of the web. Raises `HubError` for anything else."""
        try:
            target = here.join(address)
            _ = target.host, target.port  # httpx parses these two only on access, and raises then
        except (self._tools.httpx.InvalidURL, ValueError) as error:
            raise HubError(f"{self.endpoint} {doing} at an invalid address") from error
        if target.scheme not in ("http", "https") or not target.host:
            raise HubError(f"{self.endpoint} {doing} at an address that is not http or https")
        return target

    def _is_home(self, target: Any) -> bool:
        """Whether `target` has the endpoint's scheme, host and port: only there the token goes."""
        return same_origin(target, self._tools.httpx.URL(self.endpoint))

    def _note_rate(self, response: Any) -> None:
        stated = stated_rate(response, self._tools)
        if stated is not None:
            self._last_rate = RateLimit(
                bucket=stated.resource_type,
                remaining=stated.remaining,
                resets_in=stated.reset_in_seconds,
                quota=stated.limit,
                window=stated.window_seconds,
            )
            if self._budget:
                self._budget.note(self._last_rate)


def _backoff(failures: int) -> float:
    """Seconds to wait after so many failures: doubled each time, with chance in it so that watchers do not march."""
    return min(LONGEST_BACKOFF, 2.0 ** (failures - 1)) * random.uniform(0.5, 1.0)


def _where_to_look() -> str:
    """What to do where no connection comes about."""
    names = proxy_variables()
    if not names:
        return "check the endpoint and the network"
    return f"check the endpoint, the network, and the proxy of {', '.join(names)}"
