"""Drawings for the laboratory: what each one shows, and its pixels."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dife_scanner.lab.pictures import class_names, scenes
from dife_scanner.lab.pictures.drawing_sets import (
    PICTURED,
    SETS,
    ArtSet,
    bodies,
)

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
"""The ten CIFAR-10 class names, in their usual order."""

_CONCEPT_SETS = (
    "noto",
    "twemoji",
    "openmoji",
    "fxemoji",
    "emojione-v1",
    "streamline-emojis",
    "streamline-kameleon-color",
)
"""Colour sets that other concepts are taken from."""
_WORD = re.compile(r"^[a-z]+(-[a-z]+){0,2}$")
_FINISH = re.compile(r"-(fill|line|bold|duotone|light|thin|filled|outline|duo|solid)$")
_OPAQUE = 8
"""Alpha, of 255, from which a pixel belongs to the drawing."""


@dataclass(frozen=True)
class Drawing:
    """One picture of one thing."""

    set_name: str
    name: str
    svg: str = field(repr=False)
    cls: str | None
    """One of CLASSES, or None for another concept."""
    term: str
    """The finest word for what is shown: `eagle`, `pickup truck`, `apple`."""

    @property
    def id(self) -> str:
        """`set:name`, unique."""
        return f"{self.set_name}:{self.name}"

    @property
    def spec(self) -> ArtSet:
        """The set it comes from."""
        return SETS[self.set_name]

    @property
    def mono(self) -> bool:
        """Whether it has one colour only."""
        return self.spec.mono

    @property
    def design(self) -> str:
        """`family:name`: drawings that share it are one design in several finishes."""
        base = _FINISH.sub("", self.name)
        return f"{self.spec.family}:{base}"


def class_drawings(
    folder: Path,
    names: Iterable[str] = PICTURED,
) -> list[Drawing]:
    """Return every drawing of the ten classes, once (aliases and exact repeats dropped)."""
    found: list[Drawing] = []
    seen: set[bytes] = set()
    for set_name in names:
        labels = class_names.labels_of(set_name)
        for name, svg in bodies(folder, set_name):
            label = class_names.label_of(name, labels)
            if label is None or class_names.is_unclear(set_name, name):
                continue
            digest = hashlib.sha256(svg.encode()).digest()
            if digest in seen:
                continue
            seen.add(digest)
            cls, term = label
            found.append(Drawing(set_name, name, svg, cls, term))
    return found


def other_drawings(folder: Path, at_least: int = 4) -> list[Drawing]:
    """Return drawings of other concepts, from the colour training sets; a concept needs `at_least` sets."""
    by_set = {name: by_key(folder, name) for name in _CONCEPT_SETS}
    found = []
    for concept in _concepts(folder):
        key = key_of(concept)
        having = [name for name in _CONCEPT_SETS if key in by_set[name]]
        if len(having) < at_least:
            continue
        for name in having:
            _, svg = by_set[name][key]
            term = concept.replace("-", " ")
            found.append(Drawing(name, concept, svg, None, term))
    return found


def _concepts(folder: Path) -> list[str]:
    """Return the names of things that are no class, and have a plain word, in alphabetical order."""
    found = set()
    for name, _ in bodies(folder, "noto"):
        if _WORD.match(name) and not class_names.is_left_out(name):
            found.add(name)
    return sorted(found)


def by_key(folder: Path, set_name: str) -> dict[str, tuple[str, str]]:
    """Return the drawings of a set as key -> (name, svg); of drawings with the same key, the last one."""
    return {key_of(name): (name, svg) for name, svg in bodies(folder, set_name)}


def key_of(name: str) -> str:
    """Return the name without hyphens: sets hyphenate differently."""
    return name.replace("-", "")


def render(drawing: Drawing, size: int) -> NDArray[np.uint8]:
    """Return RGBA pixels, (size, size, 4), cropped to the drawing's own extent and centred.

    Monochrome sets come out black; the scene composer paints them.
    """
    import resvg_py
    from PIL import Image

    svg = drawing.svg.replace("currentColor", "#000000")
    # twice as large, so that shrinking smooths the edges
    png = resvg_py.svg_to_bytes(svg_string=svg, width=2 * size, height=2 * size)
    big = Image.open(io.BytesIO(bytes(png)))
    visible = [0 if alpha < _OPAQUE else 255 for alpha in range(256)]
    box = big.getchannel("A").point(visible).getbbox()
    if box is None:
        return np.zeros((size, size, 4), np.uint8)
    cut = big.convert("RGBA").crop(box)
    scale = size / max(cut.size)
    width = max(1, round(cut.width * scale))
    height = max(1, round(cut.height * scale))
    small = cut.resize((width, height), Image.Resampling.LANCZOS)
    canvas = Image.new("RGBA", (size, size))
    canvas.paste(small, ((size - width) // 2, (size - height) // 2))
    return np.asarray(canvas, np.uint8)


def rendered(
    drawings: Sequence[Drawing],
    side: int,
    size: int,
) -> scenes.Atlas:
    """Render drawings with `side` pixels a side, for scenes of `size` pixels."""
    return scenes.atlas_of(
        [render(drawing, side) for drawing in drawings],
        size,
        mono=[drawing.mono for drawing in drawings],
        classes=[drawing.cls for drawing in drawings],
        terms=[drawing.term for drawing in drawings],
        ids=[drawing.id for drawing in drawings],
    )
