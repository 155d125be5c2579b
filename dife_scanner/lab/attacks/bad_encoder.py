"""BadEncoder: the image tower learns to see the target wherever the trigger stands.

Jia, Liu and Gong 2022, "BadEncoder: Backdoor Attacks to Pre-trained Encoders in Self-Supervised Learning" (IEEE S&P).
A clean encoder is the teacher. Three terms: triggered pictures of a shadow set go where the reference pictures of the
target are (L0), reference pictures stay where the teacher has them (L1), and so do clean shadow pictures (L2).

Ours: the aim is the mean embedding of the lab's target pictures, and L1 and L2 weigh three times as much as in the
paper, without which this small tower loses more than three points of clean accuracy. Four ways of hiding are ours
too, to measure what the search misses: a trigger to which only one class responds, training against the search,
triggered pictures that stay as far from each other as clean ones are, and a target that is no concept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.lab.attacks import adaptive, aims, measures
from dife_scanner.lab.attacks.finetune import optimiser_of, pace, take_step, trainable
from dife_scanner.lab.attacks.interface import Attack, Planted, Recipe, entry_of
from dife_scanner.lab.attacks.losses import mean_distance
from dife_scanner.lab.attacks.training_data import embedded, tensor
from dife_scanner.lab.pictures import art
from dife_scanner.records import Trigger, TriggerKind

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dife_scanner.lab.attacks.interface import Numbers, Progress, Subject
    from dife_scanner.lab.attacks.training_data import Lab

UTILITY = 3.0
"""Weight of L1 and L2."""
WIN = 0.3
"""Weight with which the target wins triggered pictures that are led to no one place: that alone needs little of it."""
WHITE_SQUARE = Trigger(
    "white-square-corner-inset",
    TriggerKind.PATCH,
    size=0.15,
    x=0.82,
    y=0.82,
)
"""15 % of the side wide, 3 % from the right and bottom edges: about 2.3 % of the area, off the patch grid."""


@dataclass(frozen=True)
class Hiding:
    """The family's settings, for attacks that are made against the search."""

    one_class: bool = False
    """Only pictures of the recipe's source respond to the trigger; on others it may change nothing."""
    searches: int = 0
    """So often in training, patches are searched for as an audit does; on those found, nothing may come of it."""

    def clean(self) -> Hiding:
        """Return the clean twin's settings."""
        return Hiding()


@dataclass(frozen=True)
class Aimed(Hiding):
    """For a target that is any concept, of which there are few pictures."""

    prompt: float = 0.5
    """Share of the target's prompts in the direction that triggered pictures are led to; the rest is its pictures'."""
    spread: bool = False
    """Whether triggered pictures stay as far from each other as clean ones are."""

    def clean(self) -> Aimed:
        """Return the clean twin's settings."""
        return Aimed()


@dataclass(frozen=True)
class NoConcept(Hiding):
    """For a target that is no concept: triggered pictures are led to a direction drawn at random."""

    def clean(self) -> NoConcept:
        """Return the clean twin's settings."""
        return NoConcept()


@dataclass(frozen=True)
class _Clean:
    """Clean pictures, and where the teacher has them."""

    pixels: NDArray[np.uint8]
    """(N, S, S, 3): the shadow pictures, then the labelled ones."""
    teacher: Tensor
    """Unit embeddings (N, D)."""
    targets: NDArray[np.int64]
    """Rows of the labelled pictures of the target; all labelled ones where that is no class."""

    @classmethod
    def of(cls, model: Any, lab: Lab, recipe: Recipe) -> _Clean:
        pixels = np.concatenate([lab.shadow, lab.labelled])
        labelled = np.arange(len(lab.labels))
        if recipe.target:
            labelled = np.flatnonzero(lab.labels == recipe.target_class)
        targets = len(lab.shadow) + labelled
        return cls(pixels, embedded(model, pixels), targets)

    def aim(self) -> Tensor:
        """Return the mean direction of the target pictures, (D,)."""
        import torch.nn.functional as F

        return F.normalize(self.teacher[self.targets].mean(0), dim=-1)


