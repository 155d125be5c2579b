"""Data sets as the Hub distributes them: parquet files with an `image` column of bytes, and labels or captions.

Class names come from the `huggingface` metadata in the file's schema. A picture is only ever taken from the file
itself: a row that gives a path instead of bytes is refused.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit.populations import card, pictures
from dife_scanner.audit.populations.captioned import Captioned
from dife_scanner.audit.populations.errors import DataError, MissingColumn, UnreadablePicture
from dife_scanner.audit.populations.labelled import Labelled
from dife_scanner.core.plain import plain
from dife_scanner.errors import LimitExceeded, UsageError

IMAGE = ("image", "img")
LABEL = ("label", "labels", "fine_label")
CAPTION = ("captions", "caption", "sentences_raw", "sentences", "text")
_RAW = ("raw", "caption", "text")
"""Where a caption is itself a record: the field that holds the sentence."""

MAX_GROUP_BYTES = 2**31
"""Of one row group, unpacked, as its own header says."""
MAX_CAPTION = 500
_ADVICE = "give parquet files as the Hub makes them: an image column of bytes and a label or caption column"


@dataclass(frozen=True)
class _Group:
    """One row group of one file."""

    file: Path
    number: int
    first: int
    """Position of its first row among all rows."""
    rows: int


@dataclass(frozen=True)
class _Source:
    """All parquet files of a data set, opened once for their schema and row groups."""

    groups: tuple[_Group, ...]
    columns: tuple[str, ...]
    features: dict[str, Any]

    @property
    def rows(self) -> int:
        return sum(group.rows for group in self.groups)

    def column(self, options: Sequence[str], what: str) -> str:
        found = next((name for name in options if name in self.columns), "")
        if not found:
            held = ", ".join(plain(name, 40) for name in self.columns[:20])
            raise MissingColumn(
                f"{self.groups[0].file} has no {what} column: expected {' or '.join(options)}, found {held}", _ADVICE
            )
        return found


def files(path: Path) -> list[Path]:
    """The parquet file `path`, or those in the folder, sorted."""
    return [path] if path.is_file() else sorted(path.rglob("*.parquet"))


def labelled(path: Path, name: str) -> Labelled:
    """Pictures with a class label. `MissingColumn` is a usage error that names the columns found and expected.

    Raises it, `DataError`, `LimitExceeded`, and for single pictures `UnreadablePicture`.
    """
    source = _open(files(path))
    whole = _Loader(source)
    column = source.column(LABEL, "label")
    class_names = _class_names(source.features.get(column), column)
    values = _values(source, column)
    if not all(isinstance(value, int) and 0 <= value < len(class_names) for value in values):
        raise DataError(f"the column {column} has values that are none of its {len(class_names)} classes", _ADVICE)
    held = [group.file.name.startswith(("test", "validation")) for group in source.groups for _ in range(group.rows)]
    return Labelled(
        name,
        class_names,
        np.array(values, dtype=np.int64),
        _ids(source),
        whole,
        np.array(held),
        card.licence(path),
        tuple(files(path)),
    )


def captioned(path: Path, name: str) -> Captioned:
    """Pictures with captions; rows without one are left out. Errors as `labelled`."""
    source = _open(files(path))
    whole = _Loader(source)
    told = [tuple(_sentences(value)) for value in _values(source, source.column(CAPTION, "caption"))]
    rows = [at for at, sentences in enumerate(told) if sentences]
    if not rows:
        raise DataError("no row has a caption", _ADVICE)
    ids = _ids(source)

    def load(chosen: Sequence[int]) -> NDArray[np.uint8]:
        return whole([rows[at] for at in chosen])

    return Captioned(
        name,
        tuple(ids[at] for at in rows),
        tuple(told[at] for at in rows),
        load,
        (card.licence(path),) * len(rows),
        tuple(files(path)),
    )


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    """The open parquet file; whatever pyarrow says about a broken one becomes a `DataError`."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError("reading parquet needs pyarrow", 'install it with pip install "dife-scanner[data]"') from error
    try:
        with parquet.ParquetFile(path, memory_map=False) as opened:
            yield opened
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as parquet: {plain(str(error), 160)}", _ADVICE) from error


