"""What the encoders cost: per input, over open_clip's own call, and over the matrix products that they consist of.

python benchmarks/encoding.py                  a ViT-B/32 with random weights, and the bundled base; a table
python benchmarks/encoding.py --json           one JSON document
python benchmarks/encoding.py --model base     the bundled base alone

Processor seconds of one thread, the least of a few rounds in which everything is measured in turn: what carries over
are the ratios of one run. `own call` is open_clip's `encode_text` over the whole context, or `encode_image`. `floor` is
the operation's arithmetic at the speed of one float32 product of the tower's largest kind, rows of the same batch; of
texts, that of each distinct beginning once.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from dife_scanner.audit.cache import CachedEncoder, Memory
from dife_scanner.audit.probes import SEARCH_TEMPLATES
from dife_scanner.baselines.home import bases_folder
from dife_scanner.models import clip
from dife_scanner.models.clip import ClipEncoder
from dife_scanner.models.config import ClipConfig, Preprocessing, TextConfig, VisionConfig
from dife_scanner.models.gradient import Towers
from dife_scanner.models.intake import StagedFile
from dife_scanner.models.load import load
from dife_scanner.models.tensors import expected_tensors

B32 = ClipConfig(
    embed_dim=512,
    vision=VisionConfig(image_size=224, width=768, head_width=64, layers=12, patch_size=32),
    text=TextConfig(context_length=77, width=512, heads=8, layers=12),
    preprocessing=Preprocessing(),
)
LENGTHS = (8, 16, 77)
"""Tokens of a text, start and end token among them."""
PICTURES = 32
"""In one batch, as an audit measures …"""
DRAWN = 24
"""… and in one step of a search that inverts an image trigger."""
TEXTS = 64
"""Of one length, in each call …"""
OWN_TEXTS = 16
"""… and of those in open_clip's own, which all take as long: it reads the whole context."""
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ROUNDS = {"base": 12, "b32": 2}
"""By model: what is quick is disturbed by whatever else runs."""
TEXT, FORWARD, BACKWARD = "encode_text", "encode_image", "pictures forward and backward"


@dataclass(frozen=True)
class Operation:
    """One way of asking a tower, and what it is compared with."""

    name: str
    inputs: int
    call: Callable[[], object]
    own: str
    """Which of open_clip's calls does the same."""
    flop: float
    """Of all inputs."""
    product: tuple[int, int, int]
    """Rows, depth and columns of the largest matrix product that it consists of."""


def random_b32() -> ClipEncoder:
    """A ViT-B/32 with random weights: it serves timing only."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, shape in expected_tensors(B32).items():
        tensors[name] = torch.randn(shape, generator=generator) * 0.02
    model = clip._filled_model(B32, tensors)
    return ClipEncoder(model, B32, ("random", "random"), StagedFile("random", Path(), 0, "", ""))


def operations(encoder: ClipEncoder) -> list[Operation]:
    """Everything that is measured of one encoder."""
    towers = Towers(encoder)
    rng = np.random.default_rng(0)
    found = []
    for length in LENGTHS:
        if length <= encoder.context_length:
            ids = rng.choice(towers.ordinary.numpy(), (TEXTS, length - 2)).tolist()
            found.append(_texts(f"texts of {length} tokens", encoder, towers, ids))
    found.append(_texts("texts of a search", encoder, towers, _searched(encoder)))
    pixels = _pixels(encoder, PICTURES)
    flop, product = _pictures_cost(encoder.config, PICTURES)
    call = partial(encoder.encode_images, pixels)
    found.append(Operation("pictures forward", PICTURES, call, FORWARD, flop, product))
    flop, product = _pictures_cost(encoder.config, DRAWN)
    call = partial(_gradient, towers.images, _levels(pixels[:DRAWN]))
    found.append(Operation(BACKWARD, DRAWN, call, BACKWARD, 2 * flop, product))
    return found


def own_calls(encoder: ClipEncoder) -> dict[str, tuple[int, Callable[[], object]]]:
    """open_clip's calls, each with its number of inputs. A text takes the same whatever its length."""
    mean, std = encoder.normalisation
    whole = torch.randint(1, 1000, (OWN_TEXTS, encoder.context_length))
    levels = _levels(_pixels(encoder, PICTURES))

    def embed(pictures: torch.Tensor) -> torch.Tensor:
        return encoder.model.encode_image((pictures - mean) / std, normalize=True)

    forward = torch.no_grad()(partial(embed, levels))
    backward = partial(_gradient, embed, levels[:DRAWN])
    text = torch.no_grad()(partial(encoder.model.encode_text, whole, normalize=True))
    return {
        TEXT: (OWN_TEXTS, text),
        FORWARD: (PICTURES, forward),
        BACKWARD: (DRAWN, backward),
    }


