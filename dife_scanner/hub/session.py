"""huggingface_hub, set up so that it neither waits for ever nor writes or sends what nobody requested."""

from __future__ import annotations

import functools
import os
import ssl
import threading
from pathlib import Path
from typing import Any

from dife_scanner.hub import environment
from dife_scanner.hub.deadline import guard

_DEFAULT_TIMEOUT = 20.0
"""Seconds, for requests of huggingface_hub's own that come without a timeout."""
_CACHE = "HF_HOME"
_SWITCHES = (
    "HF_HUB_DISABLE_XET",
    "HF_HUB_DISABLE_TELEMETRY",
    "HF_HUB_DISABLE_PROGRESS_BARS",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN",
)
_LOOPBACK = ("all://127.0.0.1", "all://localhost", "all://[::1]")


def prepare(cache: Path) -> None:
    """Set the variables that huggingface_hub reads; it does so only once, when it is imported.

    No Xet, whose downloads leave this client. No telemetry, which sends the endpoint a request at the first call. No
    token from the user's home, no progress bars, and nothing written outside `cache`.
    """
    os.environ[_CACHE] = str(cache)
    for name in _SWITCHES:
        os.environ[name] = "1"


def tools() -> Any:
    """`huggingface_hub.utils`, imported late: it takes a second, and `prepare` has to come first.

    Raises `UnusableEnvironment`: it reads numbers from variables while it is imported.
    """
    try:
        from huggingface_hub import utils

        found: Any = utils
        _ = found.set_client_factory  # what `utils` holds is loaded when it is asked for
    except Exception as error:
        named = [name for name in sorted(os.environ) if name.startswith("HF_")]
        suspects = [name for name in named if name not in (_CACHE, *_SWITCHES)]
        raise environment.unusable(error, "loading huggingface_hub", suspects) from error
    return found


_lock = threading.Lock()
_installed = False


def session() -> Any:
    """The session that huggingface_hub shares in this process, guarded.

    Its own calls cannot hang either, should anything make one. Raises `UnusableEnvironment` where no client can be made
    with the proxies and certificates of the environment; the next call tries again.
    """
    global _installed
    with _lock:
        if not _installed:
            tools().set_client_factory(_guarded_client)
            _installed = True
    return tools().get_session()


def _guarded_client() -> Any:
    httpx = tools().httpx
    environment.check_proxies(httpx)
    certificates = environment.certificates()
    try:
        return guard(_client(httpx, certificates))
    except Exception as error:  # whatever else httpx makes of the environment
        suspects = (
            *environment.CERTIFICATES,
            *environment.proxy_variables(),
            "NO_PROXY",
            "no_proxy",
        )
        raise environment.unusable(error, "setting up connections", suspects) from error


def _client(httpx: Any, certificates: ssl.SSLContext | bool) -> Any:
    without_proxy = dict.fromkeys(
        _LOOPBACK
    )  # a proxy from the environment cannot reach our own machine
    return httpx.Client(
        event_hooks={"request": [functools.partial(_set_timeout, httpx)]},
        follow_redirects=True,
        timeout=_DEFAULT_TIMEOUT,
        mounts=without_proxy,
        verify=certificates,
    )


def _set_timeout(httpx: Any, request: Any) -> None:
    """Give `request` a timeout where it has none.

    That of the client is not enough: listings of huggingface_hub pass `timeout=None` with each request.
    """
    given = request.extensions.get("timeout") or {}
    if given.get("read") is None:
        request.extensions["timeout"] = httpx.Timeout(_DEFAULT_TIMEOUT).as_dict()
