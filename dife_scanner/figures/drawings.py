"""Drawings from the probe sets that ship with the package: of the concept that a trigger leads to, and of ranked items.

They are read when somebody looks, and are no evidence: no audit holds them. Of a trigger the nearest concept counts, or
one that is as good as equally near, such as another word for it: the first that a set shows, by its name, as a labelled
class that the wide set has kinds of, or as one of the labelled classes themselves.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from dife_scanner.records import Audit, NearestConcept
from dife_scanner.sentences.numbers import number

MOST = 4
"""Drawings that are shown."""
AS_NEAR = 0.05
"""Cosine that a concept may be further away than the nearest. The picture of another thing would mislead."""
_ITEM = re.compile(r"(?P<label>[^()]+) \((?P<drawing>[\w.-]+:[\w.-]+)\)")
"""What an audit calls a picture of the labelled set: its class and its drawing."""
_LABELLED_SPLIT = "test"
"""What is measured on, and nothing is searched on."""
_LEFT_OUT = "The window alone comes without drawings of concepts; `dife gui` of an installed scanner shows them."
_UNREADABLE = (
    "The drawings of concepts that ship with the package cannot be read; reinstall the package."
)


@dataclass(frozen=True)
class Drawing:
    """One picture of a concept."""

    content: bytes
    """As its sha256 in the manifest says."""
    sha256: str
    media_type: str
    """image/webp or image/jpeg"""
    caption: str
    """The concept and the hand: `owl, Noto Emoji (v1)`."""
    by: str
    """Title, author and licence of the set it is from."""


@dataclass(frozen=True)
class Drawings:
    """Of one concept."""

    sentence: str
    """Which concept they show, and why that one."""
    drawings: tuple[Drawing, ...]
    credit: str
    """Titles, authors and licences of the sets they are from."""


def drawings(audit: Audit) -> Drawings | str:
    """Of what the trigger of an audit leads to; a sentence where there is none, empty where no concept is known."""
    return of_nearest(nearest_concepts(audit))


def of_nearest(nearest: Sequence[NearestConcept]) -> Drawings | str:
    """Of the first of these concepts, the nearest first, as `drawings`."""
    if not nearest:
        return ""
    if not _assets().is_dir():
        return _LEFT_OUT  # a bundle of the window
    try:
        for near in nearest:
            if near.cosine < nearest[0].cosine - AS_NEAR:
                break
            found = _of(near.concept)
            if found:
                sentence = (
                    f"Probe drawings of “{near.concept}” (cosine {number(near.cosine, 2)}), the nearest concept"
                    " that the probe sets show:"
                )
                return Drawings(sentence, found, credit(found))
    except _DAMAGED:
        return _UNREADABLE
    return (
        f"The probe sets that ship have no drawing of “{nearest[0].concept}” or a concept as near."
    )


def nearest_concepts(audit: Audit) -> tuple[NearestConcept, ...]:
    """What the trigger of an audit leads to, the nearest first; none where it leads to no concept."""
    if audit.trigger is None:
        return ()
    if audit.recovered is not None:
        return audit.recovered.nearest
    for result in audit.signatures:
        if result.trigger.name == audit.trigger.name and result.leads_to is not None:
            return (result.leads_to,)
    return ()


@lru_cache(maxsize=512)
def of_item(name: str) -> Drawing | None:
    """The drawing that a ranked picture holds, in the first picture of it; `None` for a caption and an own picture."""
    named = _ITEM.fullmatch(name)
    if named is None:
        return None
    try:
        labelled = _labelled()
        for row in labelled.images:
            if (row["label"], row["drawing"]) == named.group("label", "drawing"):
                return labelled.drawing(row)
    except _DAMAGED:
        return None  # the names say what the items are
    return None


def credit(shown: Iterable[Drawing]) -> str:
    """Whose drawings these are; empty where there are none."""
    sets = dict.fromkeys(drawing.by for drawing in shown)
    return f"Drawings: {'; '.join(sets)}." if sets else ""


_DAMAGED = (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile)
"""What reading a broken installation may raise."""


@lru_cache(maxsize=16)
def _of(concept: str) -> tuple[Drawing, ...]:
    """None where the sets do not show the concept."""
    wide = _wide()
    names = {concept}
    names |= {one["name"] for one in wide.concepts if one["class"] == concept}
    rows = [row for row in wide.images if row["concept"] in names][:MOST]
    if rows:
        return tuple(wide.drawing(row) for row in rows)
    labelled = _labelled()
    by_hand: dict[str, dict[str, Any]] = {}
    for row in labelled.images:
        if row["label"] == concept:
            by_hand.setdefault(row["style"], row)
    return tuple(labelled.drawing(row) for row in list(by_hand.values())[:MOST])


@dataclass(frozen=True)
class _ProbeSet:
    """The manifest of a set, and how its pictures are read."""

    folder: Path
    images: tuple[dict[str, Any], ...]
    concepts: tuple[dict[str, Any], ...]
    sets: dict[str, dict[str, Any]]
    named_by: str
    """Key of what a picture shows."""
    media_type: str
    zipped: bool
    """Whether the pictures of a split are in one archive."""

    def drawing(self, row: dict[str, Any]) -> Drawing:
        """Raises `ValueError` for a picture that is not the manifest's."""
        if self.zipped:
            with zipfile.ZipFile(self.folder / f"{row['split']}.zip") as archive:
                content = archive.read(row["file"])
        else:
            content = (self.folder / row["file"]).read_bytes()
        digest = sha256(content).hexdigest()
        if digest != row["sha256"]:
            raise ValueError(f"{row['file']} is not the one in the manifest")
        of_set = self.sets[row["style"]]
        caption = f"{row[self.named_by]}, {of_set['title']}"
        by = f"{of_set['title']} by {of_set['author']}, {of_set['spdx']}"
        return Drawing(content, digest, self.media_type, caption, by)


@lru_cache(maxsize=1)
def _wide() -> _ProbeSet:
    """466 concepts beyond the labelled classes, as WebP."""
    folder, manifest = _manifest("wide-probes", "wide-probes.json")
    return _ProbeSet(
        folder,
        tuple(manifest["images"]),
        tuple(manifest["concepts"]),
        {one["set"]: one for one in manifest["licences"]},
        named_by="concept",
        media_type="image/webp",
        zipped=True,
    )


@lru_cache(maxsize=1)
def _labelled() -> _ProbeSet:
    """The labelled classes, as JPEG, as they are measured on."""
    folder, manifest = _manifest("probes", "probes.json")
    return _ProbeSet(
        folder,
        tuple(row for row in manifest["images"] if row["split"] == _LABELLED_SPLIT),
        (),
        {one["set"]: one for one in manifest["licences"]},
        named_by="label",
        media_type="image/jpeg",
        zipped=False,
    )


def _assets() -> Path:
    return Path(str(files("dife_scanner") / "assets"))


def _manifest(name: str, file: str) -> tuple[Path, dict[str, Any]]:
    folder = _assets() / name
    return folder, json.loads((folder / file).read_bytes())
