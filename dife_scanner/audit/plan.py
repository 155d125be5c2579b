"""What decides an audit besides the checkpoint, and the identity that follows from it. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from dife_scanner.audit import populations, probes
from dife_scanner.audit.interfaces.subject import NoPool
from dife_scanner.audit.populations import composed
from dife_scanner.audit.probes import Probes
from dife_scanner.audit.use import Use, of_classes
from dife_scanner.core import canonical
from dife_scanner.core.budgets import MEASURING
from dife_scanner.errors import UsageError
from dife_scanner.records import Budget, Condition, Reference, StoredPlan, Trigger, WorkPlan

AUDIT_VERSION = "dife-19"
DISCOVERY_VERSIONS = {
    Budget.QUICK: "discovery-4",
    Budget.DEFAULT: "discovery-4",
    Budget.DEEP: "discovery-4",
}
"""Raise it when a change makes a detector find something else between the labelled classes: scores are of these, and
calibration sets hold scores. What changes beyond them raises `AUDIT_VERSION` alone; so does what may only take triggers
away, since scores of benign models that are smaller than a set's make its p-values larger."""

OWN_PICTURES_VERSION = "own-pictures-1"
"""Raise it when somebody's own pictures are qualified in another way; no other audit is made anew for that."""


SAME_WORK = 32
"""Digits that the identities of audits share which differ only in how many of their searches ran, and how precisely."""


@dataclass(frozen=True)
class Plan:
    """Equal plans on equal weights give equal audits."""

    signatures: tuple[Trigger, ...]
    budget: Budget = Budget.DEFAULT
    seed: int = 0
    probes_folder: Path | None = None
    extensions: tuple[Path, ...] = ()
    """Files of the researcher's own that register interfaces or trigger kinds (docs/extending.md)."""
    pictures: Path | None = None
    """Labelled pictures of somebody's own in place of the bundled ones, as `audit.populations.read` takes them."""
    captions: Path | None = None
    """Captioned pictures of somebody's own in place of the bundled scenes."""
    detectors: tuple[str, ...] = ()
    """Names of the detectors that search for triggers nobody described; none for a known-trigger audit."""
    work: WorkPlan | None = None
    """Which of them the time is for; `None`: all."""
    ended: tuple[str, ...] = ()
    """Which of them are left out because their channel ended early; known once the audit is over."""
    bfloat16: tuple[str, ...] = ()
    """What searches read in bfloat16 (`discovery.precision`); known once both checkpoints are loaded."""
    use: Use | None = None
    """A deployment that is asked for; no stored audit is of one."""

    def __post_init__(self) -> None:
        """Take a budget by its value too. Raises `UsageError` for one that there is not."""
        if self.budget not in frozenset(Budget):
            raise UsageError(f"{self.budget!r} is no budget", f"choose one of: {', '.join(Budget)}")
        object.__setattr__(self, "budget", Budget(self.budget))

    def read(self, most_classes: int | None = None) -> None:
        """Look into data of somebody's own, so that what cannot be read is refused before an audit begins.

        `LimitExceeded` for more classes of labelled pictures than `most_classes`, before a picture is read.
        """
        if self.pictures and most_classes is not None:
            _own_pictures(self.pictures).check_classes(most_classes)
        self.probes()
        if self.captions:
            _own_captions(self.captions)

    def probes(self) -> probes.Probes:
        """The labelled pictures, split so that nothing is measured where it was chosen."""
        found = self._all_probes()
        if self.use is not None and self.use.classes:
            return of_classes(found, self.use.classes)
        return found

    def _all_probes(self) -> Probes:
        if self.pictures is not None:
            return _own_probes(self.pictures, self.budget, self.seed)
        return probes.load(self.probes_folder or probes.bundled_folder(), self.budget)

    def as_stored(self) -> StoredPlan:
        """The plan as an audit stores it: files by what they hold."""
        return StoredPlan(
            budget=self.budget,
            seed=self.seed,
            signatures=self.signatures,
            detectors=self.detectors,
            pictures=self.probes().digest,
            pools=self.populations_version(),
            extensions=tuple(_file_digest(path) for path in self.extensions),
            work=self.work,
            ended=self.ended,
            bfloat16=self.bfloat16,
        )

    def pictures_name(self) -> str:
        """What errors call the labelled pictures."""
        return _own_pictures(self.pictures).name if self.pictures else "bundled labelled pictures"

    def pool(
        self,
        kind: str,
        condition: Condition,
        class_names: tuple[str, ...],
        cache: Path | None = None,
        of_panel: populations.Captioned | None = None,
    ) -> populations.Pool:
        """One pool of the plan's data for a condition. `NoPool` where the data cannot have such a pool.

        Own captions are used where there are any; labelled pictures of one's own alone make class-derived pools, and so
        do the held-out pictures `of_panel`, of a condition beyond the labelled classes.
        """
        source, target = condition.source, condition.target
        own = of_panel
        if own is None and self.captions:
            own = _own_captions(self.captions)
        if own is None and self.pictures:
            own = _own_pictures(self.pictures).captioned()
        if own is None:
            return populations.bundled(
                kind, source, target, self.budget, self.seed, class_names=class_names, cache=cache
            )
        if kind == populations.GENERATOR_GROUPS and of_panel is not None:
            raise NoPool(f"no picture that a generator made beforehand shows {target}")
        if kind == populations.GENERATOR_GROUPS:
            raise NoPool(
                f"{own.name} holds no pictures that a generator made beforehand; the bundled scenes do, and are used "
                "when no pictures of one's own are given"
            )
        return own.pool(kind, source, target, self.budget, self.seed, class_names=class_names)

    def populations_version(self) -> str:
        """What the pools are drawn from, and how much of it."""
        return f"{self._populations_source()} {canonical.text(MEASURING[self.budget].pools)}"

    def _populations_source(self) -> str:
        """What the pools are drawn from: the composer's version, or a digest of somebody's own data."""
        if self.captions:
            return f"own {_own_captions(self.captions).digest}"
        if self.pictures:
            return f"own {_own_pictures(self.pictures).digest}"
        return composed.version()


