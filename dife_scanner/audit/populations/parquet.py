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

from dife_scanner.audit.populations import card, pictures
from dife_scanner.audit.populations.captioned import Captioned
from dife_scanner.audit.populations.errors import (
    DataError,
    MissingColumn,
    UnreadablePicture,
)
from dife_scanner.audit.populations.labelled import Labelled
from dife_scanner.audit.probes import Pixels
from dife_scanner.core.metrics import Bools
from dife_scanner.errors import LimitExceeded, UsageError
from dife_scanner.plain import plain

IMAGE = ("image", "img")
LABEL = ("label", "labels", "fine_label")
CAPTION = ("captions", "caption", "sentences_raw", "sentences", "text")
_RAW = ("raw", "caption", "text")
"""Where a caption is itself a record: the field that holds the sentence."""

MAX_GROUP_BYTES = 2**31
"""Of one row group, unpacked, as its own header says."""
MAX_CAPTION = 500
"""Characters of one caption."""
MAX_CAPTIONS = 50
"""In one cell."""
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
        """The first of `options` that there is. Raises `MissingColumn`."""
        for name in options:
            if name in self.columns:
                return name
        held = ", ".join(map(_shown, self.columns[:20]))
        expected = " or ".join(options)
        raise MissingColumn(
            f"{self.groups[0].file} has no {what} column: expected {expected}, found {held}",
            _ADVICE,
        )


def _shown(name: str) -> str:
    return plain(name, 40)


def files(path: Path) -> list[Path]:
    """The parquet file `path`, or those in the folder, sorted."""
    if path.is_file():
        return [path]
    return sorted(path.rglob("*.parquet"))


def labelled(path: Path, name: str) -> Labelled:
    """Pictures with a class label. `MissingColumn` is a usage error that names the columns found and expected.

    Raises it, `DataError`, `LimitExceeded`, and for single pictures `UnreadablePicture`.
    """
    source = _open(files(path))
    load = _Loader(source)
    column = source.column(LABEL, "label")
    class_names = _class_names(source.features.get(column), column)
    labels = _values(source, column)
    _check_labels(labels, len(class_names), column)
    return Labelled(
        name=name,
        class_names=class_names,
        labels=np.array(labels, dtype=np.int64),
        ids=_ids(source),
        load=load,
        held_out=_held_out(source),
        licence=card.licence(path),
        files=tuple(files(path)),
    )


def _check_labels(labels: Sequence[Any], classes: int, column: str) -> None:
    for label in labels:
        if not isinstance(label, int) or not 0 <= label < classes:
            raise DataError(
                f"the column {column} has values that are none of its {classes} classes",
                _ADVICE,
            )


def _held_out(source: _Source) -> Bools:
    """[n]: rows of test and validation files."""
    held_out: list[bool] = []
    for group in source.groups:
        is_test = group.file.name.startswith(("test", "validation"))
        held_out += [is_test] * group.rows
    return np.array(held_out)


def captioned(path: Path, name: str) -> Captioned:
    """Pictures with captions; rows without one are left out. Errors as `labelled`."""
    source = _open(files(path))
    read = _Loader(source)
    captions = _captions(source)
    if not captions:
        raise DataError("no row has a caption", _ADVICE)
    rows = list(captions)
    ids = _ids(source)

    def load(chosen: Sequence[int]) -> Pixels:
        return read([rows[place] for place in chosen])

    return Captioned(
        name=name,
        ids=tuple(ids[row] for row in rows),
        captions=tuple(captions.values()),
        load=load,
        licences=(card.licence(path),) * len(rows),
        files=tuple(files(path)),
    )


def _captions(source: _Source) -> dict[int, tuple[str, ...]]:
    """Row -> its captions, of the rows that have any."""
    captions = {}
    cells = _values(source, source.column(CAPTION, "caption"))
    for row, cell in enumerate(cells):
        sentences = tuple(_sentences(cell))
        if sentences:
            captions[row] = sentences
    return captions


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    """The open parquet file; whatever pyarrow says about a broken one becomes a `DataError`."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError(
            "reading parquet needs pyarrow",
            'install it with pip install "dife-scanner[data]"',
        ) from error
    try:
        # Not mapped: a file that is cut while it is read must be an error, not a crash.
        with parquet.ParquetFile(path, memory_map=False) as opened:
            yield opened
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read as parquet: {plain(str(error), 160)}",
            _ADVICE,
        ) from error


def _open(paths: Sequence[Path]) -> _Source:
    """The files' columns and row groups. Raises `DataError` where they differ or hold nothing, `LimitExceeded`."""
    groups: list[_Group] = []
    columns: tuple[str, ...] = ()
    features: dict[str, Any] = {}
    first = 0
    for path in paths:
        with _reading(path) as opened:
            names = tuple(opened.schema_arrow.names)
            if columns and names != columns:
                raise DataError(
                    f"{path} has other columns than {paths[0].name}",
                    "give the files of one configuration",
                )
            columns = names
            features = features or _features(opened.schema_arrow.metadata)
            for group in _groups(path, opened.metadata, first):
                groups.append(group)
                first += group.rows
    if not 0 < first <= pictures.MAX_PICTURES:
        raise DataError(
            f"the parquet files hold {first} rows",
            f"give between 1 and {pictures.MAX_PICTURES}",
        )
    return _Source(tuple(groups), columns, features)


