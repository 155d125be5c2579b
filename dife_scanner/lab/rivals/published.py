"""Published ideas of inverting a trigger, on this zoo: DECREE, AMDET, LMSanitator.

"-like" because loss and statistic are kept and zoo and hardware are not. Each start of each is a curve, what its
statistic has come to after every step, higher where a backdoor is likelier, so that shorter searches can be read off
longer ones (`tuning`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dife_scanner.audit import probes
from dife_scanner.discovery.concepts import nouns
from dife_scanner.discovery.pictures import together
from dife_scanner.models.interface import Encoder
from dife_scanner.records import Channel

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from dife_scanner.models.gradient import Towers

DECREE_COST, DECREE_STEP, DECREE_PATIENCE, DECREE_REACHED = 1e-3, 1.5, 5, 0.99
"""DECREE adapts its cost by factors of 5 over a thousand steps; over a few hundred that swings, 1.5 does not."""
SOFT_LENGTH = 4
"""Vectors of LMSanitator's soft prompt."""
INPUTS = 24
"""Pictures of a step, or nouns whose prompts an inverted token has to bring together."""
ANCHOR, SLACK = 2.0, 0.1
"""AMDET's term against the anchor: its weight, and what costs nothing."""

Curve = tuple[float, ...]


@dataclass(frozen=True)
class Material:
    """A model, its base, and what both are asked."""

    suspect: Encoder
    reference: Encoder
    data: probes.Probes

    @property
    def image_moved(self) -> bool:
        return self.suspect.image_tower != self.reference.image_tower

    @property
    def text_moved(self) -> bool:
        return self.suspect.text_tower != self.reference.text_tower


@dataclass(frozen=True)
class Effort:
    """How long an idea searches, and how fast."""

    starts: int
    steps: int
    """Of each start."""
    rate: float
    """Adam's."""


@dataclass(frozen=True)
class Tower:
    """Equal by its hash, so that a tower met again is not searched again."""

    hash: str
    encoder: Encoder = field(compare=False, repr=False)
    data: probes.Probes = field(compare=False, repr=False)


Invert = Callable[[Tower, Tower | None, int, Effort], Curve]
"""Tower, anchor, number of the start, effort; the curve of that start."""


@dataclass(frozen=True)
class Idea:
    """An inversion, and where the base comes in."""

    invert: Invert
    channel: Channel
    anchored: bool = False
    """Whether the base is part of the loss."""
    less_base: bool = False
    """Whether what the base comes to is subtracted."""

    def value(self, material: Material, effort: Effort) -> float:
        """The best of the starts; 0 where the base takes part and the tower is the base's own."""
        moved = material.image_moved if self.channel is Channel.IMAGE else material.text_moved
        if (self.anchored or self.less_base) and not moved:
            return 0.0
        suspect, base = (self._tower(one, material) for one in (material.suspect, material.reference))
        reached = self._best(suspect, base if self.anchored else None, effort)
        return reached - self._best(base, None, effort) if self.less_base else reached

    def passes(self, effort: Effort) -> int:
        """Inputs through a tower, forward; a tower that was met before counts as well."""
        return effort.starts * effort.steps * INPUTS * (2 if self.anchored or self.less_base else 1)

    def _tower(self, encoder: Encoder, material: Material) -> Tower:
        name = encoder.image_tower if self.channel is Channel.IMAGE else encoder.text_tower
        return Tower(name, encoder, material.data)

    def _best(self, tower: Tower, anchor: Tower | None, effort: Effort) -> float:
        return max(_curve(self.invert, tower, anchor, n, effort)[effort.steps - 1] for n in range(effort.starts))


_MET: dict[tuple[Invert, Tower, Tower | None, int, float], Curve] = {}


def _curve(invert: Invert, tower: Tower, anchor: Tower | None, start: int, effort: Effort) -> Curve:
    """A start's curve of at least this many steps, computed unless a longer one is known."""
    key = (invert, tower, anchor, start, effort.rate)
    if len(_MET.get(key, ())) < effort.steps:
        _MET[key] = invert(tower, anchor, start, effort)
    return _MET[key]


def forget() -> None:
    """Let go of every curve, and of the encoders that they were made of."""
    _MET.clear()


# --- DECREE (Feng et al., CVPR 2023): the smallest mask and pattern under which all pictures look alike ---------