def identity(
    weights_sha256: str,
    config_digest: str,
    reference: Reference | None,
    plan: Plan,
    turned_down: Reference | None = None,
    unread: Sequence[str] = (),
) -> str:
    """Audit identity: the same value means the same audit would be run again (docs/architecture.md).

    `turned_down` is a reference that turned out not to be the base, where there is no `reference`: another one that
    comes later may be. `unread` names what came along and was not looked into: without it another verdict is due.

    Preprocessing and context are part of the sanitised configuration; a tokenizer that is not CLIP's own is part of its
    digest, and either is part of the reference's text tower hash.

    Raises `UsageError` for an extension that cannot be read.

    Records enter in their canonical form, so a field that is added with a default makes no audit stale.

    Where not all searches run, or not all in float32, it begins as the identity of the whole and ends with what runs.
    """
    parts = (
        weights_sha256,
        config_digest,
        _compared_with(reference, turned_down),
        AUDIT_VERSION,
        plan.budget,
        str(plan.seed),
        plan.probes().digest,
        plan.populations_version(),
        *(canonical.text(trigger) for trigger in plan.signatures),
        *(_file_digest(path) for path in plan.extensions),
        *((DISCOVERY_VERSIONS[plan.budget], *plan.detectors) if plan.detectors else ()),
        *(f"unread {name}" for name in unread),
        *((OWN_PICTURES_VERSION,) if plan.pictures else ()),
        *((canonical.text(plan.use),) if plan.use else ()),
    )
    whole = sha256("\x1f".join(parts).encode()).hexdigest()
    depth = _depth(plan)
    if not depth:
        return whole
    ends = sha256("\x1f".join((whole, *depth)).encode()).hexdigest()
    return whole[:SAME_WORK] + ends[SAME_WORK:]


def _depth(plan: Plan) -> list[str]:
    """What says how far the searches go, and how precisely; nothing where all of them run in float32."""
    depth = []
    if plan.work is not None and plan.work.is_cut:
        depth.append(canonical.text(plan.work.depth))
    if plan.ended:
        depth.append(f"ended {', '.join(plan.ended)}")
    if plan.bfloat16:
        depth.append(f"bfloat16 {', '.join(plan.bfloat16)}")
    return depth


def _compared_with(reference: Reference | None, turned_down: Reference | None) -> str:
    if reference:
        return _towers(reference)
    return f"not {_towers(turned_down)}" if turned_down else "no reference"


def _towers(reference: Reference) -> str:
    """A reference as identities name it: by what it computes."""
    return f"{reference.image_tower}:{reference.text_tower}"


def _file_digest(path: Path) -> str:
    """sha256 of an extension. Raises `UsageError` where it cannot be read."""
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(
            f"the extension {path} cannot be read: {error.strerror}", "check the path"
        ) from error


@lru_cache(maxsize=2)
def _own_pictures(path: Path) -> populations.Labelled:
    return populations.read(path, "labelled")


@lru_cache(maxsize=2)
def _own_captions(path: Path) -> populations.Captioned:
    return populations.read(path, "captions")


@lru_cache(maxsize=2)
def _own_probes(path: Path, budget: Budget, seed: int) -> probes.Probes:
    return _own_pictures(path).probes(budget, seed)
