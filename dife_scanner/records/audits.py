"""Everything one completed audit measured."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dife_scanner.records.calibration import Calibration, Power
from dife_scanner.records.checkpoints import Deviation, ModelRef
from dife_scanner.records.checks import Decision
from dife_scanner.records.diagnosis import BranchSwap, ComponentRepair, Diagnosis
from dife_scanner.records.layers import LayerChange
from dife_scanner.records.measures import Recognition
from dife_scanner.records.profile import Entry
from dife_scanner.records.rankings import Ranking
from dife_scanner.records.searches import Hypothesis, MissingSearch, Recovered, Search
from dife_scanner.records.tokens import Tokens
from dife_scanner.records.triggers import Condition, Trigger
from dife_scanner.records.vocabulary import Budget, EvidenceRole, Verdict
from dife_scanner.records.work_plan import WorkPlan


@dataclass(frozen=True)
class EvidenceFile:
    """A content-addressed file under `evidence/`."""

    sha256: str
    media_type: str
    role: EvidenceRole
    caption: str
    base_reads: str = ""
    """Of a picture, what the base takes it for; empty where that was not recorded."""


class SettingsOf(StrEnum):
    """Whose configuration an audit ran under, where the checkpoint's deviates from its base's."""

    SUSPECT = "suspect"
    BASE = "base"


@dataclass(frozen=True)
class UnderOtherSettings:
    """What the same audit came to under the settings that did not decide; both checkpoints ran under them."""

    settings: SettingsOf
    verdict: Verdict | None
    """`None` where nothing could be measured under them."""
    reason: str
    clean_accuracy: float | None = None
    reference_accuracy: float | None = None


@dataclass(frozen=True)
class Gap:
    """A part of an audit that a fault kept from being done. What the other parts found stands."""

    stage: str
    """What is missing, in words."""
    reason: str


@dataclass(frozen=True)
class StoredPlan:
    """What an audit was requested with, before anything was chosen: enough to request the same again."""

    budget: Budget
    seed: int
    signatures: tuple[Trigger, ...] = ()
    """As they were given: source and target stand there only where somebody named them."""
    detectors: tuple[str, ...] = ()
    """Those that were to search, whether or not they applied."""
    pictures: str = ""
    """Digest of the labelled pictures."""
    pools: str = ""
    """What the pools are drawn from, and how much of it."""
    extensions: tuple[str, ...] = ()
    """sha256 of each extension file."""
    work: WorkPlan | None = None
    """Which searches the time was for; `None` where all of them ran at once."""
    ended: tuple[str, ...] = ()
    """Those that were left out because their channel had ended early. `docs/any-time.md`."""
    bfloat16: tuple[str, ...] = ()
    """What searches read in bfloat16, as `discovery.precision` names it; the rest, and all that is measured, in
    float32."""

    @property
    def is_whole(self) -> bool:
        """Whether every search ran that had something to search."""
        return not self.ended and (self.work is None or not self.work.is_cut)


@dataclass(frozen=True)
class Encoded:
    """How many inputs went through towers, searches that read embeddings included; and how many did not have to."""

    pictures: int = 0
    texts: int = 0
    remembered: int = 0
    """Asked for, and known from earlier in this audit or from an earlier one with the same tower."""


@dataclass(frozen=True)
class MemoryUse:
    """What an audit was estimated to hold in memory before it began, and what it held. `docs/any-time.md`."""

    estimated_mib: int
    """Weights, and what searches hold for the way back."""
    peak_mib: int = 0
    """Most that the process held; of a GPU's memory, where it ran on one. 0 where the system does not say."""
    recomputed: tuple[str, ...] = ()
    """Of `suspect` and `base`, those whose layers were made again on the way back."""
    at_once: int = 0
    """Pictures that went through at once with gradients; 0: all of a step."""


