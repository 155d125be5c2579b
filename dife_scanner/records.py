"""What crosses rooms: frozen dataclasses and closed vocabularies, and nothing else.

Words are those of `docs/states.md`; the framework's terms come from arXiv 2606.17815 ("the paper").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

# --- vocabularies ---------------------------------------------------------------------------------------------


class JobState(StrEnum):
    """Where one discovered revision stands. Exactly one final state each; none of them means "clean"."""

    QUEUED = "queued"
    DOWNLOADING = "downloading"
    AUDITING = "auditing"
    RETRY_WAIT = "retry-wait"
    PAUSED = "paused"
    DONE = "done"
    UNSUPPORTED = "unsupported"
    GATED = "gated"
    PRIVATE = "private"
    DISABLED = "disabled"
    DELETED = "deleted"
    REFUSED = "refused"
    LIMIT_EXCEEDED = "limit-exceeded"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"

    @property
    def is_final(self) -> bool:
        return self not in _OPEN_STATES


_OPEN_STATES = frozenset(
    {JobState.QUEUED, JobState.DOWNLOADING, JobState.AUDITING, JobState.RETRY_WAIT, JobState.PAUSED}
)


class Verdict(StrEnum):
    """What a completed audit says. Never "clean", never "safe"."""

    FLAGGED = "flagged"
    INHERITED = "inherited"
    IDENTICAL = "identical"
    NOTHING_FOUND = "nothing-found"
    INCONCLUSIVE = "inconclusive"


class TriageState(StrEnum):
    NEW = "new"
    TRIAGING = "triaging"
    CONFIRMED = "confirmed"
    FALSE_POSITIVE = "false-positive"
    ACCEPTED_RISK = "accepted-risk"
    DISPUTED = "disputed"
    DISCLOSED = "disclosed"
    OUT_OF_SCOPE = "out-of-scope"
    FIXED_UPSTREAM = "fixed-upstream"
    REGRESSED = "regressed"
    EXPIRED = "expired"


class Channel(StrEnum):
    """Where a trigger enters."""

    IMAGE = "image"
    TEXT = "text"
    BOTH = "both"
    PROMPT = "prompt mechanism"


class Carrier(StrEnum):
    """The DIFE footprint: which reusable component carries the exposure (paper §5, and our own states)."""

    VISUAL = "visual"
    TEXTUAL = "textual"
    COUPLED = "coupled"
    WEAK = "weak"
    REDUNDANT = "redundant"
    INTERACTION = "interaction"
    AMBIGUOUS = "ambiguous"
    DEMOTED = "demoted"
    NOT_INTERCHANGEABLE = "not interchangeable"


class EntryType(StrEnum):
    """How a numeric cell reads, from the 95 % interval of its paired difference over the reference."""

    EXPOSED = "exposed"
    WEAK = "weak"
    NEGATIVE = "negative"
    N_TOO_SMALL = "n too small"


class Absence(StrEnum):
    """Why a cell has no number. The three are never mixed."""

    NOT_EVALUABLE = "N.E."
    NOT_RUN = "not run"
    ARTEFACT_MISSING = "artefact missing"


class Confidence(StrEnum):
    DEMONSTRATED = "demonstrated"
    ANOMALOUS = "anomalous"


class Layout(StrEnum):
    """How a repository stores its checkpoint (recognised from names and small JSON only)."""

    OPEN_CLIP = "open_clip"
    OPEN_CLIP_PICKLE = "open_clip (pickle only)"
    TRANSFORMERS = "transformers"
    TIMM = "timm"
    SENTENCE_TRANSFORMERS = "sentence-transformers"
    DIFFUSION = "stable diffusion"
    PEFT = "PEFT adapter"
    ONNX = "ONNX"
    GGUF = "GGUF"
    OTHER = "other"


# --- the hub --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ModelRef:
    """One revision of one repository, or a local folder."""

    repo_id: str
    """`org/name`, or an absolute path for a local checkpoint."""
    revision: str
    """40-hex commit sha; for a local folder `local-` and the first 34 hex digits of its content hash."""
    local: bool = False

    def __str__(self) -> str:
        return self.repo_id if self.local else f"{self.repo_id}@{self.revision[:12]}"


@dataclass(frozen=True)
class HubFile:
    path: str
    size: int | None = None
    """Bytes as announced; `None` where a listing did not say."""
    sha256: str | None = None
    """LFS object id."""
    git_oid: str | None = None
    """Git blob id, for files kept in git itself."""


@dataclass(frozen=True)
class HubModel:
    """One listing item after parsing. Every string in it was written by a stranger."""

    repo_id: str
    sha: str
    last_modified: str
    """ISO 8601, UTC."""
    created_at: str = ""
    author: str = ""
    library: str = ""
    pipeline_tag: str = ""
    tags: tuple[str, ...] = ()
    gated: bool = False
    private: bool = False
    disabled: bool = False
    downloads: int = 0
    files: tuple[HubFile, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """What would be fetched for one revision, and whether it can be audited at all."""

    ref: ModelRef
    layout: Layout
    architecture: str
    """Short and stable, e.g. `ViT 64/16 w192 d6 · text w128 d3 · embed 128`; empty where unknown."""
    files: tuple[HubFile, ...]
    """Only those to fetch."""
    bytes_to_fetch: int
    base_claim: str
    """What the card says it was made from; never verified here."""
    state: JobState
    """`queued` when it can be audited; otherwise the final state it goes to."""
    reason: str = ""


# --- jobs -----------------------------------------------------------------------------------------------------


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


# --- triggers -------------------------------------------------------------------------------------------------


class TriggerKind(StrEnum):
    PATCH = "patch"
    ADDITIVE = "additive"
    BLEND = "blend"
    TEXT = "text"


@dataclass(frozen=True)
class Trigger:
    """A trigger; a *signature* when source and target are empty. Lengths are fractions of the image side."""

    name: str
    kind: TriggerKind
    description: str = ""
    # image kinds
    size: float = 0.0
    """Side of a patch as a fraction of the image side."""
    x: float = 0.0
    """Left edge of a patch, 0..1."""
    y: float = 0.0
    """Top edge of a patch, 0..1."""
    pattern: str = "solid"
    """`solid`, `checker`, `noise`, `stripes`, `sinusoid`."""
    color: tuple[int, int, int] = (255, 255, 255)
    alpha: float = 1.0
    """Share of the pattern in a blend; amplitude in 0..1 of full scale for `additive`."""
    cycles: float = 0.0
    """Periods across the image, for stripes and sinusoids."""
    seed: int = 0
    """Seed of a noise pattern."""
    # text kind
    text: str = ""
    position: str = "prefix"
    """`prefix`, `suffix` or `infix` (before the class name)."""
    # both
    source: str = ""
    target: str = ""

    @property
    def channel(self) -> Channel:
        return Channel.TEXT if self.kind is TriggerKind.TEXT else Channel.IMAGE


# --- measurements ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Interval:
    """A two-sided 95 % interval and how it was made."""

    low: float
    high: float
    method: str


@dataclass(frozen=True)
class Measure:
    """One proportion or mean with its sample and the number of distinct drawings behind it."""

    value: float
    interval: Interval
    n: int
    drawings: int


@dataclass(frozen=True)
class Cell:
    """A numeric cell of the exposure profile (paper §2)."""

    interface: str
    metric: str
    attack: Measure
    reference: Measure
    reference_condition: str
    """In words: what the reference value was measured on."""
    delta: float
    delta_interval: Interval
    """Paired bootstrap over drawings of attack minus reference."""
    entry: EntryType
    details: dict[str, float] = field(default_factory=dict)
    """Further numbers of the same cell, e.g. `ts_without_target`, `off_target_leakage`, `delta_drift`."""


@dataclass(frozen=True)
class Skipped:
    """A cell without a number, and why. Never zero, never in a denominator."""

    interface: str
    absence: Absence
    category: str
    reason: str


@dataclass(frozen=True)
class BranchSwap:
    """a_vt of paper §5: v, t in {0 reference, 1 suspect} for the image and the text branch."""

    readout: str
    a00: float
    a10: float
    a01: float
    a11: float
    n: int
    drawings: int
    mixed_accuracy: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Clean accuracy of the four pairs in the order 00, 10, 01, 11: the interchangeability check."""


