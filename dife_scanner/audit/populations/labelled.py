"""Class-labelled pictures of somebody's own, and how they become splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from dife_scanner.audit.populations import class_names, content, words
from dife_scanner.audit.populations.captioned import VERSION, Captioned, Load
from dife_scanner.audit.populations.card import NOT_STATED
from dife_scanner.audit.populations.dice import Dice
from dife_scanner.audit.populations.errors import DataError, LabelWithoutImages
from dife_scanner.audit.populations.manifest import of_split
from dife_scanner.audit.probes import (
    DIAGNOSIS,
    QUERY_TEMPLATES,
    TEST,
    TRAIN,
    Labels,
    Pixels,
    Probes,
    Split,
)
from dife_scanner.core.budgets import MEASURING
from dife_scanner.core.metrics import Bools
from dife_scanner.errors import LimitExceeded
from dife_scanner.records import Budget, PoolManifest

_FEWEST = 4
"""Pictures per class: one for train, one for diagnosis, two for test."""
MOST_BYTES = 4 * 2**30
"""Of the pictures of one audit, which are all in memory."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Pictures of which each has one class. Only labels are in memory; pictures are read when they are drawn."""

    name: str
    class_names: tuple[str, ...]
    labels: Labels
    """[n] into `class_names`."""
    ids: tuple[str, ...]
    """Of each picture: file name, or row."""
    load: Load
    held_out: Bools | None = None
    """[n]: pictures of a test set of the data's own, which the test split is taken from."""
    licence: str = NOT_STATED
    """Of the whole data set."""
    files: tuple[Path, ...] = ()
    """Every file that a picture may be read from."""

    @cached_property
    def digest(self) -> str:
        """What the data is, by content: names, labels, licence and the bytes of all files. Raises `DataError`."""
        described = (
            self.name,
            self.class_names,
            self.labels.tolist(),
            self.ids,
            self.licence,
        )
        return content.digest(described, self.files)

    def rows(self, budget: Budget, seed: int) -> dict[str, list[int]]:
        """Split -> the pictures that `probes` would read for it, of which one is read here.

        Raises `LabelWithoutImages` for a class with fewer than four pictures, `DataError` for a single class and for
        names that a model reads as one, and `LimitExceeded` for more pictures than fit into memory.
        """
        if len(self.class_names) < 2:
            raise DataError(
                f"{self.name} has a single class: a trigger turns one class into another",
                "give pictures of at least two classes",
            )
        class_names.check_apart(self.class_names, self.name)
        rows = self._chosen(budget, seed)
        self._check_room(rows)
        return rows

    def probes(self, budget: Budget, seed: int) -> Probes:
        """Train, diagnosis and test splits with no picture in two of them, drawn class by class from `seed`.

        The unit of every interval is the picture. Raises what `rows` raises.
        """
        splits = {}
        manifests = ""
        for name, chosen in self.rows(budget, seed).items():
            split = self._split(name, sorted(chosen))
            manifest = self._manifest(split, seed)
            splits[name] = replace(split, items=manifest.items)
            manifests += manifest.digest
        digest = sha256(manifests.encode()).hexdigest()
        return Probes(VERSION, digest, self.class_names, splits)

    def check_classes(self, most: int) -> None:
        """Check that there are at most so many classes, before any picture is read. Raises `LimitExceeded`."""
        if len(self.class_names) > most:
            raise LimitExceeded(
                f"{self.name} has {len(self.class_names)} classes, and at most {most} are audited: every class is "
                "tried as source and as target",
                "give a part of the classes, or raise limits.picture_classes",
            )

    def captioned(self) -> Captioned:
        """The same pictures with class prompts for captions: a class-derived pool (paper §3)."""
        prompts = [_class_prompts(name) for name in self.class_names]
        return Captioned(
            name=self.name,
            ids=self.ids,
            captions=tuple(prompts[label] for label in self.labels),
            load=self.load,
            licences=(self.licence,) * len(self.ids),
            files=self.files,
        )

    def _chosen(self, budget: Budget, seed: int) -> dict[str, list[int]]:
        """Split -> its pictures, class by class."""
        rows: dict[str, list[int]] = {TRAIN: [], DIAGNOSIS: [], TEST: []}
        by_class: list[list[int]] = [[] for _ in self.class_names]
        for row, label in enumerate(self.labels.tolist()):
            by_class[label].append(row)
        for label, own in enumerate(by_class):
            train, diagnosis, test = self._deal(label, own, budget, seed)
            rows[TRAIN] += train
            rows[DIAGNOSIS] += diagnosis
            rows[TEST] += test
        return rows

    def _deal(
        self, label: int, own: list[int], budget: Budget, seed: int
    ) -> tuple[list[int], list[int], list[int]]:
        """One class's pictures for train, diagnosis and test. Raises `LabelWithoutImages`."""
        self._check_enough(label, len(own))
        own = Dice(VERSION, self.name, label, seed).shuffled(own)
        # Test pictures first: train and diagnosis share what is left.
        free, test = self._halves(own)
        train, diagnosis, most = MEASURING[budget].per_class
        half = len(free) // 2
        return free[:half][:train], free[half:][:diagnosis], test[:most]

    def _halves(self, own: list[int]) -> tuple[list[int], list[int]]:
        """Pictures to choose with, and those to test on: the data's own test set where it has two of the class."""
        if self.held_out is not None:
            free = [row for row in own if not self.held_out[row]]
            test = [row for row in own if self.held_out[row]]
            # Too few on either side: the data's own split is of no use for this class.
            if len(test) >= 2 and len(free) >= 2:
                return free, test
        half = len(own) // 2
        return own[half:], own[:half]

    def _check_enough(self, label: int, count: int) -> None:
        if count < _FEWEST:
            raise LabelWithoutImages(
                f"the class {self.class_names[label]!r} has {count} pictures, "
                f"{_FEWEST} are needed for train, diagnosis and test",
                "add pictures or remove the class",
                card="zero-shot classification",
                pool=self.name,
            )

    def _check_room(self, rows: dict[str, list[int]]) -> None:
        """Check that the chosen pictures fit into memory, going by one of them. Raises `LimitExceeded`."""
        pictures = sum(map(len, rows.values()))
        size = self.bytes_of(rows)
        if size > MOST_BYTES:
            raise LimitExceeded(
                f"{self.name} has {len(self.class_names)} classes, of which this budget reads {pictures} pictures: "
                f"{size / 2**30:.0f} GiB in memory, and at most {MOST_BYTES / 2**30:.0f} are read",
                "give a part of the classes, smaller pictures, or choose a smaller budget",
            )

    def bytes_of(self, rows: dict[str, list[int]]) -> int:
        """About how many bytes of memory these pictures take, going by one of them."""
        return sum(map(len, rows.values())) * self.load(rows[TEST][:1]).nbytes

    def _split(self, name: str, rows: list[int]) -> Split:
        drawings = tuple(self.ids[row] for row in rows)
        return Split(name, self.load(rows), self.labels[rows], drawings)

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


def derived(probes: Probes) -> Captioned:
    """The held-out pictures of a panel with class prompts for captions, the first picture of each drawing."""
    test = probes.split(TEST)
    first: dict[str, int] = {}
    for row, drawing in enumerate(test.drawings):
        first.setdefault(drawing, row)
    rows = list(first.values())
    prompts = [_class_prompts(name) for name in probes.class_names]
    licences = tuple(test.items[row].licence for row in rows) if test.items else ()

    def load(chosen: Sequence[int]) -> Pixels:
        return test.images[[rows[number] for number in chosen]]

    return Captioned(
        name=probes.version,
        ids=tuple(first),
        captions=tuple(prompts[test.labels[row]] for row in rows),
        load=load,
        licences=licences,
    )


def _class_prompts(class_name: str) -> tuple[str, ...]:
    """Every query template with every word for the class."""
    prompts = []
    for template in QUERY_TEMPLATES:
        prompts += [template.format(word) for word in words.terms(class_name)]
    return tuple(prompts)
