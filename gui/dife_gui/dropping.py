"""From what somebody drops on the window, or pastes, to what is to be scanned."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QMimeData, QUrl

from dife_gui.deciding import settings_of
from dife_scanner.errors import UsageError

MOST = 100
"""Targets of one drop."""
_NAME = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
_REVISION = re.compile(r"[\w.-]{1,100}")
_OTHER_KINDS = ("datasets", "spaces")
"""Of repositories, by the first word of their address."""
_ADVICE = "drop a folder, a file of weights, or the address of a model on the hub"


def targets(dropped: QMimeData, home: Path) -> list[str]:
    """What `dife scan` would be given: paths, and `org/name[@revision]`. Raises `UsageError` for anything else."""
    urls = dropped.urls() or [
        QUrl(line.strip()) for line in dropped.text().splitlines() if line.strip()
    ]
    if not 0 < len(urls) <= MOST:
        raise UsageError(f"nothing to scan, or more than {MOST} things at once", _ADVICE)
    endpoint = settings_of(home).endpoint
    return list(dict.fromkeys(_target(url, endpoint) for url in urls))


def _target(url: QUrl, endpoint: str) -> str:
    """A path, or a repository of the hub that is watched."""
    path = Path(url.toLocalFile() or url.path())
    if url.isLocalFile() or (not url.scheme() and path.is_absolute()):
        if not path.exists():
            raise UsageError(f"there is no {path}", _ADVICE)
        return str(path)
    if url.scheme() not in ("http", "https"):
        return _repository(url.toString().partition("@"), url)
    hub = QUrl(endpoint)
    if (url.host(), url.port()) != (hub.host(), hub.port()):
        raise UsageError(f"{url.host()} is not the hub that is scanned here, {hub.host()}", _ADVICE)
    parts = [part for part in url.path().split("/") if part]
    revision = parts[3] if len(parts) > 3 and parts[2] in ("tree", "blob", "commit") else ""
    if parts and parts[0] in _OTHER_KINDS:
        parts = []
    return _repository(("/".join(parts[:2]), "@" if revision else "", revision), url)


def _repository(named: Sequence[str], url: QUrl) -> str:
    name, sign, revision = named
    is_named = _NAME.fullmatch(name) and (not sign or _REVISION.fullmatch(revision))
    if not is_named:
        raise UsageError(f"{url.toDisplayString()[:200]} names no model", _ADVICE)
    return f"{name}{sign}{revision}"
