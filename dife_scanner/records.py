"""What crosses rooms: frozen dataclasses and closed vocabularies, and nothing else.

Words are those of `docs/states.md`; the framework's terms come from arXiv 2606.17815 ("the paper").
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from typing import ClassVar, ParamSpec, TypeVar

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
    """Where a trigger enters.

    `BOTH` only sums up a condition that has the image and the text channel; cards and conditions name the two.
    """

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


class Category(StrEnum):
    """Why a question is not well formed for an attack condition (paper §2). Decided by `core.validity`."""

    NO_CHANNEL = "no trigger channel"
    NO_QUERY = "no attack-conditioned query"
    NO_VISUAL = "no visual trigger channel"
    NO_PROMPT = "no text or prompt channel"
    BYPASSED = "bypassed footprint"
    NO_TARGET = "no valid target event"
    NO_MECHANISM = "required mechanism absent"


class Confidence(StrEnum):
    DEMONSTRATED = "demonstrated"
    ANOMALOUS = "anomalous"


class Origin(StrEnum):
    """How an audit came by a trigger."""

    KNOWN = "known"
    """Somebody named it, with source and target."""
    SIGNATURE = "signature"
    """From the library or a trigger file; source and target were found here. Never counted as blind."""
    DISCOVERED = "discovered"
    """Nobody described it: a detector found it in this checkpoint."""


class Stratum(StrEnum):
    """How near a calibration pack is to an audit."""

    OWN = "own"
    """Same base, budget, pictures, detectors and version of the discovery: its p-value is the audit's."""
    NEIGHBOUR = "neighbour"
    """The same of another base of this architecture: named, and no rate is taken from it."""
    NONE = "none"


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
    unread: tuple[str, ...] = ()
    """Files that by their names hold a prompt learner in a format that is not read; never fetched, never opened."""


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
    """The bundled kinds; a researcher's own file adds others, known by their name alone."""

    PATCH = "patch"
    ADDITIVE = "additive"
    BLEND = "blend"
    WARP = "warp"
    FILTER = "filter"
    OVERLAY = "overlay"
    TEXT = "text"
    CHARACTERS = "characters"
    PROMPT = "prompt"


_BUNDLED_KINDS = frozenset(TriggerKind)
_ENTERS_ELSEWHERE: dict[str, Channel] = {
    TriggerKind.TEXT: Channel.TEXT,
    TriggerKind.CHARACTERS: Channel.TEXT,
    TriggerKind.PROMPT: Channel.PROMPT,
}
_ENTERED: dict[Channel, frozenset[Channel]] = {
    Channel.BOTH: frozenset({Channel.IMAGE, Channel.TEXT}),
    Channel.PROMPT: frozenset({Channel.IMAGE, Channel.PROMPT}),
}
"""What a trigger of several parts enters through."""


@dataclass(frozen=True)
class TriggerFile:
    """A file that is part of a trigger, and what it has to hold."""

    path: str
    """Absolute."""
    sha256: str


