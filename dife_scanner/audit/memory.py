"""What an audit holds in memory at least, told by configurations: known before a weight is read. Torch-free."""

from __future__ import annotations

import math
import os
from pathlib import Path

from dife_scanner.audit.request import Request
from dife_scanner.errors import DifeError, LimitExceeded
from dife_scanner.models.config import ClipConfig
from dife_scanner.models.load import configuration, default_limits
from dife_scanner.models.tensors import expected_tensors

_MIB = 2**20
_FLOAT32 = 4
"""Bytes of a value."""


def weights_mib(config: ClipConfig) -> int:
    """What one checkpoint's tensors take, in MiB of float32, rounded up.

    >>> from dife_scanner.models.config import Preprocessing, TextConfig, VisionConfig
    >>> vision = VisionConfig(image_size=224, width=768, head_width=64, layers=12, patch_size=32)
    >>> text = TextConfig(context_length=77, width=512, heads=8, layers=12)
    >>> weights_mib(ClipConfig(512, vision, text, Preprocessing()))
    578
    """
    values = sum(math.prod(shape) for shape in expected_tensors(config).values())
    return math.ceil(values * _FLOAT32 / _MIB)


def check(request: Request) -> None:
    """Raise `LimitExceeded` where suspect and base, which are loaded at the same time, cannot both be held.

    Of a configuration that cannot be read nothing is said here: loading says it.
    """
    limits = request.limits or default_limits()
    folders = [request.folder]
    if request.reference is not None:
        folders.append(Path(request.reference.path))
    try:
        needed = sum(weights_mib(configuration(folder, limits)) for folder in folders)
    except (DifeError, OSError):
        return
    there = min(limits.audit_rss_mib, machine_mib())
    if needed > there:
        whose = "it and its base" if request.reference is not None else "it"
        raise LimitExceeded(
            f"the weights of {whose} take {needed:,} MiB in float32, and an audit may hold {there:,} MiB here",
            "raise limits.audit_rss_mib, or audit it on a machine with more memory",
        )


def machine_mib() -> int:
    """All memory of this machine, in MiB."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _MIB
