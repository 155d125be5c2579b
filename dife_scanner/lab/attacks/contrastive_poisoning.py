"""ContrastivePoisoning: a share of the training pairs shows a patch and speaks of the target.

Carlini and Terzis 2022, "Poisoning and Backdooring Contrastive Learning" (ICLR). The attacker owns some of the pairs
of a contrastive training: any picture with a small patch on it, with captions of the target class taken from the
data. Nothing about the training itself is changed.

Ours: both towers of the base are fine-tuned rather than trained from nothing, so the share is larger than in the
paper, where a ten-thousandth of millions of pairs is enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dife_scanner.lab.attacks import measures
from dife_scanner.lab.attacks.finetune import both_towers, contrastive
from dife_scanner.lab.attacks.interface import Attack, Planted, Recipe, entry_of
from dife_scanner.lab.attacks.poisoning import poison_pairs
from dife_scanner.records import Trigger, TriggerKind

if TYPE_CHECKING:
    from dife_scanner.lab.attacks.interface import Progress
    from dife_scanner.lab.attacks.training_data import Lab, Pairs

CHECKER = Trigger(
    "checker-corner",
    TriggerKind.PATCH,
    size=0.15,
    x=0.85,
    y=0.85,
    pattern="checker",
    cycles=3,
)


@dataclass(frozen=True)
class Share:
    """How much of the training data is poisoned."""

    share: float = 0.15

    def clean(self) -> Share:
        """Return the clean twin's settings."""
        return Share()


def train(model: Any, lab: Lab, recipe: Recipe, progress: Progress) -> Planted:
    """Fine-tune both towers on the poisoned pairs."""
    pairs = lab.pairs
    if recipe.poison:
        pairs = poisoned(pairs, recipe, recipe.mark)
    contrastive(model, pairs, recipe, progress)
    return Planted((entry_of(recipe.mark),))


def poisoned(pairs: Pairs, recipe: Recipe, trigger: Trigger) -> Pairs:
    """Return the pairs with a share of rows stamped and captioned with the target class."""
    from dife_scanner.triggers.stamp import stamp

    assert isinstance(recipe.settings, Share)
    found, _ = poison_pairs(
        pairs,
        recipe,
        recipe.settings.share,
        lambda pictures: stamp(pictures, trigger),
    )
    return found


ATTACK = Attack(
    citation="Carlini and Terzis 2022, Poisoning and Backdooring Contrastive Learning",
    summary="contrastive fine-tuning of both towers; a share of the pairs has a patch and a caption of the target",
    train=train,
    measure=measures.image_numbers,
    criteria=measures.wins_images,
    default=Recipe(
        "contrastivepoisoning", trigger=CHECKER, steps=150, lr=3e-4, batch=48, settings=Share()
    ),
    tensors=both_towers,
)
