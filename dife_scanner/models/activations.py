"""What is held while gradients are taken through two towers, and how to hold less. Torch-free.

A pass with gradients keeps what each layer made, until the way back. Layers that are recomputed keep their inputs only:
the numbers stay the same to the bit, and a forward pass comes on top. Where that is too much as well, inputs go through
in parts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from dife_scanner.models.config import CONVNEXT, ClipConfig, TextConfig, VisionConfig

PICTURES = 24
"""In a step of an image inversion, at most …"""
TEXTS = 256
"""… in one of slots in texts, …"""
FEWER_TEXTS = 64
"""… and where texts are only ranked by a gradient; …"""
TOKENS = 16
"""… of about so many tokens at most."""
TEXTS_PER_PICTURE = 8
"""Texts that go through where one picture does, in parts."""
_FLOAT32 = 4
_MIB = 2**20
_OF_LAYER = 6.4
"""Values that a layer of a transformer keeps per token and unit of its width, besides those of its MLP: its input,
keys, queries, values, what attention made, what goes into the second norm, and some single numbers per token."""
_OF_BOTTLENECK = 12
"""Values that a block of a ModifiedResNet keeps per position and plane: before and behind each of its norms."""
_OF_CONVNEXT = 8
"""The same of a block of a ConvNeXt."""
_PARTS = (12, 6, 3, 1)


@dataclass(frozen=True)
class WayBack:
    """How gradients are taken through one checkpoint's towers."""

    recomputes: bool = False
    """Whether layers keep their inputs only. Changes no number."""
    at_once: int = 0
    """Pictures that go through at once, and `TEXTS_PER_PICTURE` as many texts; 0: all of a step. The last bits of sums
    may depend on it."""

    def less(self, inputs: int) -> WayBack | None:
        """The next that holds less, for a step of so many pictures; `None` where there is none."""
        if not self.recomputes:
            return WayBack(recomputes=True)
        half = (self.at_once or inputs) // 2
        return WayBack(recomputes=True, at_once=half) if half else None


@dataclass(frozen=True)
class WaysBack:
    """The same of suspect and base."""

    suspect: WayBack = WayBack()
    base: WayBack = WayBack()


_WHOLE = WayBack(recomputes=True)
WAYS = (
    WaysBack(),
    # The base only holds back: the way through it is seldom gone, so recomputing it takes next to no time.
    WaysBack(base=_WHOLE),
    WaysBack(_WHOLE, _WHOLE),
    *(WaysBack(WayBack(True, part), WayBack(True, part)) for part in _PARTS),
)
"""From the quickest on; each holds less than those before it."""


def in_parts(at_once: int) -> tuple[WaysBack, ...]:
    """Those of `WAYS` in which so many pictures go through at once, for an audit that is made again."""
    found = tuple(one for one in WAYS if one.suspect.at_once == at_once)
    part = WayBack(recomputes=True, at_once=at_once)
    return found or (WaysBack(part, part),)


def held_mib(suspect: ClipConfig, base: ClipConfig | None, ways: WaysBack, texts: int) -> int:
    """Most that is held at once for the way back of a search's step, in MiB, rounded up.

    `texts`: in a step, at most. Without a base there is one tower to go through.
    """
    sides = [(suspect, ways.suspect)]
    if base is not None:
        sides.append((base, ways.base))
    pictures = sum(_of_pictures(config, way) for config, way in sides)
    of_texts = sum(_of_texts(config, way, texts) for config, way in sides)
    return math.ceil(max(pictures, of_texts) * _FLOAT32 / _MIB)


def _of_pictures(config: ClipConfig, way: WayBack) -> float:
    count = min(way.at_once or PICTURES, PICTURES)
    side = config.vision.image_size
    # the pictures, triggered, and normalised; and their gradients on the way back
    pictures = 4 * PICTURES * 3 * side**2
    return pictures + count * _kept(list(_layers(config.vision)), way)


def _of_texts(config: ClipConfig, way: WayBack, texts: int) -> float:
    count = min(texts, way.at_once * TEXTS_PER_PICTURE) if way.at_once else texts
    return count * _kept(_text_layers(config.text), way)


@dataclass(frozen=True)
class _Layer:
    """Values of one layer, of one input."""

    input: float
    kept: float


def _kept(layers: list[_Layer], way: WayBack) -> float:
    """Values that one input keeps; where layers are recomputed, one of them at a time has all of its own."""
    if not way.recomputes or any(not one.input for one in layers):
        return sum(one.kept for one in layers)
    return sum(one.input for one in layers) + max(one.kept for one in layers)


def _layers(vision: VisionConfig) -> Iterator[_Layer]:
    if vision.stages and vision.trunk == CONVNEXT:
        yield from _convnext(vision)
    elif vision.stages:
        yield from _bottlenecks(vision)
    else:
        for _ in range(vision.layers):
            yield _of_transformer(vision.grid**2 + 1, vision.width, vision.mlp_ratio)


def _text_layers(text: TextConfig) -> list[_Layer]:
    reads_all = not text.causal or text.reads == "last"
    tokens = text.context_length if reads_all else min(TOKENS, text.context_length)
    return [_of_transformer(tokens, text.width, text.mlp_ratio)] * text.layers


def _of_transformer(tokens: int, width: int, mlp_ratio: float) -> _Layer:
    return _Layer(tokens * width, tokens * width * (_OF_LAYER + mlp_ratio))


def _convnext(vision: VisionConfig) -> Iterator[_Layer]:
    for stage, blocks in enumerate(vision.stages):
        positions = (vision.image_size // (4 * 2**stage)) ** 2
        values = positions * vision.width * 2**stage
        yield from [_Layer(values, _OF_CONVNEXT * values)] * blocks


def _bottlenecks(vision: VisionConfig) -> Iterator[_Layer]:
    """Without inputs: open_clip does not recompute them."""
    stem = 3 * 2 * (vision.image_size // 2) ** 2 * vision.width
    yield _Layer(0, stem)
    for stage, blocks in enumerate(vision.stages):
        positions = (vision.image_size // (4 * 2**stage)) ** 2
        values = positions * vision.width * 2**stage
        yield from [_Layer(0, _OF_BOTTLENECK * values)] * blocks
