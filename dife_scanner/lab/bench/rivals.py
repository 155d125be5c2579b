"""What the discovery is compared with: published ideas, and the discovery itself without one of its terms.

Each is one number per model, higher where a backdoor is likelier; steps are chosen so that a model takes about the time
of one of our searches. "-like" because the published loss and settings are kept and their zoo and hardware are not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dife_scanner.audit import discovery, probes
from dife_scanner.audit.cache import CachedEncoder, Memory
from dife_scanner.audit.progress import SILENT
from dife_scanner.audit.sides import Pair, Side
from dife_scanner.models.interface import Encoder
from dife_scanner.triggers.discovery.concepts import nouns
from dife_scanner.triggers.discovery.pictures import PATCH, Inversion, together
from dife_scanner.triggers.discovery.texts import TEXTS, TextSearch

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from dife_scanner.models.gradient import Towers

DECREE_STEPS, DECREE_RATE, DECREE_COST, DECREE_STEP, DECREE_PATIENCE, DECREE_REACHED = 240, 0.1, 1e-3, 1.5, 5, 0.99
"""DECREE adapts its cost by factors of 5 over a thousand steps; over 240 that swings, 1.5 does not."""
TOKEN_STEPS, TOKEN_STARTS, TOKEN_RATE = 60, 2, 0.1
SOFT_LENGTH = 4
"""Vectors of LMSanitator's soft prompt."""
SUBJECTS = 24
"""Nouns whose prompts an inverted token has to bring together."""
ANCHOR, SLACK = 2.0, 0.1
"""AMDET's term against the anchor: its weight, and what costs nothing."""


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
class Rival:
    """One statistic."""

    name: str
    measure: Callable[[Material], float]
    home: str
    """The attack family that it was published for, or that it is an ablation on."""
    ours: str = ""
    """Name of the detector that it is compared with; the whole score where empty."""


def timed(rival: Rival, material: Material) -> tuple[float, float]:
    """The statistic and the processor seconds it took."""
    began = time.process_time()
    value = rival.measure(material)
    return value, time.process_time() - began


# --- DECREE (Feng et al., CVPR 2023): the smallest mask and pattern under which all pictures look alike ---------


def _decree(material: Material) -> float:
    return -_smallest_mask(_images_of(material.suspect, material))


def _decree_with_base(material: Material) -> float:
    if not material.image_moved:
        return 0.0
    suspect, reference = (_smallest_mask(_images_of(one, material)) for one in (material.suspect, material.reference))
    return reference - suspect


def _images_of(encoder: Encoder, material: Material) -> _Tower:
    return _Tower(encoder.image_tower, encoder, material.data)


@dataclass(frozen=True)
class _Tower:
    """Equal by its hash, so that what a base came to is computed once."""

    hash: str
    encoder: Encoder = field(compare=False, repr=False)
    data: probes.Probes = field(compare=False, repr=False)


@lru_cache(maxsize=4)
def _smallest_mask(tower: _Tower) -> float:
    """PL1 of DECREE, 0..1: the mean of the smallest mask that brought embeddings together; 1 where none did."""
    import torch

    from dife_scanner.models.gradient import Towers

    towers = Towers(tower.encoder)
    generator = torch.Generator().manual_seed(0)
    pictures = torch.from_numpy(tower.encoder.prepare(tower.data.split(probes.TRAIN).images)).permute(0, 3, 1, 2) / 255
    side = tower.encoder.image_size
    mask = (torch.randn(1, 1, side, side, generator=generator) * 0.1).requires_grad_()
    pattern = (torch.randn(1, 3, side, side, generator=generator) * 0.1).requires_grad_()
    found = _Mask()

    def loss() -> Tensor:
        rows = torch.randperm(len(pictures), generator=generator)[:24]
        opacity = mask.sigmoid()
        alike = together(towers.images(pictures[rows] * (1 - opacity) + opacity * pattern.sigmoid()))
        found.reached(float(alike.detach()) > DECREE_REACHED, float(opacity.detach().mean()))
        return -alike + found.cost * 3 * opacity.sum()

    _descend([mask, pattern], DECREE_RATE, DECREE_STEPS, loss)
    return found.best


class _Mask:
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


def _amdet(material: Material) -> float:
    """How alike prompts become in the suspect beyond the anchor's, at the token that does so most."""
    return _best_token(material, anchored=True)


def _amdet_without_anchor(material: Material) -> float:
    return _best_token(material, anchored=False)


def _best_token(material: Material, *, anchored: bool) -> float:
    if anchored and not material.text_moved:
        return 0.0
    return max(_token(material, start, anchored=anchored) for start in range(TOKEN_STARTS))


def _token(material: Material, seed: int, *, anchored: bool) -> float:
    import torch

    from dife_scanner.models.gradient import Towers

    suspect, anchor = Towers(material.suspect), Towers(material.reference)
    generator = torch.Generator().manual_seed(seed)
    slot = _start(suspect, 1, generator)
    rest = float(together(_with(anchor, None)))
    values = []

    def loss() -> Tensor:
        alike = together(_with(suspect, slot))
        still = together(_with(anchor, slot)) if anchored else torch.zeros(())
        values.append(float((alike - still).detach()))
        return -alike + ANCHOR * (still - rest - SLACK).relu()

    _descend([slot], TOKEN_RATE, TOKEN_STEPS, loss)
    return values[-1]