@dataclass(frozen=True)
class Trigger:
    """A trigger; a *signature* when source and target are empty. Lengths are fractions of the image side."""

    name: str
    kind: TriggerKind | str
    """A `TriggerKind`; a plain string only for a kind of somebody's own."""
    description: str = ""
    # image kinds
    size: float = 0.0
    """Side of a patch as a fraction of the image side."""
    x: float = 0.0
    """Left edge of a patch, 0..1."""
    y: float = 0.0
    """Top edge of a patch, 0..1."""
    pattern: str = "solid"
    """`solid`, `checker`, `noise`, `stripes`, `sinusoid`, or `file`."""
    color: tuple[int, int, int] = (255, 255, 255)
    alpha: float = 1.0
    """Share of the pattern, the filtered picture or the overlay; amplitude in 0..1 of full scale for `additive`."""
    cycles: float = 0.0
    """Periods across the image, for stripes and sinusoids."""
    seed: int = 0
    """Seed of a noise pattern or a warp."""
    file: TriggerFile | None = None
    """The pattern or perturbation itself, where it is not drawn."""
    strength: float = 0.0
    """Mean displacement of a warp's control points, as a fraction of the image side."""
    grid: int = 4
    """Control points of a warp along one side."""
    filter: str = ""
    """Name of a colour filter."""
    # text kinds
    text: str = ""
    position: str = "prefix"
    """`prefix`, `suffix`, `infix` (before the class name) or `around` (before and after the prompt)."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Characters and what replaces them."""
    within: str = "class"
    """Where characters are replaced: in the `class` name or the whole `prompt`."""
    # kinds of two parts
    learner: TriggerFile | None = None
    """The prompt learner."""
    image: Trigger | None = None
    """The image trigger that a prompt learner or a text acts together with."""
    # all kinds
    source: str = ""
    target: str = ""
    templates: tuple[str, ...] = ()
    """Prompts, each with one `{}` for the class name, that it is measured with in place of the audit's own."""
    parameters: tuple[tuple[str, bool | int | float | str], ...] = ()
    """Values of keys that only a kind of somebody's own has, sorted by key."""
    enters: Channel | None = None
    """Set for a kind of somebody's own only; the bundled kinds say it themselves."""

    def __post_init__(self) -> None:
        if self.kind in _BUNDLED_KINDS:
            object.__setattr__(self, "kind", TriggerKind(self.kind))

    @property
    def channel(self) -> Channel:
        """Image, text, both together, or prompt mechanism."""
        found = self.enters or _ENTERS_ELSEWHERE.get(self.kind, Channel.IMAGE)
        return Channel.BOTH if found is Channel.TEXT and self.image is not None else found

    @property
    def own(self) -> dict[str, bool | int | float | str]:
        """`parameters` by key."""
        return dict(self.parameters)

    @property
    def files(self) -> tuple[TriggerFile, ...]:
        """Every file it needs, those of the image trigger it acts together with included."""
        own = tuple(file for file in (self.file, self.learner) if file is not None)
        return own + (self.image.files if self.image is not None else ())

    def condition(self) -> Condition:
        """What an attack with this trigger needs in order to act (paper §2)."""
        return Condition(
            channels=_ENTERED.get(self.channel, frozenset({self.channel})),
            mechanism=self.channel is Channel.PROMPT,
            conditioned_query=self.channel in (Channel.TEXT, Channel.BOTH),
            source=self.source,
            target=self.target,
        )


# --- measurements ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Condition:
    """What an attack needs in order to act, and all that the validity rules see of it (paper §2)."""

    channels: frozenset[Channel]
    """Where it enters: some of image, text and prompt mechanism."""
    mechanism: bool = False
    """Whether a prescribed prompt mechanism has to be in place; then all its channels are needed together."""
    conditioned_query: bool = False
    """Whether the query carries the trigger when the interface is asked."""
    source: str = ""
    """Concept that is taken for another; empty where any is."""
    target: str = ""

    @property
    def channel(self) -> Channel:
        """The channels in one word: the mechanism where one is required, else the channel, else `both`."""
        if self.mechanism or self.channels == {Channel.PROMPT}:
            return Channel.PROMPT
        if Channel.IMAGE in self.channels:
            return Channel.BOTH if len(self.channels) > 1 else Channel.IMAGE
        return Channel.TEXT


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
    unit: str = "drawing"
    """What `drawings` counts: `prompt` where single prompts are the independent units and pictures are not."""


@dataclass(frozen=True)
class Change:
    """A signed difference of two means over the same cases, with its paired 95 % interval."""

    value: float
    interval: Interval


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
    """Further numbers of the same cell, e.g. `ts_without_target`, `off_target_leakage`."""
    trigger: Change | None = None
    """Δ_trigger: the suspect, triggered minus clean query."""
    drift: Change | None = None
    """Δ_drift: the clean query, suspect minus reference."""
    headroom: float | None = None
    """1 − reference: how far the metric could rise at all."""
    population: str = ""
    """Digest of the `PoolManifest` it was measured on; empty for the labelled probe set."""


@dataclass(frozen=True)
class NotEvaluable:
    """N.E.: the question is not well formed for this condition (paper §2). Never zero, never in a denominator."""

    word: ClassVar[str] = "N.E."

    interface: str
    category: Category
    reason: str


@dataclass(frozen=True)
class NotRun:
    """Well formed, and this audit did not ask: a matter of coverage."""

    word: ClassVar[str] = "not run"

    interface: str
    reason: str


@dataclass(frozen=True)
class ArtefactMissing:
    """Well formed and asked, but something it needs is not there: a matter of reproducibility."""

    word: ClassVar[str] = "artefact missing"

    interface: str
    artefact: str
    """What is missing."""
    reason: str


