"""In which precision searches read: bfloat16 where a short probe finds it clearly quicker here, float32 else.

Only what is read to search. What is measured is float32 whatever is chosen.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.models.bfloat16 import Near
    from dife_scanner.models.clip import ClipEncoder
    from dife_scanner.models.gradient import Towers
    from dife_scanner.models.interface import Encoder

TEXTS = "texts"
"""What of searches may run in bfloat16: texts that go forward …"""
PICTURES = "pictures"
"""… and pictures, with gradients and without."""
OPERATIONS = (TEXTS, PICTURES)
MOST_SECONDS = {TEXTS: 0.5, PICTURES: 2.5}
"""That timing takes, unless the first round alone takes longer. Copies and agreement come on top."""
MARGIN = 1.25
"""How many times as quick bfloat16 has to be."""
LEAST_COSINE = 0.995
"""Between what an input is read as in either: a tower that bfloat16 changes more is searched in float32, whoever made
it so."""
LEAST_WIDTH = 384
"""Values of a token below which nothing is probed: such a tower is too quick for it to matter."""
TIMED_TOKENS = 400
"""Of texts or pictures, about, but at least one."""
TRIED_TOKENS = 8
"""Of one text or picture, which are read before any others …"""
HOPELESS = 3.0
"""… and where bfloat16 takes so many times as long, no others are: a processor without it takes seconds for them."""
_TEXTS_THAT_AGREE = 4
TOKENS_THAT_AGREE = 64
"""Of a picture, its class token and the first others. A whole one takes seconds through a large tower."""
_ROUNDS = 3
_LEAST_ROUNDS = 2
"""The first also pays for what is set up once."""

Clock = Callable[[], float]
"""Seconds since some moment."""
Ways = tuple[Callable[[], object], Callable[[], object]]
"""One thing done in float32 and in bfloat16."""


def possible(encoder: Encoder) -> tuple[str, ...]:
    """What of searches in this checkpoint may run in bfloat16."""
    from dife_scanner.models.gradient import clip_behind

    behind = clip_behind(encoder)
    return tuple(_layers(behind)) if behind is not None else ()


def worth_probing(encoder: Encoder) -> tuple[str, ...]:
    """What of searches in this checkpoint a probe times; nothing of a small model."""
    from dife_scanner.models.gradient import clip_behind

    behind = clip_behind(encoder)
    if behind is None:
        return ()
    return tuple(one for one, layers in _layers(behind).items() if layers.width >= LEAST_WIDTH)


def probed(
    encoder: Encoder, texts: Sequence[str], picture: Tensor, clock: Clock = time.perf_counter
) -> tuple[str, ...]:
    """What of searches is better read in bfloat16 on this device; nothing of a small model.

    `texts` and `picture` [1, 3, s, s] in 0..1 are some like those that searches read. The encoder stays as it is.
    """
    from dife_scanner.models.gradient import Towers, clip_behind

    behind = clip_behind(encoder)
    wide = worth_probing(encoder)
    if behind is None or not wide:
        return ()
    towers = Towers(behind)
    rows = [list(behind.tokenizer.encode(text)) for text in texts[:_TEXTS_THAT_AGREE]]
    chosen = []
    for operation in wide:
        tokens = _tokens_of_one(behind, operation, towers, rows)
        tried = _ways(behind, operation, 1, min(tokens, TRIED_TOKENS))
        if _is_hopeless(tried, clock):
            continue
        ways = _ways(behind, operation, max(1, TIMED_TOKENS // tokens), tokens)
        quicker = _is_quicker(ways, MOST_SECONDS[operation], clock)
        inputs = rows if operation == TEXTS else picture
        if quicker and _agrees(behind, operation, towers, inputs):
            chosen.append(operation)
    return tuple(chosen)


def search_in(encoders: Sequence[Encoder], operations: Sequence[str]) -> None:
    """From now on searches in these read that in bfloat16, and the rest in float32. Equal towers share a copy."""
    from dife_scanner.models.bfloat16 import InBfloat16, Near, with_layers
    from dife_scanner.models.gradient import clip_behind

    copies: dict[str, InBfloat16] = {}
    for behind in filter(None, map(clip_behind, encoders)):
        behind.near = Near()
        for operation, layers in _layers(behind).items():
            if operation not in operations:
                continue
            tower = _tower(behind, operation)
            if tower not in copies:
                copies[tower] = InBfloat16(layers)
            if operation == TEXTS:
                behind.near = replace(behind.near, transformer=copies[tower])
            else:
                visual = with_layers(behind.model.visual, copies[tower])
                behind.near = replace(behind.near, visual=visual)


def copies_mib(encoders: Sequence[Encoder]) -> int:
    """What copies of all that may run in bfloat16 take, in MiB."""
    from dife_scanner.models.bfloat16 import copy_mib
    from dife_scanner.models.gradient import clip_behind

    copied = {}
    for behind in filter(None, map(clip_behind, encoders)):
        for operation, layers in _layers(behind).items():
            copied[_tower(behind, operation)] = copy_mib(layers)
    return sum(copied.values())


def _layers(behind: ClipEncoder) -> dict[str, Any]:
    """What may be copied, by operation."""
    from dife_scanner.models.bfloat16 import layers_of_pictures

    found = {TEXTS: behind.model.transformer, PICTURES: layers_of_pictures(behind.model.visual)}
    return {operation: layers for operation, layers in found.items() if layers is not None}


def _tower(behind: ClipEncoder, operation: str) -> str:
    return behind.text_tower if operation == TEXTS else behind.image_tower


# --- the probe ------------------------------------------------------------------------------------------------


def _tokens_of_one(
    behind: ClipEncoder, operation: str, towers: Towers, rows: list[list[int]]
) -> int:
    """How many tokens one picture has, or the longest of these texts."""
    if operation == TEXTS:
        return int(towers.packed(rows)[0].shape[1])
    return len(behind.model.visual.positional_embedding)


def _ways(behind: ClipEncoder, operation: str, inputs: int, tokens: int) -> Ways:
    """The first layer of the tower: all cost the same. Pictures go back as well, as in nearly all their passes.

    `tokens`: of each of the inputs.
    """
    import torch

    from dife_scanner.models.bfloat16 import InBfloat16, first_layer

    layer = first_layer(_layers(behind)[operation])
    mask = None
    if operation == TEXTS and behind.model.attn_mask is not None:
        mask = behind.model.attn_mask[:tokens, :tokens]
    shape = (inputs, tokens, layer.width)
    states = torch.linspace(-1.0, 1.0, math.prod(shape), device=behind.device).view(shape)

    def way(layers: Any) -> Callable[[], object]:
        def read() -> float:
            inputs = states.clone().requires_grad_(operation == PICTURES)
            with torch.set_grad_enabled(operation == PICTURES):
                total = layers(inputs, attn_mask=mask).sum()
                if operation == PICTURES:
                    (gradient,) = torch.autograd.grad(total, inputs)
                    total = gradient.sum()
            return float(total)

        return read

    return way(layer), way(InBfloat16(layer))


def _is_hopeless(ways: Ways, clock: Clock) -> bool:
    """Whether the second of two ways is that much slower that it need not be timed."""
    rounds = [_round(ways, clock) for _ in range(_LEAST_ROUNDS)]
    float32, bfloat16 = map(min, zip(*rounds, strict=True))
    return bool(bfloat16 >= HOPELESS * float32)


def _is_quicker(ways: Ways, seconds: float, clock: Clock) -> bool:
    """Whether the second of two ways is clearly quicker. They take turns, and the best of each counts."""
    rounds: list[tuple[float, float]] = []
    began = clock()
    while len(rounds) < _ROUNDS and (not rounds or clock() - began + sum(rounds[-1]) <= seconds):
        rounds.append(_round(ways, clock))
    slow, quick = map(min, zip(*rounds, strict=True))
    return len(rounds) >= _LEAST_ROUNDS and slow >= MARGIN * quick


def _round(ways: Ways, clock: Clock) -> tuple[float, float]:
    """What each takes, one after the other, in seconds."""
    float32, bfloat16 = ways
    return _seconds(float32, clock), _seconds(bfloat16, clock)


def _seconds(way: Callable[[], object], clock: Clock) -> float:
    started = clock()
    way()
    return clock() - started


def _agrees(
    behind: ClipEncoder, operation: str, towers: Towers, inputs: list[list[int]] | Tensor
) -> bool:
    """Whether all layers read texts, or the first tokens of pictures, alike in both."""
    before = behind.near
    read = []
    try:
        for near in _exact_and_near(behind, operation):
            behind.near = near
            read.append(_read(towers, inputs))
    finally:
        behind.near = before
    exact, copied = read
    return bool(((exact * copied).sum(-1) >= LEAST_COSINE).all())


def _exact_and_near(behind: ClipEncoder, operation: str) -> Iterator[Near]:
    """What reads in float32, and then in bfloat16."""
    from dife_scanner.models.bfloat16 import FirstTokens, InBfloat16, Near, with_layers

    layers = _layers(behind)[operation]
    if operation == TEXTS:
        yield Near()
        yield Near(transformer=InBfloat16(layers))
        return
    visual = behind.model.visual
    yield Near(visual=with_layers(visual, FirstTokens(layers, TOKENS_THAT_AGREE)))
    yield Near(visual=with_layers(visual, FirstTokens(InBfloat16(layers), TOKENS_THAT_AGREE)))


def _read(towers: Towers, inputs: list[list[int]] | Tensor) -> Tensor:
    """Unit embeddings of texts, or of pictures [n, d]."""
    import torch

    with torch.no_grad():
        if isinstance(inputs, torch.Tensor):
            return towers.images(inputs.to(towers.device))
        return towers.tokens(inputs)
