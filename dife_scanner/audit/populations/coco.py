"""COCO captions as their authors distribute them: `captions_*.json` next to a folder of pictures."""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from dife_scanner.audit.populations import pictures
from dife_scanner.audit.populations.captioned import Captioned
from dife_scanner.audit.populations.errors import DataError, PictureMissing
from dife_scanner.errors import LimitExceeded
from dife_scanner.models import strict_json
from dife_scanner.plain import plain

MAX_BYTES = 2**29
"""Of the annotation file; the authors' largest has 91 MB."""
MAX_OBJECTS = 6_000_000
MAX_CAPTION = 500
Record = dict[str, Any]
"""A JSON object of the annotation file."""

_ADVICE = "give a captions_*.json as the COCO authors distribute it"


def find(path: Path) -> Path | None:
    """The annotation file: `path` itself, or the only `captions_*.json` in the folder or its `annotations` folder.

    Raises `DataError` where there are several.
    """
    if path.is_file():
        return path if path.suffix == ".json" else None
    here = path.glob("captions_*.json")
    below = path.glob("annotations/captions_*.json")
    found = sorted({*here, *below})
    if len(found) > 1:
        raise DataError(
            f"{path} holds {len(found)} caption files",
            f"give one of them: {found[0]}",
        )
    return found[0] if found else None


def read(file: Path, folder: Path | None = None) -> Captioned:
    """Pictures and captions of one annotation file; `folder` holds the pictures (default: found next to it).

    Raises `DataError`, `LimitExceeded`, and `PictureMissing` where a named picture is not in the folder.
    """
    document = _document(file)
    place = folder or _folder(file)
    names = _file_names(document)
    captions = _captions(file, document, names)
    if not captions:
        raise DataError(f"{file.name} holds no captions", _ADVICE)
    licences = _licences(document)
    ids = []
    sentences = []
    terms = []
    for number, name in names.items():
        if number in captions:
            ids.append(name)
            sentences.append(tuple(captions[number]))
            terms.append(licences.get(number, ""))
    _check_present(file, place, ids)
    files = tuple(place / name for name in ids)
    return Captioned(
        name=file.stem,
        ids=tuple(ids),
        captions=tuple(sentences),
        load=pictures.loader(files),
        licences=tuple(terms),
        files=files,
    )


def _file_names(document: Record) -> dict[int, str]:
    """Picture id -> file name."""
    names = {}
    for row in _rows(document, "images"):
        names[_whole(row, "id")] = _file_name(row)
    return names


def _captions(file: Path, document: Record, names: Container[int]) -> dict[int, list[str]]:
    """Picture id -> its captions, of the pictures that have any. Raises `PictureMissing` for a picture not listed."""
    captions: dict[int, list[str]] = {}
    for row in _rows(document, "annotations"):
        number = _whole(row, "image_id")
        if number not in names:
            raise PictureMissing(
                f"{file.name} has a caption for picture {number}, which it does not list",
                _ADVICE,
            )
        text = row.get("caption")
        sentence = plain(text, MAX_CAPTION).strip() if isinstance(text, str) else ""
        if sentence:
            captions.setdefault(number, []).append(sentence)
    return captions


def _document(file: Path) -> Record:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise LimitExceeded(f"{file} has more than {MAX_BYTES} bytes", _ADVICE)
        return strict_json.read(file.read_bytes(), MAX_OBJECTS)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}", _ADVICE) from error
    except strict_json.TooManyObjectsError as error:
        raise LimitExceeded(f"{file} has more than {MAX_OBJECTS} records", _ADVICE) from error
    except strict_json.NotStrictError as error:
        raise DataError(f"{file} cannot be read: {error}", _ADVICE) from error


def _rows(document: Record, key: str) -> list[Record]:
    rows = document.get(key)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"the annotation file has no list of {key}", _ADVICE)
    return rows


def _whole(row: Record, key: str) -> int:
    value = row.get(key)
    # `True` is an int in Python, and no id.
    if not isinstance(value, int) or isinstance(value, bool):
        raise DataError(
            f"a record of the annotation file has no whole number as its {key}",
            _ADVICE,
        )
    return value


def _file_name(row: Record) -> str:
    """A plain file name: anything that could lead out of the picture folder is refused."""
    name = row.get("file_name")
    if not isinstance(name, str) or not name or name in (".", "..") or set(name) & set("/\\:\0"):
        raise DataError(
            f"the annotation file names a picture {plain(repr(name), 80)}",
            "give plain file names",
        )
    return name


def _folder(file: Path) -> Path:
    """`val2017` for `captions_val2017.json`, next to the file or next to its folder."""
    split = file.stem.removeprefix("captions_")
    outer = file.parent.parent
    for folder in (
        file.parent / split,
        outer / split,
        outer / "images" / split,
    ):
        if folder.is_dir():
            return folder
    raise PictureMissing(
        f"there is no folder {split} with the pictures of {file.name}",
        "name the picture folder",
    )


def _check_present(file: Path, folder: Path, names: Sequence[str]) -> None:
    try:
        there = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise PictureMissing(
            f"{folder} cannot be listed: {error.strerror}",
            "name the picture folder",
        ) from error
    absent = [name for name in names if name not in there]
    if absent:
        first = plain(absent[0], 80)
        raise PictureMissing(
            f"{file.name} names {len(absent)} pictures that are not in {folder}, the first is {first}",
            "add the pictures, or remove their records from the caption file",
        )


def _licences(document: Record) -> dict[int, str]:
    """Picture id -> licence name, where the file states it."""
    known = _licence_names(document)
    licences = {}
    for row in _rows(document, "images"):
        number = row.get("license")
        licences[_whole(row, "id")] = known.get(number, "") if isinstance(number, int) else ""
    return licences


def _licence_names(document: Record) -> dict[int, str]:
    """Licence number -> its name."""
    stated = document.get("licenses")
    names: dict[int, str] = {}
    if isinstance(stated, list):
        for row in filter(_is_record, stated):
            names[_whole(row, "id")] = plain(str(row.get("name", "")), 80)
    return names


def _is_record(value: object) -> bool:
    return isinstance(value, dict)
