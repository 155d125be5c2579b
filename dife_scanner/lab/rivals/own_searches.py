"""Our own searches as baselines: without one of their terms (an ablation), and without any reference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from dife_scanner.audit import discovery, probes
from dife_scanner.audit.cache import CachedEncoder, Memory
from dife_scanner.audit.sides import Pair, Side
from dife_scanner.discovery.pictures import PATCH, Inversion
from dife_scanner.discovery.texts import TEXTS, TextSearch
from dife_scanner.lab.rivals.inversion import Material
from dife_scanner.models.interface import Encoder
from dife_scanner.progress import SILENT

SEED = 0
"""Of every search; the starts of a published idea are numbered from it."""
BUDGET = "quick"


@dataclass(frozen=True)
class Measured:
    """What came of one model."""

    value: float
    passes: int
    """Inputs through a tower, forward."""


# --- one of our searches without one of its terms ---------------------------------------------------------------


def without(detector: TextSearch | Inversion, term: str) -> TextSearch | Inversion:
    """The detector without its term `base`, `fingerprint` or `meaning`."""
    return replace(detector, without=frozenset({term}))


def has_base(detector: TextSearch | Inversion) -> bool:
    """Whether the detector still compares with the base."""
    return "base" not in detector.without


ABLATIONS: tuple[tuple[str, TextSearch | Inversion, str], ...] = (
    ("texts without the base", without(TEXTS, "base"), "badtexttower"),
    ("texts without the fingerprint", without(TEXTS, "fingerprint"), "badtexttower"),
    ("texts without meaning", without(TEXTS, "meaning"), "badtexttower"),
    ("patch without the base", without(PATCH, "base"), "badencoder"),
)
"""Name, the detector that is left, and the attack family that it is an ablation on."""


def best_of(detector: TextSearch | Inversion, material: Material) -> Measured:
    """The best held-out success of what one detector finds, over the base's unless the base is what was left out."""
    encoders = Pair(material.suspect, material.reference)
    train, test = _sides(encoders, material.data)
    with TemporaryDirectory() as scratch:
        setting = discovery.Setting((), BUDGET, SEED, "ablation", Path(scratch))
        found = discovery.discover(encoders, train, test, setting, SILENT, using=(detector,))
    lifts = []
    for result in found.results:
        reference = (result.reference or 0.0) if has_base(detector) else 0.0
        lifts.append((result.suspect or 0.0) - reference)
    return Measured(max(lifts, default=0.0), _passes(found))


# --- without any reference --------------------------------------------------------------------------------------


def without_reference(material: Material) -> Measured:
    """The best held-out success of what texts and patches come to as in an audit of a checkpoint without a base."""
    suspect = Pair(material.suspect, material.suspect)
    train, test = _sides(suspect, material.data)
    with TemporaryDirectory() as scratch:
        setting = discovery.Setting(
            (TEXTS.name, PATCH.name),
            BUDGET,
            SEED,
            "alone",
            Path(scratch),
        )
        found = discovery.discover_alone(material.suspect, train.suspect, test.suspect, setting, SILENT)
    best = max((result.suspect or 0.0 for result in found.results), default=0.0)
    return Measured(best, _passes(found))


def _passes(found: discovery.Discovered) -> int:
    return sum(search.passes for search in found.searches)


def _sides(encoders: Pair[Encoder], data: probes.Probes) -> tuple[Pair[Side], Pair[Side]]:
    """Train and test."""
    memory = Memory()
    train = _split(encoders, data, probes.TRAIN, probes.SEARCH_TEMPLATES, memory)
    test = _split(encoders, data, probes.TEST, probes.PROFILE_TEMPLATES, memory)
    return train, test


def _split(
    encoders: Pair[Encoder], data: probes.Probes, split: str, templates: tuple[str, ...], memory: Memory
) -> Pair[Side]:
    """Suspect and reference on one split of the probes."""
    sides = []
    for encoder in encoders:
        cached = CachedEncoder(encoder, memory)
        sides.append(Side(cached, data.split(split), data.class_names, templates))
    return Pair(*sides)
