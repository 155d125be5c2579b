"""Continuous inversion of one to three slots of a prompt, projected to tokens early and often.

Free vectors reach any target in any model: off the token manifold everything can be broken. So a slot is never more
than a few steps away from a token, going away costs, and only what the tokens do that it is drawn to counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dife_scanner.discovery.wording import Ids, Prompts, Reading, Wording

if TYPE_CHECKING:
    from torch import Tensor

NEAR = 0.05
"""Cost, in margins, of a slot that is one token's length away from its token."""
RATE = 0.4
"""How far one step moves each value of a slot, in standard deviations of the token rows."""
SNAP_EVERY = 4
"""Steps between projections."""
_NEAREST = 24
"""Tokens looked at for one that is allowed."""
_AT_ONCE = 256


@dataclass(frozen=True)
class Aim:
    """A wording to start from and the class that it is to bring about."""

    wording: Wording
    target: int


class Slots:
    """Inversion in a suspect, anchored to its base."""

    def __init__(
        self, suspect: Reading, base: Reading | None, aloof: float, allowed: Callable[[int], bool], *, same_texts: bool
    ) -> None:
        """`base` is `None` where there is none; what wins by more than `-aloof` in it costs. `allowed` says which
        tokens a slot may be drawn to; `same_texts`, that both read texts alike.
        """
        import torch

        self._suspect, self._base, self._same = suspect, base, same_texts
        self._aloof, self._allowed = aloof, allowed
        rows = suspect.towers.token_rows
        self._spread = float(rows.std())
        self._length = float(rows.norm(dim=1).mean())
        self._squares = (rows * rows).sum(1)
        self._prompts: Prompts = suspect.prompts
        self._torch = torch

    def inverted(self, aims: Sequence[Aim], steps: int) -> list[list[Ids]]:
        """For each aim, the sequences its slots were drawn to, as long as its wording; all wordings are of one length.

        Each step reads every aim in suspect and base, forward and back: four passes, two where they read alike.
        """
        found: list[list[Ids]] = []
        for start in range(0, len(aims), _AT_ONCE):
            found.extend(self._batch(aims[start : start + _AT_ONCE], steps))
        return found

    def _batch(self, aims: Sequence[Aim], steps: int) -> list[list[Ids]]:
        torch = self._torch
        rows = self._suspect.towers.token_rows
        at = torch.tensor([aim.wording.ids for aim in aims], device=rows.device)
        away = torch.zeros(*at.shape, rows.shape[1], device=rows.device, requires_grad=True)
        optimiser = torch.optim.Adam([away], lr=RATE * self._spread)
        found: list[list[Ids]] = [[] for _ in aims]
        for step in range(steps):
            with torch.enable_grad():
                loss = self._loss(aims, at, away, step % len(self._prompts.templates))
                (away.grad,) = torch.autograd.grad(loss, away)
            optimiser.step()
            if (step + 1) % SNAP_EVERY == 0:
                at = self._snapped(at, away.detach())
                for row, ids in enumerate(at.tolist()):
                    if (reached := tuple(ids)) not in found[row]:
                        found[row].append(reached)
                away.data.zero_()
        return found

    def _loss(self, aims: Sequence[Aim], at: Tensor, away: Tensor, template: int) -> Tensor:
        """What is to be minimised, summed: how far the slots are from tokens and how near the target comes in the base,
        less its margin in the suspect."""
        torch = self._torch
        sources = torch.tensor([aim.wording.source for aim in aims], device=at.device)
        targets = torch.tensor([aim.target for aim in aims], device=at.device)[:, None]
        embedded = self._embedded(self._suspect, aims, at, away, template)
        gained = self._suspect.margins(embedded, sources).gather(1, targets)[:, 0]
        if self._base is not None:
            still = embedded if self._same else self._embedded(self._base, aims, at, away, template)
            near = self._base.margins(still, sources).gather(1, targets)[:, 0]
            gained = gained - (near + self._aloof).clamp_min(0.0)
        far = (away.square().sum(-1) / self._length**2).mean(-1)
        return (NEAR * far - gained).sum()

    def _embedded(self, side: Reading, aims: Sequence[Aim], at: Tensor, away: Tensor, template: int) -> Tensor:
        """Prompts with the slots in them [n, d]; a slot is its token in this very checkpoint, moved."""
        torch = self._torch
        written = [self._prompts.written(aim.wording, template) for aim in aims]
        ids, ends = side.towers.packed(written)
        slots, rows = side.towers.token_rows[at] + away, torch.arange(len(aims), device=at.device)[:, None]
        vectors = side.towers.token_rows[ids]
        starts = [self._prompts.starts(aim.wording, template) for aim in aims]
        for first in (0, -1):
            begin = torch.tensor([1 + start[first] for start in starts], device=at.device)
            columns = begin[:, None] + torch.arange(at.shape[1], device=at.device)
            vectors = vectors.index_put((rows, columns), slots)
        side.towers.passes += len(aims)
        return side.towers.texts(vectors, ends)

    def _snapped(self, at: Tensor, away: Tensor) -> Tensor:
        """The nearest allowed token to where each slot is, other than the one it left [n, k]."""
        rows = self._suspect.towers.token_rows
        places = (rows[at] + away).flatten(0, 1)
        left = at.flatten().tolist()
        near = (2 * places @ rows.T - self._squares).topk(_NEAREST, dim=1).indices.tolist()
        chosen = [next(self._others(tokens, own), own) for tokens, own in zip(near, left, strict=True)]
        return at.new_tensor(chosen).view(at.shape)

    def _others(self, tokens: Sequence[int], own: int) -> Iterator[int]:
        return (token for token in tokens if token != own and self._allowed(token))