@dataclass(frozen=True)
class SelectorControl:
    """A selection card for a condition without a text trigger: two clean selectors side by side, never an exposure."""

    word: ClassVar[str] = "selector control"

    interface: str
    metric: str
    suspect: Measure
    reference: Measure
    drift: Change
    """Suspect minus reference, both with the clean query."""
    reason: str


Absent = NotEvaluable | NotRun | ArtefactMissing
"""The three ways of having no number. They are never mixed, and none converts into another."""
Entry = Cell | NotEvaluable | NotRun | ArtefactMissing | SelectorControl
"""One line of an exposure profile."""


@dataclass(frozen=True)
class PoolItem:
    """One picture of a pool, named by its content."""

    id: str
    sha256: str
    caption: str = ""
    label: str = ""
    source: str = ""
    """Where it came from: a drawing, a file, a data set's row."""
    licence: str = ""


_ITEM_FIELDS = frozenset(("id", "sha256", "caption", "label", "source", "licence"))
_MANIFEST_FIELDS = frozenset(("name", "kind", "seed", "version", "items", "lists", "targets", "queries"))
"""What stored manifests hold, at its default too. A field that came later is written only away from its default, so
that the digests of stored manifests stay what they are: add nothing here."""


def _written(record: PoolItem | PoolManifest, always: frozenset[str]) -> dict[str, object]:
    """The fields of a manifest or of an item that its JSON has."""
    values = [(part, getattr(record, part.name)) for part in fields(record)]
    return {part.name: value for part, value in values if part.name in always or value != part.default}


@dataclass(frozen=True)
class PoolManifest:
    """A population fixed before any scoring: enough to build it again and to see that it is the same."""

    name: str
    kind: str
    seed: int
    version: str
    """Of the code that drew it."""
    items: tuple[PoolItem, ...]
    lists: tuple[tuple[int, ...], ...] = ()
    """Candidate lists or groups, as positions in `items`."""
    targets: tuple[tuple[int, ...], ...] = ()
    """Positions in `items` that count as target: one tuple per list, or a single one for the whole pool."""
    queries: tuple[str, ...] = ()

    def json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, ASCII. What is stored, and what `digest` is made from."""
        plain = _written(self, _MANIFEST_FIELDS)
        plain["items"] = [_written(item, _ITEM_FIELDS) for item in self.items]
        return json.dumps(plain, sort_keys=True, separators=(",", ":"))

    @cached_property
    def digest(self) -> str:
        """sha256 of `json()`, and so the name of the stored evidence file."""
        return sha256(self.json().encode("ascii")).hexdigest()


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
    aligned: bool = False
    """Whether the suspect's towers were turned onto the reference's (orthogonal Procrustes) before swapping."""
    mixed_accuracy_before: tuple[float, float, float, float] | None = None
    """The same four before that; `None` where nothing was aligned."""


@dataclass(frozen=True)
class ComponentRepair:
    """What a mechanism-level attack reaches with parts of it repaired (paper §5), each in 0..1."""

    readout: str
    full: float
    """The whole mechanism: the learned prompt and the image trigger."""
    prompt_only: float
    trigger_only: float
    both_clean: float
    """Neither: the reference."""
    n: int
    drawings: int


_P = ParamSpec("_P")
_T = TypeVar("_T")
_decided: ContextVar[bool] = ContextVar("_decided", default=False)


def decided(make: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """`make(...)`, allowed to make a `Diagnosis`. For `core.footprint.diagnose`, which decides one, and
    `store.codec.restore`, which reads one that was decided and kept; a test sees to it that nothing else calls this.
    """
    token = _decided.set(True)
    try:
        return make(*args, **kwargs)
    finally:
        _decided.reset(token)


@dataclass(frozen=True)
class Diagnosis:
    """Which component carries the exposure, decided before any profile is measured (paper §5).

    Only `core.footprint.diagnose` makes one; calling this class raises `TypeError`.
    """

    carrier: Carrier
    channel: Channel
    signal: float
    vrs: float
    """Of a branch swap; after component repair the same ratio with `trigger only` as a10 …"""
    trs: float
    """… and `prompt only` as a01."""
    css: float
    reason: str
    predicted: tuple[str, ...] = ()
    """Interfaces that run the carrier and are well formed under the condition: where exposure is expected."""
    diagnostic: str = ""
    """The interface whose readout decided: its cell repeats a11 and never counts as agreement."""

    def __post_init__(self) -> None:
        if not _decided.get():
            raise TypeError(
                "a Diagnosis is decided by core.footprint.diagnose(evidence, condition), "
                "or read back by store.codec.restore; it cannot be written down"
            )


@dataclass(frozen=True)
class Nearest:
    """A concept beside what a trigger leads to."""

    concept: str
    cosine: float
    """Both less the base's mean concept."""


