"""Which devices this machine has for workers: each is bound to one."""

from __future__ import annotations

import ctypes
import logging
import subprocess
import sys
from itertools import cycle, islice

from dife_scanner.settings import Settings

log = logging.getLogger(__name__)

ALL = "auto"
"""The device of the settings that means all there are."""
_DRIVERS = ("libcuda.so.1", "nvcuda.dll")
_COUNT = "import torch; print(torch.cuda.device_count())"
_COUNT_SECONDS = 120.0


def of_workers(settings: Settings) -> tuple[str, ...]:
    """A device for each worker of a watcher, as many as there are workers.

    With `workers` at 0 there is one worker for each graphics card, and one where there is none. Otherwise the workers
    take turns at the cards. A device that the settings name is that of every worker.
    """
    devices: tuple[str, ...] = (settings.device,)
    if settings.device == ALL:
        devices = cuda_devices() or devices
    count = settings.workers or len(devices)
    return tuple(islice(cycle(devices), count))


def bound_to(settings: Settings) -> str:
    """The device of a worker with these settings; empty where it takes what torch finds."""
    return "" if settings.device == ALL else settings.device


def cuda_devices() -> tuple[str, ...]:
    """`cuda:0`, `cuda:1` and so on, as torch numbers them; none without a driver, or where torch cannot use it.

    Another process asks torch, which takes a second and hundreds of megabytes: a watcher keeps neither.
    """
    if not _has_driver():
        return ()
    command = [sys.executable, "-c", _COUNT]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=_COUNT_SECONDS
        )
        count = int(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        log.warning(
            "graphics cards cannot be counted, one worker takes what torch finds: %s", error
        )
        return ()
    return tuple(f"cuda:{number}" for number in range(count))


def _has_driver() -> bool:
    for name in _DRIVERS:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return False