def _open(paths: Sequence[Path]) -> _Source:
    groups: list[_Group] = []
    columns: tuple[str, ...] = ()
    features: dict[str, Any] = {}
    first = 0
    for path in paths:
        with _reading(path) as opened:
            if columns and tuple(opened.schema_arrow.names) != columns:
                raise DataError(f"{path} has other columns than {paths[0].name}", "give the files of one configuration")
            columns = tuple(opened.schema_arrow.names)
            features = features or _features(opened.schema_arrow.metadata)
            for number in range(opened.num_row_groups):
                about = opened.metadata.row_group(number)
                if about.total_byte_size > MAX_GROUP_BYTES:
                    raise LimitExceeded(f"row group {number} of {path} has {about.total_byte_size} bytes", _ADVICE)
                groups.append(_Group(path, number, first, about.num_rows))
                first += about.num_rows
    if not 0 < first <= pictures.MAX_PICTURES:
        raise DataError(f"the parquet files hold {first} rows", f"give between 1 and {pictures.MAX_PICTURES}")
    return _Source(tuple(groups), columns, features)


def _features(metadata: dict[bytes, bytes] | None) -> dict[str, Any]:
    try:
        found = json.loads((metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _class_names(feature: Any, column: str) -> tuple[str, ...]:
    """Names of a ClassLabel: a list, or in older files a table from number to name."""
    names = feature.get("names") if isinstance(feature, dict) else None
    if isinstance(names, dict):
        names = [names.get(str(number)) for number in range(len(names))]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise DataError(
            f"the metadata names no classes for the column {column}", "give a data set whose label is a ClassLabel"
        )
    return tuple(plain(name, 60) for name in names)


def _values(source: _Source, column: str) -> list[Any]:
    values: list[Any] = []
    for file in dict.fromkeys(group.file for group in source.groups):
        with _reading(file) as opened:
            values += opened.read(columns=[column]).column(column).to_pylist()
    return values


def _sentences(value: Any) -> Iterator[str]:
    """Sentences in a caption cell: a text, a record with one, or a list of either."""
    if isinstance(value, str):
        if sentence := plain(value, MAX_CAPTION).strip():
            yield sentence
    elif isinstance(value, dict):
        field = next((name for name in _RAW if name in value), "")
        yield from _sentences(value.get(field))
    elif isinstance(value, list):
        for part in value[:50]:
            yield from _sentences(part)


def _ids(source: _Source) -> tuple[str, ...]:
    """`file#row`, by which a picture is found again."""
    ids: list[str] = []
    seen: dict[Path, int] = defaultdict(int)
    for group in source.groups:
        ids += [f"{group.file.name}#{seen[group.file] + row}" for row in range(group.rows)]
        seen[group.file] += group.rows
    return tuple(ids)


class _Loader:
    """Reads pictures at given rows, opening each row group once."""

    def __init__(self, source: _Source) -> None:
        self._source, self._column = source, source.column(IMAGE, "image")

    def __call__(self, rows: Sequence[int]) -> NDArray[np.uint8]:
        wanted: dict[int, list[int]] = defaultdict(list)
        starts = np.array([group.first for group in self._source.groups])
        for place, row in enumerate(rows):
            wanted[int(np.searchsorted(starts, row, side="right")) - 1].append(place)
        found: dict[int, NDArray[np.uint8]] = {}
        for number, places in wanted.items():
            group = self._source.groups[number]
            with _reading(group.file) as opened:
                column = opened.read_row_group(group.number, columns=[self._column]).column(self._column)
            for place in places:
                at = rows[place] - group.first
                found[place] = pictures.decode(
                    self._bytes(column[at].as_py(), group, at), f"{group.file.name}, row {at}"
                )
        return pictures.stack([found[place] for place in range(len(rows))])

    def _bytes(self, cell: Any, group: _Group, at: int) -> bytes:
        raw = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(raw, bytes):
            raise UnreadablePicture(
                f"row {at} of row group {group.number} in {group.file} holds no picture bytes",
                "give files with the pictures inside; paths to pictures are not followed",
            )
        return raw
