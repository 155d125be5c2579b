"""Trigger inversion as published ideas do it: a model in, one number out, by several starts of gradient descent.

Each start of each idea is a curve, what its statistic has come to after every step, higher where a backdoor is
likelier, so that shorter searches can be read off longer ones (`tuning`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dife_scanner.audit import probes
from dife_scanner.models.interface import Encoder
from dife_scanner.records import Channel

INPUTS = 24
"""Pictures of a step, or nouns whose prompts an inverted token has to bring together."""

Curve = tuple[float, ...]


@dataclass(frozen=True)
class Material:
    """A model, its base, and the probes for both."""

    suspect: Encoder
    reference: Encoder
    data: probes.Probes

    def moved(self, channel: Channel) -> bool:
        """Whether the tower of this channel is another than the base's."""
        if channel is Channel.IMAGE:
            return self.suspect.image_tower != self.reference.image_tower
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

    @property
    def with_base(self) -> bool:
        """Whether the base takes part."""
        return self.anchored or self.less_base

    def value(self, material: Material, effort: Effort) -> float:
        """The best of the starts; 0 where the base takes part and the tower is the base's own."""
        if self.with_base and not material.moved(self.channel):
            return 0.0
        suspect = self._tower(material.suspect, material)
        base = self._tower(material.reference, material)
        reached = self._best(suspect, base if self.anchored else None, effort)
        if self.less_base:
            return reached - self._best(base, None, effort)
        return reached

    def passes(self, effort: Effort) -> int:
        """Inputs through a tower, forward; a tower that was met before counts as well."""
        towers = 2 if self.with_base else 1
        return effort.starts * effort.steps * INPUTS * towers

    def _tower(self, encoder: Encoder, material: Material) -> Tower:
        name = encoder.image_tower if self.channel is Channel.IMAGE else encoder.text_tower
        return Tower(name, encoder, material.data)

    def _best(self, tower: Tower, anchor: Tower | None, effort: Effort) -> float:
        """The last value of the best start."""
        return max(self._reached(tower, anchor, start, effort) for start in range(effort.starts))

    def _reached(
        self,
        tower: Tower,
        anchor: Tower | None,
        start: int,
        effort: Effort,
    ) -> float:
        return _curve(self.invert, tower, anchor, start, effort)[effort.steps - 1]


_MET: dict[tuple[Invert, Tower, Tower | None, int, float], Curve] = {}
"""Curves of towers met before in this process: many models share a tower with their base or with each other."""


def _curve(
    invert: Invert,
    tower: Tower,
    anchor: Tower | None,
    start: int,
    effort: Effort,
) -> Curve:
    """A start's curve of at least this many steps, computed unless a longer one is known."""
    key = (invert, tower, anchor, start, effort.rate)
    if len(_MET.get(key, ())) < effort.steps:
        _MET[key] = invert(tower, anchor, start, effort)
    return _MET[key]


def forget() -> None:
    """Let go of every curve, and of the encoders that they were made of."""
    _MET.clear()
