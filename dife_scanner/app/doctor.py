"""Whether everything that the program needs is there and works, for `dife doctor`; nothing is sent to a channel."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from dife_scanner import alerts, secrets
from dife_scanner import settings as settings_
from dife_scanner.app import doctor_hub, info
from dife_scanner.app.config_check import errors
from dife_scanner.baselines.home import open_for_reading
from dife_scanner.durable.fetched import disk_use
from dife_scanner.errors import DifeError, NoWindow, UsageError, unforeseen
from dife_scanner.records import DiskUse
from dife_scanner.reports.as_json import DoctorDocument, Health
from dife_scanner.sentences.jobs import disk_text
from dife_scanner.sentences.numbers import bytes_text
from dife_scanner.settings import Settings
from dife_scanner.store.db import DATABASE

_MOST_COMPLAINTS = 3
"""Of SQLite's own check; the first ones say enough."""


def examine(home: Path | None, window: Callable[[], None], *, offline: bool) -> DoctorDocument:
    """Look at everything; `window` raises where none can be opened, and `offline` skips the hub.

    What cannot be looked at is a problem of its own line, and never ends the examination.
    """
    lines = [*_looked("environment", "window", lambda: _window(window))]
    wrong = errors(home)
    lines += _settings(wrong)
    try:
        settings = settings_.load(home)
    except DifeError as error:
        if not wrong:
            lines.append(_problem("settings", "settings", error))
        rest = ("device", "store", "endpoint", "channels", "disk", "clock")
        return DoctorDocument.of([*lines, *(_unread(part) for part in rest)])
    lines = [*_looked("environment", "versions", lambda: _versions(settings)), *lines]
    lines += _looked("store", "database", lambda: _store(settings))
    if offline:
        lines += doctor_hub.not_asked()
    else:
        lines += _looked("endpoint", "endpoint", lambda: doctor_hub.look(settings))
    lines += _looked("channels", "channels", lambda: _channels(settings))
    lines += _looked("disk", "room", lambda: _disk(settings))
    return DoctorDocument.of(lines)


def _looked(part: str, what: str, look: Callable[[], Iterable[Health]]) -> list[Health]:
    """The lines of one look, or the one that says why it failed."""
    try:
        return list(look())
    except DifeError as error:
        return [_problem(part, what, error)]
    except Exception as error:  # of a broken installation anything may come
        return [_problem(part, what, unforeseen(error))]


def _problem(part: str, what: str, error: DifeError) -> Health:
    return Health(part, what, "problem", error.what, error.advice)


def _unread(part: str) -> Health:
    return Health(part, part, "not-checked", "the settings cannot be read", "correct them first")


# --- environment and settings -----------------------------------------------------------------------------------


def _versions(settings: Settings) -> Iterator[Health]:
    yield Health("environment", "Python", "ok", platform.python_version())
    versions = info.versions()
    for name in ("torch", "open_clip_torch", "huggingface_hub"):
        missing = versions[name] == "not installed"
        advice = "install the package again, with what it depends on" if missing else ""
        yield Health("environment", name, "problem" if missing else "ok", versions[name], advice)
    yield from _looked("environment", "device", lambda: _device(settings))


def _device(settings: Settings) -> Iterator[Health]:
    from dife_scanner.models.device import seen_devices

    said = f"{settings.device} is {info.device(settings)}; there are: {', '.join(seen_devices())}"
    yield Health("environment", "device", "ok", said)


def _window(check: Callable[[], None]) -> Iterator[Health]:
    """A machine without a display is a usual one: everything is in the terminal as well."""
    try:
        check()
    except (NoWindow, UsageError) as error:
        yield Health("environment", "window", "warning", error.what, error.advice)
    else:
        yield Health("environment", "window", "ok", "can be opened")


def _settings(wrong: Iterable[DifeError]) -> list[Health]:
    found = [_problem("settings", "config.toml", error) for error in wrong]
    return found or [Health("settings", "config.toml", "ok", "valid")]


# --- store and disk ---------------------------------------------------------------------------------------------


def _store(settings: Settings) -> Iterator[Health]:
    path = settings.home / DATABASE
    if not path.exists():
        said = (
            f"there is none yet in {settings.home}; the first command that keeps something makes it"
        )
        yield Health("store", "database", "ok", said)
        return
    with open_for_reading(settings) as store:
        said = f"{path} opens; {bytes_text(store.size())}"
        yield Health("store", "database", "ok", said)
        yield Health("store", "schema", "ok", store.schema)
        complaints = store.integrity()
    if complaints:
        told = "; ".join(complaints[:_MOST_COMPLAINTS])
        advice = "stop the watcher, and `dife restore` a backup into a new home"
        yield Health("store", "integrity", "problem", told, advice)
    else:
        yield Health("store", "integrity", "ok", "SQLite's own check finds nothing")


def _disk(settings: Settings) -> Iterator[Health]:
    use = disk_use(_existing(settings.home), settings.disk.quota_bytes, settings.disk.free_bytes)
    yield _room(use)


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there: a home is made on that disk."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _room(use: DiskUse) -> Health:
    said = disk_text(use).removeprefix("disk: ")
    if use.free < use.floor:
        advice = "free some space, or lower disk.free_bytes: downloads wait"
        return Health("disk", "room", "problem", said, advice)
    if use.fetched > use.quota:
        advice = "raise disk.quota_bytes, or let the watcher make room"
        return Health("disk", "room", "warning", said, advice)
    if use.free < 2 * use.floor:
        advice = "free some space soon: downloads wait once less is free than has to stay free"
        return Health("disk", "room", "warning", said, advice)
    return Health("disk", "room", "ok", said)


# --- channels ---------------------------------------------------------------------------------------------------


def _channels(settings: Settings) -> Iterator[Health]:
    channels = alerts.configured(settings)
    if not channels:
        said = "none is configured: nobody is told of a finding"
        advice = "fill in [alerts] in config.toml; `dife config init` writes one"
        yield Health("channels", "channels", "warning", said, advice)
    for channel in channels:
        yield from _looked("channels", channel.name, partial(_channel, channel, settings))


def _channel(channel: alerts.AlertChannel, settings: Settings) -> Iterator[Health]:
    name = alerts.needed_secret(channel, settings)
    if not name:
        yield Health("channels", channel.name, "ok", "configured; it needs no secret")
        return
    found = secrets.secret(name, settings.home)
    if found is None:
        said = f"the secret {name} is not set"
        advice = "put it into the keyring, a private file or a variable (docs/commands.md)"
        yield Health("channels", channel.name, "problem", said, advice)
        return
    yield Health("channels", channel.name, "ok", f"configured; {name} from {found.source}")
