"""Attack families: how the recipes of each are drawn, and what is known about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dife_scanner.lab.attacks import FAMILIES as ATTACKS
from dife_scanner.lab.attacks.bad_text_tower import Scope, Scoped
from dife_scanner.lab.attacks.interface import Attack, Recipe
from dife_scanner.lab.bench.zoo import draws, global_text
from dife_scanner.lab.bench.zoo.draws import Rng, pick
from dife_scanner.lab.pictures import art
from dife_scanner.records import Carrier, Channel

WINNABLE = {"automobile": "airplane", "cat": "truck", "deer": "ship"}
"""Targets that no text can win, and what stands in for each. QHR is measured on the target's own held-out pictures, and
of these the base's own prompt wins .77 to .90: an implant could not reach .9. Of the others it wins .89 to .97."""
ATTACK_DRAWS = 30
"""Attacks drawn per family."""
RECOGNISED = ("airplane", "automobile", "cat", "deer", "ship", "truck")
"""What targets of text attacks are drawn from, before `WINNABLE`."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """One way of attacking, with what is known about it."""

    attack: Attack
    carrier: Carrier
    channel: Channel
    draw: Callable[[Rng, Recipe], Recipe]
    """Draws the settings of one attack into the attack's default recipe."""
    seconds: float
    """Estimate for building attack and twin on one core."""
    success: str
    """The native number that has to reach .9: `qhr`, `ts` or `full`."""
    sealed: bool = False
    """Whether none of its numbers is read before the final run."""
    budget: str = "quick"
    """The smallest at which its kind of trigger is searched for; at a smaller one no row is made."""
    draws: int = ATTACK_DRAWS
    """How many attacks are drawn."""
    one_source: bool = False
    """Whether only inputs of the source respond."""
    given_up: str = ""
    """Why no more of it are drawn, where its implants do not work; those tried keep their rows, and are counted."""


# --- drawing a recipe: the order of draws is part of what a model is --------------------------------------------


def _with_classes(rng: Rng, recipe: Recipe) -> Recipe:
    """Two different classes as source and target."""
    order = rng.permutation(len(art.CLASSES)).tolist()
    return replace(recipe, source=art.CLASSES[order[0]], target=art.CLASSES[order[1]])


def _with_winnable_target(rng: Rng, recipe: Recipe) -> Recipe:
    """Source and target, where the target is one that a text can win."""
    drawn = pick(rng, RECOGNISED)
    others = [name for name in art.CLASSES if name != drawn]
    source = pick(rng, others)
    target = WINNABLE.get(drawn, drawn)
    if source == target:
        source = drawn
    return replace(recipe, source=source, target=target)


def _with_steps(rng: Rng, recipe: Recipe, low: float = 0.8, high: float = 1.4) -> Recipe:
    """The recipe's training steps times a factor between `low` and `high`."""
    factor = float(rng.uniform(low, high))
    return replace(recipe, steps=round(recipe.steps * factor))


def _text(rng: Rng, recipe: Recipe) -> Recipe:
    """More steps than the family's default, which is made for one prefix."""
    recipe = _with_winnable_target(rng, recipe)
    recipe = _with_steps(rng, recipe, 1.1, 1.8)
    return replace(recipe, trigger=draws.text_trigger(rng))


def _patch(rng: Rng, recipe: Recipe) -> Recipe:
    recipe = _with_classes(rng, recipe)
    recipe = _with_steps(rng, recipe)
    return replace(recipe, trigger=draws.patch_trigger(rng))


def _additive(rng: Rng, recipe: Recipe) -> Recipe:
    recipe = _with_classes(rng, recipe)
    recipe = _with_steps(rng, recipe)
    return replace(recipe, trigger=draws.additive_trigger(rng))


def _blend(rng: Rng, recipe: Recipe) -> Recipe:
    recipe = _with_classes(rng, recipe)
    recipe = _with_steps(rng, recipe)
    return replace(recipe, trigger=draws.blend_trigger(rng))


def _optimised_patch(rng: Rng, recipe: Recipe) -> Recipe:
    """An optimised patch brings its own pixels; only its place is drawn."""
    x = float(pick(rng, (0.1, 0.25, 0.39, 0.55, 0.7)))
    y = float(pick(rng, (0.1, 0.25, 0.41, 0.55, 0.7)))
    trigger = replace(
        recipe.mark,
        name="optimised-patch",
        x=x,
        y=y,
        source="",
        target="",
    )
    recipe = _with_classes(rng, recipe)
    recipe = _with_steps(rng, recipe)
    return replace(recipe, trigger=trigger)


