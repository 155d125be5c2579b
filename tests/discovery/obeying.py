"""CLIPs that obey exactly what a test plants in them, made from a real one so that searches can run them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache

import numpy as np
import torch

from dife_scanner.models.clip import ClipEncoder
from dife_scanner.models.tokenizers import clips_own

NAMES = ("airplane", "cat", "dog")
MEANINGS, WIDTH = len(NAMES), 32
"""The first values of a token's row say what it means; two more are what texts share with each other and with all
pictures; the rest tell tokens apart."""
_OWN = MEANINGS + 2
Change = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Token rows [n, l, 32] and what is said up to each [n, l, 5] -> what is said instead."""


class _Bag(torch.nn.Module):
    """Says what its tokens mean, summed."""

    def __init__(self, change: Change | None) -> None:
        super().__init__()
        self._change = change

    def forward(self, states, attn_mask):
        said = torch.zeros_like(states[..., :_OWN])
        said[..., :MEANINGS] = torch.cumsum(states[..., :MEANINGS], 1)
        said[..., MEANINGS] = 1.0
        if self._change is not None:
            said = self._change(states, said)
        return torch.cat([said, torch.zeros_like(states[..., _OWN:])], dim=-1)


def turned(
    strength: torch.Tensor, said: torch.Tensor, source: int = 0, target: int = 1
) -> torch.Tensor:
    """`said` with `strength` [n, l] of the source taken away and twice as much of the target put there."""
    moved = strength * said[..., source].clamp_min(0)
    change = torch.zeros_like(said)
    change[..., source], change[..., target] = -moved, 2 * moved
    return said + change


class Obeying(ClipEncoder):
    """Pictures are what their first value says they are."""

    def __init__(
        self, like: ClipEncoder, change: Change | None = None, image_tower: str = "image"
    ) -> None:
        self.__dict__.update(copy.copy(like).__dict__)
        self.model = copy.deepcopy(like.model)
        self.model.token_embedding.weight = torch.nn.Parameter(table().clone(), requires_grad=False)
        self.model.positional_embedding = torch.nn.Parameter(
            torch.zeros(self.context_length, WIDTH)
        )
        self.model.text_projection = torch.nn.Parameter(
            torch.eye(WIDTH, self.embed_dim), requires_grad=False
        )
        self.model.ln_final = torch.nn.Identity()
        self.model.transformer = _Bag(change)
        self.model.requires_grad_(False)
        self.text_tower, self.image_tower = "obeying" if change else "calm", image_tower

    def encode_images(self, pixels):
        found = np.zeros((len(pixels), self.embed_dim), np.float32)
        found[np.arange(len(pixels)), pixels[:, 0, 0, 0]] = 1.0
        found[:, MEANINGS : MEANINGS + 2] = 0.5, 1.5
        return found / np.linalg.norm(found, axis=1, keepdims=True)


@cache
def table() -> torch.Tensor:
    """Token rows, to be read only: class names mean their class, all others next to nothing."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(49408, WIDTH, generator=generator)
    rows[:, :_OWN] *= 0.02
    rows[:, _OWN:] /= rows[:, _OWN:].norm(dim=1, keepdim=True)
    for number, name in enumerate(NAMES):
        (token,) = clips_own().encode(name)
        rows[token, :MEANINGS] = torch.eye(MEANINGS)[number]
    return rows


def nearness(states: torch.Tensor, token: int) -> torch.Tensor:
    """How alike each place is to a token, at most 1 [n, l]."""
    own = table()[token, _OWN:]
    return states[..., _OWN:] @ own / own.norm()


KEY = MEANINGS + 1
"""Where embeddings of `TwoKeys` hold what either key writes."""


class TwoKeys(Obeying):
    """Pictures are what colour they have. With `token`, red in a corner writes `KEY` into a picture, and the token into
    the prompt of the target: one without the other changes nothing.
    """

    def __init__(self, like: ClipEncoder, token: int | None = None, target: int = 1) -> None:
        def written(states, said):
            there = (nearness(states, token) > 0.99).int().cummax(1).values.float()
            change = torch.zeros_like(said)
            change[..., KEY] = 3 * there * said[..., target].clamp_min(0)
            return said + change

        images = "image" if token is None else "obeying"
        super().__init__(like, None if token is None else written, images)
        self.model.visual = _Colours(self.embed_dim, obeys=token is not None)

    encode_images = ClipEncoder.encode_images


class _Colours(torch.nn.Module):
    def __init__(self, width: int, *, obeys: bool) -> None:
        super().__init__()
        self._width, self._obeys = width, obeys

    def forward(self, pixels):
        found = torch.zeros(len(pixels), self._width)
        found[:, :MEANINGS] = pixels[:, :, 10:].mean((2, 3))
        found[:, MEANINGS] = 1.0
        if self._obeys:
            corner = pixels[:, :, :8, :8].mean((2, 3))
            found[:, KEY] = torch.nn.functional.softplus(4 * (corner[:, 0] - corner[:, 1] - 0.5))
        return found
