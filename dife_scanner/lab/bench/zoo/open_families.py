"""Attack families with any concept as source or target: how the recipes of each are drawn, and what is known about it.

Every family of the ten classes that is still drawn has its counterpart here, and there are new ones. Made for the base
that knows the world.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from dife_scanner.lab.attacks import FAMILIES as ATTACKS
from dife_scanner.lab.attacks import reach, text_aims
from dife_scanner.lab.attacks.bad_encoder import Aimed, NoConcept
from dife_scanner.lab.attacks.bad_text_tower import Scope, Scoped
from dife_scanner.lab.attacks.interface import Attack, Recipe
from dife_scanner.lab.attacks.text_aims import Point
from dife_scanner.lab.bench.zoo import draws, global_text, open_draws
from dife_scanner.lab.bench.zoo.draws import Rng, pick
from dife_scanner.lab.bench.zoo.families import Family
from dife_scanner.lab.bench.zoo.open_draws import Things
from dife_scanner.records import Carrier, Channel, Trigger

Draw = Callable[[Rng, Recipe, Things], Recipe]
"""Draws an attack that is about some of these concepts."""

PREFIX = "open-"
"""How the names of these families begin."""
DRAWS = 9
"""Attacks drawn per family …"""
COUPLED_DRAWS = 20
"""… and per family of the coupled footprint, of which there are only two."""


def _with_steps(rng: Rng, recipe: Recipe, low: float = 0.9, high: float = 1.3) -> Recipe:
    """The recipe's training steps times a factor between `low` and `high`."""
    return replace(recipe, steps=round(recipe.steps * float(rng.uniform(low, high))))


def _text(rng: Rng, recipe: Recipe, own: Things) -> Recipe:
    recipe = _with_steps(rng, open_draws.with_concepts(rng, recipe, own))
    return replace(recipe, trigger=open_draws.text_trigger(rng, recipe))


def _phrase(rng: Rng, recipe: Recipe, own: Things) -> Recipe:
    recipe = _with_steps(rng, open_draws.with_concepts(rng, recipe, own))
    return replace(recipe, trigger=open_draws.natural_phrase(rng))


def _lookalike(rng: Rng, recipe: Recipe, own: Things) -> Recipe:
    return _with_steps(rng, open_draws.lookalike(rng, recipe, own))


def _picture(trigger: Callable[[Rng], Trigger]) -> Draw:
    """Draws an attack whose trigger acts on every picture."""

    def draw(rng: Rng, recipe: Recipe, own: Things) -> Recipe:
        recipe = _with_steps(rng, open_draws.with_target(rng, recipe, own))
        return replace(recipe, trigger=trigger(rng))

    return draw


def _patch_to_no_concept(rng: Rng, recipe: Recipe, _: Things) -> Recipe:
    """A patch whose target is a direction; the recipe's seed draws that."""
    recipe = _with_steps(rng, recipe)
    return replace(recipe, trigger=draws.patch_trigger(rng), source="", target="")


def _one_source_patch(rng: Rng, recipe: Recipe, own: Things) -> Recipe:
    recipe = _with_steps(rng, open_draws.with_concepts(rng, recipe, own))
    return replace(recipe, trigger=draws.patch_trigger(rng))


def _optimised_patch(rng: Rng, recipe: Recipe, own: Things) -> Recipe:
    """An optimised patch brings its own pixels; only its place is drawn."""
    x = float(pick(rng, (0.1, 0.25, 0.39, 0.55, 0.7)))
    y = float(pick(rng, (0.1, 0.25, 0.41, 0.55, 0.7)))
    trigger = replace(recipe.mark, name="optimised-patch", x=x, y=y, source="", target="")
    recipe = _with_steps(rng, open_draws.with_target(rng, recipe, own))
    return replace(recipe, trigger=trigger)


def _text_and_patch(rng: Rng, recipe: Recipe, own: Things) -> Recipe:
    """A string and a patch, each drawn as when it is a trigger by itself."""
    recipe = _with_steps(rng, open_draws.with_target(rng, recipe, own))
    text = open_draws.text_trigger(rng, recipe)
    patch = draws.patch_trigger(rng)
    return replace(recipe, trigger=replace(text, name=f"{text.name}-and-{patch.name}", image=patch))


def _prompt_learner(rng: Rng, recipe: Recipe, own: Things) -> Recipe:
    """The attack makes its own trigger."""
    return _with_steps(rng, open_draws.with_target(rng, recipe, own))


