"""In which precision the searches of an audit read: as its plan says, as the settings say, or as a probe finds.

The choice is kept beside finished searches until the audit is stored, so that one that is killed goes on with them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from dife_scanner.audit import faults
from dife_scanner.audit.memory import machine_mib
from dife_scanner.audit.plan import SAME_WORK
from dife_scanner.audit.probes import SEARCH_TEMPLATES, TRAIN
from dife_scanner.audit.request import Request
from dife_scanner.discovery import precision
from dife_scanner.durable.atomic import atomic_write
from dife_scanner.models.interface import Encoder
from dife_scanner.models.load import default_limits


def with_precision(request: Request, suspect: Encoder, base: Encoder | None) -> Request:
    """The request with what its searches read in bfloat16; from now on both encoders are searched so."""
    if not request.plan.detectors:
        return request
    encoders = [suspect] if base is None else [suspect, base]
    if not _is_given(request):
        request = request.with_bfloat16(_chosen(request, encoders))
    precision.search_in(encoders, request.plan.bfloat16)
    return request


def _is_given(request: Request) -> bool:
    """Whether the plan is of an audit that is made again, or gone on with."""
    return request.replays or bool(request.grant and request.grant.after)


def _chosen(request: Request, encoders: Sequence[Encoder]) -> tuple[str, ...]:
    """As the settings say; else as a probe finds now, or found before the audit was killed."""
    wanted = (request.limits or default_limits()).search_precision
    if wanted == "float32":
        return ()
    if wanted == "bfloat16":
        return precision.possible(encoders[0])
    kept = _file(request)
    before = _read(kept)
    if before is not None:
        return before
    try:
        if not _fits(request, encoders):
            return ()
        found = _probed(request, encoders[0])
        if kept is not None and precision.worth_probing(encoders[0]):
            _write(kept, found)  # float32 too: another probe might find otherwise
    except Exception as error:  # searches can do without
        faults.reason(error, "probe of the precision")
        return ()
    return found


def _probed(request: Request, suspect: Encoder) -> tuple[str, ...]:
    """What a probe finds, of prompts and a picture that searches read."""
    import torch

    data = request.plan.probes()
    texts = [SEARCH_TEMPLATES[0].format(name) for name in data.class_names]
    pixels = suspect.prepare(data.split(TRAIN).images[:1])
    picture = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    return precision.probed(suspect, texts, picture)


def _fits(request: Request, encoders: Sequence[Encoder]) -> bool:
    """Whether there is memory for the copies, besides what the audit is estimated to hold."""
    if request.memory is None:
        return True
    limits = request.limits or default_limits()
    there = min(limits.audit_rss_mib, machine_mib())
    return request.memory.estimated_mib + precision.copies_mib(encoders) <= there


# --- kept until the audit is stored ---------------------------------------------------------------------------


def _file(request: Request) -> Path | None:
    """Beside finished searches, and removed with them; nowhere for an audit without a cache."""
    if request.cache is None:
        return None
    searches = request.cache.parent / "discovery" / "searches"
    return searches / f"{request.identity[:SAME_WORK]}-precision.json"


def _read(path: Path | None) -> tuple[str, ...] | None:
    """What was chosen; `None` where nothing is kept that can be read."""
    try:
        found = json.loads(path.read_bytes()) if path else None
    except (OSError, ValueError):
        return None
    if not isinstance(found, list) or not set(found) <= {*precision.OPERATIONS}:
        return None
    return tuple(found)


def _write(path: Path, chosen: tuple[str, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as stream:
        stream.write(json.dumps(chosen).encode())
