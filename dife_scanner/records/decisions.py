"""What a checkpoint may be used for: artefacts, deployment profiles, and what people decided about the two."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dife_scanner.records.profile import Entry
from dife_scanner.records.vocabulary import Severity


class DecisionState(StrEnum):
    """Whether an artefact may be used for a deployment."""

    APPROVED = "approved"
    CONDITIONS = "conditions"
    """Where the conditions named are kept."""
    REFUSED = "refused"
    PENDING = "pending"
    """Nobody has decided, or what was decided counts no longer."""


class Why(StrEnum):
    """Why a standing is what it is; all but the first make it `pending`."""

    DECIDED = "decided"
    NOBODY = "nobody decided"
    NOT_AUDITED = "not audited"
    EXPIRED = "expired"
    PROFILE_EDITED = "profile edited"
    AUDIT_CHANGED = "audit changed"
    FINDING_CHANGED = "finding changed"
    CONFLICT = "conflict"
    """Another desk is stricter."""
    OTHER_DESK = "other desk only"
    EXPOSED_SINCE = "exposed since"
    """A measurement for this very deployment, made after the decision, found it exposed."""


@dataclass(frozen=True)
class ArtefactFile:
    """One file of an artefact."""

    role: str
    """`weights 1`, `configuration`, `tokenizer vocab.json`, …"""
    name: str
    """Its path in the repository; it does not count."""
    sha256: str


@dataclass(frozen=True)
class Artefact:
    """The files of one checkpoint that are loaded; the same files anywhere are the same artefact."""

    id: str
    """`art1:` and the sha256 over role and sha256 of each file."""
    files: tuple[ArtefactFile, ...]


@dataclass(frozen=True)
class OwnData:
    """Pictures of somebody's own, by what they hold."""

    path: str
    digest: str


@dataclass(frozen=True)
class DeploymentProfile:
    """What a checkpoint is used for."""

    name: str
    interfaces: tuple[str, ...]
    """Names of interface cards."""
    templates: tuple[str, ...] = ()
    """Prompts with one `{}` for the class name; the audit's own where none is named."""
    classes: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()
    """Texts that pictures are looked for with."""
    k: int = 1
    """How many results of a retrieval are looked at."""
    pictures: OwnData | None = None
    """Labelled pictures."""
    pool: OwnData | None = None
    """Captioned pictures that are searched."""


@dataclass(frozen=True)
class Deployment:
    """One version of a profile as it is kept."""

    profile: DeploymentProfile
    version: int
    digest: str
    """sha256 of what the profile says; the paths of own pictures do not count."""
    actor: str
    at: str
    removed: bool = False


@dataclass(frozen=True)
class DeploymentDecision:
    """One line of the log: what somebody decided about an artefact for a deployment."""

    id: str
    """sha256 of all the rest but `desk`."""
    artefact: str
    deployment: str
    profile: str
    """Digest of the profile as it was then."""
    state: DecisionState
    reason: str
    owner: str
    actor: str
    at: str
    model: str
    """What the checkpoint was called then; of a local folder its name alone."""
    conditions: str = ""
    expires: str = ""
    """The moment from which it counts no longer; empty for never."""
    verdict: str = ""
    """What the audit said that it rests on; empty where there was none."""
    effect: str = ""
    """What the finding of that audit was, by its effect; empty where there was none."""
    audit: str = ""
    """Id of that audit, in the home where it was decided."""
    desk: str = ""
    """Where it was imported from; empty for decisions of this desk."""


@dataclass(frozen=True)
class MeasuredTrigger:
    """One trigger that an audit found, as a deployment meets it."""

    trigger: str
    source: str
    target: str
    entries: tuple[Entry, ...]
    """Of the deployment's interfaces alone."""
    problem: str = ""
    """Why nothing could be measured, in words; empty where something was."""
    queries: int = 0
    """How many of the profile's queries name what the trigger is about, and so have an answer that is known."""


@dataclass(frozen=True)
class DeploymentMeasurement:
    """The triggers that an audit found, measured again with a deployment's own classes, prompts, queries, pool and K.

    Nothing is searched. The audit stays as it is.
    """

    audit: str
    deployment: str
    version: int
    profile: str
    """Digest of the profile that was measured with."""
    severity: Severity
    """The worst over all triggers and the deployment's interfaces."""
    triggers: tuple[MeasuredTrigger, ...]
    at: str
    seconds: float
    added: tuple[str, ...] = ()
    """Classes that the profile does not name, and that stand among its classes because a trigger is about them."""


@dataclass(frozen=True)
class Grounds:
    """The latest audit of an artefact here, as far as decisions rest on it."""

    audit: str
    verdict: str
    effect: str
    at: str
    """When it was stored."""
    interfaces: tuple[str, ...] = ()
    """Exposed ones."""
    looked_again_at: str = ""
    """When its finding was last confirmed or came back; empty where neither happened."""


class Alike(StrEnum):
    """What another artefact has in common with this one."""

    IMAGE_TOWER = "image tower"
    TEXT_TOWER = "text tower"
    TRIGGER = "trigger"
    TARGET = "target"
    """Where the trigger leads."""
    AUTHOR = "author"


@dataclass(frozen=True)
class Precedent:
    """The latest decision about another artefact that has something in common with this one. It only proposes."""

    decision: DeploymentDecision
    alike: tuple[Alike, ...]
    may_be_taken_over: bool = False
    """Whether it counts still, and the tower that carries the effect is equal and the effect the same."""


@dataclass(frozen=True)
class Standing:
    """What counts now about one artefact for one deployment."""

    artefact: str
    deployment: str
    state: DecisionState
    why: Why
    model: str = ""
    decision: DeploymentDecision | None = None
    """The one that counts, or that counted last."""
    conflicts: tuple[DeploymentDecision, ...] = ()
    """Of other desks, that say something else."""
    grounds: Grounds | None = None
    exposed: tuple[str, ...] = ()
    """Interfaces of the deployment through which it is exposed: as measured for it, else as the latest audit found."""
    measured: DeploymentMeasurement | None = None
    """What that audit found, measured with this profile; `None` where that was not done."""

    @property
    def is_pending(self) -> bool:
        """Whether somebody has to decide."""
        return self.state is DecisionState.PENDING


@dataclass(frozen=True)
class GateAnswer:
    """What the gate says of one target."""

    target: str
    artefact: str
    """Empty where the files are not known."""
    deployment: str
    state: DecisionState
    opens: bool
    reason: str
    """In words."""
    conditions: str = ""
    beside: tuple[str, ...] = ()
    """Weights beside those of the artefact, of which no audit looked at any."""
    policy: str = ""
    """Digest of the policy that was asked; empty where the store was."""
    exposed: tuple[str, ...] = ()
    """Interfaces of the deployment through which it is exposed."""
    measured: bool = False
    """Whether that was measured with the deployment's own profile."""
