"""CIFAR-10 as its authors distribute it: the binary version, as a folder or inside its archive.

Each file holds rows of 3,073 bytes: a label, then 1,024 red, green and blue values of a 32 × 32 picture. The pickled
Python version runs code when it is read, and is refused.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dife_scanner.audit.populations.captioned import Load
from dife_scanner.audit.populations.errors import DataError, UnsafeFormat
from dife_scanner.audit.populations.labelled import Labelled
from dife_scanner.audit.probes import Pixels
from dife_scanner.core.metrics import Bools
from dife_scanner.errors import LimitExceeded
from dife_scanner.plain import plain

SIDE = 32
ROW = 1 + 3 * SIDE * SIDE
MAX_BYTES = 64 * 2**20
"""Of one batch; the authors' have 30,730,000."""
MAX_TOTAL = 512 * 2**20
MAX_MEMBERS = 100

_BATCH = re.compile(r"(?:data_batch_[0-9]+|test_batch)\.bin")
_PICKLED = re.compile(r"data_batch_[0-9]+|test_batch|batches\.meta")
_NAMES = "batches.meta.txt"
_ADVICE = "take the binary version, cifar-10-binary.tar.gz, or the Hub's parquet files"


def is_folder(path: Path) -> bool:
    """Whether a folder holds CIFAR batches of either kind."""
    return any(_is_batch(file.name) or _is_pickled(file.name) for file in path.iterdir())


def read(path: Path) -> Labelled:
    """The batches in a folder or a tar archive. Raises `UnsafeFormat`, `DataError`, `LimitExceeded`."""
    contents = _from_folder(path) if path.is_dir() else _from_archive(path)
    batches = _batches(path, contents)
    names = contents[_NAMES].decode("ascii", "replace").split()
    rows = np.concatenate(list(batches.values()))
    labels = rows[:, 0].astype(np.int64)
    if int(labels.max()) >= len(names):
        raise DataError(
            f"{path} has the label {labels.max()}, and {_NAMES} names {len(names)} classes",
            _ADVICE,
        )
    files = [path]
    if path.is_dir():
        files = [path / name for name in batches]
    return Labelled(
        name=path.name,
        class_names=tuple(plain(name, 40) for name in names),
        labels=labels,
        ids=tuple(_ids(batches)),
        load=_loader(rows),
        held_out=_held_out(batches),
        files=tuple(files),
    )


def _ids(batches: dict[str, Pixels]) -> Iterator[str]:
    """`file#row` of every picture."""
    for name, batch in batches.items():
        for row in range(len(batch)):
            yield f"{name}#{row}"


def _held_out(batches: dict[str, Pixels]) -> Bools:
    """[n]: pictures of the authors' test batch."""
    rows = [np.full(len(batch), name.startswith("test")) for name, batch in batches.items()]
    return np.concatenate(rows)


def _loader(rows: Pixels) -> Load:
    def load(chosen: Sequence[int]) -> Pixels:
        # Stored plane by plane; the first byte of a row is the label.
        planes = rows[list(chosen), 1:].reshape(-1, 3, SIDE, SIDE)
        return np.ascontiguousarray(planes.transpose(0, 2, 3, 1))

    return load


def _batches(path: Path, contents: dict[str, bytes]) -> dict[str, Pixels]:
    """Rows of every binary batch, by file name, sorted. Raises `UnsafeFormat` where there are only pickled ones."""
    binary = sorted(filter(_is_batch, contents))
    if not binary and any(map(_is_pickled, contents)):
        raise UnsafeFormat(
            f"{path} holds pickled batches, which run code when they are read",
            _ADVICE,
        )
    batches = {name: _rows(name, contents[name]) for name in binary}
    if not batches or _NAMES not in contents:
        raise DataError(
            f"{path} holds no data_batch_*.bin or test_batch.bin next to a {_NAMES}",
            _ADVICE,
        )
    return batches


def _rows(name: str, raw: bytes) -> Pixels:
    """A batch's rows [n, 3073], the label first."""
    if not raw or len(raw) % ROW:
        raise DataError(
            f"{name} has {len(raw)} bytes, which is no multiple of {ROW}",
            _ADVICE,
        )
    return np.frombuffer(raw, np.uint8).reshape(-1, ROW)


def _from_folder(path: Path) -> dict[str, bytes]:
    """File name -> content; pickled files only by name."""
    found: dict[str, bytes] = {}
    for file in sorted(path.iterdir()):
        if _is_pickled(file.name):
            found[file.name] = b""
        elif _is_read(file.name) and file.is_file():
            _check_size(file.name, file.stat().st_size)
            found[file.name] = file.read_bytes()
    return found


def _from_archive(path: Path) -> dict[str, bytes]:
    """As `_from_folder`, from a tar archive read front to back in memory: nothing is written to disk."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r|*") as archive:
            for number, member in enumerate(archive):
                # An archive may be a bomb: members, sizes and their sum are bounded before they are read.
                if number >= MAX_MEMBERS:
                    raise LimitExceeded(f"{path} has more than {MAX_MEMBERS} members", _ADVICE)
                _check_size(member.name, member.size)
                name = member.name.rpartition("/")[2]
                if not member.isfile():
                    continue
                if _is_pickled(name):
                    found[name] = b""
                if _is_read(name):
                    found[name] = _content(archive, member)
                if sum(map(len, found.values())) > MAX_TOTAL:
                    raise LimitExceeded(
                        f"the batches in {path} have more than {MAX_TOTAL} bytes together",
                        _ADVICE,
                    )
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{path} is no tar archive that can be read", _ADVICE) from error
    return found


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    opened = archive.extractfile(member)
    if opened is None:
        return b""
    return opened.read()


def _is_batch(name: str) -> bool:
    return _BATCH.fullmatch(name) is not None


def _is_pickled(name: str) -> bool:
    return _PICKLED.fullmatch(name) is not None


def _is_read(name: str) -> bool:
    return name == _NAMES or _is_batch(name)


def _check_size(name: str, size: int) -> None:
    if size > MAX_BYTES:
        raise LimitExceeded(
            f"{plain(name, 80)} has {size} bytes, the limit is {MAX_BYTES}",
            _ADVICE,
        )