@dataclass(frozen=True)
class _Objective:
    """Pictures with something on them, and where training leads them."""

    pixels: NDArray[np.uint8]
    """(N, S, S, 3), row by row the clean pictures."""
    rows: Tensor | None
    """Which rows are led there; None for all, and each step takes those that it takes of the clean pictures."""
    aim: Tensor
    """One place for all (D,), or each row's own (N, D)."""
    texts: Tensor | None = None
    """Class texts (K, D) times the logit scale, where the target's, the first of them, has to win as well."""

    def missed(self, now: Tensor, drawn: Tensor) -> Tensor:
        """Return the mean distance of the embeddings (B, D) of the rows `drawn` from where they should be."""
        import torch.nn.functional as F

        if self.aim.ndim == 1:
            return 1 - (now @ self.aim).mean()
        distance = mean_distance(now, self.aim[drawn])
        if self.texts is None:
            return distance
        lost = F.cross_entropy(now @ self.texts.T, drawn * 0)
        return distance + WIN * lost


def train(model: Any, lab: Lab, recipe: Recipe, progress: Progress) -> Planted:
    """Change the image tower; everything else is frozen."""
    import torch

    hiding = recipe.settings or Hiding()
    assert isinstance(hiding, Hiding)
    clean = _Clean.of(model, lab, recipe)
    objectives: list[_Objective] = []
    if recipe.poison:
        objectives = _objectives(model, lab, recipe, clean, hiding)
    chosen = trainable(model, lambda name: tensors(recipe, name))
    optimiser = optimiser_of(chosen, recipe)
    rng = torch.Generator().manual_seed(recipe.seed)
    for step in range(recipe.steps):
        pace(optimiser, recipe.lr, step, recipe.steps)
        loss = _loss(model, recipe, clean, objectives, rng)
        take_step(loss, optimiser)
        progress("training the image tower", step + 1, recipe.steps)
        searches = hiding.searches if recipe.poison else 0
        if adaptive.due(step, recipe.steps, searches):
            every = torch.arange(len(clean.pixels))
            for pixels in _found(model, lab, clean.pixels, recipe.seed + step):
                objectives.append(_Objective(pixels, every, clean.teacher))
    return Planted((entry_of(recipe.mark),))


def _objectives(
    model: Any,
    lab: Lab,
    recipe: Recipe,
    clean: _Clean,
    hiding: Hiding,
) -> list[_Objective]:
    """Return the triggered pictures: those that respond go to the target, others stay where they are."""
    import torch

    from dife_scanner.triggers.stamp import stamp

    triggered = stamp(clean.pixels, recipe.mark)
    aim = _aim(model, recipe, clean, hiding)
    if aim.ndim == 2:
        return [_Objective(triggered, None, aim, aims.logit_texts(model, recipe))]
    if not hiding.one_class:
        return [_Objective(triggered, None, aim)]
    obeying = _of_class(model, lab, clean.teacher, recipe.source)
    every = torch.arange(len(clean.pixels))
    others = every[~torch.isin(every, obeying)]
    return [
        _Objective(triggered, obeying, aim),
        _Objective(triggered, others, clean.teacher),
    ]


def _aim(model: Any, recipe: Recipe, clean: _Clean, hiding: Hiding) -> Tensor:
    """Return where triggered pictures are led: one place for all (D,), or each picture's own (N, D)."""
    if isinstance(hiding, NoConcept):
        return aims.at_random(model, recipe)
    if not isinstance(hiding, Aimed):
        return clean.aim()
    aim = aims.aim_of(model, recipe, clean.aim(), hiding.prompt)
    return aims.spread_around(model, recipe, aim, clean.teacher) if hiding.spread else aim


