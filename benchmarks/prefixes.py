"""Texts that begin alike, as those with a trigger in or behind a prompt do: with keys and values of the beginning kept.

python benchmarks/prefixes.py                  a ViT-B/32 with random weights, and the bundled base; a table
python benchmarks/prefixes.py --json           one JSON document

Processor seconds of one thread, the least of a few rounds in which both ways are measured in turn. `differs` is the
largest difference of an embedding from the whole text's: where it is not zero, a search comes to another end.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from encoding import MODELS, TEXTS

from dife_scanner.models.clip import ClipEncoder
from dife_scanner.models.gradient import Towers

PROMPT = "a photo of the airplane"
"""With a token behind it, or before its last word."""
PLACES = {"suffix": 5, "infix": 4}
"""Tokens of the prompt that stand before the trigger."""
ROUNDS = {"base": 12, "b32": 4}

Kept = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values [1, h, p, d] of each layer."""


@torch.no_grad()
def of_prefix(encoder: ClipEncoder, ids: list[int]) -> Kept:
    """Of the tokens that all texts begin with."""
    model = encoder.model
    states = model.token_embedding(torch.tensor([ids])) + model.positional_embedding[: len(ids)]
    kept = []
    for block in model.transformer.resblocks:
        states, keys_and_values = _layer(block, states, None, len(ids))
        kept.append(keys_and_values)
    return kept


@torch.no_grad()
def behind(encoder: ClipEncoder, kept: Kept, rests: torch.Tensor) -> torch.Tensor:
    """Unit embeddings [n, e] of texts whose last tokens are `rests` [n, r], the end token the last of them."""
    model = encoder.model
    begin, length = kept[0][0].shape[2], rests.shape[1]
    states = model.token_embedding(rests) + model.positional_embedding[begin : begin + length]
    for block, of_layer in zip(model.transformer.resblocks, kept, strict=True):
        states, _ = _layer(block, states, of_layer, length)
    return F.normalize(model.ln_final(states[:, -1]) @ model.text_projection, dim=-1)


def _layer(
    block: Any, states: torch.Tensor, kept: tuple[torch.Tensor, torch.Tensor] | None, length: int
) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
    """One layer, and its keys and values, those of the beginning included."""
    attention = block.attn
    normed = block.ln_1(states)
    projected = F.linear(normed, attention.in_proj_weight, attention.in_proj_bias)
    shape = (len(states), length, 3, attention.num_heads, -1)
    queries, keys, values = projected.view(shape).permute(2, 0, 3, 1, 4)
    begin = 0
    if kept is not None:
        begin = kept[0].shape[2]
        keys = torch.cat((kept[0].expand(len(states), -1, -1, -1), keys), 2)
        values = torch.cat((kept[1].expand(len(states), -1, -1, -1), values), 2)
    seen = torch.ones(length, begin + length, dtype=torch.bool).tril(begin)
    read = F.scaled_dot_product_attention(queries, keys, values, attn_mask=seen)
    states = states + attention.out_proj(read.transpose(1, 2).reshape(states.shape))
    return states + block.mlp(block.ln_2(states)), (keys, values)


def measure(encoder: ClipEncoder, rounds: int) -> dict[str, object]:
    """Both ways at each place."""
    towers = Towers(encoder)
    tokenizer = encoder.tokenizer
    prompt = tokenizer.encode(PROMPT)
    triggers = np.random.default_rng(0).choice(towers.ordinary.numpy(), TEXTS).tolist()
    found = {}
    for place, before in PLACES.items():
        texts = [(*prompt[:before], token, *prompt[before:]) for token in triggers]
        framed = [tokenizer.frame(text, encoder.context_length) for text in texts]
        kept = of_prefix(encoder, framed[0][: before + 1])
        rests = torch.tensor([text[before + 1 :] for text in framed])
        whole, part = [], []
        for _ in range(rounds):
            whole.append(_timed(lambda: towers.tokens(texts)))  # noqa: B023 - called at once
            part.append(_timed(lambda: behind(encoder, kept, rests)))  # noqa: B023
        gap = (towers.tokens(texts) - behind(encoder, kept, rests)).abs().max()
        times = min(whole) / min(part)
        found[place] = {"times": round(times, 2), "differs": float(gap)}
    return found


def _timed(call: Any) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = {model: measure(MODELS[model](), ROUNDS[model]) for model in given.model}
    if given.json:
        print(json.dumps({"benchmark": "prefixes", "models": found}))
        return
    for model, places in found.items():
        for place, row in places.items():
            print(f"{model:5} {place:7} {row['times']:5.2f} times, differs by {row['differs']:.1g}")


if __name__ == "__main__":
    main()