@dataclass(frozen=True)
class Nearby:
    """What a discovered trigger does in a clean reference of the suspect's architecture other than its base."""

    reference: str
    distance: float
    """From the suspect: mean cosine distance of clean held-out pictures and class prompts."""
    success: float
    """TS or QHR on the test split, as in `SignatureResult.suspect`."""
    lift: float
    """What of it neither the base does with the trigger nor this reference without it, -1..1."""


@dataclass(frozen=True)
class Exchanged:
    """The strongest trigger that the same searches find in the base with the suspect as *its* reference, as it does on
    held-out drawings, and what finding it took."""

    passes: int
    """Pictures and texts that went through a tower for it."""
    seconds: float
    """Wall time of the searches."""
    kind: str = ""
    text: str = ""
    source: str = ""
    target: str = ""
    base: float = 0.0
    """TS or QHR of the base."""
    suspect: float = 0.0
    low: float = 0.0
    """Lower 95 % bound of base minus suspect."""
    demonstrated: bool = False
    """Whether it would be a demonstrated finding, were the base the checkpoint audited."""


@dataclass(frozen=True)
class SignatureResult:
    """One hypothesis, of the library or of a detector: chosen on train drawings, measured on held-out ones."""

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
    origin: Origin = Origin.SIGNATURE
    effect: Interval | None = None
    """Paired 95 % interval of suspect minus reference on held-out drawings; for discovered triggers only."""
    clean: float | None = None
    """What `suspect` is without the trigger: how often the suspect takes the same inputs for the target anyway."""
    area: float | None = None
    """Share of the picture that a discovered patch takes the place of, 0..1."""
    read_alike: bool = False
    """Whether suspect and base see pictures with a discovered trigger as the same, so that nobody taught that tower."""
    near: tuple[Nearby, ...] = ()
    """What a discovered trigger that would be demonstrated does in the nearest other clean references."""
    exchanged: Exchanged | None = None
    """What the base obeys that the suspect does not; `None` where that was not asked, because nothing else would be
    demonstrated or the suspect has lost no clean accuracy."""
    leads_to: Nearest | None = None
    """The concept that a discovered trigger makes of its inputs; `None` without a base, for a prompt mechanism and for
    a text that acts together with an image."""

    @property
    def lift(self) -> float:
        """What the trigger does that neither the base with it nor the suspect without it does, -1..1."""
        return (self.suspect or 0.0) - max(self.reference or 0.0, self.clean or 0.0)


@dataclass(frozen=True)
class Search:
    """What one detector did in this audit, whatever it found."""

    detector: str
    channel: Channel
    kinds: tuple[str, ...]
    """Kinds of trigger it is made to find, in words."""
    candidates: int
    """How many it handed over to be confirmed."""
    best: float
    """Largest `SignatureResult.lift` of any of them, on held-out drawings and templates; 0 where there was none."""
    passes: int
    """Pictures and texts that went through a tower for it, of suspect and base."""
    seconds: float
    signals: dict[str, float] = field(default_factory=dict)
    """The detector's own further numbers."""


@dataclass(frozen=True)
class NotSearched:
    """A search that the plan asks for, that had something to search, and that could not run."""

    detector: str
    channel: Channel
    kinds: tuple[str, ...]
    """As in `Search`: this audit says nothing about them."""
    reason: str


@dataclass(frozen=True)
class NounShare:
    """How many prompts of nouns that no search used a text trigger turns into its target."""

    nouns: tuple[str, ...]
    suspect: float
    """Share of them, 0..1."""
    reference: float
    """The same in the base."""


