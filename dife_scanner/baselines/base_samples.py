"""Samples of published bases, read from the hub by range and kept: each base is asked for once per installation."""

from __future__ import annotations

import hashlib
import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dife_scanner.baselines import samples
from dife_scanner.baselines.registry import Base, Place
from dife_scanner.baselines.samples import Matrices, Read, Sample, Shapes
from dife_scanner.durable.atomic import atomic_write
from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import (
    HubError,
    HubUnavailable,
    LimitExceeded,
    Refused,
    Unreadable,
    Unsupported,
)
from dife_scanner.models.layouts.open_clip import WEIGHT_FILES
from dife_scanner.models.likeness import UNTOLD, Likeness
from dife_scanner.records import HubFile, HubModel, ModelRef

if TYPE_CHECKING:
    from dife_scanner.hub.client import Hub

log = logging.getLogger(__name__)

_SAMPLED = (*WEIGHT_FILES, "model.safetensors")
"""Files that can be read in parts, the best first; of a pickle nothing is known before it is here."""
_UNFIT = (Refused, Unreadable, Unsupported, LimitExceeded)


class BaseSamples:
    """Compares one checkpoint with bases that are not here."""

    def __init__(self, hub: Hub, home: Path, available: Matrices, read: Read) -> None:
        """`available` are the matrices of the checkpoint, and `read` reads its file."""
        self._hub = hub
        self._folder = home / "cache" / "samples"
        self._home = home
        self._seed = samples.own_seed(home)
        self._wanted = samples.chosen(available, self._seed)
        self._own = samples.take(available, read, self._wanted, self._seed)

    def likeness(self, base: Base) -> Likeness:
        """How alike the checkpoint and a base are at some places; `UNTOLD` where the base cannot be looked at.

        Raises `HubUnavailable`.
        """
        if not self._own:
            return UNTOLD
        for place in base.places:
            kept = self._kept_for(place)
            if kept.exists():
                return samples.likeness(self._own, _read(kept, self._wanted))
        for place in base.places:
            sample = self._asked_for(place)
            if sample:
                return samples.likeness(self._own, sample)
        return UNTOLD

    def _asked_for(self, place: Place) -> Sample:
        """What the hub sends of a place, kept for the next time; empty where there is nothing to compare with."""
        try:
            sample = self._fetched(place)
        except HubUnavailable:
            raise
        except (HubError, *_UNFIT) as error:
            log.info("%s was not compared: %s", place.repository, error.what)
            return {}
        if sample:
            with disk_errors(self._home):
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                with atomic_write(self._kept_for(place)) as stream:
                    np.savez(stream, allow_pickle=False, **sample)
        return sample

    def _kept_for(self, place: Place) -> Path:
        """The file that keeps what was read: which values these are is part of its name."""
        wanted = ";".join(f"{name}{shape}" for name, shape in self._wanted.items())
        key = f"{self._hub.endpoint} {place.repository} {place.revision} {self._seed} {wanted}"
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"

    def _fetched(self, place: Place) -> Sample:
        model = self._hub.info(place.repository, place.revision or None)
        file = _weights(model)
        if file is None or not file.size:
            return {}
        ref = ModelRef(model.repo_id, model.sha)
        available, read = of_hub(self._hub, ref, file)
        return samples.take(available, read, self._wanted, self._seed)


def of_hub(hub: Hub, ref: ModelRef, file: HubFile) -> tuple[Matrices, Read]:
    """The matrices of a safetensors file on the hub, and how its bytes are read.

    Raises the errors of access, and what `samples.matrices` raises.
    """
    read = partial(hub.read_range, ref, file)
    return samples.matrices(read, file.size or 0, file.path), read


def _weights(model: HubModel) -> HubFile | None:
    by_path = {file.path: file for file in model.files}
    for path in _SAMPLED:
        if path in by_path:
            return by_path[path]
    return None


def _read(kept: Path, wanted: Shapes) -> Sample:
    """What was read before; nothing where the file is not what we wrote."""
    try:
        with np.load(kept, allow_pickle=False) as stored:
            return {name: stored[name] for name in wanted if name in stored}
    except (OSError, ValueError, KeyError) as error:
        log.warning("%s is read again: %s", kept, error)
        kept.unlink(missing_ok=True)
        return {}
