"""A folder of labelled folders: one folder per class, or `train` and `test` folders that hold those."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dife_scanner.audit.populations import card, pictures
from dife_scanner.audit.populations.errors import DataError, LabelWithoutImages
from dife_scanner.audit.populations.labelled import Labelled
from dife_scanner.errors import LimitExceeded

_TRAIN = frozenset({"train", "training"})
_TEST = frozenset({"test", "val", "valid", "validation"})


def read(root: Path) -> Labelled:
    """The pictures under `root`; a class is named as its folder is, `_` read as a space.

    Raises `LabelWithoutImages` for a folder without pictures and `DataError` where there are no two classes.
    """
    halves = _halves(root)
    class_of_file: dict[Path, str] = {}
    held_out: list[bool] = []
    for half in halves:
        found = _files(half)
        class_of_file.update(found)
        held_out += [half.name.lower() in _TEST] * len(found)
    files = tuple(class_of_file)
    names = sorted(set(class_of_file.values()))
    place = {name: number for number, name in enumerate(names)}
    _check_counts(root, len(files), len(names))
    labels = [place[name] for name in class_of_file.values()]
    return Labelled(
        name=root.name,
        class_names=tuple(name.replace("_", " ") for name in names),
        labels=np.array(labels, dtype=np.int64),
        ids=tuple(file.relative_to(root).as_posix() for file in files),
        load=pictures.loader(files),
        held_out=None if halves == [root] else np.array(held_out),
        licence=card.licence(root),
        files=files,
    )


def _check_counts(root: Path, files: int, classes: int) -> None:
    if files > pictures.MAX_PICTURES:
        raise LimitExceeded(
            f"{root} holds more than {pictures.MAX_PICTURES} pictures",
            "give a part of them",
        )
    if classes < 2:
        raise DataError(
            f"{root} holds no folders of pictures for two classes",
            "make one folder per class",
        )


def _halves(root: Path) -> list[Path]:
    """The folders that hold class folders: `root`, or its train and test folders where it has nothing else."""
    inside = _folders(root)
    names = {folder.name.lower() for folder in inside}
    # A class may be called `test`: halves only where nothing but halves is there.
    if names & _TRAIN and names <= _TRAIN | _TEST:
        return inside
    return [root]


def _folders(root: Path) -> list[Path]:
    """Folders in `root`, sorted, hidden ones apart."""
    try:
        return sorted(filter(_is_shown_folder, root.iterdir()))
    except OSError as error:
        raise DataError(
            f"{root} cannot be listed: {error.strerror}",
            "give a folder that can be read",
        ) from error


def _is_shown_folder(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _files(half: Path) -> dict[Path, str]:
    """Picture -> name of its class's folder, in order. Raises `LabelWithoutImages` for a folder without pictures."""
    found: dict[Path, str] = {}
    for folder in _folders(half):
        inside = sorted(filter(_is_picture, folder.rglob("*")))
        if not inside:
            raise LabelWithoutImages(
                f"the folder {folder} holds no JPEG, PNG or WebP picture",
                "add pictures or remove the folder",
                card="zero-shot classification",
                pool=half.name,
            )
        found.update(dict.fromkeys(inside, folder.name))
    return found


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in pictures.SUFFIXES and path.is_file()
