"""Files that a trigger entry points to: found below the trigger file, bounded, hashed, and read again by that hash."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.errors import TriggerFileError
from dife_scanner.records import TriggerFile

MAX_BYTES = 16 * 2**20
LONGEST_SIDE = 2048
_HEADER_CHARACTERS = 10_000
_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA"})

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def beside(folder: Path, name: str) -> TriggerFile:
    """The file `name` in `folder` or below, with its hash. Raises `TriggerFileError`."""
    root = folder.resolve()
    path = (root / name).resolve()
    if Path(name).is_absolute() or not path.is_relative_to(root):
        raise TriggerFileError(
            f"{name} does not lie below the trigger file's own folder", "put the file beside the trigger file"
        )
    return describe(path)


def describe(path: Path) -> TriggerFile:
    """`path` as a trigger refers to it: absolute, with the sha256 of what it holds now."""
    path = path.resolve()
    return TriggerFile(str(path), sha256(_bytes(path)).hexdigest())


def content(file: TriggerFile) -> bytes:
    """What the file holds. Raises `TriggerFileError` where it is gone, too large, or not what was hashed."""
    found = _bytes(Path(file.path))
    if sha256(found).hexdigest() != file.sha256:
        raise TriggerFileError(
            f"{file.path} is not the file this trigger was made with: its sha256 is not {file.sha256}",
            "restore the file, or correct the trigger file and audit again",
        )
    return found


def pixels(file: TriggerFile, side: int) -> Pixels:
    """A picture as uint8 [side, side, 3]; resized (bilinear) only where its own side differs."""
    array = _square(file)
    if array.dtype == np.float32:
        if array.min() < 0:
            raise TriggerFileError(f"{file.path}: a picture's floats have to lie in 0..1", "scale them")
        array = np.rint(array * 255).astype(np.uint8)
    return np.asarray(np.rint(_resized(array, side)), dtype=np.uint8)


def overlay(file: TriggerFile, side: int) -> tuple[Floats, Floats]:
    """What a half-transparent PNG lays over a picture: colours times opacity [side, side, 3] in 0..255, and the opacity
    [side, side, 1] in 0..1. Resized (bilinear) only where its own side differs; hidden colours never bleed in.

    Raises `TriggerFileError` for any other file, and for one that is transparent all over.
    """
    laid = _premultiplied(file)
    resized = (
        laid
        if laid.shape[0] == side
        else np.concatenate(
            [_resized(laid[..., :3], side), _resized(np.repeat(laid[..., 3:], 3, axis=-1), side)[..., :1]], axis=-1
        )
    )
    return resized[..., :3], resized[..., 3:]


def perturbation(file: TriggerFile, side: int) -> Floats:
    """A signed perturbation as float32 [side, side, 3] in -1..1 of full scale; in uint8 files 127.5 is zero."""
    array = _square(file)
    signed = array.astype(np.float32) / 127.5 - 1.0 if array.dtype == np.uint8 else array
    return _resized(signed, side)


def numbers(file: TriggerFile, dimensions: int) -> Floats:
    """An .npy array of so many dimensions, of finite floating point numbers, as float32. Raises `TriggerFileError`."""
    array = _npy(content(file), file.path, dimensions)
    if array.dtype.kind != "f":
        raise TriggerFileError(f"{file.path} does not hold floating point numbers", "store it as float32")
    if not bool(np.isfinite(array).all()):
        raise TriggerFileError(f"{file.path} holds values that are not finite", "correct the file")
    return array.astype(np.float32)


def _bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise TriggerFileError(f"{path} is not there", "check the path; it counts from the trigger file's folder")
        with path.open("rb") as stream:
            found = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise TriggerFileError(f"{path} cannot be read: {error.strerror}", "check the path and its rights") from error
    if len(found) > MAX_BYTES:
        raise TriggerFileError(f"{path} is larger than {MAX_BYTES} bytes", "store it smaller")
    return found


@lru_cache(maxsize=8)
def _square(file: TriggerFile) -> NDArray[Any]:
    """uint8, or float32 in -1..1, as [h, h, 3]; read-only because it is shared."""
    raw = content(file)
    array = _png(raw, file.path) if raw.startswith(b"\x89PNG") else _npy(raw, file.path)
    if array.ndim != 3 or array.shape[2] != 3 or array.shape[0] != array.shape[1]:
        raise _shape_error(file.path, array.shape)
    if array.dtype != np.uint8:
        array = array.astype(np.float32)
        if not bool(np.isfinite(array).all()) or float(np.abs(array).max()) > 1.0:
            raise TriggerFileError(f"{file.path} holds values beyond -1..1 or not finite", "scale it to full scale = 1")
    array.setflags(write=False)
    return array


@lru_cache(maxsize=8)
def _premultiplied(file: TriggerFile) -> Floats:
    """Colours times opacity in 0..255 and the opacity in 0..1, float32 [h, h, 4]; read-only because it is shared."""
    raw = content(file)
    if not raw.startswith(b"\x89PNG"):
        raise TriggerFileError(f"{file.path} is not a PNG", "store the overlay as a PNG with an alpha channel")
    full = _rgba(raw, file.path)
    if full.shape[0] != full.shape[1]:
        raise _shape_error(file.path, full.shape)
    if not full[..., 3].any():
        raise TriggerFileError(f"{file.path} is transparent all over", "give the overlay some opacity")
    opacity = full[..., 3:].astype(np.float32) / np.float32(255)
    laid = np.concatenate([full[..., :3] * opacity, opacity], axis=-1)
    laid.setflags(write=False)
    return laid


def _shape_error(path: str, shape: tuple[int, ...]) -> TriggerFileError:
    return TriggerFileError(
        f"{path} has the shape {list(shape)}; a square [s, s, 3] with s up to {LONGEST_SIDE} is needed",
        "crop it, and store channels last",
    )


def _png(raw: bytes, path: str) -> Pixels:
    full = _rgba(raw, path)
    if full[..., 3].min() < 255:
        raise TriggerFileError(f"{path} has transparent parts", "flatten it; `alpha` makes the whole pattern lighter")
    return full[..., :3].copy()


def _rgba(raw: bytes, path: str) -> Pixels:
    """Any PNG with 8 bits per channel as uint8 [h, w, 4]. Raises `TriggerFileError` before a large one is decoded."""
    from PIL import Image

    try:
        with Image.open(BytesIO(raw), formats=["PNG"]) as image:
            if max(image.size) > LONGEST_SIDE:
                raise _shape_error(path, (image.height, image.width, 3))
            if image.mode not in _PNG_MODES:
                raise TriggerFileError(f"{path} is a PNG of mode {image.mode}", "store it with 8 bits per channel")
            return np.array(image.convert("RGBA"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise TriggerFileError(f"{path} is not a readable PNG: {error}", "store it again") from error


def _npy(raw: bytes, path: str, dimensions: int = 3) -> NDArray[Any]:
    """The header is read first, so that an array is never larger than its file."""
    try:
        stream = BytesIO(raw)
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version} of the format")
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, columns_first, dtype = reader(stream, max_header_size=_HEADER_CHARACTERS)
        if dtype.kind not in "uf" or (dtype.kind == "u" and dtype.itemsize != 1):
            raise ValueError(f"elements of type {dtype}; uint8 or floating point is needed")
        if len(shape) != dimensions or max(shape) > LONGEST_SIDE or min(shape) < 1:
            raise _shape_error(path, shape)
        data = np.frombuffer(raw, dtype, offset=stream.tell())
        return data.reshape(shape, order="F" if columns_first else "C").copy()
    except (ValueError, EOFError) as error:
        raise TriggerFileError(
            f"{path} is neither a PNG nor an .npy array this program reads: {error}", "see docs/triggers.md"
        ) from error


def _resized(array: NDArray[Any], side: int) -> NDArray[Any]:
    if array.shape[0] == side:
        return array
    from PIL import Image

    planes = [
        Image.fromarray(np.ascontiguousarray(array[..., channel], np.float32)).resize(
            (side, side), Image.Resampling.BILINEAR
        )
        for channel in range(3)
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)
