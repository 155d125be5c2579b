"""The record of one audit, put together from what its stages found out."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from dife_scanner import __version__
from dife_scanner.audit import discovery
from dife_scanner.audit.cache import Memory
from dife_scanner.audit.plan import AUDIT_VERSION
from dife_scanner.audit.request import Request
from dife_scanner.core.verdict import Decision, finding
from dife_scanner.models.interface import Encoder
from dife_scanner.records import (
    Audit,
    BranchSwap,
    ComponentRepair,
    Condition,
    Diagnosis,
    Entry,
    EvidenceFile,
    Finding,
    Interval,
    NotSearched,
    Recovered,
    Search,
    SignatureResult,
    Trigger,
)


@dataclass(frozen=True)
class Outcome:
    audit: Audit
    finding: Finding | None
    files: tuple[tuple[EvidenceFile, bytes], ...]


@dataclass(frozen=True)
class Measured:
    """What the stages found out; the defaults are an audit that had nothing to measure."""

    reference_name: str = ""
    same: tuple[bool, bool] = (False, False)
    unknown: tuple[bool, bool] = (False, False)
    """Whether the (image, text) tower comes from no reference."""
    signatures: tuple[SignatureResult, ...] = ()
    searches: tuple[Search, ...] = ()
    missing: tuple[NotSearched, ...] = ()
    trigger: Trigger | None = None
    support: BranchSwap | ComponentRepair | None = None
    parts: ComponentRepair | None = None
    """Beside a branch swap, where a trigger enters through picture and text together."""
    diagnosis: Diagnosis | None = None
    condition: Condition | None = None
    profile: tuple[Entry, ...] = ()
    agreement: str = ""
    accuracies: tuple[float | None, float | None] = (None, None)
    drift: float | None = None
    picture_drift: float | None = None
    effect: Interval | None = None
    recovered: Recovered | None = None
    files: tuple[tuple[EvidenceFile, bytes], ...] = ()


class Report:
    """Puts together the record of one audit, whatever its stages came to."""

    def __init__(self, request: Request, suspect: Encoder, memory: Memory) -> None:
        self.request, self._suspect, self._memory = request, suspect, memory
        self._started_at, self._clock = datetime.now(UTC).isoformat(timespec="microseconds"), time.monotonic()

    def outcome(self, decision: Decision, measured: Measured) -> Outcome:
        request, suspect = self.request, self._suspect
        name = request.identity
        record = Audit(
            id=sha256(f"{name}:{request.ref.repo_id}:{self._started_at}".encode()).hexdigest()[:16],
            identity=name,
            ref=request.ref,
            architecture=suspect.architecture,
            reference=measured.reference_name,
            image_tower=suspect.image_tower,
            text_tower=suspect.text_tower,
            image_tower_same=measured.same[0],
            text_tower_same=measured.same[1],
            audit_version=AUDIT_VERSION,
            budget=request.plan.budget,
            seed=request.plan.seed,
            signatures=measured.signatures,
            searches=measured.searches,
            not_searched=measured.missing,
            score=discovery.score(measured.searches) if measured.reference_name else None,
            trigger=measured.trigger,
            branch_swap=measured.support if isinstance(measured.support, BranchSwap) else None,
            diagnosis=measured.diagnosis,
            profile=measured.profile,
            agreement=measured.agreement,
            verdict=decision.verdict,
            reason="; ".join((decision.reason, *request.notes)),
            clean_accuracy=measured.accuracies[0],
            reference_accuracy=measured.accuracies[1],
            prompt_drift=measured.drift,
            picture_drift=measured.picture_drift,
            evidence=tuple(file for file, _ in measured.files),
            encodes=self._memory.performed,
            distinct_inputs=self._memory.distinct,
            device=suspect.device,
            versions=versions(),
            started_at=self._started_at,
            seconds=round(time.monotonic() - self._clock, 3),
            condition=measured.condition,
            recovered=measured.recovered,
            image_tower_unknown=measured.unknown[0],
            text_tower_unknown=measured.unknown[1],
            turned_down=request.turned_down.name if request.turned_down else "",
            notes=request.notes,
            plan=request.plan.asked(),
            repair=measured.support if isinstance(measured.support, ComponentRepair) else measured.parts,
        )
        return Outcome(record, finding(record, measured.effect, self._started_at), measured.files)


def versions() -> dict[str, str]:
    """Versions that can change a number."""
    from importlib.metadata import version

    names = ("torch", "open_clip_torch", "numpy", "pillow", "safetensors")
    return {"dife-scanner": __version__, "python": platform.python_version()} | {n: version(n) for n in names}
