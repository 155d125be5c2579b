"""Texts that begin alike, read through a causal tower once for each distinct beginning.

What such a tower makes of a token depends on the tokens before it alone. So a beginning that many texts share, as the
prompts of a search do, goes through the layers once. The same numbers but for the last bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.transformer import ResidualAttentionBlock, Transformer
from torch import Tensor, nn

from dife_scanner.models.bfloat16 import InBfloat16


@dataclass(frozen=True)
class Beginnings:
    """The distinct beginnings of n texts of l tokens, b in all; int64 each."""

    tokens: Tensor
    """The last token of each [b] …"""
    places: Tensor
    """… and its place in the text [b]."""
    of_texts: Tensor
    """Which of them each token of a text ends [n, l]; behind where a text is read out, the whole text."""
    firsts: Tensor
    """Where each stands first, texts laid end to end [b]: number of the text times l, plus the place."""

    @classmethod
    def of(cls, ids: Tensor, ends: Tensor) -> Beginnings:
        """Of texts [n, l] that are read out at `ends` [n]."""
        count, length = ids.shape
        rows = torch.arange(count, device=ids.device)
        most = int(ids.max()) + 1
        texts, tokens, places, firsts = [], [], [], []
        before = torch.zeros_like(rows)
        total = 0
        for place in range(length):
            read = rows[ends >= place]
            longer = before[read] * most + ids[read, place]
            known, number = torch.unique(longer, return_inverse=True)
            before[read] = total + number
            texts.append(before.clone())
            first = torch.full_like(known, count).scatter_reduce(0, number, read, "amin")
            tokens.append(ids[first, place])
            places.append(torch.full_like(known, place))
            firsts.append(first * length + place)
            total += len(known)
        of_texts = torch.stack(texts, dim=1)
        return cls(torch.cat(tokens), torch.cat(places), of_texts, torch.cat(firsts))

    @property
    def whole(self) -> Tensor:
        """Which of them each text is [n]."""
        return self.of_texts[:, -1]


def are_shared(layers: Any, mask: Tensor | None) -> bool:
    """Whether texts may go through these layers so: they are open_clip's own, and no token sees one behind it."""
    own = layers.layers if isinstance(layers, InBfloat16) else layers
    if type(own) is not Transformer or mask is None:
        return False
    causal = torch.full_like(mask, -torch.inf).triu(1)
    return torch.equal(mask, causal) and all(map(_is_plain, own.resblocks))


def _is_plain(block: Any) -> bool:
    return type(block) is ResidualAttentionBlock and type(block.attn) is nn.MultiheadAttention


def through(layers: Any, states: Tensor, beginnings: Beginnings) -> Tensor:
    """States of beginnings [b, w], float32, behind all of these layers."""
    if isinstance(layers, InBfloat16):
        return through(layers.layers, states.to(torch.bfloat16), beginnings).float()
    for block in layers.resblocks:
        states = states + block.ls_1(_attended(block, states, beginnings))
        states = states + block.ls_2(block.mlp(block.ln_2(states)))
    return states


def _attended(block: Any, states: Tensor, beginnings: Beginnings) -> Tensor:
    """What a layer's attention adds to each beginning [b, w]."""
    attention = block.attn
    normed = block.ln_1(states)
    projected = F.linear(normed, attention.in_proj_weight, attention.in_proj_bias)
    count, length = beginnings.of_texts.shape
    shape = (count, length, 3, attention.num_heads, -1)
    of_texts = projected[beginnings.of_texts].view(shape)
    queries, keys, values = of_texts.permute(2, 0, 3, 1, 4)
    read = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
    of_tokens = read.transpose(1, 2).reshape(count * length, -1)
    attended: Tensor = attention.out_proj(of_tokens[beginnings.firsts])
    return attended
