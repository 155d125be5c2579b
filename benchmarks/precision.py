"""What bfloat16 gains in each operation of a search, at real size; untrained weights, since only time is measured.

    OMP_NUM_THREADS=2 python benchmarks/precision.py [SHAPE] [--device cpu] [--rounds 5]

Of each operation, inputs per second in float32, under autocast, and with a copy in bfloat16; and how much of the
float32 matrix floor float32 reaches: the same multiplications as square products in this very run. All ways
take turns, and the best round of each counts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import open_clip
import torch
from torch import Tensor

from dife_scanner.models.bfloat16 import InBfloat16, with_layers
from dife_scanner.models.clip import read_out

TEXTS = 64
PICTURES = 24
TOKENS = 16
SIDE = 1024
"""Of the square matrices that give the floor."""
Way = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shape", nargs="?", default="ViT-B-32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.manual_seed(0)
    model = open_clip.create_model(given.shape).eval().requires_grad_(False).to(given.device)
    print(
        f"{given.shape} on {given.device}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    print("| operation | float32 | autocast | copy | copy / float32 | of the float32 floor |")
    print("|---|---|---|---|---|---|")
    for name, inputs, passes, ways in operations(model, given.device):
        row(name, inputs, passes, ways, given.rounds, given.device)


def operations(model: Any, device: str) -> list[tuple[str, int, float, dict[str, Way]]]:
    """Name, inputs, multiplications in float32 (forward) and ways, of each."""
    ids = torch.randint(1, 40_000, (TEXTS, TOKENS), device=device)
    words = model.token_embedding(ids)
    ends = torch.full((TEXTS,), TOKENS - 1, device=device)
    size = model.visual.image_size
    pictures = torch.randn(
        PICTURES, 3, *(size if isinstance(size, tuple) else (size, size)), device=device
    )
    layers = InBfloat16(model.transformer)
    visual = with_layers(model.visual, InBfloat16(model.visual.transformer))

    def texts(inputs: Tensor) -> Tensor:
        return read_out(model, inputs, ends)

    def texts_in_copy(inputs: Tensor) -> Tensor:
        return read_out(model, inputs, ends, layers)

    return [
        (
            "texts forward",
            TEXTS,
            products(model.transformer) * TEXTS * TOKENS,
            forward(texts, texts_in_copy, words, device),
        ),
        (
            "texts forward and back",
            TEXTS,
            2 * products(model.transformer) * TEXTS * TOKENS,
            both_ways(texts, texts_in_copy, words, device),
        ),
        (
            "pictures forward",
            PICTURES,
            products(model.visual) * PICTURES * tokens_of(model.visual),
            forward(model.visual, visual, pictures, device),
        ),
        (
            "pictures forward and back",
            PICTURES,
            2 * products(model.visual) * PICTURES * tokens_of(model.visual),
            both_ways(model.visual, visual, pictures, device),
        ),
    ]


def products(tower: Any) -> int:
    """Multiplications per token of a transformer's matrices."""
    return sum(
        one.numel() for name, one in tower.named_parameters() if one.ndim == 2 and "pos" not in name
    )


def tokens_of(visual: Any) -> int:
    positions = getattr(visual, "positional_embedding", None)
    return 0 if positions is None else len(positions)


def forward(plain: Any, in_copy: Any, inputs: Tensor, device: str) -> dict[str, Way]:
    def autocast() -> Tensor:
        with torch.autocast(device, torch.bfloat16):
            return plain(inputs)

    ways = {"float32": lambda: plain(inputs), "autocast": autocast, "copy": lambda: in_copy(inputs)}
    return {name: torch.no_grad()(way) for name, way in ways.items()}


def both_ways(plain: Any, in_copy: Any, inputs: Tensor, device: str) -> dict[str, Way]:
    def gradient(tower: Any) -> Tensor:
        leaf = inputs.detach().clone().requires_grad_()
        (found,) = torch.autograd.grad(tower(leaf).float().sum(), leaf)
        return found

    def autocast() -> Tensor:
        def tower(leaf: Tensor) -> Tensor:
            with torch.autocast(device, torch.bfloat16):
                return plain(leaf)

        return gradient(tower)

    return {
        "float32": lambda: gradient(plain),
        "autocast": autocast,
        "copy": lambda: gradient(in_copy),
    }


def row(
    name: str, inputs: int, multiplied: float, ways: dict[str, Way], rounds: int, device: str
) -> None:
    """Print one row of the table."""
    square = torch.randn(SIDE, SIDE, device=device)
    ways = {**ways, "floor": lambda: square @ square}
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for which, way in ways.items():
            best[which] = min(best[which], seconds(way, device))
    rate = {which: inputs / took for which, took in best.items()}
    floor = best["floor"] * multiplied / SIDE**3
    share = f"{floor / best['float32']:.2f}" if multiplied else "-"
    print(
        f"| {name} | {rate['float32']:.1f}/s | {rate['autocast']:.1f}/s | {rate['copy']:.1f}/s "
        f"| {rate['copy'] / rate['float32']:.2f} | {share} |",
        flush=True,
    )


def seconds(way: Way, device: str) -> float:
    began = time.perf_counter()
    way()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
