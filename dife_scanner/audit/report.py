"""The record of one audit, put together from what its stages found out."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass, field, replace
from hashlib import sha256

from dife_scanner import __version__
from dife_scanner.audit import probes, search
from dife_scanner.audit.cache import Memory
from dife_scanner.audit.examine import Examined
from dife_scanner.audit.interfaces import named
from dife_scanner.audit.plan import AUDIT_VERSION
from dife_scanner.audit.request import Request
from dife_scanner.audit.stages import Stage, labelled
from dife_scanner.core import metrics
from dife_scanner.core.cards import ZERO_SHOT
from dife_scanner.core.findings import finding
from dife_scanner.core.verdict import Evidence, decide
from dife_scanner.durable import clock
from dife_scanner.models.interface import Encoder
from dife_scanner.records import (
    Audit,
    BranchSwap,
    ComponentRepair,
    EvidenceFile,
    Finding,
    Gap,
    LayerChange,
    Reference,
)
from dife_scanner.sentences import verdict as sentences
from dife_scanner.sentences.bases import unpinned


@dataclass(frozen=True)
class Outcome:
    """One audit, the finding it amounts to, and the evidence files that belong to it."""

    audit: Audit
    finding: Finding | None
    files: tuple[tuple[EvidenceFile, bytes], ...]


@dataclass(frozen=True)
class Measured:
    """What the stages found out; the defaults are an audit that had nothing to measure."""

    evidence: Evidence
    examined: Examined = field(default_factory=Examined)
    reference_name: str = ""
    same: tuple[bool, bool] = (False, False)
    """Whether the (image, text) tower equals the reference's."""
    unknown: tuple[bool, bool] = (False, False)
    """Whether the (image, text) tower comes from no reference."""
    accuracies: tuple[float | None, float | None] = (None, None)
    """Clean accuracy of (suspect, reference) on held-out pictures, 0..1."""
    prompt_drift: float | None = None
    """Mean cosine distance of clean class prompts, suspect to reference."""
    picture_drift: float | None = None
    """The same of clean held-out pictures."""

    def with_gaps(self, gaps: tuple[Gap, ...]) -> Measured:
        """The same, and what else faults kept from being done."""
        return replace(self, evidence=replace(self.evidence, gaps=(*self.evidence.gaps, *gaps)))

    @classmethod
    def compared(
        cls,
        both: Stage,
        base: Reference,
        evidence: Evidence,
        examined: Examined,
        unknown: tuple[bool, bool],
    ) -> Measured:
        """What was measured of a suspect and its base, with accuracies and drift."""
        suspect, reference = both.encoders
        test = both.splits.test
        with named(ZERO_SHOT, labelled(probes.TEST)):
            accuracies = (test.suspect.accuracy, test.reference.accuracy)
        return cls(
            evidence=evidence,
            examined=examined,
            reference_name=base.name,
            same=(
                suspect.image_tower == reference.image_tower,
                suspect.text_tower == reference.text_tower,
            ),
            unknown=unknown,
            accuracies=accuracies,
            prompt_drift=float(
                metrics.cosine_distance(test.suspect.prompts, test.reference.prompts).mean()
            ),
            picture_drift=float(
                metrics.cosine_distance(test.suspect.images, test.reference.images).mean()
            ),
        )


class Report:
    """Puts together the record of one audit, whatever its stages came to. It is begun before the first."""

    def __init__(self, request: Request, suspect: Encoder, memory: Memory) -> None:
        self._suspect = suspect
        self._memory = memory
        self._started_at = clock.now()
        self._clock = time.monotonic()

    def outcome(self, request: Request, measured: Measured) -> Outcome:
        """Decide, and write everything down. `request` is the one that relating left."""
        evidence, examined, suspect = measured.evidence, measured.examined, self._suspect
        decision = decide(evidence)
        identity = request.identity
        named_by = f"{identity}:{request.ref.repo_id}:{self._started_at}"
        said = sentences.reason(decision, evidence)
        base = _reference_called(measured.reference_name, request)
        repair = examined.parts
        if isinstance(examined.support, ComponentRepair):
            repair = examined.support
        record = Audit(
            id=sha256(named_by.encode()).hexdigest()[:16],
            identity=identity,
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
            signatures=evidence.hypotheses,
            searches=evidence.searches,
            not_searched=evidence.missing,
            score=search.score(evidence.searches) if measured.reference_name else None,
            trigger=examined.trigger,
            branch_swap=examined.support if isinstance(examined.support, BranchSwap) else None,
            diagnosis=examined.diagnosis,
            profile=examined.profile,
            agreement=examined.agreement,
            verdict=decision.verdict,
            reason="; ".join(
                filter(None, (said, unpinned(decision.verdict, base), *request.notes))
            ),
            clean_accuracy=measured.accuracies[0],
            reference_accuracy=measured.accuracies[1],
            prompt_drift=measured.prompt_drift,
            picture_drift=measured.picture_drift,
            evidence=tuple(file for file, _ in examined.files),
            encodes=self._memory.performed,
            distinct_inputs=self._memory.distinct,
            encoded=self._memory.encoded,
            memory=request.memory,
            device=suspect.device,
            versions=versions(),
            started_at=self._started_at,
            seconds=round(time.monotonic() - self._clock, 3),
            condition=examined.condition,
            recovered=examined.recovered,
            image_tower_unknown=measured.unknown[0],
            text_tower_unknown=measured.unknown[1],
            turned_down=request.turned_down.name if request.turned_down else "",
            notes=request.notes,
            plan=request.plan.as_stored(),
            repair=repair,
            decision=decision,
            gaps=evidence.gaps,
            recognition=evidence.recognition,
            deviations=request.deviations,
            settings=request.settings,
            tokenizer_differences=request.tokenizer_differences,
            trigger_tokens=examined.tokens,
            layers=_layers(request, measured),
            rankings=examined.rankings,
        )
        return Outcome(record, finding(record, examined.effect, self._started_at), examined.files)


def _layers(request: Request, measured: Measured) -> tuple[LayerChange, ...]:
    """How far each layer is from the base's that the record names."""
    base = request.reference
    return request.layers if base is not None and base.name == measured.reference_name else ()


def _reference_called(name: str, request: Request) -> Reference | None:
    """The reference of this name among those that the request knows."""
    for reference in filter(None, (request.reference, *request.known)):
        if reference.name == name:
            return reference
    return None


def versions() -> dict[str, str]:
    """Versions that can change a number."""
    from importlib.metadata import version

    found = {"dife-scanner": __version__, "python": platform.python_version()}
    for name in (
        "torch",
        "open_clip_torch",
        "numpy",
        "pillow",
        "safetensors",
        "tokenizers",
        "sentencepiece",
    ):
        found[name] = version(name)
    return found