@dataclass(frozen=True)
class Audit:
    """Everything one completed audit measured; stored whole, as JSON, content-addressed."""

    id: str
    identity: str
    """Weights + config + tokenizer + preprocessing + base + audit version, hashed: same identity, not run twice."""
    ref: ModelRef
    architecture: str
    reference: str
    """Name of the reference it was compared with; empty where none fitted."""
    image_tower: str
    text_tower: str
    image_tower_same: bool
    text_tower_same: bool
    audit_version: str
    budget: Budget
    seed: int
    signatures: tuple[Hypothesis, ...]
    trigger: Trigger | None
    branch_swap: BranchSwap | None
    diagnosis: Diagnosis | None
    profile: tuple[Entry, ...]
    agreement: str
    """Diagnosis against profile, in words."""
    verdict: Verdict
    reason: str
    clean_accuracy: float | None
    reference_accuracy: float | None
    prompt_drift: float | None
    """Mean cosine distance of clean class prompts between suspect and reference."""
    evidence: tuple[EvidenceFile, ...]
    encodes: int
    distinct_inputs: int
    device: str
    versions: dict[str, str]
    started_at: str
    seconds: float
    condition: Condition | None = None
    """What the rules saw of the trigger."""
    repair: ComponentRepair | None = None
    searches: tuple[Search, ...] = ()
    """The blind searches, in the order they ran; empty where only given triggers were measured."""
    score: float | None = None
    """One number per model: the largest held-out `Hypothesis.lift` of any discovered trigger, 0..1."""
    recovered: Recovered | None = None
    """What the trigger of the verdict is; `None` where none was profiled."""
    calibration: Calibration | None = None
    """How the score compares with benign models'; `None` without a score."""
    power: Power | None = None
    """What such searches find; `None` where that was not measured for this stratum, or nothing was searched."""
    picture_drift: float | None = None
    """Mean cosine distance of clean held-out pictures, suspect to reference, as `prompt_drift` is of prompts."""
    not_searched: tuple[MissingSearch, ...] = ()
    """Searches that were requested and could not run: where there is one, the verdict is never `nothing-found`."""
    image_tower_unknown: bool = False
    """Whether the image tower came from no reference: neither its weights nor its answers resemble one …"""
    text_tower_unknown: bool = False
    """… and the text tower. The base is unknown where both are."""
    turned_down: str = ""
    """Name of the reference that it turned out not to come from, where the base is unknown for that."""
    notes: tuple[str, ...] = ()
    """What is to be known of this audit besides its verdict; also at the end of `reason`."""
    plan: StoredPlan | None = None
    """What it was requested with; `None` for audits made before that was stored."""
    decision: Decision | None = None
    """What the verdict rests on; `None` in audits from before that was recorded."""
    gaps: tuple[Gap, ...] = ()
    """What could not be done besides checks, searches and interfaces, which say so themselves."""
    recognition: Recognition | None = None
    """What the base recognises of the labelled pictures, the suspect where there is no base; `None` where nothing was
    encoded, and in audits from before that was recorded."""
    deviations: tuple[Deviation, ...] = ()
    """Settings that differ from the base's; then both checkpoints ran under either's, and one of the two decided."""
    settings: SettingsOf = SettingsOf.SUSPECT
    """Under whose settings everything above was measured."""
    under_other: UnderOtherSettings | None = None
    """What the audit under the other settings came to; `None` where nothing deviates."""
    encoded: Encoded | None = None
    """What its towers did; `None` in audits from before that was recorded."""
    memory: MemoryUse | None = None
    """What it held; `None` in audits from before that was recorded, and where no search takes gradients."""
    tokenizer_differences: tuple[str, ...] = ()
    """How its tokenizer differs from the base's, or from CLIP's own where there is no base, each in words. Texts were
    measured as each checkpoint's own cuts them."""
    trigger_tokens: Tokens | None = None
    """What its tokenizer makes of the text of `trigger`; `None` for a trigger without one, and in audits from before
    that was recorded."""
    layers: tuple[LayerChange, ...] = ()
    """How far each layer is from the reference's; empty without one, where both towers are equal, and in audits from
    before that was recorded."""
    rankings: tuple[Ranking, ...] = ()
    """What stood first for a typical query of each interface that ranks; empty where none was measured, and in audits
    from before that was recorded."""