def _groups(path: Path, metadata: Any, first: int) -> Iterator[_Group]:
    """One file's row groups, whose rows are numbered from `first`. Raises `LimitExceeded`."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        # A row group is unpacked as a whole.
        if group.total_byte_size > MAX_GROUP_BYTES:
            raise LimitExceeded(
                f"row group {number} of {path} has {group.total_byte_size} bytes",
                _ADVICE,
            )
        yield _Group(path, number, first, group.num_rows)
        first += group.num_rows


def _features(metadata: dict[bytes, bytes] | None) -> dict[str, Any]:
    """The columns' types as the Hub's own metadata says them; nothing where it does not."""
    try:
        document = json.loads((metadata or {}).get(b"huggingface", b"{}"))
        features = document["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _class_names(feature: Any, column: str) -> tuple[str, ...]:
    """Names of a ClassLabel: a list, or in older files a table from number to name."""
    names = _stated_names(feature)
    if not names or not all(map(_is_name, names)):
        raise DataError(
            f"the metadata names no classes for the column {column}",
            "give a data set whose label is a ClassLabel",
        )
    return tuple(plain(name, 60) for name in names)


def _stated_names(feature: Any) -> list[Any]:
    """The list of names in a column's type, whatever is in it; empty where there is none."""
    # Nothing here trusts the metadata: every level may be anything.
    names = feature.get("names") if isinstance(feature, dict) else None
    if isinstance(names, dict):
        return [names.get(str(number)) for number in range(len(names))]
    return names if isinstance(names, list) else []


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _values(source: _Source, column: str) -> list[Any]:
    """One column of all rows."""
    values: list[Any] = []
    paths = dict.fromkeys(group.file for group in source.groups)
    for path in paths:
        with _reading(path) as opened:
            table = opened.read(columns=[column])
            values += table.column(column).to_pylist()
    return values


def _sentences(value: Any) -> Iterator[str]:
    """Sentences in a caption cell: a text, a record with one, or a list of either."""
    if isinstance(value, str):
        sentence = plain(value, MAX_CAPTION).strip()
        if sentence:
            yield sentence
    elif isinstance(value, dict):
        fields = filter(value.__contains__, _RAW)
        yield from _sentences(value.get(next(fields, "")))
    elif isinstance(value, list):
        for part in value[:MAX_CAPTIONS]:
            yield from _sentences(part)


def _ids(source: _Source) -> tuple[str, ...]:
    """`file#row`, by which a picture is found again."""
    ids: list[str] = []
    seen: dict[Path, int] = defaultdict(int)
    for group in source.groups:
        first = seen[group.file]
        for row in range(group.rows):
            ids.append(f"{group.file.name}#{first + row}")
        seen[group.file] += group.rows
    return tuple(ids)


class _Loader:
    """Reads pictures at given rows, opening each row group once."""

    def __init__(self, source: _Source) -> None:
        self._groups = source.groups
        self._firsts = np.array([group.first for group in source.groups])
        self._column = source.column(IMAGE, "image")

    def __call__(self, rows: Sequence[int]) -> Pixels:
        """The pictures, uint8 [k, s, s, 3]. Raises `UnreadablePicture`, `DataError`, `LimitExceeded`."""
        found: dict[int, Pixels] = {}
        for number, places in self._by_group(rows).items():
            group = self._groups[number]
            cells = self._cells(group)
            for place in places:
                at = rows[place] - group.first
                raw = _bytes(cells[at].as_py(), group, at)
                found[place] = pictures.decode(raw, f"{group.file.name}, row {at}")
        return pictures.stack([found[place] for place in range(len(rows))])

    def _by_group(self, rows: Sequence[int]) -> dict[int, list[int]]:
        """Number of a row group -> places in `rows` that it holds."""
        places: dict[int, list[int]] = defaultdict(list)
        for place, row in enumerate(rows):
            # The last group that begins at or before the row.
            number = int(np.searchsorted(self._firsts, row, side="right")) - 1
            places[number].append(place)
        return places

    def _cells(self, group: _Group) -> Any:
        """The image column of one row group."""
        with _reading(group.file) as opened:
            table = opened.read_row_group(group.number, columns=[self._column])
            return table.column(self._column)


def _bytes(cell: Any, group: _Group, at: int) -> bytes:
    raw = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(raw, bytes):
        raise UnreadablePicture(
            f"row {at} of row group {group.number} in {group.file} holds no picture bytes",
            "give files with the pictures inside; paths to pictures are not followed",
        )
    return raw
