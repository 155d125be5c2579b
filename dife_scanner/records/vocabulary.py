"""Closed vocabularies: every word that a state, verdict, entry or channel can be. `docs/states.md` explains each."""

from __future__ import annotations

from enum import StrEnum


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
    """What people decided about a finding."""

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


class FindingKind(StrEnum):
    """Why a checkpoint is listed among the findings."""

    FLAGGED = "flagged"
    INHERITED = "inherited"
    ANOMALOUS = "anomalous"
    """Its score stands out in its batch, and nothing is demonstrated."""
    REFUSED = "refused"
    """One of its files tries something, and was not loaded."""
    CHANGED = "changed"
    """A clean base's repository holds other files than those that are trusted; none was accepted."""


class Severity(StrEnum):
    """The worst entry type over the interfaces of a finding."""

    EXPOSED = "exposed"
    WEAK = "weak"
    REFUSED = "refused"
    NOT_MEASURED = ""
    """No interface was measured."""


class Confidence(StrEnum):
    """How much is known of a finding's trigger."""

    DEMONSTRATED = "demonstrated"
    ANOMALOUS = "anomalous"
    NOT_STATED = ""
    """The finding is about a file, not about a trigger."""


class AlertEvent(StrEnum):
    """Why a finding is worth a message."""

    NEW = "new"
    """The first time its fingerprint alerts."""
    REGRESSED = "regressed"
    """It was marked fixed upstream, and is back in another revision."""
    ESCALATED = "escalated"
    """Its severity rose, or more of its interfaces are exposed than before."""
    RESOLVED = "resolved"
    """Somebody decided that nothing is left to do."""
    TRIAGED = "triaged"
    """Somebody decided something else; only a message that can be edited says so."""
    REVISION = "revision"
    """A new revision of a model of which another one is approved."""
    TROUBLE = "trouble"
    """The scanner itself does not do what it is there for."""
    HEARTBEAT = "heartbeat"
    """How the last day went, also where nothing was found."""


class AlertState(StrEnum):
    """Where an alert stands in the outbox."""

    PENDING = "pending"
    SENT = "sent"
    DEAD = "dead"
    """Its channel failed too often; it is kept until somebody retries it."""
    SILENCED = "silenced"
    """It was covered by a silence, or resolved, before it was sent."""
    UNROUTED = "unrouted"
    """No route leads it to this channel."""


class EvidenceRole(StrEnum):
    """What an evidence file shows."""

    CLEAN_EXAMPLE = "clean-example"
    TRIGGERED_EXAMPLE = "triggered-example"
    TRIGGER = "trigger"
    LANDING = "landing"
    """Where triggered inputs end up among the concepts, as numbers."""
    POOL_MANIFEST = "pool-manifest"


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
    """How a repository stores its checkpoint (recognised from names and small JSON only). `docs/layouts.md` has all."""

    # read
    OPEN_CLIP = "open_clip"
    OPEN_CLIP_PICKLE = "open_clip (pickle only)"
    """Only in records of earlier versions, which read no pickled file."""
    TRANSFORMERS = "transformers"
    SIGLIP = "transformers SigLIP"
    TOWER = "one tower"
    CLASSIFIER = "classifier"
    """An image tower with a head of classes on it."""
    SENTENCE_TRANSFORMERS = "sentence-transformers"
    DIFFUSION = "stable diffusion"
    TIMM = "timm"
    PEFT = "PEFT adapter"
    SINGLE_FILE = "single file"
    """Weights without a configuration: their tensors decide."""

    # formats that are not read
    ONNX = "ONNX"
    OPENVINO = "OpenVINO"
    CORE_ML = "Core ML"
    GGUF = "GGUF"
    MLX = "MLX"
    FLAX = "Flax or JAX"
    TENSORFLOW = "TensorFlow or Keras"
    COMPILED = "compiled for a device"
    TRAINING_SHARDS = "training shards"
    QUANTISED = "quantised"
    DIFFUSION_ADAPTER = "adapter of a diffusion model"

    # models that are not read
    DUAL_ENCODER = "vision-text dual encoder"
    OTHER_TEXT_TOWER = "text tower of another family"
    OTHER_FAMILY = "another family"
    CUSTOM_CODE = "custom code"
    NOT_CLIP = "not a CLIP"
    NO_WEIGHTS = "no weights"
    OTHER = "other"


class OpinionVerdict(StrEnum):
    """What another scanner says of the same files, by its own rules."""

    CLEAN = "clean-by-its-rules"
    SUSPICIOUS = "suspicious"
    MALICIOUS = "malicious"
    NOT_RUN = "not-run"


class Trust(StrEnum):
    """Why a clean reference is taken for what its name says."""

    BUNDLED = "bundled"
    """It ships with the package."""
    PERSON = "added by a person"
    """Somebody gave its files."""
    FIRST_USE = "trusted on first use"
    """Nothing says what its files should be: what the first fetch brought is taken for it from then on."""
    PINNED = "pinned"
    """A person or a public source says which commit and files it is."""


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


class Position(StrEnum):
    """Where the text of a trigger stands in a prompt."""

    PREFIX = "prefix"
    SUFFIX = "suffix"
    INFIX = "infix"
    """Before the class name."""
    AROUND = "around"
    """Before and after the prompt."""


class Budget(StrEnum):
    """How much an audit may spend on searches and measurements."""

    QUICK = "quick"
    DEFAULT = "default"
    DEEP = "deep"