@dataclass(frozen=True)
class Diagnosis:
    carrier: Carrier
    channel: Channel
    signal: float
    vrs: float
    trs: float
    css: float
    reason: str
    predicted: tuple[str, ...] = ()
    """Interfaces that run the carrier and admit the channel: where exposure is expected."""


@dataclass(frozen=True)
class SignatureResult:
    """One hypothesis of the library: chosen on train drawings, measured on held-out ones."""

    trigger: Trigger
    """With the chosen source and target filled in."""
    train_effect: float
    """Suspect minus reference on the train split, the value the choice maximised."""
    suspect: float | None = None
    """TS or QHR on the test split; `None` where the train effect was below the screening level."""
    reference: float | None = None
    p_value: float = 1.0
    """Exact one-sided sign-flip test over drawings; 1 where screened out."""
    p_holm: float = 1.0
    drawings: int = 0


@dataclass(frozen=True)
class EvidenceFile:
    """A content-addressed file under `evidence/`."""

    sha256: str
    media_type: str
    role: str
    """`clean-example`, `triggered-example`, `trigger`."""
    caption: str


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
    budget: str
    seed: int
    signatures: tuple[SignatureResult, ...]
    trigger: Trigger | None
    branch_swap: BranchSwap | None
    diagnosis: Diagnosis | None
    profile: tuple[Cell | Skipped, ...]
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


@dataclass(frozen=True)
class Finding:
    """A flagged, inherited or refused checkpoint."""

    fingerprint: str
    """`fp1:` and 16 hex digits; equal for the same effect in the same repository."""
    ref: ModelRef
    kind: str
    """`flagged`, `inherited` or `refused`."""
    severity: str
    """The worst entry type over the interfaces, or `refused`."""
    confidence: str
    carrier: str
    channel: str
    trigger: str
    source: str
    target: str
    interfaces: tuple[str, ...]
    """Exposed ones."""
    reason: str
    audit_id: str | None
    created_at: str
    triage: TriageState = TriageState.NEW


@dataclass(frozen=True)
class Alert:
    """One message to one channel; lives in the outbox until that channel took it."""

    key: str
    """Idempotency key: fingerprint, event and channel."""
    channel: str
    event: str
    finding: Finding
    id: int = 0
    attempts: int = 0
    due_at: str = ""
    last_error: str = ""
    state: str = "pending"
    """`pending`, `sent` or `dead`."""


@dataclass(frozen=True)
class Reference:
    """A clean checkpoint that suspects are compared with."""

    name: str
    path: str
    image_tower: str
    text_tower: str
    weights_sha256: str
    architecture: str
    added_at: str
    bundled: bool = False


@dataclass(frozen=True)
class ModelRow:
    """One line of the models table, for terminal and window."""

    job: Job
    verdict: Verdict | None
    carrier: str
    channel: str
    trigger: str
    target: str
    interfaces: tuple[str, ...]
    reference: str
    layout: str
    finding: str | None
    """Fingerprint, where there is one."""
    last_modified: str = ""
