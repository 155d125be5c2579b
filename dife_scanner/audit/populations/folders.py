"""A folder of labelled folders: one folder per class, or `train` and `test` folders that hold those."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit.populations import card, pictures
from dife_scanner.audit.populations.errors import DataError, LabelWithoutImages
from dife_scanner.audit.populations.labelled import Labelled
from dife_scanner.errors import LimitExceeded

_TRAIN, _TEST = frozenset({"train", "training"}), frozenset({"test", "val", "valid", "validation"})


def read(root: Path) -> Labelled:
    """The pictures under `root`; a class is named as its folder is, `_` read as a space.

    Raises `LabelWithoutImages` for a folder without pictures and `DataError` where there are no two classes.
    """
    halves = _halves(root)
    found = [(name, file, half) for half in halves for name, file in _files(half)]
    if len(found) > pictures.MAX_PICTURES:
        raise LimitExceeded(f"{root} holds more than {pictures.MAX_PICTURES} pictures", "give a part of them")
    names = sorted({name for name, _, _ in found})
    if len(names) < 2:
        raise DataError(f"{root} holds no folders of pictures for two classes", "make one folder per class")
    files = [file for _, file, _ in found]

    def load(rows: Sequence[int]) -> NDArray[np.uint8]:
        return pictures.stack([pictures.read(files[at]) for at in rows])

    return Labelled(
        name=root.name,
        class_names=tuple(name.replace("_", " ") for name in names),
        labels=np.array([names.index(name) for name, _, _ in found], dtype=np.int64),
        ids=tuple(file.relative_to(root).as_posix() for file in files),
        load=load,
        held_out=np.array([half.name.lower() in _TEST for _, _, half in found]) if halves != [root] else None,
        licence=card.licence(root),
        files=tuple(files),
    )


def _halves(root: Path) -> list[Path]:
    """The folders that hold class folders: `root`, or its train and test folders where it has nothing else."""
    inside = _folders(root)
    names = {folder.name.lower() for folder in inside}
    return inside if names & _TRAIN and names <= _TRAIN | _TEST else [root]


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{root} cannot be listed: {error.strerror}", "give a folder that can be read") from error


def _files(half: Path) -> list[tuple[str, Path]]:
    found = []
    for folder in _folders(half):
        inside = sorted(p for p in folder.rglob("*") if p.suffix.lower() in pictures.SUFFIXES and p.is_file())
        if not inside:
            raise LabelWithoutImages(
                f"the folder {folder} holds no JPEG, PNG or WebP picture",
                "add pictures or remove the folder",
                card="zero-shot classification",
                pool=half.name,
            )
        found += [(folder.name, path) for path in inside]
    return found
