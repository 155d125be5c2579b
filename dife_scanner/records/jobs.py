"""One discovered revision on its way through the queue."""

from __future__ import annotations

from dataclasses import dataclass

from dife_scanner.records.checkpoints import ModelRef
from dife_scanner.records.vocabulary import JobState


@dataclass(frozen=True)
class Job:
    id: int
    ref: ModelRef
    state: JobState
    reason: str
    endpoint: str
    """Hub the revision was found on; empty for a local folder."""
    created_at: str
    updated_at: str
    next_check_at: str | None = None
    attempts: int = 0
    """Tries that ended in a transient error."""
    deaths: int = 0
    """Times a living worker saw its child die on this job."""
    lost_leases: int = 0
    worker: str | None = None
    audit_id: str | None = None
    in_use: str = ""
    """Where somebody uses it, e.g. `train.py:12`; empty where no watch-list names it."""


@dataclass(frozen=True)
class DiskUse:
    """What fetched weights take of the home's disk, in bytes."""

    fetched: int
    """On the disk now, what killed downloads left included."""
    quota: int
    free: int
    floor: int
    """Kept free for everything else."""
