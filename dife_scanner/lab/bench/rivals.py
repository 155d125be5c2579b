"""What the discovery is compared with: published ideas, what rows show without a search, and the discovery itself
without one of its terms or without any reference.

Each is one number per model, higher where a backdoor is likelier. Efforts of published ideas are what the development
side chose (`tuning`), at about the seconds that one of our searches takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from dife_scanner.audit import probes, search
from dife_scanner.audit.cache import CachedEncoder, Memory
from dife_scanner.audit.plan import Plan
from dife_scanner.audit.sides import Pair, Side
from dife_scanner.discovery.pictures import PATCH, Inversion
from dife_scanner.discovery.texts import TEXTS, TextSearch
from dife_scanner.lab.bench import published
from dife_scanner.lab.bench.published import Effort, Idea, Material
from dife_scanner.lab.bench.rows import Looks
from dife_scanner.models.interface import Encoder
from dife_scanner.progress import SILENT
from dife_scanner.records import Budget, Channel

SEED = 0
"""Of every search; the starts of a published idea are numbered from it."""


@dataclass(frozen=True)
class Measured:
    """What came of one model."""

    value: float
    passes: int
    """Inputs through a tower, forward."""


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

    read: Callable[[Looks], float]


@dataclass(frozen=True)
class Timed:
    measured: Measured
    seconds: float
    """Processor time."""


def timed(rival: Rival, material: Material) -> Timed:
    began = time.process_time()
    measured = rival.measure(material)
    return Timed(measured, time.process_time() - began)


# --- published ideas ------------------------------------------------------------------------------------------


IDEAS: Mapping[str, tuple[Idea, Effort]] = {
    "DECREE-like": (Idea(published.decree, Channel.IMAGE), Effort(1, 240, 0.2)),
    "DECREE-like with the base": (Idea(published.decree, Channel.IMAGE, less_base=True), Effort(1, 240, 0.2)),
    "AMDET-like without its anchor": (Idea(published.amdet, Channel.TEXT), Effort(16, 45, 0.01)),
    "AMDET-like": (Idea(published.amdet, Channel.TEXT, anchored=True), Effort(8, 45, 0.01)),
    "LMSanitator-like": (Idea(published.sanitator, Channel.TEXT), Effort(2, 240, 0.01)),
    "LMSanitator-like with the base": (Idea(published.sanitator, Channel.TEXT, less_base=True), Effort(2, 240, 0.01)),
}
"""By name, with the effort that the development side chose (benchmarks/tuning.jsonl)."""
HOMES = {Channel.IMAGE: "badencoder", Channel.TEXT: "global-text"}
"""What published ideas of a channel were made for."""


def _published(name: str, version: int) -> Rival:
    idea, effort = IDEAS[name]

    def measure(material: Material) -> Measured:
        return Measured(idea.value(material, effort), idea.passes(effort))

    return Rival(
        name=name,
        channels=(idea.channel,),
        home=HOMES[idea.channel],
        ours=PATCH.name if idea.channel is Channel.IMAGE else TEXTS.name,
        published=True,
        measure=measure,
        version=version,
    )


# --- our own searches, less something -------------------------------------------------------------------------


def _searched(detector: TextSearch | Inversion) -> Callable[[Material], Measured]:
    """The best held-out success of what one detector finds, over the base's unless the base is what was left out."""
    differential = "base" not in detector.without

    def measure(material: Material) -> Measured:
        encoders = Pair(material.suspect, material.reference)
        train, test = _sides(encoders, material.data)
        with TemporaryDirectory() as scratch:
            options = search.Options(Plan((), Budget.QUICK, SEED), "ablation", Path(scratch))
            found = search.discover(encoders, train, test, options, SILENT, using=(detector,))
        lifts = ((row.suspect or 0.0) - ((row.reference or 0.0) if differential else 0.0) for row in found.results)
        return Measured(max(lifts, default=0.0), sum(one.passes for one in found.searches))

    return measure


def _alone(material: Material) -> Measured:
    """The best held-out success of what texts and patches come to as in an audit of a checkpoint without a base."""
    suspect = Pair(material.suspect, material.suspect)
    train, test = _sides(suspect, material.data)
    with TemporaryDirectory() as scratch:
        plan = Plan((), Budget.QUICK, SEED, detectors=(TEXTS.name, PATCH.name))
        options = search.Options(plan, "alone", Path(scratch))
        found = search.discover_alone(material.suspect, train.suspect, test.suspect, options, SILENT)
    best = max((row.suspect or 0.0 for row in found.results), default=0.0)
    return Measured(best, sum(one.passes for one in found.searches))


def _sides(encoders: Pair[Encoder], data: probes.Probes) -> tuple[Pair[Side], Pair[Side]]:
    """Train and test."""
    memory = Memory()

    def both(split: str, templates: tuple[str, ...]) -> Pair[Side]:
        made = (CachedEncoder(one, memory) for one in encoders)
        return Pair(*(Side(one, data.split(split), data.class_names, templates) for one in made))

    return both(probes.TRAIN, probes.SEARCH_TEMPLATES), both(probes.TEST, probes.PROFILE_TEMPLATES)


def _ablation(detector: TextSearch | Inversion, term: str, home: str) -> Rival:
    return Rival(
        name=f"{detector.name} without {'meaning' if term == 'meaning' else f'the {term}'}",
        channels=(detector.channel,),
        home=home,
        ours=detector.name,
        measure=_searched(replace(detector, without=frozenset({term}))),
    )


RIVALS: Mapping[str, Rival] = {
    rival.name: rival
    for rival in (
        _published("DECREE-like", version=2),
        _published("DECREE-like with the base", version=2),
        _published("AMDET-like without its anchor", version=2),
        _published("AMDET-like", version=2),
        _published("LMSanitator-like", version=2),
        _published("LMSanitator-like with the base", version=2),
        *(_ablation(TEXTS, term, "badtexttower") for term in ("base", "fingerprint", "meaning")),
        _ablation(PATCH, "base", "badencoder"),
        Rival(name="our searches without any reference", channels=(Channel.TEXT, Channel.IMAGE), measure=_alone),
    )
}


# --- what rows show without a search --------------------------------------------------------------------------

DRIFTS: Mapping[str, Drift] = {
    drift.name: drift
    for drift in (
        Drift(name="drift alone, image tower", channels=(Channel.IMAGE,), read=lambda looks: looks.drift_image),
        Drift(name="drift alone, text tower", channels=(Channel.TEXT,), read=lambda looks: looks.drift_text),
    )
}
"""How far the tower of a channel has moved from the base's: nothing is measured."""