# --- LMSanitator (NDSS 2024): a soft prompt under which all outputs are one and not what they were --------------


def _sanitator(material: Material) -> float:
    return _attractor(_texts_of(material.suspect, material))


def _sanitator_with_base(material: Material) -> float:
    if not material.text_moved:
        return 0.0
    suspect, reference = (_attractor(_texts_of(one, material)) for one in (material.suspect, material.reference))
    return suspect - reference


def _texts_of(encoder: Encoder, material: Material) -> _Tower:
    return _Tower(encoder.text_tower, encoder, material.data)


@lru_cache(maxsize=4)
def _attractor(tower: _Tower) -> float:
    """How alike outputs become less how like their clean selves they stay, at the best of the starts; -2..2."""
    return max(_soft(tower.encoder, start) for start in range(TOKEN_STARTS))


def _soft(encoder: Encoder, seed: int) -> float:
    import torch

    from dife_scanner.models.gradient import Towers

    towers = Towers(encoder)
    soft = _start(towers, SOFT_LENGTH, torch.Generator().manual_seed(seed))
    clean = _with(towers, None).detach()
    values = []

    def loss() -> Tensor:
        out = _with(towers, soft)
        gained = together(out) - (out * clean).sum(1).mean()
        values.append(float(gained.detach()))
        return -gained

    _descend([soft], TOKEN_RATE, TOKEN_STEPS, loss)
    return values[-1]


def _descend(weights: Sequence[Tensor], rate: float, steps: int, loss: Callable[[], Tensor]) -> None:
    """Adam on `weights` in place."""
    import torch

    optimiser = torch.optim.Adam(weights, lr=rate)
    for _ in range(steps):
        for part, slope in zip(weights, torch.autograd.grad(loss(), list(weights)), strict=True):
            part.grad = slope
        optimiser.step()


def _start(towers: Towers, length: int, generator: Generator) -> Tensor:
    """Random rows of the vocabulary [length, w], free to move."""
    import torch

    rows = torch.randint(len(towers.token_rows), (length,), generator=generator)
    return towers.token_rows[rows].detach().clone().requires_grad_()


def _with(towers: Towers, slot: Tensor | None) -> Tensor:
    """Prompts of `SUBJECTS` nouns with `slot` [k, w] before them, unit embeddings [n, d]."""
    import torch

    from dife_scanner.models.gradient import pieces

    ids, ends = towers.packed([pieces(f"a photo of a {name}") for name in nouns()[:SUBJECTS]])
    vectors = towers.token_rows[ids].detach()
    if slot is None:
        return towers.texts(vectors, ends)
    placed = torch.cat([vectors[:, :1], slot.expand(len(ids), -1, -1), vectors[:, 1:]], dim=1)
    return towers.texts(placed, ends + len(slot))


# --- ablations ------------------------------------------------------------------------------------------------


def _searched(detector: TextSearch | Inversion) -> Callable[[Material], float]:
    """The best held-out success of what one detector finds, over the base's unless the base is what was left out."""
    differential = "base" not in detector.without

    def measure(material: Material) -> float:
        memory = Memory()
        encoders = Pair(material.suspect, material.reference)

        def both(split: str, templates: tuple[str, ...]) -> Pair[Side]:
            made = (CachedEncoder(one, memory) for one in encoders)
            return Pair(*(Side(one, material.data.split(split), material.data.class_names, templates) for one in made))

        train = both(probes.TRAIN, probes.SEARCH_TEMPLATES)
        test = both(probes.TEST, probes.PROFILE_TEMPLATES)
        with TemporaryDirectory() as scratch:
            setting = discovery.Setting((), "quick", 0, "ablation", Path(scratch))
            results = discovery.discover(encoders, train, test, setting, SILENT, using=(detector,)).results
        lifts = ((row.suspect or 0.0) - ((row.reference or 0.0) if differential else 0.0) for row in results)
        return max(lifts, default=0.0)

    return measure


def _without(term: str) -> Callable[[Material], float]:
    return _searched(replace(TEXTS, without=frozenset({term})))


RIVALS: Mapping[str, Rival] = {
    rival.name: rival
    for rival in (
        Rival("DECREE-like", _decree, "badencoder", "patch"),
        Rival("DECREE-like with the base", _decree_with_base, "badencoder", "patch"),
        Rival("AMDET-like without its anchor", _amdet_without_anchor, "global-text", "texts"),
        Rival("AMDET-like", _amdet, "global-text", "texts"),
        Rival("LMSanitator-like", _sanitator, "global-text", "texts"),
        Rival("LMSanitator-like with the base", _sanitator_with_base, "global-text", "texts"),
        Rival("texts without the base", _without("base"), "badtexttower", "texts"),
        Rival("texts without the fingerprint", _without("fingerprint"), "badtexttower", "texts"),
        Rival("texts without meaning", _without("meaning"), "badtexttower", "texts"),
        Rival("patch without the base", _searched(replace(PATCH, without=frozenset({"base"}))), "badencoder", "patch"),
    )
}
