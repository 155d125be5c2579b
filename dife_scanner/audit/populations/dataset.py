"""A data set on a hub, by id: which of its files are needed, and bringing them here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.audit.populations import card
from dife_scanner.audit.populations.errors import DataError
from dife_scanner.errors import LimitExceeded, UsageError
from dife_scanner.records import HubFile, ModelRef

if TYPE_CHECKING:
    from dife_scanner.hub.client import Hub

MAX_BYTES = 4 * 2**30
"""Of all files of one data set together."""

_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?")
_SLASH = "--"
"""Of an id, in the name of a folder; as in the hub's own cache, ids do not have it."""
_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_id(text: str) -> bool:
    """Whether `text` reads `owner/name` or `owner/name@revision`.

    >>> is_id("uoft-cs/cifar10@main"), is_id("/data/cifar10")
    (True, False)
    """
    return bool(_ID.fullmatch(text))


def fetch(hub: Hub, reference: str, cache: Path, limit: int = MAX_BYTES) -> tuple[Path, str]:
    """The data set's parquet files and card in a folder under `cache`, and its name with the commit they are of.

    Where all of them are more than `limit` bytes, only those of test and validation splits. Files that are already
    there and verify cost no download. Raises `DataError` where there is no parquet, `LimitExceeded`, and hub errors.
    """
    found = _ID.fullmatch(reference)
    if found is None or hub.repo_type != "dataset":
        raise UsageError(
            f"{reference!r} is no data set id",
            "write it as owner/name or owner/name@revision",
        )
    info = hub.info(found[1], found[2])
    wanted = _chosen(info.files, reference, limit)
    ref = ModelRef(info.repo_id, info.sha)
    folder = cache / info.repo_id.replace("/", _SLASH) / info.sha
    for file in wanted:
        hub.fetch(ref, file, folder, limit=limit)
    for file in filter(_is_card, info.files):
        hub.fetch(ref, file, folder, limit=card.MAX_BYTES)
    return folder, name_of(folder)


def _is_card(file: HubFile) -> bool:
    return file.path == card.NAME and (file.size or 0) <= card.MAX_BYTES


def name_of(folder: Path) -> str:
    """`owner/name@commit` where `folder` is one that `fetch` made; else empty. Manifests give it as their source.

    >>> name_of(Path("cache/uoft-cs--cifar10") / ("c0ffee" * 6 + "c0de")), name_of(Path("my/pictures"))
    ('uoft-cs/cifar10@c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0de', '')
    """
    owner, slash, name = folder.parent.name.partition(_SLASH)
    if not slash or not _COMMIT.fullmatch(folder.name):
        return ""
    return f"{owner}/{name}@{folder.name}"


def _chosen(files: tuple[HubFile, ...], reference: str, limit: int) -> list[HubFile]:
    """All parquet files, or those of test and validation splits where all are too large. Raises `DataError`."""
    every = [file for file in files if file.path.endswith(".parquet")]
    if not every:
        raise DataError(
            f"the data set {reference} holds no parquet files",
            "name the revision refs/convert/parquet, or download it and give the folder",
        )
    # Audits measure on held-out pictures; the train split is what can be spared.
    held_out = list(filter(_is_held_out, every))
    for part in (every, held_out):
        if part and _size(part) <= limit:
            return part
    total = _size(held_out or every)
    raise LimitExceeded(
        f"the data set {reference} has {total} bytes of parquet, the limit is {limit}",
        "download a part of it and give the folder",
    )


def _is_held_out(file: HubFile) -> bool:
    name = file.path.rpartition("/")[2]
    return name.startswith(("test", "validation"))


def _size(files: list[HubFile]) -> int:
    """Bytes of all of them, as far as the hub states them."""
    return sum(file.size or 0 for file in files)
