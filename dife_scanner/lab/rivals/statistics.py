"""What the discovery is compared with: published ideas, what rows show without a search, and the discovery itself
without one of its terms or without any reference.

Each is one number per model, higher where a backdoor is likelier. Efforts of published ideas are what the development
side chose (`tuning`), at about the seconds that one of our searches takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from dife_scanner.discovery.pictures import PATCH
from dife_scanner.discovery.texts import TEXTS
from dife_scanner.lab.bench.rows import VisibleTraits
from dife_scanner.lab.rivals import own_searches, published
from dife_scanner.lab.rivals.inversion import Effort, Idea, Material
from dife_scanner.lab.rivals.own_searches import Measured
from dife_scanner.records import Channel


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """One number per model, and which attacks it is ranked on."""

    name: str
    channels: tuple[Channel, ...]
    """Attacks through these count."""
    home: str = ""
    """The attack family that it was published for, or that it is an ablation on."""
    ours: str = ""
    """Name of the detector that it is compared with; the whole score where empty."""
    published: bool = False
    """Whether the idea is somebody else's, so that it has to find its home attack before it is compared."""


@dataclass(frozen=True, kw_only=True)
class Rival(Statistic):
    """A statistic that takes a search."""

    measure: Callable[[Material], Measured]
    version: int = 1
    """Raise it when a change makes other values: what was measured before is measured again."""


@dataclass(frozen=True, kw_only=True)
class Drift(Statistic):
    """A statistic that rows hold already."""

    read: Callable[[VisibleTraits], float]


@dataclass(frozen=True)
class Timed:
    """A measurement and what it took."""

    measured: Measured
    seconds: float
    """Processor time."""


def timed(rival: Rival, material: Material) -> Timed:
    """Measure one model."""
    began = time.process_time()
    measured = rival.measure(material)
    return Timed(measured, time.process_time() - began)


IDEAS: Mapping[str, tuple[Idea, Effort]] = {
    "DECREE-like": (Idea(published.decree, Channel.IMAGE), Effort(1, 240, 0.2)),
    "DECREE-like with the base": (
        Idea(published.decree, Channel.IMAGE, less_base=True),
        Effort(1, 240, 0.2),
    ),
    "AMDET-like without its anchor": (Idea(published.amdet, Channel.TEXT), Effort(16, 45, 0.01)),
    "AMDET-like": (Idea(published.amdet, Channel.TEXT, anchored=True), Effort(8, 45, 0.01)),
    "LMSanitator-like": (Idea(published.sanitator, Channel.TEXT), Effort(2, 240, 0.01)),
    "LMSanitator-like with the base": (
        Idea(published.sanitator, Channel.TEXT, less_base=True),
        Effort(2, 240, 0.01),
    ),
}
"""By name, with the effort that the development side chose (benchmarks/tuning.jsonl)."""
HOMES = {Channel.IMAGE: "badencoder", Channel.TEXT: "global-text"}
"""What published ideas of a channel were made for."""
_OURS = {Channel.IMAGE: PATCH.name, Channel.TEXT: TEXTS.name}
"""Our own detector of a channel."""


def _rivals() -> dict[str, Rival]:
    """Every rival by name, in the order of the page."""
    rivals = []
    for name, (idea, effort) in IDEAS.items():
        rivals.append(
            Rival(
                name=name,
                channels=(idea.channel,),
                home=HOMES[idea.channel],
                ours=_OURS[idea.channel],
                published=True,
                measure=partial(_inverted, idea, effort),
                version=2,
            )
        )
    for name, detector, home in own_searches.ABLATIONS:
        rivals.append(
            Rival(
                name=name,
                channels=(detector.channel,),
                home=home,
                ours=detector.name,
                measure=partial(own_searches.best_of, detector),
            )
        )
    rivals.append(
        Rival(
            name="our searches without any reference",
            channels=(Channel.TEXT, Channel.IMAGE),
            measure=own_searches.without_reference,
        )
    )
    return {rival.name: rival for rival in rivals}


def _inverted(idea: Idea, effort: Effort, material: Material) -> Measured:
    return Measured(idea.value(material, effort), idea.passes(effort))


RIVALS: Mapping[str, Rival] = _rivals()
DRIFTS: Mapping[str, Drift] = {
    "drift alone, image tower": Drift(
        name="drift alone, image tower",
        channels=(Channel.IMAGE,),
        read=lambda traits: traits.drift_image,
    ),
    "drift alone, text tower": Drift(
        name="drift alone, text tower",
        channels=(Channel.TEXT,),
        read=lambda traits: traits.drift_text,
    ),
}
"""How far the tower of a channel has moved from the base's: nothing is measured."""
