"""The process that sends alerts, with a picture of what was measured."""

from __future__ import annotations

import logging
import math
import os
from contextlib import suppress

from dife_scanner.alerts import configured, deliver
from dife_scanner.alerts.messages import Picture
from dife_scanner.durable.clock import now
from dife_scanner.errors import DifeError, DiskFull, StoreBusy
from dife_scanner.queue.processes import end_with_parent, stop_event
from dife_scanner.queue.work import Work
from dife_scanner.records import Notice
from dife_scanner.store import Patience, Store, audits, open_store, polls

log = logging.getLogger(__name__)

ALERT_SECONDS = 2.0
PICTURE_BYTES = 1 << 20
CAPTION = "Exposure matrix: how far the trigger moves each interface, over the clean base"


def alerts_main(work: Work, once: bool = False) -> None:
    """Send alerts that are due, once or until stopped."""
    end_with_parent()
    stop = stop_event()
    channels = configured(work.settings)
    patience = Patience(math.inf, log.info, stop.is_set)
    with open_store(work.home, patience=patience) as store:
        while not stop.is_set():
            with suppress(DiskFull, StoreBusy):
                deliver(store, channels, now(), draw=lambda about: exposure_picture(store, about))
                polls.beat(store, "alerts", os.getpid(), "waiting for alerts")
            if once:
                return
            stop.wait(ALERT_SECONDS)


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
    from dife_scanner.reports import figures
    from dife_scanner.reports.study import study

    audit = audits.audit(store, about.audit_id or "")
    png = figures.matrix_png(study([(about.ref.repo_id, audit)]))
    if png is None or len(png) > PICTURE_BYTES:
        return None
    return Picture(png, CAPTION)
