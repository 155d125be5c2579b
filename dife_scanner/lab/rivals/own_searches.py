"""Our own searches as baselines: without one of their terms (an ablation), and without any reference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from dife_scanner.audit import probes, search
from dife_scanner.audit.cache import CachedEncoder, Memory
from dife_scanner.audit.plan import Plan
from dife_scanner.audit.sides import Pair
from dife_scanner.audit.stages import Splits
from dife_scanner.discovery.pictures import PATCH, ImageSearch
from dife_scanner.discovery.texts import TEXTS, TextSearch
from dife_scanner.lab.rivals.ablations import PATCH_WITHOUT_BASE, TEXTS_WITHOUT
from dife_scanner.lab.rivals.inversion import Material
from dife_scanner.models.interface import Encoder
from dife_scanner.progress import SILENT
from dife_scanner.records import Budget

SEED = 0
"""Of every search; the starts of a published idea are numbered from it."""
BUDGET = Budget.QUICK


@dataclass(frozen=True)
class Measured:
    """The outcome for one model."""

    value: float
    passes: int
    """Inputs through a tower, forward."""


# --- one of our searches without one of its terms ---------------------------------------------------------------


ABLATIONS: tuple[tuple[str, TextSearch | ImageSearch, str], ...] = (
    ("texts without the base", TEXTS_WITHOUT["base"], "badtexttower"),
    ("texts without the fingerprint", TEXTS_WITHOUT["fingerprint"], "badtexttower"),
    ("texts without meaning", TEXTS_WITHOUT["meaning"], "badtexttower"),
    ("patch without the base", PATCH_WITHOUT_BASE, "badencoder"),
)
"""Name, the detector that is left, and the attack family that it is an ablation on."""


def best_of(detector: TextSearch | ImageSearch, material: Material) -> Measured:
    """The best held-out success of what one detector finds, over the base's unless the base is what was left out."""
    encoders = Pair(material.suspect, material.reference)
    splits = _splits(encoders, material.data)
    with TemporaryDirectory() as scratch:
        options = search.Options(Plan((), BUDGET, SEED), "ablation", Path(scratch))
        found = search.discover(encoders, splits, options, SILENT, using=(detector,))
    lifts = []
    for result in found.results:
        reference = (result.reference or 0.0) if detector.has_base else 0.0
        lifts.append((result.suspect or 0.0) - reference)
    return Measured(max(lifts, default=0.0), _passes(found))


# --- without any reference --------------------------------------------------------------------------------------


def without_reference(material: Material) -> Measured:
    """The best held-out success of what texts and patches come to as in an audit of a checkpoint without a base."""
    plan = Plan((), BUDGET, SEED, detectors=(TEXTS.name, PATCH.name))
    suspect = Pair(material.suspect, material.suspect)
    splits = _splits(suspect, material.data)
    train, test = splits.train.suspect, splits.test.suspect
    with TemporaryDirectory() as scratch:
        options = search.Options(plan, "alone", Path(scratch))
        found = search.discover_alone(material.suspect, train, test, options, SILENT)
    best = max((result.suspect or 0.0 for result in found.results), default=0.0)
    return Measured(best, _passes(found))


def _passes(found: search.Discovered) -> int:
    return sum(one.passes for one in found.searches)


def _splits(encoders: Pair[Encoder], data: probes.Probes) -> Splits:
    """Suspect and reference on every split of the probes; beyond their classes nothing is searched."""
    memory = Memory()
    suspect, reference = (CachedEncoder(encoder, memory) for encoder in encoders)
    return Splits(suspect, reference, data)