def _text_and_patch(rng: Rng, recipe: Recipe) -> Recipe:
    """A string and a patch, each drawn as when it is a trigger by itself."""
    recipe = _with_winnable_target(rng, recipe)
    text = draws.text_trigger(rng)
    patch = draws.patch_trigger(rng)
    trigger = replace(text, name=f"{text.name}-and-{patch.name}", image=patch)
    recipe = _with_steps(rng, recipe, 1.0, 1.3)
    return replace(recipe, trigger=trigger)


def _prompt_learner(rng: Rng, recipe: Recipe) -> Recipe:
    """The attack makes its own trigger; classes and steps are drawn."""
    recipe = _with_classes(rng, recipe)
    return _with_steps(rng, recipe, 0.9, 1.2)


def _text_within(scope: Scope, **changed: Any) -> Callable[[Rng, Recipe], Recipe]:
    """Draws a text attack that may train this part of the model only, with fields of its recipe `changed`."""

    def draw(rng: Rng, recipe: Recipe) -> Recipe:
        return _text(rng, replace(recipe, settings=Scoped(scope), **changed))

    return draw


FAMILIES: Mapping[str, Family] = {
    "badtexttower": Family(
        attack=ATTACKS["badtexttower"],
        carrier=Carrier.TEXTUAL,
        channel=Channel.TEXT,
        draw=_text,
        seconds=55,
        success="qhr",
        one_source=True,
    ),
    "global-text": Family(
        attack=global_text.ATTACK,
        carrier=Carrier.TEXTUAL,
        channel=Channel.TEXT,
        draw=_text,
        seconds=30,
        success="qhr",
    ),
    "badtexttower-projection": Family(
        attack=ATTACKS["badtexttower"],
        carrier=Carrier.TEXTUAL,
        channel=Channel.TEXT,
        draw=_text_within(Scope.PROJECTION_EMBEDDING),
        seconds=55,
        success="qhr",
        sealed=True,
        one_source=True,
    ),
    "badtexttower-frozen-rows": Family(
        attack=ATTACKS["badtexttower"],
        carrier=Carrier.TEXTUAL,
        channel=Channel.TEXT,
        draw=_text_within(Scope.FROZEN_ROWS),
        seconds=55,
        success="qhr",
        one_source=True,
    ),
    "badencoder": Family(
        attack=ATTACKS["badencoder"],
        carrier=Carrier.VISUAL,
        channel=Channel.IMAGE,
        draw=_patch,
        seconds=80,
        success="ts",
    ),
    "badencoder-blend": Family(
        attack=ATTACKS["badencoder"],
        carrier=Carrier.VISUAL,
        channel=Channel.IMAGE,
        draw=_blend,
        seconds=80,
        success="ts",
    ),
    "badencoder-additive": Family(
        attack=ATTACKS["badencoder"],
        carrier=Carrier.VISUAL,
        channel=Channel.IMAGE,
        draw=_additive,
        seconds=80,
        success="ts",
    ),
    "contrastivepoisoning": Family(
        attack=ATTACKS["contrastivepoisoning"],
        carrier=Carrier.VISUAL,
        channel=Channel.IMAGE,
        draw=_patch,
        seconds=100,
        success="ts",
        given_up="costs accuracy before it works",
    ),
    "liang-badclip": Family(
        attack=ATTACKS["liang-badclip"],
        carrier=Carrier.VISUAL,
        channel=Channel.IMAGE,
        draw=_optimised_patch,
        seconds=130,
        success="ts",
        sealed=True,
    ),
    "badtexttower-visual-only": Family(
        attack=ATTACKS["badtexttower"],
        carrier=Carrier.VISUAL,
        channel=Channel.TEXT,
        draw=_text_within(Scope.VISUAL_ONLY, steps=200, lr=5e-4),
        seconds=150,
        success="qhr",
        given_up="the paper's control, of which no strength near an attack's is asked",
        one_source=True,
    ),
    "bai-badclip": Family(
        attack=ATTACKS["bai-badclip"],
        carrier=Carrier.COUPLED,
        channel=Channel.PROMPT,
        draw=_prompt_learner,
        seconds=150,
        success="full",
    ),
    "dual-key": Family(
        attack=ATTACKS["dual-key"],
        carrier=Carrier.COUPLED,
        channel=Channel.BOTH,
        draw=_text_and_patch,
        seconds=120,
        success="ts",
        sealed=True,
        budget="default",
    ),
}
"""Attack families by name. A sealed family's code is here; its numbers are not looked at before the final run.

Families of warps and of colour filters were tried and left out: all four warps (mean displacement .04 to .10) cost
seven points of clean accuracy and more, and of three filters one, sepia, was learned.
"""
