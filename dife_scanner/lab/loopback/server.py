"""The loopback hub itself: two ports of 127.0.0.1, one for the API and one for large files."""

from __future__ import annotations

import re
import secrets
import threading
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from dife_scanner.lab.loopback.access import Access
from dife_scanner.lab.loopback.faults import Fault, Faults
from dife_scanner.lab.loopback.messages import Request, Response
from dife_scanner.lab.loopback.rates import Quotas, Rates
from dife_scanner.lab.loopback.repositories import Repositories, Repository
from dife_scanner.lab.loopback.routes import Routes
from dife_scanner.lab.loopback.sockets import HOST, Port

LOG_LENGTH = 200_000
"""Requests remembered: a soak test of hours must not fill memory."""


@dataclass(frozen=True)
class Seen:
    """One request as it was received, and the status it got."""

    method: str
    target: str
    """Path and query."""
    port: str
    status: int
    authorized: bool
    """It carried a token, valid or not."""
    user_agent: str
    range: str

    def __str__(self) -> str:
        return f"{self.method} {self.target}"


class LoopbackHub:
    """A model hub on this machine for demos and tests.

    >>> with LoopbackHub(Path("hub")) as hub:  # doctest: +SKIP
    ...     sha = hub.add_repo("demo/clip", {"README.md": "# A model"}, tags=["clip"])
    ...     print(hub.endpoint)

    `root` holds the repositories and may be that of an earlier run. `tokens` maps each valid token to the ids of
    private and gated repositories that it opens (`*`: all). Ports are free ones unless given. `quotas` are requests
    per window and bucket, enforced with 429.
    """

    def __init__(
        self,
        root: Path,
        *,
        tokens: Mapping[str, Collection[str]] | None = None,
        port: int = 0,
        cdn_port: int = 0,
        quotas: Quotas | None = None,
    ) -> None:
        self.repositories = Repositories(root)
        self.requests: deque[Seen] = deque(maxlen=LOG_LENGTH)
        self._faults = Faults()
        self._rates = Rates(quotas or Quotas())
        self._routes = Routes(self.repositories, Access(tokens or {}))
        self._ports = {"hub": port, "cdn": cdn_port}
        self._servers: dict[str, Port] = {}
        self._closing = threading.Event()

    # --- life -------------------------------------------------------------------------------------------------

    def start(self) -> LoopbackHub:
        """Listen; a hub that was closed can be started again and keeps its ports. `OSError` where one is taken."""
        self._closing.clear()
        try:
            for name in set(self._ports) - set(self._servers):
                server = Port(self, name, self._ports[name])
                self._servers[name] = server
                self._ports[name] = server.server_address[1]
                _serve(server)
        except OSError:
            self.close()
            raise
        self._routes.files.cdn = self.cdn
        return self

    def close(self) -> None:
        """Stop listening and break every open connection, hanging ones too."""
        self._closing.set()
        for server in self._servers.values():
            server.stop()
        self._servers.clear()

    def __enter__(self) -> LoopbackHub:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def endpoint(self) -> str:
        """Address of the API and of small files."""
        return f"http://{HOST}:{self._ports['hub']}"

    @property
    def cdn(self) -> str:
        """Address of large files: another origin, as on the Hub, so that a token must not follow there."""
        return f"http://{HOST}:{self._ports['cdn']}"

    @property
    def large_bytes(self) -> int:
        """Bytes of large files that left since the start: what weights cost."""
        return self._servers["cdn"].sent

    # --- repositories -----------------------------------------------------------------------------------------

    def add_repo(
        self,
        repo_id: str,
        files: Mapping[str, Any],
        **fields: Any,
    ) -> str:
        """See `Repositories.add`; returns the sha of the first commit."""
        return self.repositories.add(repo_id, files, **fields)

    def commit(
        self,
        repo_id: str,
        files: Mapping[str, Any],
        **fields: Any,
    ) -> str:
        """See `Repositories.commit`; returns the new sha."""
        return self.repositories.commit(repo_id, files, **fields)

    def change(self, repo_id: str, **fields: Any) -> None:
        """See `Repositories.change`."""
        self.repositories.change(repo_id, **fields)

    def rename(self, repo_id: str, new_id: str) -> None:
        """See `Repositories.rename`."""
        self.repositories.rename(repo_id, new_id)

    def remove(self, repo_id: str) -> None:
        """See `Repositories.remove`."""
        self.repositories.remove(repo_id)

    def repo(self, repo_id: str) -> Repository:
        """The repository as it is now; `KeyError` where there is none."""
        found = self.repositories.find(repo_id)
        if found is None:
            raise KeyError(repo_id)
        return found

    # --- for tests --------------------------------------------------------------------------------------------

    def inject(self, fault: Fault) -> None:
        """Let a fault of `lab.loopback.faults` strike matching requests from now on."""
        self._faults.inject(fault)

    def heal(self) -> None:
        """Forget every fault and give back all quotas."""
        self._faults.heal()
        self._rates.reset()

    def seen(self, pattern: str = "") -> list[Seen]:
        """Requests so far whose `METHOD /path?query` contains the regular expression."""
        so_far = self.requests.copy()  # others may append while we look
        return [request for request in so_far if re.search(pattern, str(request))]

    # --- serving ----------------------------------------------------------------------------------------------

    def respond(self, request: Request) -> Response:
        """The answer to one request, faults included."""
        response, rate = self._rates.take(request)
        if response is None:
            response = self._routes.answer(request)
        headers = {**rate, "X-Request-Id": secrets.token_hex(8), **response.headers}
        response = replace(response, headers=headers)
        response = self._faults.apply(request, response)
        self.requests.append(_seen(request, response))
        return response

    def wait(self, seconds: float) -> bool:
        """Sleep, unless the hub closes; true where it did."""
        return self._closing.wait(seconds)


def _serve(port: Port) -> None:
    """Answer in the background; `poll_interval` is how many seconds closing may take."""
    serving = threading.Thread(
        target=port.serve_forever,
        kwargs={"poll_interval": 0.02},
        daemon=True,
    )
    serving.start()


def _seen(request: Request, response: Response) -> Seen:
    header = request.headers.get
    return Seen(
        method=request.method,
        target=request.target,
        port=request.port,
        status=response.status,
        authorized="authorization" in request.headers,
        user_agent=header("user-agent", ""),
        range=header("range", ""),
    )