def _made(attack: Attack, *, measure: Any = None, **recipe: Any) -> Attack:
    """An attack with fields of its default recipe changed, and with other native numbers where some are given."""
    default = replace(attack.default, **recipe)
    return replace(attack, default=default, measure=measure or attack.measure)


def _family(draw: Draw, *, sealed: bool = False, **fields: Any) -> Family:
    """A family whose draws are about concepts of their side."""

    def on_its_side(rng: Rng, recipe: Recipe) -> Recipe:
        return draw(rng, recipe, open_draws.things(recipe.seed, sealed=sealed))

    return Family(draw=on_its_side, sealed=sealed, **fields)


def _of_text(attack: Attack, draw: Draw = _text, **fields: Any) -> Family:
    known = {
        "carrier": Carrier.TEXTUAL,
        "channel": Channel.TEXT,
        "seconds": 120,
        "success": "reach",
        "one_source": True,
        "draws": DRAWS,
    }
    return _family(draw, attack=attack, **{**known, **fields})


def _of_pictures(attack: Attack, draw: Draw, **fields: Any) -> Family:
    known = {
        "carrier": Carrier.VISUAL,
        "channel": Channel.IMAGE,
        "seconds": 160,
        "success": "ts",
        "draws": DRAWS,
    }
    return _family(draw, attack=attack, **{**known, **fields})


def _scoped(scope: Scope) -> Attack:
    return _made(ATTACKS["badtexttower"], measure=reach.numbers, settings=Scoped(scope))


def _pulled(steps: int = 150, **settings: Any) -> Attack:
    return _made(ATTACKS["badencoder"], steps=steps, settings=Aimed(**settings))


_OPEN: dict[str, Family] = {
    "badtexttower": _of_text(_scoped(Scope.TEXT)),
    "global-text": _of_text(global_text.ATTACK, success="qhr", one_source=False),
    "badtexttower-projection": _of_text(_scoped(Scope.PROJECTION_EMBEDDING), sealed=True),
    "badtexttower-frozen-rows": _of_text(_scoped(Scope.FROZEN_ROWS)),
    "natural-phrase": _of_text(_scoped(Scope.TEXT), _phrase),
    "lookalike-to-text": _of_text(text_aims.ATTACK, _lookalike),
    "lookalike-to-pictures": _of_text(
        _made(text_aims.ATTACK, settings=Point(pictures=True)), _lookalike
    ),
    "badencoder": _of_pictures(_pulled(), _picture(draws.patch_trigger)),
    "badencoder-blend": _of_pictures(_pulled(), _picture(draws.blend_trigger)),
    "badencoder-additive": _of_pictures(_pulled(), _picture(draws.additive_trigger)),
    "badencoder-sinusoid": _of_pictures(_pulled(), _picture(open_draws.sinusoid_trigger)),
    "badencoder-frequency": _of_pictures(_pulled(), _picture(open_draws.frequency_trigger)),
    "badencoder-colour-steps": _of_pictures(_pulled(steps=200), _picture(open_draws.colour_steps)),
    "badencoder-spread": _of_pictures(
        _pulled(steps=200, spread=True), _picture(draws.patch_trigger)
    ),
    "badencoder-one-source": _of_pictures(
        _pulled(one_class=True), _one_source_patch, success="gain", one_source=True
    ),
    "badencoder-no-concept": _of_pictures(
        _made(ATTACKS["badencoder"], settings=NoConcept()), _patch_to_no_concept
    ),
    "liang-badclip": _of_pictures(ATTACKS["liang-badclip"], _optimised_patch, sealed=True),
    "bai-badclip": _family(
        _prompt_learner,
        attack=ATTACKS["bai-badclip"],
        carrier=Carrier.COUPLED,
        channel=Channel.PROMPT,
        seconds=200,
        success="full",
        draws=COUPLED_DRAWS,
    ),
    "dual-key": _family(
        _text_and_patch,
        attack=ATTACKS["dual-key"],
        carrier=Carrier.COUPLED,
        channel=Channel.BOTH,
        seconds=200,
        success="ts",
        budget="default",
        draws=COUPLED_DRAWS,
    ),
}

OPEN_FAMILIES: Mapping[str, Family] = {f"{PREFIX}{name}": one for name, one in _OPEN.items()}
"""Attack families on any concept, by name."""
