"""What a job's checkpoint is compared with: a reference that is here, or the base that it needs and that is fetched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.baselines import acquire, adapters, keeping, likely, references, samples
from dife_scanner.baselines.acquire import Acquired, Needs
from dife_scanner.baselines.base_samples import of_hub
from dife_scanner.baselines.fetching import Fetching
from dife_scanner.baselines.references import Choice
from dife_scanner.baselines.registry import registry
from dife_scanner.baselines.samples import Matrices, Read
from dife_scanner.checkpoints import Prepared, cache_folder
from dife_scanner.errors import NeedsBase
from dife_scanner.progress import Progress
from dife_scanner.queue import child
from dife_scanner.queue.work import Work
from dife_scanner.records import Job, Manifest, Reference
from dife_scanner.sentences import bases as sentences
from dife_scanner.store import Store
from dife_scanner.store import references as kept_references

if TYPE_CHECKING:
    from dife_scanner.hub.client import Hub

_READ_IN_PARTS = ".safetensors"


@dataclass(frozen=True)
class BaseChoice:
    """Chooses for one job."""

    store: Store
    job: Job
    work: Work
    hub: Callable[[], Hub]
    progress: Progress
    check: Callable[[], None]
    _told: list[str] = field(default_factory=list)
    """What was found out of its base on the way."""

    def known(self, manifest: Manifest) -> list[Reference]:
        """The references that may be chosen: of an adapter those that it names, unless a person named one."""
        known = kept_references.references(self.store)
        if self.work.reference:
            return known
        return adapters.usable(manifest, known, registry(self.work.settings.references.registry))

    def of(self, manifest: Manifest, prepared: Prepared) -> Choice:
        """The reference, how alike the checkpoint is to it, and what has to be known of the choice.

        Raises what `references.choose` and `acquire.acquire` raise, and `NeedsBase` where a part of a checkpoint has
        no base to be completed with.
        """
        choice = self._among_those_here(manifest, prepared)
        is_base = choice.reference is not None and not choice.likeness.is_strange
        if not is_base and not self.work.reference and not self._told:
            needs = Needs(
                self.job.ref,
                adapters.stated(manifest),
                prepared.architecture,
                lambda hub: samples.of_file(prepared.weights),
            )
            if self._acquire(needs, manifest).reference is not None:
                choice = self._among_those_here(manifest, prepared)
        if choice.reference is None and prepared.parts is not None:
            raise NeedsBase(
                "; ".join(("no clean base that is here fits what it holds", *self._told)),
                "add its base with `dife reference add`, and scan it again",
            )
        return replace(choice, notes=(*choice.notes, *self._told, *self._otherwise(manifest)))

    def _otherwise(self, manifest: Manifest) -> tuple[str, ...]:
        """That a person had an adapter put onto another base than it names."""
        if not self.work.reference or not adapters.is_adapter(manifest):
            return ()
        known = kept_references.references(self.store)
        bases = registry(self.work.settings.references.registry)
        names = [one.name for one in adapters.usable(manifest, known, bases)]
        if self.work.reference in names:
            return ()
        return (sentences.other_base(self.work.reference, adapters.named(manifest)),)

    def for_part(self, manifest: Manifest, lacking: NeedsBase) -> None:
        """Bring the base of a part of a checkpoint here. Raises `NeedsBase` where it cannot be told or fetched."""
        needs = Needs(
            self.job.ref,
            adapters.stated(manifest),
            manifest.architecture,
            partial(self._stored, manifest),
        )
        acquired = self._acquire(needs, manifest)
        if acquired.reference is None:
            raise NeedsBase("; ".join((lacking.what, *acquired.notes)), lacking.advice) from lacking

    def _acquire(self, needs: Needs, manifest: Manifest) -> Acquired:
        """The base that it needs and that is not here, where it can be told and may be fetched.

        One that may not is noted: whoever adds it has the job done again.
        """
        acquired = acquire.acquire(
            self.store,
            needs,
            partial(self._fetching, manifest),
            self.work.settings,
            self.work.confirm,
        )
        self._told.extend(acquired.notes)
        if acquired.base:
            kept_references.want(self.store, self.job.id, acquired.base)
        return acquired

    def _among_those_here(self, manifest: Manifest, prepared: Prepared) -> Choice:
        """Of all that fit none goes away while this job runs."""
        settings = self.work.settings
        known = self.known(manifest)
        fitting = references.fits(prepared, settings.limits)
        used = [reference.name for reference in known if fitting(reference)]
        kept_references.use(self.store, self.job.id, used)
        bases = registry(settings.references.registry)
        return references.choose(
            known,
            fitting,
            likely.expanded(bases, adapters.stated(manifest)),
            self.work.reference,
            partial(references.likeness, prepared.weights, limits=settings.limits),
        )

    def _stored(self, manifest: Manifest, hub: Hub) -> tuple[Matrices, Read]:
        """The matrices of its largest file as it is stored; none where that is not read in parts."""
        file = max(manifest.files, key=lambda one: one.size or 0)
        if not file.path.endswith(_READ_IN_PARTS):
            return {}, lambda start, length: b""
        if self.job.ref.local:
            return samples.of_file(Path(self.job.ref.repo_id) / file.path)
        return of_hub(hub, manifest.ref, file)

    def _fetching(self, manifest: Manifest) -> Fetching:
        at_hand = {}
        if not self.job.ref.local:
            cache = cache_folder(self.work.home, self.job.ref)
            at_hand = {file.sha256: cache / file.path for file in manifest.files if file.sha256}
        return Fetching(
            self.work.settings,
            self.hub(),
            measure=keeping.towers_apart(child.process_context(self.work.preload, self.work.start)),
            channels=self.work.channels,
            progress=self.progress,
            check=self.check,
            at_hand=at_hand,
            needed=True,
        )
