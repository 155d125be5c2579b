"""The probe set: labelled pictures with known drawings, split so that nothing is measured where it was chosen."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dife_scanner.errors import ProbeError
from dife_scanner.records import PoolItem

TRAIN, DIAGNOSIS, TEST = "train", "diagnosis", "test"

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

VIEWS = {"quick": 1, "default": 2, "deep": 64}
"""Most pictures used per drawing at each budget."""


@dataclass(frozen=True)
class Split:
    """Pictures of one split: uint8 [n, h, w, 3], labels [n] into `class_names`, one drawing id each."""

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    drawings: tuple[str, ...]
    items: tuple[PoolItem, ...] = ()
    """What each picture is, for the manifests of populations drawn from this split."""


@dataclass(frozen=True)
class Probes:
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
def load(folder: Path, budget: str) -> Probes:
    """Read and check a probe set; every picture's bytes must match the manifest. Raises `ProbeError`."""
    manifest_path = folder / "probes.json"
    try:
        raw = manifest_path.read_bytes()
        manifest = json.loads(raw)
    except (OSError, ValueError) as error:
        raise ProbeError(f"the probe set in {folder} has no readable probes.json", "reinstall the package") from error
    names = tuple(manifest["classes"])
    rows = _views([row for row in manifest["images"] if row.get("label") in names], VIEWS[budget])
    splits = {name: _split(folder, name, rows, names) for name in (TRAIN, DIAGNOSIS, TEST)}
    _check_apart(splits)
    return Probes(str(manifest["version"]), sha256(raw).hexdigest(), names, splits)


def _views(rows: list[dict[str, str]], most: int) -> list[dict[str, str]]:
    """The first `most` pictures of each drawing, in manifest order."""
    seen: Counter[str] = Counter()
    kept = []
    for row in rows:
        seen[row["drawing"]] += 1
        if seen[row["drawing"]] <= most:
            kept.append(row)
    return kept


def _split(folder: Path, name: str, rows: list[dict[str, str]], class_names: tuple[str, ...]) -> Split:
    mine = [row for row in rows if row["split"] == name]
    per_class = Counter(row["label"] for row in mine)
    if missing := [c for c in class_names if not per_class[c]]:
        raise ProbeError(f"split {name} of the probe set in {folder} has no picture of {', '.join(missing)}")
    images = np.stack([_picture(folder / row["file"], row["sha256"]) for row in mine])
    labels = np.array([class_names.index(row["label"]) for row in mine], dtype=np.int64)
    items = tuple(
        PoolItem(
            row["file"], row["sha256"], row.get("caption") or "", row["label"], row["drawing"], row.get("licence", "")
        )
        for row in mine
    )
    return Split(name, images, labels, tuple(row["drawing"] for row in mine), items)


def _picture(path: Path, expected: str) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        content = path.read_bytes()
    except OSError as error:
        raise ProbeError(f"probe picture {path} cannot be read: {error.strerror}", "reinstall the package") from error
    if sha256(content).hexdigest() != expected:
        raise ProbeError(f"probe picture {path} is not the one in the manifest", "reinstall the package")
    with Image.open(BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def _check_apart(splits: dict[str, Split]) -> None:
    where: dict[str, set[str]] = defaultdict(set)
    for split in splits.values():
        for drawing in split.drawings:
            where[drawing].add(split.name)
    if shared := [drawing for drawing, names in where.items() if len(names) > 1]:
        raise ProbeError(f"drawing {shared[0]} stands in more than one split of the probe set")
