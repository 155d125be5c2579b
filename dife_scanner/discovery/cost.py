"""How long searches will take here: what a few passes of this checkpoint take, timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dife_scanner.discovery.interface import Load, Task
from dife_scanner.discovery.wording import POSITIONS, Ids, Prompts, Wording

if TYPE_CHECKING:
    from dife_scanner.models.gradient import Towers

TIMED_PICTURES = 8
"""Pictures that go forward and back to measure a pass …"""
TIMED_PROMPTS = 64
"""… and prompts."""
_TIMED_CALLS = 3
"""Calls of which the quickest counts."""
_PASSES_BOTH_WAYS = 2
"""Of a picture that goes forward and back, as loads count."""


Clock = Callable[[], float]
"""Seconds since some moment."""


@dataclass(frozen=True)
class Rates:
    """What a pass of one input takes here, in seconds; 0 where none was timed.

    Of a text it is a forward pass. Of a picture it is half of its way forward and back, which is what nearly all
    passes of pictures are: without gradients of weights, the way back takes about as much as the way forward.
    """

    per_image: float = 0.0
    per_text: float = 0.0

    def seconds(self, load: Load) -> float:
        """About how long `load` takes."""
        return load.images * self.per_image + load.texts * self.per_text


def rates(load: Load, task: Task, clock: Clock = time.perf_counter) -> Rates:
    """What the passes that `load` consists of take on the suspect's device; what it has none of is not timed.

    From the quickest of a few timed passes: the first also pays for what is set up once, and any may have lost the core
    to somebody else.
    """
    if not load.images and not load.texts:
        return Rates()
    from dife_scanner.models.gradient import Towers

    towers = Towers(task.suspect, task.tokenizer)
    per_image = _seconds_per_image(task, towers, clock) if load.images else 0.0
    per_text = _seconds_per_text(task, towers, clock) if load.texts else 0.0
    return Rates(per_image, per_text)


def _seconds_per_image(task: Task, towers: Towers, clock: Clock) -> float:
    import torch

    pixels = torch.from_numpy(task.pixels[:TIMED_PICTURES]).to(towers.device)
    pictures = pixels.permute(0, 3, 1, 2).float() / 255

    def read() -> float:
        inputs = pictures.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(towers.images(inputs).sum(), inputs)
        return float(gradient.sum())

    return _quickest(read, clock) / (_PASSES_BOTH_WAYS * len(pictures))


def _seconds_per_text(task: Task, towers: Towers, clock: Clock) -> float:
    prompts = _prompts(task, towers)

    def read() -> float:
        return float(towers.tokens(prompts).sum())

    return _quickest(read, clock) / len(prompts)


def _prompts(task: Task, towers: Towers) -> list[Ids]:
    """`TIMED_PROMPTS` class prompts with a token in them, which begin alike as often as those of searches do."""
    prompts = Prompts.of(task)
    tokens = towers.ordinary.tolist()
    classes = len(task.class_names)
    written = []
    for number in range(TIMED_PROMPTS):
        position = POSITIONS[number % len(POSITIONS)]
        token = tokens[number // (classes * len(POSITIONS)) % len(tokens)]
        wording = Wording((token,), position, number % classes)
        written.append(prompts.written(wording, template=0))
    return written


def _quickest(call: Callable[[], float], clock: Clock) -> float:
    """Seconds of the quickest call; each ends only when the device has computed its sum."""
    durations = []
    for _ in range(_TIMED_CALLS):
        began = clock()
        call()
        durations.append(clock() - began)
    return min(durations)
