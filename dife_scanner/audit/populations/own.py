"""Somebody's own data, whatever its format: from a path to labelled or captioned pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from dife_scanner.audit.populations import cifar, coco, dataset, folders, parquet
from dife_scanner.audit.populations.captioned import Captioned
from dife_scanner.audit.populations.errors import DataError, UnsafeFormat
from dife_scanner.audit.populations.labelled import Labelled
from dife_scanner.core.plain import plain

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
    """Pictures at `path`, as `kind` asks for them. Nothing is executed, and nothing is written but under `cache`.

    `labelled`: a folder of labelled folders; CIFAR-10's binary batches, in a folder or their archive; parquet files
    with a class label. `captions`: COCO's captions_*.json with its pictures (`images` names their folder where it is
    not beside the file); parquet files with captions. A text that is no path here but reads `owner/name[@revision]` is
    a data set on `hub` (a `Hub` for data sets), fetched into `cache`. Raises `DataError` and its kinds,
    `LimitExceeded`, and hub errors.
    """
    if not Path(path).exists() and dataset.is_id(str(path)) and hub is not None and cache is not None:
        folder, name = dataset.fetch(hub, str(path), cache)
        return parquet.labelled(folder, name) if kind == "labelled" else parquet.captioned(folder, name)
    path = Path(path)
    if not path.exists():
        raise DataError(f"there is nothing at {path}", "give a file, a folder or the id of a data set on the hub")
    return _labelled(path) if kind == "labelled" else _captioned(path, images)


def _labelled(path: Path) -> Labelled:
    if path.is_file():
        if path.name.endswith(_ARCHIVES):
            return cifar.read(path)
        if path.suffix == ".parquet":
            return parquet.labelled(path, _name(path))
        raise _unknown(path, "a folder of labelled folders, CIFAR-10's binary version or parquet files")
    inner = path / "cifar-10-batches-bin"
    if cifar.is_folder(path) or inner.is_dir():
        return cifar.read(inner if inner.is_dir() else path)
    return parquet.labelled(path, _name(path)) if parquet.files(path) else folders.read(path)


def _captioned(path: Path, images: Path | None) -> Captioned:
    if file := coco.find(path):
        return coco.read(file, images)
    if path.suffix == ".parquet" or (path.is_dir() and parquet.files(path)):
        return parquet.captioned(path, _name(path))
    raise _unknown(path, "a captions_*.json as the COCO authors distribute it, or parquet files with captions")


def _unknown(path: Path, wanted: str) -> DataError:
    if path.suffix in _PICKLES:
        return UnsafeFormat(f"{path} may run code when it is read", f"give {wanted}")
    return DataError(f"{path} is none of the formats that are read", f"give {wanted}")


def _name(path: Path) -> str:
    return dataset.name_of(path) or plain(path.stem, 80)
