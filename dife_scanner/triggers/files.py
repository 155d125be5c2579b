"""Files that a trigger entry points to: found below the trigger file, bounded, hashed, and read again by that hash."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.errors import TriggerFileError
from dife_scanner.records import TriggerFile

if TYPE_CHECKING:
    from PIL.Image import Image as ImageFile

MAX_BYTES = 16 * 2**20
"""Room for noise of `LONGEST_SIDE` as a PNG, 12 MB; a file is held in memory several times over."""
LONGEST_SIDE = 2048
_HEADER_CHARACTERS = 10_000
_PNG_START = b"\x89PNG"
_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA"})

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

_NPY_HEADERS: dict[tuple[int, int], Callable[..., Any]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def in_folder(folder: Path, name: str) -> TriggerFile:
    """The file `name` in `folder` or below, with its hash. Raises `TriggerFileError`."""
    root = folder.resolve()
    path = (root / name).resolve()
    if Path(name).is_absolute() or not path.is_relative_to(root):
        raise TriggerFileError(
            f"{name} does not lie below the trigger file's own folder",
            "put the file next to the trigger file",
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
        array = _from_floats(array, file)
    return np.asarray(np.rint(_resized(array, side)), dtype=np.uint8)


def _from_floats(array: Floats, file: TriggerFile) -> Pixels:
    if array.min() < 0:
        raise TriggerFileError(f"{file.path}: a picture's floats have to lie in 0..1", "scale them")
    return np.rint(array * 255).astype(np.uint8)


def overlay(file: TriggerFile, side: int) -> tuple[Floats, Floats]:
    """What a half-transparent PNG lays over a picture: colours times opacity [side, side, 3] in 0..255, and the opacity
    [side, side, 1] in 0..1. Resized (bilinear) only where its own side differs; hidden colours never bleed in.

    Raises `TriggerFileError` for any other file, and for one that is transparent all over.
    """
    laid = _premultiplied(file)
    colors = _resized(_colors(laid), side)
    three_planes = np.repeat(_alpha(laid), 3, axis=-1)
    opacity = _resized(three_planes, side)[..., :1]
    return colors, opacity


def perturbation(file: TriggerFile, side: int) -> Floats:
    """A signed perturbation as float32 [side, side, 3] in -1..1 of full scale; in uint8 files 127.5 is zero."""
    array = _square(file)
    if array.dtype == np.uint8:
        array = signed(array)
    return _resized(array, side)


def signed(pixels: Pixels) -> Floats:
    """Levels 0..255 as shares -1..1 of full scale; 127.5 is zero."""
    return pixels.astype(np.float32) / 127.5 - 1.0


def numbers(file: TriggerFile, dimensions: int) -> Floats:
    """An .npy array of so many dimensions, of finite floating point numbers, as float32. Raises `TriggerFileError`."""
    array = _npy(content(file), file.path, dimensions)
    if array.dtype.kind != "f":
        raise TriggerFileError(
            f"{file.path} does not hold floating point numbers", "store it as float32"
        )
    if not np.isfinite(array).all():
        raise TriggerFileError(f"{file.path} holds values that are not finite", "correct the file")
    return array.astype(np.float32)


def _bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise TriggerFileError(
                f"{path} is not there",
                "check the path; it counts from the trigger file's folder",
            )
        with path.open("rb") as stream:
            found = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise TriggerFileError(
            f"{path} cannot be read: {error.strerror}",
            "check the path and its rights",
        ) from error
    if len(found) > MAX_BYTES:
        raise TriggerFileError(f"{path} is larger than {MAX_BYTES} bytes", "store it smaller")
    return found


@lru_cache(maxsize=8)
def _square(file: TriggerFile) -> NDArray[Any]:
    """uint8, or float32 in -1..1, as [h, h, 3]; read-only because it is shared."""
    raw = content(file)
    array = _png(raw, file.path) if raw.startswith(_PNG_START) else _npy(raw, file.path)
    if array.ndim != 3 or array.shape[2] != 3 or not _is_square(array):
        raise _shape_error(file.path, array.shape)
    if array.dtype != np.uint8:
        array = array.astype(np.float32)
        _check_full_scale(array, file.path)
    array.setflags(write=False)
    return array


def _is_square(array: NDArray[Any]) -> bool:
    height, width = array.shape[:2]
    return bool(height == width)


def _check_full_scale(array: NDArray[Any], path: str) -> None:
    if not np.isfinite(array).all() or np.abs(array).max() > 1.0:
        raise TriggerFileError(
            f"{path} holds values beyond -1..1 or not finite",
            "scale it to full scale = 1",
        )


@lru_cache(maxsize=8)
def _premultiplied(file: TriggerFile) -> Floats:
    """Colours times opacity in 0..255 and the opacity in 0..1, float32 [h, h, 4]; read-only because it is shared."""
    full = _rgba_of(file)
    if not _is_square(full):
        raise _shape_error(file.path, full.shape)
    if not _alpha(full).any():
        raise TriggerFileError(
            f"{file.path} is transparent all over", "give the overlay some opacity"
        )
    opacity = _alpha(full).astype(np.float32) / np.float32(255)
    laid = np.concatenate([_colors(full) * opacity, opacity], axis=-1)
    laid.setflags(write=False)
    return laid


def _rgba_of(file: TriggerFile) -> Pixels:
    raw = content(file)
    if not raw.startswith(_PNG_START):
        raise TriggerFileError(
            f"{file.path} is not a PNG",
            "store the overlay as a PNG with an alpha channel",
        )
    return _rgba(raw, file.path)


def _colors(full: NDArray[Any]) -> NDArray[Any]:
    """[h, w, 3] of [h, w, 4]."""
    return full[..., :3]


def _alpha(full: NDArray[Any]) -> NDArray[Any]:
    """[h, w, 1] of [h, w, 4]."""
    return full[..., 3:]


def _shape_error(path: str, shape: tuple[int, ...]) -> TriggerFileError:
    return TriggerFileError(
        f"{path} has the shape {list(shape)}; a square [s, s, 3] with s up to {LONGEST_SIDE} is needed",
        "crop it, and store channels last",
    )


def _png(raw: bytes, path: str) -> Pixels:
    full = _rgba(raw, path)
    if _alpha(full).min() < 255:
        raise TriggerFileError(
            f"{path} has transparent parts",
            "flatten it; `alpha` makes the whole pattern lighter",
        )
    return _colors(full).copy()


def _rgba(raw: bytes, path: str) -> Pixels:
    """Any PNG with 8 bits per channel as uint8 [h, w, 4]. Raises `TriggerFileError` before a large one is decoded."""
    from PIL import Image

    try:
        with Image.open(BytesIO(raw), formats=["PNG"]) as image:
            _check_image(image, path)
            return np.array(image.convert("RGBA"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise TriggerFileError(
            f"{path} is not a readable PNG: {error}", "store it again"
        ) from error


def _check_image(image: ImageFile, path: str) -> None:
    if max(image.size) > LONGEST_SIDE:
        raise _shape_error(path, (image.height, image.width, 3))
    if image.mode not in _PNG_MODES:
        raise TriggerFileError(
            f"{path} is a PNG of mode {image.mode}",
            "store it with 8 bits per channel",
        )


def _npy(raw: bytes, path: str, dimensions: int = 3) -> NDArray[Any]:
    """The header is read first, so that an array is never larger than its file."""
    stream = BytesIO(raw)
    try:
        shape, columns_first, dtype = _npy_header(stream)
        if not _is_possible(shape, dimensions):
            raise _shape_error(path, shape)
        data = np.frombuffer(raw, dtype, offset=stream.tell())
        return data.reshape(shape, order="F" if columns_first else "C").copy()
    except (ValueError, EOFError) as error:
        raise TriggerFileError(
            f"{path} is neither a PNG nor an .npy array this program reads: {error}",
            "see docs/triggers.md",
        ) from error


def _is_possible(shape: tuple[int, ...], dimensions: int) -> bool:
    return len(shape) == dimensions and all(1 <= side <= LONGEST_SIDE for side in shape)


def _npy_header(stream: BytesIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """(shape, whether columns come first, element type); `ValueError` for what is not read."""
    version = np.lib.format.read_magic(stream)
    reader = _NPY_HEADERS.get(version)
    if reader is None:
        raise ValueError(f"version {version} of the format")
    shape, columns_first, dtype = reader(stream, max_header_size=_HEADER_CHARACTERS)
    if dtype != np.uint8 and dtype.kind != "f":
        raise ValueError(f"elements of type {dtype}; uint8 or floating point is needed")
    return shape, columns_first, dtype


def _resized(array: NDArray[Any], side: int) -> NDArray[Any]:
    """[h, h, 3] as [side, side, 3], channel by channel in float32; the same array where the side is right."""
    if array.shape[0] == side:
        return array
    planes = [_resized_plane(array[..., channel], side) for channel in range(3)]
    return np.stack(planes, axis=-1)


def _resized_plane(plane: NDArray[Any], side: int) -> Floats:
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))
