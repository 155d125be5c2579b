"""The process that sends alerts: by the settings as they stand now, with a picture of what was measured."""

from __future__ import annotations

import logging
import math
import os
import time
from contextlib import suppress
from pathlib import Path

from dife_scanner import settings as settings_
from dife_scanner.alerts import AlertChannel, configured, deadman, deliver
from dife_scanner.alerts.channels import lookup
from dife_scanner.alerts.messages import Picture
from dife_scanner.alerts.operations import note
from dife_scanner.durable.clock import now
from dife_scanner.errors import AlertFailed, DifeError, DiskFull, SettingsError, StoreBusy
from dife_scanner.queue.processes import end_with_parent, stop_event
from dife_scanner.queue.schedule import ALERTS, NEWS, SWITCH, Due, Schedule
from dife_scanner.queue.work import Work
from dife_scanner.records import Notice
from dife_scanner.settings import Alerts, Settings
from dife_scanner.store import Patience, Store, audits, open_store, polls

log = logging.getLogger(__name__)

TICK_SECONDS = 0.2
ALERT_SECONDS = 2.0
OPERATIONS_SECONDS = 60.0
PICTURE_BYTES = 1 << 20
CAPTION = "Exposure matrix: how far the trigger moves each interface, over the clean base"


def alerts_main(work: Work, once: bool = False) -> None:
    """Send alerts that are due, once (waiting for no others to tell together) or until stopped."""
    end_with_parent()
    stop = stop_event()
    current = Current(work.settings)
    due = Due({NEWS: OPERATIONS_SECONDS, SWITCH: OPERATIONS_SECONDS, ALERTS: ALERT_SECONDS})
    patience = Patience(math.inf, log.info, stop.is_set)
    with open_store(work.home, patience=patience) as store:
        operations = Operations(store, current)
        if once:
            due.want(NEWS, SWITCH, ALERTS)
            _do_due(store, due, operations, current, together=False)
            return
        with Schedule(due.regular, log.warning) as schedule:
            while not stop.wait(TICK_SECONDS):
                schedule.tend()
                _do_due(store, due, operations, current)


def _do_due(
    store: Store, due: Due, operations: Operations, current: Current, *, together: bool = True
) -> None:
    """What is due; what the database cannot take now is looked for again when it is due again."""
    with suppress(DiskFull, StoreBusy):
        if due.take(NEWS):
            operations.note()
        if due.take(SWITCH):
            operations.tell_switch()
        if due.take(ALERTS):
            current.look()
            rules = current.rules
            if not together:
                rules = rules.model_copy(update={"group_seconds": 0.0})
            send_due(store, current.channels, rules)
            polls.beat(store, "alerts", os.getpid(), current.problem or "waiting for alerts")


def send_due(store: Store, channels: tuple[AlertChannel, ...], rules: Alerts) -> None:
    """Send what is due now, each finding that goes alone with its exposure matrix."""
    deliver(store, channels, now(), rules=rules, draw=lambda about: exposure_picture(store, about))


class Current:
    """Channels and rules in force: those of the settings file as it stands, or as it stood when it was last right."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        """As the watcher was started, but for alerts."""
        self.rules = settings.alerts
        self.channels = configured(settings)
        self.problem = ""
        """What is wrong with the file as it stands."""
        self._seen = _stamp(settings_.config_path(settings.home))

    def look(self) -> None:
        """Take over the settings file where it changed and is right as a whole."""
        stamp = _stamp(settings_.config_path(self.settings.home))
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            read = settings_.load(self.settings.home)
            channels = configured(read)
        except DifeError as error:
            self.problem = f"earlier settings stay in force: {error.what}"
            log.warning("%s; %s", self.problem, error.advice)
            return
        self.settings = self.settings.model_copy(update={"alerts": read.alerts})
        self.rules = read.alerts
        self.channels = channels
        self.problem = ""


class Operations:
    """What is told of the scanner itself."""

    def __init__(self, store: Store, current: Current) -> None:
        self._store = store
        self._current = current
        self._began = time.monotonic()

    def note(self) -> None:
        """Note what is new, the daily report among it."""
        settings = self._current.settings
        names = [channel.name for channel in self._current.channels]
        note(self._store, settings, names, now(), time.monotonic() - self._began)

    def tell_switch(self) -> None:
        """Tell the dead man's switch, where there is one."""
        try:
            deadman.tell(self._store, lookup("deadman-url", self._current.settings))
        except (AlertFailed, SettingsError) as error:
            log.warning("%s; %s", error.what, error.advice)


def _stamp(path: Path) -> tuple[int, int, int]:
    """What changes whenever a file is written or replaced; zeros where there is none."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)


# --- the picture ----------------------------------------------------------------------------------------------


def exposure_picture(store: Store, about: Notice) -> Picture | None:
    """The exposure matrix of a finding's audit. A picture that cannot be made is no reason to hold an alert back."""
    if about.audit_id is None:
        return None
    try:
        return _drawn(store, about)
    except (DifeError, OSError, ValueError, RuntimeError) as error:
        log.warning("the alert about %s goes without its picture: %s", about.fingerprint, error)
        return None


def _drawn(store: Store, about: Notice) -> Picture | None:
    from dife_scanner.figures.drawings import Drawings, drawings
    from dife_scanner.reports import figures
    from dife_scanner.reports.study import study

    audit = audits.audit(store, about.audit_id or "")
    rows = study([(about.ref.repo_id, audit)])
    found = drawings(audit)
    if isinstance(found, Drawings):
        png = figures.matrix_png(rows, found.drawings)
        if png is not None and len(png) <= PICTURE_BYTES:
            below = found.sentence.rstrip(":")
            return Picture(png, f"{CAPTION} Below: {below}. {found.credit}")
    png = figures.matrix_png(rows)
    if png is None or len(png) > PICTURE_BYTES:
        return None
    return Picture(png, CAPTION)
