"""How long searches will take here, from what a few passes of this checkpoint take."""

from __future__ import annotations

import time
from collections.abc import Callable

from dife_scanner.discovery.interface import Load, Task

PICTURES, PROMPTS = 16, 64
"""Encoded to measure a pass."""


def seconds(load: Load, task: Task) -> float:
    """About how long `load` takes on the suspect's device, from the quickest of a few timed passes: the first also pays
    for what is set up once, and any may have lost the core to somebody else.
    """
    if not load.images and not load.texts:
        return 0.0
    import torch

    from dife_scanner.models.gradient import Towers, pieces

    towers = Towers(task.suspect)
    pixels = torch.from_numpy(task.pixels[:PICTURES]).to(towers.device).permute(0, 3, 1, 2).float() / 255
    prompts = [pieces(template.format(name)) for template in task.templates for name in task.class_names]
    prompts = (prompts * (PROMPTS // len(prompts) + 1))[:PROMPTS]

    def seen() -> float:
        with torch.no_grad():
            return float(towers.images(pixels).sum())

    per_image = _timed(seen) / len(pixels) if load.images else 0.0
    per_text = _timed(lambda: float(towers.tokens(prompts).sum())) / len(prompts) if load.texts else 0.0
    return load.images * per_image + load.texts * per_text


def _timed(passes: Callable[[], float]) -> float:
    """Seconds of the quickest call; each ends only when the device has computed its sum."""
    took = []
    for _ in range(3):
        began = time.perf_counter()
        passes()
        took.append(time.perf_counter() - began)
    return min(took)