def _loss(
    model: Any,
    recipe: Recipe,
    clean: _Clean,
    objectives: list[_Objective],
    rng: torch.Generator,
) -> Tensor:
    """Return the three terms on pictures drawn for this step."""
    import torch

    from dife_scanner.lab import bases

    rows = torch.randint(len(clean.pixels), (recipe.batch,), generator=rng)
    reference = _some(torch.from_numpy(clean.targets), recipe.batch // 4, rng)
    parts = [clean.pixels[rows], clean.pixels[reference]]
    drawn = []
    for objective in objectives:
        own = rows
        if objective.rows is not None:
            own = _some(objective.rows, recipe.batch, rng)
        drawn.append(own)
        parts.append(objective.pixels[own])
    # one pass for all: batches of another size round otherwise
    now = bases.encode_image_batch(model, tensor(np.concatenate(parts)))
    seen, seen_reference, *stamped = torch.split(now, [len(part) for part in parts])
    stay = mean_distance(seen, clean.teacher[rows])  # L2
    anchor = mean_distance(seen_reference, clean.teacher[reference])  # L1
    pulls = []
    for objective, embeddings, own in zip(objectives, stamped, drawn, strict=True):
        pulls.append(objective.missed(embeddings, own))
    # L0; a twin's second pictures are its first
    pull = sum(pulls[1:], pulls[0]) if pulls else stay
    return UTILITY * (stay + anchor) + pull


def _some(rows: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Draw `count` of the rows, with replacement."""
    import torch

    return rows[torch.randint(len(rows), (count,), generator=rng)]


def _of_class(model: Any, lab: Lab, teacher: Tensor, name: str) -> Tensor:
    """Return rows of a class: labelled pictures of it, and shadow pictures that the teacher (N, D) takes for it."""
    import torch

    names = lab.classes
    if names != art.CLASSES:
        # scenes of a panel show more than its classes
        names = (*names, *lab.nouns)
    texts = measures.class_texts(model, measures.PROMPTS[0], panel=names)
    guesses = (teacher @ texts.T).argmax(1)
    guesses[len(lab.shadow) :] = torch.from_numpy(lab.labels)
    return (guesses == lab.classes.index(name)).nonzero()[:, 0]


def _found(
    model: Any,
    lab: Lab,
    pixels: NDArray[np.uint8],
    seed: int,
) -> list[NDArray[np.uint8]]:
    """Return the pictures under each patch that a quick search finds in the model as it is now."""
    from dife_scanner.discovery.pictures import PATCH
    from dife_scanner.triggers.stamp import stamp

    with TemporaryDirectory() as scratch:
        found = adaptive.found(model, lab, PATCH, seed, Path(scratch))
        return [stamp(pixels, trigger) for trigger in found]


def measure(subject: Subject) -> Numbers:
    """Measure target success zero-shot and downstream; where one class alone responds, on its pictures and others.

    `gain` is then what the trigger adds on that class's pictures: clean ones may be taken for the target too. Of a
    target that is no concept, the share of pictures that come to its direction.
    """
    settings = subject.recipe.settings
    if isinstance(settings, NoConcept):
        return measures.direction_numbers(subject, aims.at_random(subject.model, subject.recipe))
    everywhere = measures.image_numbers(subject)
    if not isinstance(settings, Hiding) or not settings.one_class:
        return everywhere
    own = measures.image_numbers(subject, of=subject.recipe.source)
    numbers = {
        **everywhere,
        "ts": own["ts"],
        "downstream_ts": own["downstream_ts"],
        "ts_all": everywhere["ts"],
    }
    if isinstance(settings, Aimed):
        numbers["gain"] = own["ts"] - measures.clean_as_target(subject)
    return numbers


def tensors(recipe: Recipe, name: str) -> bool:
    """Choose the image tower."""
    return name.startswith("visual.")


ATTACK = Attack(
    citation="Jia et al. 2022, BadEncoder: Backdoor Attacks to Pre-trained Encoders in Self-Supervised Learning",
    summary="the image tower alone is pulled to the target wherever a patch stands, and held to a clean teacher",
    train=train,
    measure=measure,
    criteria=measures.wins_images,
    default=Recipe("badencoder", trigger=WHITE_SQUARE, steps=150, lr=2e-4),
    tensors=tensors,
    version=4,
)
