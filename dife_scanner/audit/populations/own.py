"""Somebody's own data, whatever its format: from a path to labelled or captioned pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from dife_scanner.audit.populations import (
    cifar,
    coco,
    dataset,
    folders,
    parquet,
)
from dife_scanner.audit.populations.captioned import Captioned
from dife_scanner.audit.populations.errors import DataError, UnsafeFormat
from dife_scanner.audit.populations.labelled import Labelled
from dife_scanner.plain import plain

if TYPE_CHECKING:
    from dife_scanner.hub.client import Hub

_ARCHIVES = (".tar", ".tar.gz", ".tgz")
_PICKLES = (".pkl", ".pickle", ".npy", ".pt", ".pth")


@overload
def read(
    path: Path | str,
    kind: Literal["labelled"],
    *,
    images: Path | None = None,
    hub: Hub | None = None,
    cache: Path | None = None,
) -> Labelled: ...
@overload
def read(
    path: Path | str,
    kind: Literal["captions"],
    *,
    images: Path | None = None,
    hub: Hub | None = None,
    cache: Path | None = None,
) -> Captioned: ...
def read(
    path: Path | str,
    kind: Literal["labelled", "captions"],
    *,
    images: Path | None = None,
    hub: Hub | None = None,
    cache: Path | None = None,
) -> Labelled | Captioned:
    """Pictures at `path`, labelled or with captions. Nothing is executed, and nothing is written but under `cache`.

    `labelled`: a folder of labelled folders; CIFAR-10's binary batches, in a folder or their archive; parquet files
    with a class label. `captions`: COCO's captions_*.json with its pictures (`images` names their folder where it is
    not next to the file); parquet files with captions. A text that is no path here but reads `owner/name[@revision]` is
    a data set on `hub` (a `Hub` for data sets), fetched into `cache`. Raises `DataError` and its kinds,
    `LimitExceeded`, and hub errors.
    """
    local = Path(path)
    if not local.exists() and dataset.is_id(str(path)) and hub is not None and cache is not None:
        folder, name = dataset.fetch(hub, str(path), cache)
        return _from_parquet(folder, name, kind)
    if not local.exists():
        raise DataError(
            f"there is nothing at {local}",
            "give a file, a folder or the id of a data set on the hub",
        )
    if kind == "labelled":
        return _labelled(local)
    return _captioned(local, images)


def _from_parquet(folder: Path, name: str, kind: str) -> Labelled | Captioned:
    if kind == "labelled":
        return parquet.labelled(folder, name)
    return parquet.captioned(folder, name)


def _labelled(path: Path) -> Labelled:
    if path.is_file():
        return _labelled_file(path)
    inner = path / "cifar-10-batches-bin"
    if inner.is_dir():
        return cifar.read(inner)
    if cifar.is_folder(path):
        return cifar.read(path)
    if parquet.files(path):
        return parquet.labelled(path, _name(path))
    return folders.read(path)


def _labelled_file(path: Path) -> Labelled:
    if path.name.endswith(_ARCHIVES):
        return cifar.read(path)
    if path.suffix == ".parquet":
        return parquet.labelled(path, _name(path))
    raise _unknown(
        path,
        "a folder of labelled folders, CIFAR-10's binary version or parquet files",
    )


def _captioned(path: Path, images: Path | None) -> Captioned:
    annotations = coco.find(path)
    if annotations:
        return coco.read(annotations, images)
    if path.suffix == ".parquet" or (path.is_dir() and parquet.files(path)):
        return parquet.captioned(path, _name(path))
    raise _unknown(
        path,
        "a captions_*.json as the COCO authors distribute it, or parquet files with captions",
    )


def _unknown(path: Path, wanted: str) -> DataError:
    """The error for a format that is not read, or that would run code."""
    if path.suffix in _PICKLES:
        return UnsafeFormat(f"{path} may run code when it is read", f"give {wanted}")
    return DataError(f"{path} is none of the formats that are read", f"give {wanted}")


def _name(path: Path) -> str:
    return dataset.name_of(path) or plain(path.stem, 80)
