"""What an audit will hold in memory, told by configurations before a weight is read, and what it held."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dife_scanner.audit.request import Request
from dife_scanner.discovery.effort import TEXT_EFFORTS
from dife_scanner.errors import DifeError, LimitExceeded
from dife_scanner.models.activations import (
    FEWER_TEXTS,
    TEXTS,
    WAYS,
    WayBack,
    WaysBack,
    held_mib,
    in_parts,
)
from dife_scanner.models.config import ClipConfig
from dife_scanner.models.load import configuration, default_limits
from dife_scanner.models.tensors import expected_tensors
from dife_scanner.records import Budget, MemoryUse

PROGRAM_MIB = 850
"""What a process holds besides weights and the way back: libraries, pictures, embeddings and a batch without gradients;
measured with a ViT-B/32 (docs/benchmarks.md), as is …"""
SPREAD = 1.55
"""… by how much what is freed and not yet given back, and gradients, make more of what is held for the way back."""
AIM_MIB = 3072
"""Where more is needed, the base's layers are recomputed, which takes next to no time."""
SUSPECT, BASE = "suspect", "base"
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


@dataclass(frozen=True)
class Need:
    """What one way of taking gradients needs."""

    ways: WaysBack
    mib: int


def needs(
    suspect: ClipConfig, base: ClipConfig | None, budget: Budget, ways: Sequence[WaysBack] = WAYS
) -> list[Need]:
    """What searches with gradients need at their peak, for each of these ways."""
    texts = min(TEXTS, max(FEWER_TEXTS, TEXT_EFFORTS[budget].inverted_pairs))
    weights = sum(weights_mib(one) for one in (suspect, base) if one is not None)
    found = []
    for one in ways:
        held = SPREAD * held_mib(suspect, base, one, texts)
        found.append(Need(one, math.ceil(PROGRAM_MIB + weights + held)))
    return found


def chosen(there: int, possible: Sequence[Need]) -> Need | None:
    """The quickest that fits into so many MiB; `None` where none does. Of the first, only what stays within `AIM_MIB`,
    if there is another.
    """
    first, *others = possible
    if first.mib <= min(there, AIM_MIB if others else there):
        return first
    return next((one for one in others if one.mib <= there), None)


def planned(request: Request) -> Request:
    """The request with how its searches take gradients, so that their peak stays within what the audit may hold.

    Raises `LimitExceeded` where weights alone, or one picture at a time, are too much. Of a configuration that cannot
    be read nothing is said here: loading says it.
    """
    limits = request.limits or default_limits()
    try:
        suspect = configuration(request.folder, limits)
        base = None
        if request.reference is not None:
            base = configuration(Path(request.reference.path), limits)
    except (DifeError, OSError):
        return request
    there = min(limits.audit_rss_mib, machine_mib())
    whose = "it and its base" if base is not None else "it"
    weights = sum(weights_mib(one) for one in (suspect, base) if one is not None)
    if weights > there:
        raise _too_much(f"the weights of {whose} take {weights:,} MiB in float32", there)
    if not request.plan.detectors:
        return request
    ways = WAYS if request.at_once is None else in_parts(request.at_once)
    possible = needs(suspect, base, request.plan.budget, ways)
    need = chosen(there, possible)
    if need is None and request.at_once is None:
        least = possible[-1].mib
        raise _too_much(
            f"searching {whose} takes {least:,} MiB with one picture at a time, of which {weights:,} are weights",
            there,
        )
    return replace(request, memory=_as_recorded(need or possible[-1]))


def _too_much(what: str, there: int) -> LimitExceeded:
    return LimitExceeded(
        f"{what}, and an audit may hold {there:,} MiB here",
        "raise limits.audit_rss_mib, or audit it on a machine with more memory",
    )


def _as_recorded(need: Need) -> MemoryUse:
    return _with_ways(MemoryUse(need.mib), need.ways)


def _with_ways(use: MemoryUse, ways: WaysBack) -> MemoryUse:
    recomputed = []
    if ways.suspect.recomputes:
        recomputed.append(SUSPECT)
    if ways.base.recomputes:
        recomputed.append(BASE)
    at_once = max(ways.suspect.at_once, ways.base.at_once)
    return replace(use, recomputed=tuple(recomputed), at_once=at_once)


def way_of(request: Request, side: str) -> WayBack:
    """How gradients are taken through the checkpoint that is `SUSPECT` or `BASE`."""
    use = request.memory
    return WayBack() if use is None else WayBack(side in use.recomputed, use.at_once)


def held(use: MemoryUse | None, suspect: WayBack, base: WayBack, device: str) -> MemoryUse | None:
    """What the audit held, and how gradients were taken in the end: less at once than planned, where memory was used
    up.
    """
    if use is None:
        return None
    return replace(_with_ways(use, WaysBack(suspect, base)), peak_mib=_peak_mib(device))


def _peak_mib(device: str) -> int:
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated(device)) // _MIB
    if sys.platform == "win32":
        return 0
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most // (_MIB if sys.platform == "darwin" else 1024)


def machine_mib() -> int:
    """All memory of this machine, in MiB."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _MIB
