"""In which precision searches read: bfloat16 where a short probe finds it clearly quicker here, float32 else.

Only what is read without gradients, and only for searching: what is measured is float32 whatever is chosen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.models.gradient import Towers
    from dife_scanner.models.interface import Encoder

TEXTS = "texts"
"""What of searches may run in bfloat16: texts that go forward."""
MOST_SECONDS = 5.0
"""That the probe takes, copies included, unless one pass alone takes longer."""
MARGIN = 1.25
"""How many times as quick bfloat16 has to be."""
LEAST_COSINE = 0.995
"""Between what a text is read as in either: a tower that bfloat16 changes more is searched in float32, whoever made it
so."""
LEAST_WIDTH = 384
"""Values of a token below which nothing is probed: such a tower reads thousands of texts a second in float32."""
TIMED_TEXTS = 32
_ROUNDS = 3
_LEAST_ROUNDS = 2
"""The first also pays for what is set up once."""

Clock = Callable[[], float]
"""Seconds since some moment."""


def probed(
    encoder: Encoder, texts: Sequence[str], clock: Clock = time.perf_counter
) -> tuple[str, ...]:
    """What of these searches is better read in bfloat16 on this device; nothing of a small model.

    `texts`: some like those that searches read. The encoder stays as it is.
    """
    if encoder.text_width < LEAST_WIDTH:
        return ()
    from dife_scanner.models.bfloat16 import InBfloat16
    from dife_scanner.models.gradient import Towers, clip_behind

    behind = clip_behind(encoder)
    if behind is None:
        return ()
    began = clock()
    towers = Towers(encoder)
    rows = [towers.tokenizer.encode(text) for text in texts[:TIMED_TEXTS]]
    before = behind.search_transformer
    layers = (behind.model.transformer, InBfloat16(behind.model.transformer))
    took: tuple[list[float], list[float]] = ([], [])
    try:
        while len(took[0]) < _ROUNDS and _has_time_for_another(took, began, clock()):
            read = []
            for which, times in zip(layers, took, strict=True):
                behind.search_transformer = which
                read.append(_timed(towers, rows, times, clock))
    finally:
        behind.search_transformer = before
    exact, near = read
    agree = bool(((exact * near).sum(-1) >= LEAST_COSINE).all())
    slow, quick = map(min, took)
    enough = len(took[0]) >= _LEAST_ROUNDS
    return (TEXTS,) if enough and agree and slow >= MARGIN * quick else ()


def search_in(encoders: Sequence[Encoder], operations: Sequence[str]) -> None:
    """From now on searches in these read that in bfloat16, and the rest in float32. Equal towers share a copy."""
    from dife_scanner.models.bfloat16 import InBfloat16
    from dife_scanner.models.gradient import clip_behind

    copies: dict[str, InBfloat16] = {}
    for behind in filter(None, map(clip_behind, encoders)):
        layers = behind.model.transformer
        behind.search_transformer = layers
        if TEXTS in operations:
            if behind.text_tower not in copies:
                copies[behind.text_tower] = InBfloat16(layers)
            behind.search_transformer = copies[behind.text_tower]


def copies_mib(encoders: Sequence[Encoder]) -> int:
    """What copies in bfloat16 take, in MiB."""
    from dife_scanner.models.bfloat16 import copy_mib
    from dife_scanner.models.gradient import clip_behind

    layers = {}
    for behind in filter(None, map(clip_behind, encoders)):
        layers[behind.text_tower] = behind.model.transformer
    return sum(map(copy_mib, layers.values()))


def _has_time_for_another(took: Sequence[Sequence[float]], began: float, now: float) -> bool:
    """Whether another round as long as the last stays within what the probe may take."""
    last = sum(times[-1] for times in took if times)
    return not last or now - began + last <= MOST_SECONDS


def _timed(
    towers: Towers, rows: Sequence[Sequence[int]], times: list[float], clock: Clock
) -> Tensor:
    """What these texts are read as [n, d]; how long that took is added to `times`."""
    began = clock()
    embedded = towers.tokens(rows)
    float(embedded.sum())  # a GPU has computed it only then
    times.append(clock() - began)
    return embedded