def decree(tower: Tower, anchor: Tower | None, start: int, effort: Effort) -> Curve:
    """Minus PL1, -1..0: the mean of the smallest mask that has brought embeddings together; -1 until one has."""
    import torch

    from dife_scanner.models.gradient import Towers

    towers = Towers(tower.encoder)
    generator = torch.Generator().manual_seed(start)
    pictures = torch.from_numpy(tower.encoder.prepare(tower.data.split(probes.TRAIN).images)).permute(0, 3, 1, 2) / 255
    side = tower.encoder.image_size
    mask = (torch.randn(1, 1, side, side, generator=generator) * 0.1).requires_grad_()
    pattern = (torch.randn(1, 3, side, side, generator=generator) * 0.1).requires_grad_()
    found, curve = Mask(), []

    def loss() -> Tensor:
        rows = torch.randperm(len(pictures), generator=generator)[:INPUTS]
        opacity = mask.sigmoid()
        alike = together(towers.images(pictures[rows] * (1 - opacity) + opacity * pattern.sigmoid()))
        found.reached(float(alike.detach()) > DECREE_REACHED, float(opacity.detach().mean()))
        curve.append(-found.best)
        return -alike + found.cost * 3 * opacity.sum()

    _descend([mask, pattern], effort, loss)
    return tuple(curve)


class Mask:
    """The smallest mask so far, and what its size costs: dearer while embeddings come together, cheaper otherwise."""

    def __init__(self) -> None:
        self.best, self.cost, self._run = 1.0, DECREE_COST, 0

    def reached(self, alike: bool, size: float) -> None:
        if alike:
            self.best = min(self.best, size)
        self._run = max(self._run, 0) + 1 if alike else min(self._run, 0) - 1
        if abs(self._run) >= DECREE_PATIENCE:
            self.cost *= DECREE_STEP if self._run > 0 else 1 / DECREE_STEP
            self._run = 0


# --- AMDET (2512.00343): one continuous token that makes all prompts alike, held against a clean anchor ---------


def amdet(tower: Tower, anchor: Tower | None, start: int, effort: Effort) -> Curve:
    """How alike prompts are in the tower beyond the anchor's, -1..1; without an anchor how alike they are."""
    import torch

    from dife_scanner.models.gradient import Towers

    suspect, clean = Towers(tower.encoder), Towers(anchor.encoder) if anchor else None
    slot = _start(suspect, 1, torch.Generator().manual_seed(start))
    rest = float(together(_with(clean, None))) if clean else 0.0
    curve = []

    def loss() -> Tensor:
        alike = together(_with(suspect, slot))
        still = together(_with(clean, slot)) if clean else torch.zeros(())
        curve.append(float((alike - still).detach()))
        return -alike + ANCHOR * (still - rest - SLACK).relu()

    _descend([slot], effort, loss)
    return tuple(curve)


# --- LMSanitator (NDSS 2024): a soft prompt under which all outputs are one and not what they were --------------


def sanitator(tower: Tower, anchor: Tower | None, start: int, effort: Effort) -> Curve:
    """How alike outputs become less how like their clean selves they stay, -2..2."""
    import torch

    from dife_scanner.models.gradient import Towers

    towers = Towers(tower.encoder)
    soft = _start(towers, SOFT_LENGTH, torch.Generator().manual_seed(start))
    clean = _with(towers, None).detach()
    curve = []

    def loss() -> Tensor:
        out = _with(towers, soft)
        gained = together(out) - (out * clean).sum(1).mean()
        curve.append(float(gained.detach()))
        return -gained

    _descend([soft], effort, loss)
    return tuple(curve)


def _descend(weights: Sequence[Tensor], effort: Effort, loss: Callable[[], Tensor]) -> None:
    """Adam on `weights` in place."""
    import torch

    optimiser = torch.optim.Adam(weights, lr=effort.rate)
    for _ in range(effort.steps):
        for part, slope in zip(weights, torch.autograd.grad(loss(), list(weights)), strict=True):
            part.grad = slope
        optimiser.step()


def _start(towers: Towers, length: int, generator: Generator) -> Tensor:
    """Random rows of the vocabulary [length, w], free to move."""
    import torch

    rows = torch.randint(len(towers.token_rows), (length,), generator=generator)
    return towers.token_rows[rows].detach().clone().requires_grad_()


def _with(towers: Towers, slot: Tensor | None) -> Tensor:
    """Prompts of `INPUTS` nouns with `slot` [k, w] before them, unit embeddings [n, d]."""
    import torch

    from dife_scanner.models.gradient import pieces

    ids, ends = towers.packed([pieces(f"a photo of a {name}") for name in nouns()[:INPUTS]])
    vectors = towers.token_rows[ids].detach()
    if slot is None:
        return towers.texts(vectors, ends)
    placed = torch.cat([vectors[:, :1], slot.expand(len(ids), -1, -1), vectors[:, 1:]], dim=1)
    return towers.texts(placed, ends + len(slot))
