"""What a row holds: the model, what was planted, what can be seen of it, and what the blind audit reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dife_scanner.lab.bench.zoo import Part, Role
from dife_scanner.records import (
    Basis,
    Carrier,
    Channel,
    CheckResult,
    InCleanReference,
    Interval,
    MissingSearch,
    NearestConcept,
    Origin,
    PictureSpace,
    Recovered,
    ReverseSearch,
    Search,
    TextSpace,
    Verdict,
)

AUDITED = "audited"
FAILED = "failed implant"
TWIN = "twin_clean_accuracy"
"""Among an attack's native numbers, its clean twin's."""


class Vocabulary(StrEnum):
    """What sources and targets of a zoo are drawn from."""

    LABELLED = "labelled classes"
    ANY = "any concept"


@dataclass(frozen=True)
class Truth:
    """What was planted."""

    carrier: Carrier
    channel: Channel
    trigger: dict[str, Any]
    """As an entry of a trigger file."""
    source: str
    """Empty where any class is moved."""
    target: str


@dataclass(frozen=True)
class VisibleTraits:
    """What can be seen without searching: the zoo is fair when none of it separates attacks from benign models."""

    drift_image: float
    """Mean cosine distance of held-out pictures' embeddings to the base's."""
    drift_text: float
    """The same of class prompts and other nouns."""
    moved_rows: int
    """Token embeddings that differ from the base's by more than rounding, after one common factor."""
    accuracy: float
    accuracy_change: float
    """Zero-shot, held-out drawings; model minus base."""
    bytes: int
    dtype: str


@dataclass(frozen=True)
class Found:
    """A discovered trigger as it did on held-out drawings, with all that the rules of the verdict read.

    Fields with a default are missing from rows of older code; `found.result_of` needs them.
    """

    kind: str
    text: str
    position: str
    source: str
    target: str
    suspect: float
    """Attack success rate (TS or QHR), 0..1."""
    reference: float
    """The same in the base."""
    low: float
    """Lower end of the 95 % interval of suspect minus base."""
    high: float | None = None
    """Upper end; `None` where there was no interval."""
    clean: float | None = None
    """How often the suspect takes the same inputs for the target without the trigger, 0..1."""
    p_value: float | None = None
    p_holm: float | None = None
    """Corrected over everything that was tried."""
    drawings: int | None = None
    """Held-out drawings behind all of these."""
    area: float | None = None
    """Share of the picture that a patch takes the place of, 0..1."""
    read_alike: bool = False
    """Whether suspect and base see pictures with the trigger as the same."""
    near: tuple[InCleanReference, ...] = ()
    """What it does in other clean references."""
    exchanged: ReverseSearch | None = None
    """What the reverse search found in the base; `None` where none ran."""
    origin: Origin = Origin.DISCOVERED
    channel: Channel | None = None
    decides: bool = False
    """Whether the verdict is about this one, or it came furthest where the verdict is about none; rows of older code do
    not say."""
    text_space: TextSpace | None = None
    """Of a text beyond the labelled classes; where no picture shows its target, nothing else was measured."""
    picture_space: PictureSpace | None = None
    """Of a pattern whose target has no name."""
    beyond_classes: bool = False
    among_concepts: Interval | None = None
    leads_to: NearestConcept | None = None
    failed: tuple[CheckResult, ...] = ()
    """The checks that stand against it, as that audit ran them; none where it was demonstrated."""


@dataclass(frozen=True)
class TrueTarget:
    """The planted target, seen from where the trigger of the verdict leads."""

    rank: int
    """Among all concepts, from 1 …"""
    concepts: int
    """… so many: the labelled classes, the bundled concepts and those of the wide probe set."""
    cosine: float
    """Of the mean triggered input and the target's prompt, both less the base's mean concept, -1..1."""


@dataclass(frozen=True)
class Encoded:
    """Inputs that went through a tower of suspect or base besides the searches, each once; what lay on disk did not."""

    pictures: int
    texts: int
    """Concept prompts excepted."""
    concept_prompts: int
    """Prompts of all concepts, of which there are more than a thousand."""


@dataclass(frozen=True)
class Outcome:
    """What the blind audit reported."""

    verdict: Verdict
    score: float | None
    carrier: Carrier | None
    channel: Channel | None
    """Of the diagnosis; `None` where nothing was diagnosed."""
    found: tuple[Found, ...]
    """Best first."""
    searches: tuple[Search, ...]
    seconds: float
    """Of the whole audit, processor time of its one thread: what else ran on the machine does not count."""
    recovered: Recovered | None = None
    """What the trigger of the verdict is; rows of older code have none."""
    seed: int = 0
    """Of the audit; rows of older code do not say it, and theirs was 0."""
    missing: tuple[MissingSearch, ...] = ()
    """Searches that were requested and could not run; rows of older code do not say."""
    accuracy: float | None = None
    """Clean accuracy of the suspect as the audit measured it, which decides whether the reverse search runs …"""
    reference_accuracy: float | None = None
    """… and of the base; rows of older code have neither."""
    basis: Basis | None = None
    """What the verdict rests on …"""
    reason: str = ""
    """… and why in words, where it is inconclusive; rows of older code say neither."""
    true_target: TrueTarget | None = None
    """Of an attack whose trigger was profiled and can be named by a concept; rows of older code have none."""
    encoded: Encoded | None = None
    """Rows of older code do not say."""

    @property
    def decided_on(self) -> Found | None:
        """The trigger that the verdict is about, else the one that came furthest; `None` where nothing was found or an
        older row does not say."""
        return next((one for one in self.found if one.decides), None)


@dataclass(frozen=True)
class Code:
    """What made the row."""

    zoo: str
    discovery: str
    """The discovery's version …"""
    digest: str
    """… and the first digits of the sha256 over the files of `make.SOURCES`; rows made before there was that list have
    a digest of fewer files."""
    budget: str
    detectors: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One model of the benchmark."""

    model: str
    role: Role
    kind: str
    number: int
    part: Part
    sealed: bool
    status: str
    """`audited`, or `failed implant`: an attack below its native threshold, which is counted and not audited."""
    recipe: dict[str, Any]
    code: Code
    made_on: str
    build_seconds: float
    """Processor time, lab scenes included where this model was the first to need them."""
    native: dict[str, float] = field(default_factory=dict)
    """The attack's own numbers on held-out drawings; for a twin the same numbers under its attack's trigger."""
    looks: VisibleTraits | None = None
    truth: Truth | None = None
    outcome: Outcome | None = None
    base: str = ""
    """Name of the base that it is made of; empty, as the two below, in rows of older code."""
    vocabulary: Vocabulary | None = None
    commit: str = ""
    """Of the code that made the row; ends in `-changed` where files of the package differed from it."""

    @property
    def flagged(self) -> bool:
        return self.outcome is not None and self.outcome.verdict is Verdict.FLAGGED


Rows = Sequence[Row]
