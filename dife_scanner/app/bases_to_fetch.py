"""Which bases a plan would fetch besides the checkpoints themselves, and how large they are."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.app.wiring import hub
from dife_scanner.errors import DifeError
from dife_scanner.records import HubFile, Manifest, Reference
from dife_scanner.settings import Settings

if TYPE_CHECKING:
    from dife_scanner.baselines.registry import Base
    from dife_scanner.models.likeness import Likeness

log = logging.getLogger(__name__)


class BasesToFetch:
    """Finds the base of one checkpoint after the other; a base that several need is counted once."""

    def __init__(self, settings: Settings, known: Sequence[Reference]) -> None:
        self._settings = settings
        self._here = {one.base for one in known if one.base}
        self._sizes: dict[str, int] = {}

    @property
    def total_bytes(self) -> int:
        """Of all bases that would be fetched."""
        return sum(self._sizes.values())

    def of(self, manifest: Manifest) -> tuple[str, str, int]:
        """The base of a checkpoint, what says so, and the bytes to fetch for it.

        A stated base is taken as stated; without one a few values of the weights are compared on the hub. What keeps
        them from being read is logged, and then nothing is named.
        """
        from dife_scanner.baselines import adapters
        from dife_scanner.baselines.likely import claims, likely
        from dife_scanner.baselines.registry import registry

        known = registry(self._settings.references.registry)
        claimed = adapters.stated(manifest)
        about = (manifest.ref, claimed, manifest.architecture)
        measure = None
        try:
            stated = claims(known, manifest.ref, claimed)
            if not stated and known.of_architecture(manifest.architecture):
                measure = self._measure(manifest)
            found = likely(known, *about, measure)
        except DifeError as error:
            log.info("the base of %s is not known yet: %s", manifest.ref, error.what)
            return "", "", 0
        if found.base is None:
            return "", "", 0
        size = self._size(found.base) if found.is_worth_fetching else 0
        return found.base.name, found.by.value, size

    def _size(self, base: Base) -> int:
        from dife_scanner.baselines.fetching import announced_bytes

        if base.name in self._here or self._settings.references.fetch == "never":
            return 0
        if base.name not in self._sizes:
            try:
                self._sizes[base.name] = announced_bytes(hub(self._settings), base, self._settings)
            except DifeError as error:
                log.info("the size of %s is not known: %s", base.name, error.what)
                return 0
        return self._sizes[base.name]

    def _measure(self, manifest: Manifest) -> Callable[[Base], Likeness] | None:
        from dife_scanner.baselines import samples
        from dife_scanner.baselines.base_samples import BaseSamples, of_hub

        weights = _weights(manifest)
        if weights is None or self._settings.references.fetch == "never":
            return None
        client = hub(self._settings)
        if manifest.ref.local:
            available, read = samples.of_file(Path(manifest.ref.repo_id) / weights.path)
        else:
            available, read = of_hub(client, manifest.ref, weights)
        return BaseSamples(client, self._settings.home, available, read).likeness


def _weights(manifest: Manifest) -> HubFile | None:
    """The largest file, where it can be read in parts."""
    largest = max(manifest.files, key=lambda file: file.size or 0, default=None)
    if largest is None or not largest.path.endswith(".safetensors"):
        return None
    return largest
