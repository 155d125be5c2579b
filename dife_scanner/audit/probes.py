"""The probe set: labelled pictures with known drawings, split so that nothing is measured where it was chosen."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.core.budgets import MEASURING
from dife_scanner.errors import ProbeError
from dife_scanner.records import Budget, PoolItem

Pixels = NDArray[np.uint8]
"""Pictures [n, h, w, 3], or one [h, w, 3]."""
Labels = NDArray[np.int64]
"""[n], positions in the class names."""

TRAIN = "train"
DIAGNOSIS = "diagnosis"
TEST = "test"

SEARCH_TEMPLATES = ("a photo of the {}", "a photo of one {}")
DIAGNOSIS_TEMPLATES = ("a picture of a {}", "a drawing of a {}")
PROFILE_TEMPLATES = ("a photo of a {}", "an image of a {}")
QUERY_TEMPLATES = (
    "a photo of a {}",
    "an image of a {}",
    "a {}",
    "one {}",
    "a nice photo of a {}",
    "a close-up of a {}",
)
"""Queries a person would type for a class; the first two are the profile's own."""
EMBEDDING_TEMPLATES = (
    *QUERY_TEMPLATES,
    "the {}",
    "a small photo of a {}",
    "a photo of a {} outside",
    "this is a {}",
    "a {} in the middle of the picture",
    "my {}",
)
"""Prompts whose embeddings are read one by one."""

Row = dict[str, str]
"""A picture's row of the manifest."""

_REINSTALL = "reinstall the package"


@dataclass(frozen=True)
class Split:
    """Pictures of one split: uint8 [n, h, w, 3], labels [n] into `class_names`, one drawing id each."""

    name: str
    images: Pixels
    labels: Labels
    drawings: tuple[str, ...]
    items: tuple[PoolItem, ...] = ()
    """Where each picture is from, for the manifests of populations drawn from this split."""
    styles: tuple[str, ...] = ()
    """The style that each picture is drawn in, [n]; empty where that is not known."""


@dataclass(frozen=True)
class Probes:
    """A probe set at one budget: three splits with no drawing in two of them."""

    version: str
    digest: str
    """sha256 of the manifest, which holds the sha256 of every picture."""
    class_names: tuple[str, ...]
    splits: dict[str, Split]

    def split(self, name: str) -> Split:
        return self.splits[name]


def bundled_folder() -> Path:
    return Path(str(files("dife_scanner") / "assets" / "probes"))


@lru_cache(maxsize=4)
def load(folder: Path, budget: Budget) -> Probes:
    """Read and check a probe set; every picture's bytes must match the manifest. Raises `ProbeError`."""
    raw, manifest = _manifest(folder)
    names = tuple(manifest["classes"])
    labelled = [row for row in manifest["images"] if row.get("label") in names]
    # Views before splits: a drawing has the same pictures whichever split it is in.
    rows = _views(labelled, MEASURING[budget].views)
    splits = {name: _split(folder, name, rows, names) for name in (TRAIN, DIAGNOSIS, TEST)}
    check_apart(splits)
    return Probes(
        version=str(manifest["version"]),
        digest=sha256(raw).hexdigest(),
        class_names=names,
        splits=splits,
    )


def class_names(folder: Path) -> tuple[str, ...]:
    """The classes of a probe set, without a look at its pictures. Raises `ProbeError`."""
    return tuple(_manifest(folder)[1]["classes"])


def digest(folder: Path) -> str:
    """The digest of a probe set, without a look at its pictures. Raises `ProbeError`."""
    return sha256(_manifest(folder)[0]).hexdigest()


def _manifest(folder: Path) -> tuple[bytes, dict[str, Any]]:
    """The manifest, as bytes and read. Raises `ProbeError`."""
    try:
        raw = (folder / "probes.json").read_bytes()
        return raw, json.loads(raw)
    except (OSError, ValueError) as error:
        raise ProbeError(
            f"the probe set in {folder} has no readable probes.json", _REINSTALL
        ) from error


def _views(rows: list[Row], most: int) -> list[Row]:
    """The first `most` pictures of each drawing, in manifest order."""
    seen: Counter[str] = Counter()
    kept = []
    for row in rows:
        seen[row["drawing"]] += 1
        if seen[row["drawing"]] <= most:
            kept.append(row)
    return kept


def _split(folder: Path, name: str, rows: list[Row], class_names: tuple[str, ...]) -> Split:
    """One split. Raises `ProbeError` where it lacks a class or a picture is not the manifest's."""
    own = [row for row in rows if row["split"] == name]
    _check_complete(folder, name, own, class_names)
    images = [_picture(folder / row["file"], row["sha256"]) for row in own]
    return Split(
        name=name,
        images=np.stack(images),
        labels=_labels(own, class_names),
        drawings=tuple(row["drawing"] for row in own),
        items=tuple(map(_item, own)),
        styles=tuple(row.get("style", "") for row in own),
    )


def _labels(rows: list[Row], class_names: tuple[str, ...]) -> Labels:
    return np.array([class_names.index(row["label"]) for row in rows], dtype=np.int64)


def _check_complete(folder: Path, name: str, rows: list[Row], class_names: tuple[str, ...]) -> None:
    shown = {row["label"] for row in rows}
    missing = [class_name for class_name in class_names if class_name not in shown]
    if missing:
        raise ProbeError(
            f"split {name} of the probe set in {folder} has no picture of {', '.join(missing)}"
        )


def _item(row: Row) -> PoolItem:
    return PoolItem(
        id=row["file"],
        sha256=row["sha256"],
        caption=row.get("caption") or "",
        label=row["label"],
        source=row["drawing"],
        licence=row.get("licence", ""),
    )


def _picture(path: Path, expected: str) -> Pixels:
    """The picture [h, w, 3]. Raises `ProbeError` where it cannot be read or its sha256 is not `expected`."""
    from PIL import Image

    try:
        content = path.read_bytes()
    except OSError as error:
        raise ProbeError(
            f"probe picture {path} cannot be read: {error.strerror}", _REINSTALL
        ) from error
    # A changed picture would change every number without a word.
    if sha256(content).hexdigest() != expected:
        raise ProbeError(f"probe picture {path} is not the one in the manifest", _REINSTALL)
    with Image.open(BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def check_apart(splits: dict[str, Split]) -> None:
    """Check that no drawing stands in two splits."""
    where: dict[str, str] = {}
    for split in splits.values():
        for drawing in split.drawings:
            # What was chosen on a drawing must not be measured on it.
            if where.setdefault(drawing, split.name) != split.name:
                raise ProbeError(
                    f"drawing {drawing} stands in more than one split of the probe set"
                )