def _pixels(encoder: ClipEncoder, count: int) -> np.ndarray:
    shape = (count, encoder.image_size, encoder.image_size, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _levels(pixels: np.ndarray) -> torch.Tensor:
    """Pictures [n, s, s, 3] as [n, 3, s, s] in 0..1."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def _gradient(
    embed: Callable[[torch.Tensor], torch.Tensor], pictures: torch.Tensor
) -> torch.Tensor:
    """Of the embeddings' sum by the pictures."""
    free = pictures.clone().requires_grad_()
    (found,) = torch.autograd.grad(embed(free).sum(), free)
    return found


def _searched(encoder: ClipEncoder) -> list[tuple[int, ...]]:
    """Class prompts with a token before, within and behind them, as a scan reads them."""
    encode = encoder.tokenizer.encode
    rows = []
    for template in SEARCH_TEMPLATES:
        for name in NAMES:
            for text in (f"cf {template}", template.replace("{}", "cf {}"), f"{template} cf"):
                rows.append(encode(text.format(name)))
    return rows


def _texts(
    name: str, encoder: ClipEncoder, towers: Towers, rows: list[tuple[int, ...]]
) -> Operation:
    text = encoder.config.text
    beginnings = set()
    for row in rows:
        framed = tuple(clip.framed(encoder.tokenizer, row, text))
        beginnings.update(framed[: place + 1] for place in range(len(framed)))
    flop = sum(_token_flop(len(one), text.width, text.layers) for one in beginnings)
    product = (len(beginnings), text.width, 4 * text.width)
    return Operation(name, len(rows), partial(towers.tokens, rows), TEXT, flop, product)


def _tower_flop(length: int, width: int, layers: int) -> float:
    """Of one picture of so many positions: each attends to all."""
    return length * _token_flop(length, width, layers)


def _token_flop(attended: int, width: int, layers: int) -> float:
    """Of one position that attends to so many: linear layers and attention."""
    return float(layers * (24 * width**2 + 4 * attended * width))


def _pictures_cost(config: ClipConfig, count: int) -> tuple[float, tuple[int, int, int]]:
    vision = config.vision
    positions = vision.grid**2 + 1
    patches = 2 * vision.grid**2 * 3 * vision.patch_size**2 * vision.width
    flop = count * (_tower_flop(positions, vision.width, vision.layers) + patches)
    return flop, (count * positions, vision.width, 4 * vision.width)


def agreement(encoder: ClipEncoder) -> float:
    """Largest difference of a searched text's embedding from open_clip's own over the whole context."""
    text = encoder.config.text
    rows = _searched(encoder)[:OWN_TEXTS]
    framed = [clip.framed(encoder.tokenizer, row, text) for row in rows]
    with torch.no_grad():
        own = encoder.model.encode_text(clip.padded(framed, text.context_length), normalize=True)
    return float((Towers(encoder).tokens(rows) - own).abs().max())


def measure(encoder: ClipEncoder, rounds: int) -> dict[str, object]:
    """All operations of one encoder, and the encoder inside an audit."""
    measured = operations(encoder)
    own = own_calls(encoder)
    calls: dict[tuple[str, str], Callable[[], object]] = {}
    for one in measured:
        calls[one.name, "here"] = one.call
        calls[one.name, "product"] = _product(*one.product)
    for name, (_, call) in own.items():
        calls[name, "own"] = call
    calls["audit", "inside"], calls["audit", "bare"] = _inside_and_bare(encoder)
    seconds = least_seconds(calls, rounds)
    of_own = {name: seconds[name, "own"] / inputs for name, (inputs, _) in own.items()}
    inside = seconds["audit", "bare"] / seconds["audit", "inside"]
    return {
        "operations": [_row(one, seconds, of_own[one.own]) for one in measured],
        "inside_the_audit_over_a_bare_loop": round(inside, 3),
        "largest_difference": agreement(encoder),
    }


def _row(one: Operation, seconds: dict[tuple[str, str], float], own: float) -> dict[str, object]:
    """`own` are seconds of one input by open_clip's call."""
    rows, depth, columns = one.product
    rate = 2 * rows * depth * columns / seconds[one.name, "product"]
    here = seconds[one.name, "here"]
    return {
        "operation": one.name,
        "ms_each": round(1000 * here / one.inputs, 3),
        "own_call_ms_each": round(1000 * own, 3),
        "times_own_call": round(own * one.inputs / here, 2),
        "over_floor": round(here / (one.flop / rate), 2),
        "matmul_gflops": round(rate / 1e9, 1),
    }


def _product(rows: int, depth: int, columns: int) -> Callable[[], object]:
    left, right = torch.randn(rows, depth), torch.randn(depth, columns)
    return lambda: left @ right


def _inside_and_bare(encoder: ClipEncoder) -> tuple[Callable[[], object], Callable[[], object]]:
    """The same batch of pictures through the audit's cached encoder, and through the tower alone."""
    pixels = _pixels(encoder, PICTURES)
    mean, std = encoder.normalisation

    def bare() -> None:
        with torch.inference_mode():
            encoder.model.encode_image((_levels(pixels) - mean) / std, normalize=True)

    return lambda: CachedEncoder(encoder, Memory()).encode_images(pixels), bare


def least_seconds(
    calls: dict[tuple[str, str], Callable[[], object]], rounds: int
) -> dict[tuple[str, str], float]:
    """Processor seconds of each call, the least of all rounds; the first also pays for what is set up once."""
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.process_time()
            call()
            least[name] = min(least[name], time.process_time() - began)
    return least


def shown(model: str, found: dict[str, object]) -> str:
    lines = [f"{model}: ms each, own call, times faster, over the floor"]
    for row in found["operations"]:
        lines.append(
            f"  {row['operation']:30} {row['ms_each']:9.3f} {row['own_call_ms_each']:9.3f} "
            f"{row['times_own_call']:6.2f} {row['over_floor']:6.2f}"
        )
    lines.append(
        f"  encoder inside an audit {found['inside_the_audit_over_a_bare_loop']} of a bare loop"
    )
    lines.append(f"  texts differ from open_clip's by {found['largest_difference']:.1g} at most")
    return "\n".join(lines)


MODELS: dict[str, Callable[[], ClipEncoder]] = {
    "base": lambda: load(bases_folder() / "vit"),
    "b32": random_b32,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--rounds", type=int, help="others than each model's own")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    for model in given.model:
        found[model] = measure(MODELS[model](), given.rounds or ROUNDS[model])
    if given.json:
        print(json.dumps({"benchmark": "encoding", "models": found}))
        return
    for model, one in found.items():
        print(shown(model, one))


if __name__ == "__main__":
    main()
