"""The wide probe set: hundreds of concepts, each drawn by several hands, split by hand.

Searches and qualification read `search`; nothing but evidence reads `held-out`. Pictures are read when they are asked
for: all of them would take a gigabyte.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from dife_scanner.audit.probes import Pixels
from dife_scanner.errors import ProbeError
from dife_scanner.records import PoolItem

SEARCH = "search"
HELD_OUT = "held-out"
MANIFEST = "wide-probes.json"

_REINSTALL = "reinstall the package"


@dataclass(frozen=True)
class Concept:
    """One thing of the set."""

    name: str
    labelled: str
    """The labelled class that it is a kind of; empty where it is of none."""
    near: tuple[str, ...]
    """Concepts of the set whose names are near synonyms."""
    kept_out: bool
    """Whether no base of this art was trained on it."""


@dataclass(frozen=True)
class Shown:
    """One picture: a concept as one hand draws it."""

    file: str
    sha256: str
    concept: str
    style: str
    drawing: str
    """Id of the drawing: `set:name`."""
    split: str
    licence: str

    @property
    def item(self) -> PoolItem:
        """Its line in the manifest of a population."""
        return PoolItem(
            id=self.file,
            sha256=self.sha256,
            caption="",
            label=self.concept,
            source=self.drawing,
            licence=self.licence,
        )


@dataclass(frozen=True)
class WideProbes:
    """The set as its manifest describes it."""

    folder: Path
    version: str
    digest: str
    """sha256 of the manifest, which holds the sha256 of every picture."""
    concepts: tuple[Concept, ...]
    shown: tuple[Shown, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of all concepts."""
        return tuple(one.name for one in self.concepts)

    @cached_property
    def _by_place(self) -> dict[tuple[str, str], tuple[Shown, ...]]:
        found: dict[tuple[str, str], tuple[Shown, ...]] = {}
        for one in self.shown:
            place = (one.concept, one.split)
            found[place] = (*found.get(place, ()), one)
        return found

    def concept(self, name: str) -> Concept | None:
        """What is known of a concept; `None` where the set does not show it."""
        return next((one for one in self.concepts if one.name == name), None)

    def of(self, concept: str, split: str) -> tuple[Shown, ...]:
        """The pictures of a concept in one split, in the manifest's order."""
        return self._by_place.get((concept, split), ())

    def read(self, shown: Sequence[Shown]) -> Pixels:
        """The pictures [n, h, w, 3]. Raises `ProbeError` for one that is not the manifest's."""
        archives: dict[str, zipfile.ZipFile] = {}
        try:
            return np.stack([self._picture(one, archives) for one in shown])
        finally:
            for archive in archives.values():
                archive.close()

    def _picture(self, one: Shown, archives: dict[str, zipfile.ZipFile]) -> Pixels:
        from PIL import Image

        path = self.folder / f"{one.split}.zip"
        try:
            if one.split not in archives:
                archives[one.split] = zipfile.ZipFile(path)
            content = archives[one.split].read(one.file)
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise ProbeError(
                f"probe picture {one.file} in {path} cannot be read", _REINSTALL
            ) from error
        # A changed picture would change every number without a word.
        if sha256(content).hexdigest() != one.sha256:
            raise ProbeError(
                f"probe picture {one.file} in {path} is not the one in the manifest", _REINSTALL
            )
        with Image.open(BytesIO(content)) as image:
            return np.asarray(image.convert("RGB"))


def bundled_folder() -> Path:
    return Path(str(files("dife_scanner") / "assets" / "wide-probes"))


@lru_cache(maxsize=2)
def load(folder: Path) -> WideProbes:
    """Read the manifest of a set and check its splits. Raises `ProbeError`."""
    raw, manifest = _manifest(folder)
    found = WideProbes(
        folder=folder,
        version=str(manifest["version"]),
        digest=sha256(raw).hexdigest(),
        concepts=tuple(map(_concept, manifest["concepts"])),
        shown=tuple(Shown(**row) for row in manifest["images"]),
    )
    _check_apart(found.shown)
    _check_complete(found)
    return found


def _manifest(folder: Path) -> tuple[bytes, dict[str, Any]]:
    try:
        raw = (folder / MANIFEST).read_bytes()
        return raw, json.loads(raw)
    except (OSError, ValueError) as error:
        raise ProbeError(
            f"the wide probe set in {folder} has no readable {MANIFEST}", _REINSTALL
        ) from error


def _concept(row: dict[str, Any]) -> Concept:
    return Concept(row["name"], row["class"] or "", tuple(row["near"]), row["kept_out"])


def _check_apart(shown: Iterable[Shown]) -> None:
    """Check that no hand, and so no drawing, stands in two splits."""
    where: dict[str, str] = {}
    for one in shown:
        if where.setdefault(one.style, one.split) != one.split:
            raise ProbeError(
                f"the style {one.style} stands in more than one split of the wide probe set"
            )


def _check_complete(found: WideProbes) -> None:
    for name in found.names:
        for split in (SEARCH, HELD_OUT):
            if not found.of(name, split):
                raise ProbeError(
                    f"split {split} of the wide probe set in {found.folder} has no picture of {name}"
                )
