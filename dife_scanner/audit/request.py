"""What an audit is requested with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.audit.plan import Plan, identity
from dife_scanner.models.likeness import UNTOLD, Likeness
from dife_scanner.records import (
    Deviation,
    LayerChange,
    MemoryUse,
    ModelRef,
    Qualification,
    Reference,
    SettingsOf,
    WorkPlan,
)

if TYPE_CHECKING:
    from dife_scanner.settings import Limits


@dataclass(frozen=True)
class Grant:
    """The time that an audit is granted."""

    seconds: float
    by_hand: bool = False
    """Whether somebody granted just that (`--minutes`); otherwise it is the limit of every audit."""
    before: float = 0.0
    """Seconds granted to the audits that it goes on from."""
    after: str = ""
    """Id of the audit that it goes on from."""


@dataclass(frozen=True)
class Request:
    """Everything an audit child needs, picklable: staged folder, reference, plan. No open files, no models."""

    ref: ModelRef
    folder: Path
    """Private copy with `open_clip_config.json` and the weights."""
    weights_sha256: str
    config_digest: str
    """sha256 of the sanitised configuration."""
    reference: Reference | None
    known: tuple[Reference, ...]
    """All references, for `identical`."""
    plan: Plan
    device: str = "cpu"
    cache: Path | None = None
    """Folder of embeddings kept per tower."""
    likeness: Likeness = UNTOLD
    """Of the weights to the reference's."""
    named: bool = False
    """Whether somebody named the reference: it is compared with, whatever the likeness is."""
    notes: tuple[str, ...] = ()
    """What is to be known of this audit besides its verdict."""
    demonstrated: frozenset[str] = frozenset()
    """Names of signatures that earlier audits demonstrated in the reference itself."""
    unread: tuple[str, ...] = ()
    """Prompt learners that came along in a format that is not read."""
    turned_down: Reference | None = None
    """The reference that it turned out not to come from; then there is no `reference`."""
    grant: Grant | None = None
    """The time that it is granted, where it is bounded."""
    replays: bool = False
    """Whether the plan says already which searches run, so that no clock is asked."""
    ends_early: bool = False
    """Whether a channel ends once a trigger of it is demonstrated."""
    settings: SettingsOf = SettingsOf.SUSPECT
    """Under whose configuration both checkpoints run."""
    deviations: tuple[Deviation, ...] = ()
    """Settings that differ from the base's."""
    tokenizer_differences: tuple[str, ...] = ()
    """How the suspect's tokenizer differs from the base's, found when both are loaded."""
    limits: Limits | None = None
    """On what is loaded; those of a program without settings where it is `None`."""
    own_settings_problem: str = ""
    """Why the checkpoint cannot be run under its own configuration, in words; empty where it can."""
    qualification: Qualification | None = None
    """What the reference recognises of the wide probe set; `None` where that was not measured."""
    memory: MemoryUse | None = None
    """What it is estimated to hold, and how gradients are taken for that; decided before anything is loaded."""
    at_once: int | None = None
    """Pictures that went through at once with gradients in the audit that this one repeats."""
    layers: tuple[LayerChange, ...] = ()
    """How far each layer of the suspect is from the reference's, found when both are loaded."""
    flagged: frozenset[str] = frozenset()
    """Names of `known` references that an audit found backdoored: what they respond to may be an attack too."""

    @property
    def audits(self) -> int:
        """How many audits it takes: one under each of two configurations where they deviate."""
        return 2 if self.deviations else 1

    @property
    def identity(self) -> str:
        """Of the audit."""
        return identity(
            self.weights_sha256,
            self.config_digest,
            self.reference,
            self.plan,
            self.turned_down,
            self.unread,
        )

    def with_work(self, work: WorkPlan | None) -> Request:
        """The same, with what the time is for decided."""
        return replace(self, plan=replace(self.plan, work=work), replays=True)

    def with_ended(self, names: tuple[str, ...]) -> Request:
        """The same, with the searches that were left out because their channel had ended."""
        return replace(self, plan=replace(self.plan, ended=names))

    def with_bfloat16(self, operations: tuple[str, ...]) -> Request:
        """The same, with what searches read in bfloat16."""
        return replace(self, plan=replace(self.plan, bfloat16=operations))
