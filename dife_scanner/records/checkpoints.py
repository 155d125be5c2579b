"""Checkpoints on a hub or on disk, what is fetched of them, and the clean references they are compared with."""

from __future__ import annotations

from dataclasses import dataclass

from dife_scanner.records.vocabulary import JobState, Layout, Trust


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
class HubScan:
    """What the hub's own scanners say of a repository. None of them looks for what an audit looks for."""

    done: bool
    """Whether they have looked at every file. Not scanned is not safe."""
    files: tuple[tuple[str, str], ...] = ()
    """Path and level (`unsafe`, `suspicious`, `caution`, `error`, …) of each file with an issue."""
    more: int = 0
    """Files with an issue that are not named here."""


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
    scan: HubScan | None = None
    """What the hub's own scanners say; `None` where nobody asked, or the hub did not say."""


@dataclass(frozen=True)
class HubCommit:
    """One commit of a repository's history."""

    sha: str
    date: str
    """ISO 8601, UTC."""


@dataclass(frozen=True)
class Contents:
    """Which file of a repository is what; paths as in the repository, empty where there is none."""

    config: str = ""
    """What describes the architecture: `open_clip_config.json`, `text_encoder/config.json`, `adapter_config.json`."""
    weights: tuple[str, ...] = ()
    """One file, or every shard of one checkpoint in the order of their numbers."""
    index: str = ""
    """The list of which shard holds which tensor."""
    preprocessing: str = ""
    """How a picture is prepared, where the configuration does not say it."""
    tokenizer: tuple[str, ...] = ()
    learner: str = ""
    """A prompt learner that comes with the checkpoint."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file, the small ones first, so that a fault in one of them costs no download of weights."""
        small = (self.config, self.index, self.preprocessing, *self.tokenizer, self.learner)
        return tuple(path for path in (*small, *self.weights) if path)


@dataclass(frozen=True)
class BaseClaim:
    """What a repository says that it was made from; a stranger's words, never verified here."""

    name: str
    """`org/name` on a hub."""
    relation: str
    """`finetune`, `adapter`, `quantized`, `merge`, or empty where none is said."""
    source: str
    """Where it stands: `card`, or the path of a configuration."""


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
    contents: Contents = Contents()
    """Which of the files is what."""
    other_weights: tuple[str, ...] = ()
    """Files that by their names hold weights that some other program may load, and that are not those audited."""
    unread: tuple[str, ...] = ()
    """Files that by their names hold a prompt learner in a format that is not read; never fetched, never opened."""
    base_claims: tuple[BaseClaim, ...] = ()
    """The card's first, then those of the configurations."""


@dataclass(frozen=True)
class Deviation:
    """A setting that changes what a checkpoint computes and no tensor's shape, where it differs from its base's."""

    setting: str
    """Where it stands in the configuration, e.g. `vision.pool`."""
    suspect: str
    """In words, as everything that a stranger wrote."""
    base: str


@dataclass(frozen=True)
class CastTowers:
    """Hashes of a reference's towers as they are in a copy that was saved in a shorter type."""

    precision: str
    """`float16` or `bfloat16`."""
    image: str
    text: str


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
    repository: str = ""
    """Where its files were fetched from, `org/name`; empty where somebody gave them."""
    revision: str = ""
    """The commit that was fetched."""
    base: str = ""
    """The registry's name of it, e.g. `openai/clip-vit-base-patch32`; empty where the registry does not know it."""
    size: int = 0
    """Bytes on disk; 0 where nobody counted them."""
    fetched: bool = False
    """Whether it was fetched because a checkpoint needed it; such a one gives way where room is needed."""
    trust: Trust = Trust.PERSON
    trusted_at: str = ""
    """When it was pinned, or fetched for the first time; empty where somebody gave it."""
    cast_towers: tuple[CastTowers, ...] = ()
    """One for each shorter type; none for a reference that an older version added."""


@dataclass(frozen=True)
class TrustedFile:
    """One file of a repository as it was when it was first trusted."""

    path: str
    sha256: str


@dataclass(frozen=True)
class TrustRecord:
    """What a repository of a clean base holds, as far as it is trusted."""

    repository: str
    revision: str
    """The commit that is trusted."""
    files: tuple[TrustedFile, ...]
    """Those that make the reference; empty where only the commit was pinned so far."""
    first_at: str
    pinned_at: str = ""
    """When somebody pinned it; empty where the first fetch alone is what is trusted."""
    changed: str = ""
    """What a later fetch found instead, in words; nothing of it was accepted."""


@dataclass(frozen=True)
class ReferenceCheck:
    """What became of a reference when it was verified."""

    name: str
    intact: bool | None
    """Whether every file on disk is the one that was stored; `None` where nothing was recorded to compare with."""
    on_hub: bool | None
    """Whether the hub still announces the same files; `None` where it was not asked or did not answer."""
    problem: str = ""
    """In words; empty where there is none."""
