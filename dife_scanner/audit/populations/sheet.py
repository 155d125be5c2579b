"""The bundled scene sheet: held-out drawings as small transparent pictures, each with its word and class."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dife_scanner.audit.probes import bundled_folder
from dife_scanner.errors import ProbeError

if TYPE_CHECKING:
    from PIL.Image import Image

_REINSTALL = "reinstall the package"
_OPAQUE = 200
"""Least alpha of a pixel that counts as opaque."""
_BLACK = 24
"""A drawing with no opaque pixel above this level is ink: it is painted so that it shows on its background."""


@dataclass(frozen=True, eq=False)
class Sprite:
    """One drawing, cut out."""

    id: str
    """`set:name`."""
    term: str
    """The finest word for it: `eagle`, `pickup truck`, `lemon`."""
    class_name: str
    """Empty for another concept."""
    licence: str
    ink: bool
    """Black only: painted in a colour that contrasts with the background."""
    picture: Image
    """RGBA."""


@dataclass(frozen=True, eq=False)
class Sheet:
    """All bundled drawings."""

    digest: str
    """sha256 of the manifest, which holds the picture's."""
    sprites: tuple[Sprite, ...]

    def of_class(self, class_name: str) -> tuple[int, ...]:
        """Positions of a class's drawings; those of other concepts for the empty name."""
        return tuple(i for i, sprite in enumerate(self.sprites) if sprite.class_name == class_name)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Sorted."""
        return tuple(sorted({sprite.class_name for sprite in self.sprites if sprite.class_name}))


@lru_cache(maxsize=2)
def load(folder: Path | None = None) -> Sheet:
    """The scene sheet in `folder` (default: the bundled one), checked. Raises `ProbeError`."""
    raw, pixels = _files(folder or bundled_folder())
    manifest = json.loads(raw)
    sprites = _sprites(manifest, _opened(pixels))
    return Sheet(sha256(raw).hexdigest(), tuple(sprites))


@cache
def digest() -> str:
    """`Sheet.digest` of the bundled one, without cutting out its drawings. Raises `ProbeError`."""
    raw, _ = _files(bundled_folder())
    return sha256(raw).hexdigest()


def _files(folder: Path) -> tuple[bytes, bytes]:
    """The manifest and the picture that it names. Raises `ProbeError`."""
    try:
        raw = (folder / "scenes.json").read_bytes()
        manifest = json.loads(raw)
        picture = folder / manifest["file"]
        pixels = picture.read_bytes()
    except (OSError, ValueError, KeyError) as error:
        raise ProbeError(f"the scene sheet in {folder} cannot be read", _REINSTALL) from error
    if sha256(pixels).hexdigest() != manifest["sha256"]:
        raise ProbeError(f"{picture} is not the picture in its manifest", _REINSTALL)
    return raw, pixels


def _opened(pixels: bytes) -> Image:
    from PIL import Image

    with Image.open(BytesIO(pixels)) as opened:
        return opened.convert("RGBA")


def _sprites(manifest: dict[str, Any], whole: Image) -> Iterator[Sprite]:
    """Every drawing, cut out of the sheet."""
    for number, row in enumerate(manifest["drawings"]):
        tile = _tile(whole, number, manifest["tile"], manifest["columns"])
        yield _sprite(row, tile)


def _tile(whole: Image, number: int, side: int, columns: int) -> Image:
    """The drawing that stands at this place of the sheet, row by row."""
    left = number % columns * side
    top = number // columns * side
    return whole.crop((left, top, left + side, top + side))


def _sprite(row: dict[str, str], tile: Image) -> Sprite:
    return Sprite(
        id=row["drawing"],
        term=row["term"],
        class_name=row["class"] or "",
        licence=row["licence"],
        ink=_is_ink(tile),
        picture=tile,
    )


def _is_ink(tile: Image) -> bool:
    """Whether every opaque pixel is black."""
    pixels = np.asarray(tile)
    # Soft edges are half transparent and of any colour.
    opaque = pixels[pixels[..., 3] > _OPAQUE][:, :3]
    return bool(opaque.size and opaque.max() <= _BLACK)