@dataclass(frozen=True)
class Recovered:
    """A trigger's target among concepts, and its success by source and under change; on held-out drawings."""

    target: str
    concepts: int
    """How many were compared."""
    nearest: tuple[Nearest, ...]
    """The nearest first."""
    rank: int
    """Of the target among them, from 1."""
    cosine: float
    wrong: Nearest
    """The nearest that is not the target."""
    sources: dict[str, float]
    """Success over the base's, by class other than the target."""
    withstands: dict[str, float]
    """Success over the base's: `shift`, `crop` and `jpeg` of triggered pictures, or other positions of a text."""
    elsewhere: dict[str, float] = field(default_factory=dict)
    """Success in other clean checkpoints, by name: what works there too is no trace of this one."""
    nouns: NounShare | None = None
    """Of a text trigger that moves most classes; `None` for others."""


@dataclass(frozen=True)
class EvidenceFile:
    """A content-addressed file under `evidence/`."""

    sha256: str
    media_type: str
    role: str
    """`clean-example`, `triggered-example`, `trigger`, `landing`, `pool-manifest`."""
    caption: str


@dataclass(frozen=True)
class Calibration:
    """What a score says beside those of benign models. Never the probability of a backdoor."""

    stratum: Stratum
    pack: str
    """Name of the pack; empty where there is none."""
    digest: str
    """sha256 of the pack's content."""
    n: int
    """Benign models in it."""
    p_value: float | None
    """Conformal, never below 1 / (n + 1); only from a pack of the audit's own stratum."""
    made_on: str
    """ISO date of the pack's newest model."""
    alarm_bound: float | None
    """One-sided 95 % upper bound of the share of benign models that are flagged; only from the own stratum."""
    reason: str = ""
    """Why there is no rate, or what limits the one there is, in words."""


@dataclass(frozen=True)
class Planted:
    """How many models with a planted trigger of one kind were found."""

    kind: str
    """In words, e.g. `patch through image`."""
    found: int
    planted: int


@dataclass(frozen=True)
class Power:
    """What blind searches of an audit's stratum found among models with planted triggers."""

    digest: str
    """sha256 of the table's content."""
    planted: tuple[Planted, ...]
    not_covered: tuple[str, ...]
    """Kinds that were not planted or that no search is made for, in words."""
    side: str
    """Which models of the benchmark were counted, in words."""
    made_on: str
    """ISO date of the newest of them."""


@dataclass(frozen=True)
class AskedPlan:
    """What an audit was asked for, before anything was chosen: enough to ask for the same again."""

    budget: str
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
    """One number per model: the largest held-out `SignatureResult.lift` of any discovered trigger, 0..1."""
    recovered: Recovered | None = None
    """What the trigger of the verdict is; `None` where none was profiled."""
    calibration: Calibration | None = None
    """How the score reads beside benign models; `None` without a score."""
    power: Power | None = None
    """What such searches find; `None` where that was not measured for this stratum, or nothing was searched."""
    picture_drift: float | None = None
    """Mean cosine distance of clean held-out pictures, suspect to reference, as `prompt_drift` is of prompts."""
    not_searched: tuple[NotSearched, ...] = ()
    """Searches that were asked for and could not run: without one of them `nothing-found` is never said."""
    image_tower_unknown: bool = False
    """Whether the image tower came from no reference: neither its weights nor its answers resemble one …"""
    text_tower_unknown: bool = False
    """… and the text tower. The base is unknown where both are."""
    turned_down: str = ""
    """Name of the reference that it turned out not to come from, where the base is unknown for that."""
    notes: tuple[str, ...] = ()
    """What is to be known of this audit beside its verdict; also at the end of `reason`."""
    plan: AskedPlan | None = None
    """What it was asked for; `None` for audits made before that was stored."""


@dataclass(frozen=True)
class Finding:
    """A flagged, inherited, anomalous or refused checkpoint."""

    fingerprint: str
    """`fp1:` and 16 hex digits; equal for the same effect in the same repository."""
    ref: ModelRef
    kind: str
    """`flagged`, `inherited`, `anomalous` or `refused`."""
    severity: str
    """The worst entry type over the interfaces, or `refused`; empty where no interface was measured."""
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
class Tally:
    """What some audits come to together, and how much of it chance alone may have made."""

    audited: int
    flagged: int
    anomalous: int
    """Those in the review queue because their score stands out in its batch."""
    rated: int
    """Audits with a calibration pack of their own stratum."""
    expected: float
    """Flags to expect by chance among those at most, were all of them benign: the sum of their packs' bounds."""


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
