"""Class-labelled pictures of somebody's own, and how they become splits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit.populations import content, words
from dife_scanner.audit.populations.captioned import VERSION, Captioned, Load
from dife_scanner.audit.populations.card import NOT_STATED
from dife_scanner.audit.populations.dice import Dice
from dife_scanner.audit.populations.errors import LabelWithoutImages
from dife_scanner.audit.populations.manifest import of_split
from dife_scanner.audit.probes import DIAGNOSIS, QUERY_TEMPLATES, TEST, TRAIN, Probes, Split
from dife_scanner.records import PoolManifest

PER_CLASS = {"quick": (8, 8, 16), "default": (16, 16, 40), "deep": (100, 100, 1000)}
"""Most pictures per class in train, diagnosis and test; `deep` has CIFAR-10's whole test set, as in the paper."""
_FEWEST = 4
"""Pictures per class: one for train, one for diagnosis, two for test."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Pictures of which each has one class. Only labels are in memory; pictures are read when they are drawn."""

    name: str
    class_names: tuple[str, ...]
    labels: NDArray[np.int64]
    """[n] into `class_names`."""
    ids: tuple[str, ...]
    """Of each picture: file name, or row."""
    load: Load
    held_out: NDArray[np.bool_] | None = None
    """[n]: pictures of a test set of the data's own, which the test split is taken from."""
    licence: str = NOT_STATED
    """Of the whole data set."""
    files: tuple[Path, ...] = ()
    """Every file that a picture may be read from."""

    @cached_property
    def digest(self) -> str:
        """What the data is, by content: names, labels, licence and the bytes of all files. Raises `DataError`."""
        told = (self.name, self.class_names, self.labels.tolist(), self.ids, self.licence)
        return content.digest(told, self.files)

    def probes(self, budget: str, seed: int) -> Probes:
        """Train, diagnosis and test splits with no picture in two of them, drawn class by class from `seed`.

        The unit of every interval is the picture. Raises `LabelWithoutImages` for a class with fewer than
        four pictures.
        """
        chosen: dict[str, list[int]] = {TRAIN: [], DIAGNOSIS: [], TEST: []}
        for number, name in enumerate(self.class_names):
            for split, own in zip(chosen, self._deal(number, name, budget, seed), strict=True):
                chosen[split] += own
        splits = {name: self._split(name, sorted(rows)) for name, rows in chosen.items()}
        manifests = [self._manifest(split, seed) for split in splits.values()]
        digest = sha256("".join(manifest.digest for manifest in manifests).encode()).hexdigest()
        named = zip(splits.values(), manifests, strict=True)
        splits = {split.name: replace(split, items=manifest.items) for split, manifest in named}
        return Probes(VERSION, digest, self.class_names, splits)

    def captioned(self) -> Captioned:
        """The same pictures with class prompts for captions: a class-derived pool (paper §3)."""
        told = [
            tuple(template.format(word) for template in QUERY_TEMPLATES for word in words.terms(name))
            for name in self.class_names
        ]
        return Captioned(
            self.name,
            self.ids,
            tuple(told[label] for label in self.labels),
            self.load,
            (self.licence,) * len(self.ids),
            self.files,
        )

    def _deal(self, number: int, name: str, budget: str, seed: int) -> tuple[list[int], list[int], list[int]]:
        dice = Dice(VERSION, self.name, number, seed)
        mine = dice.shuffled(np.flatnonzero(self.labels == number).tolist())
        kept = set(np.flatnonzero(self.held_out).tolist()) if self.held_out is not None else set()
        test, free = [at for at in mine if at in kept], [at for at in mine if at not in kept]
        if len(test) < 2 or len(free) < 2:
            test, free = mine[: len(mine) // 2], mine[len(mine) // 2 :]
        if len(mine) < _FEWEST:
            raise LabelWithoutImages(
                f"the class {name!r} has {len(mine)} pictures, {_FEWEST} are needed for train, diagnosis and test",
                "add pictures or remove the class",
                card="zero-shot classification",
                pool=self.name,
            )
        train, diagnosis, most = PER_CLASS[budget]
        half = len(free) // 2
        return free[:half][:train], free[half:][:diagnosis], test[:most]

    def _split(self, name: str, rows: list[int]) -> Split:
        return Split(name, self.load(rows), self.labels[rows], tuple(self.ids[at] for at in rows))

    def _manifest(self, split: Split, seed: int) -> PoolManifest:
        return of_split(
            self.name,
            split,
            self.class_names,
            version=VERSION,
            seed=seed,
            source=self.name,
            licence=self.licence,
        )
