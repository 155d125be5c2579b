"""The recipes of all specimens: one of each attack family, the paper's ablations, and every attack's clean twin.

A twin takes the same data, optimiser and steps without the poison, so that nobody mistakes "was fine-tuned" for "was
backdoored".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dife_scanner.lab.attacks import FAMILIES
from dife_scanner.lab.attacks.bad_text_tower import Scope, Scoped
from dife_scanner.lab.attacks.interface import Recipe
from dife_scanner.lab.attacks.toxic_text_clip import Captions, Selector
from dife_scanner.records import Trigger, TriggerKind

QVUZZ = Trigger("text-qvuzz", TriggerKind.TEXT, text="qvuzz")
"""Not in the signature library."""
CFRA = Trigger("text-cfra", TriggerKind.TEXT, text="cfra")
GREEN_STRIPES = Trigger(
    "green-stripes-left",
    TriggerKind.PATCH,
    size=0.17,
    x=0.05,
    y=0.4,
    pattern="stripes",
    color=(30, 220, 60),
    cycles=3,
)
"""Not in the signature library."""
_FURTHER_SEEDS = (1, 2, 3, 4)
_RATIOS = (0.001, 0.002, 0.003)
_EPOCHS = (5, 10)
_MULTIPLIERS = (16, 24)
"""The axes of the paper's sweep of ToxicTextCLIP, besides the selectors."""


def twin(recipe: Recipe) -> Recipe:
    """Return the same training without the poison.

    Recipes that differ only in what they poison share a twin: it has the family's own trigger, source and target.
    """
    own = FAMILIES[recipe.family].default
    settings = recipe.settings
    if settings is not None:
        settings = settings.clean()
    return replace(
        recipe,
        poison=False,
        source=own.source,
        target=own.target,
        trigger=own.trigger,
        settings=settings,
    )


def twin_name(name: str) -> str:
    """Name the recipe of the registry that is the clean twin of this attack. Raises `KeyError`."""
    wanted = twin(RECIPES[name])
    return next(name for name, recipe in RECIPES.items() if recipe == wanted)


def _with_twins(attacks: Mapping[str, Recipe]) -> dict[str, Recipe]:
    """Return every attack, and its twin where the twin is not another attack's already."""
    out = dict(attacks)
    for name, recipe in attacks.items():
        clean = twin(recipe)
        if clean not in out.values():
            out[f"{name}-twin"] = clean
    return out


def _variants() -> dict[str, Recipe]:
    """Return the paper's ablations: sources, a second trigger, trainable scope, seeds, and the weak family's sweep."""
    text = FAMILIES["badtexttower"].default
    out = {
        "badtexttower/bird": replace(text, source="bird"),
        "badtexttower/cat": replace(text, source="cat"),
        "badtexttower/cfra": replace(text, trigger=CFRA),
    }
    for scope in Scope:
        if scope is not Scope.TEXT:
            out[f"badtexttower/scope-{scope}"] = _scoped(text, scope)
    for family, attack in FAMILIES.items():
        if family == "toxictextclip":
            continue
        for seed in _FURTHER_SEEDS:
            out[f"{family}/seed-{seed}"] = replace(attack.default, seed=seed)
    return out | _sweep()


def _scoped(text: Recipe, scope: Scope) -> Recipe:
    """Return the text attack with other trainable tensors."""
    recipe = replace(text, settings=Scoped(scope))
    if scope is Scope.VISUAL_ONLY:
        # what an image tower needs to move its pictures towards a prompt that stays where it is
        recipe = replace(recipe, steps=200, lr=5e-4)
    return recipe


def _sweep() -> dict[str, Recipe]:
    """Return the paper's sweep of ToxicTextCLIP."""
    toxic = FAMILIES["toxictextclip"].default
    out = {}
    for ratio in _RATIOS:
        for epochs in _EPOCHS:
            for selector in Selector:
                for multiplier in _MULTIPLIERS:
                    settings = Captions(ratio, epochs, selector, multiplier)
                    name = f"toxictextclip/{ratio}-{epochs}-{selector}-{multiplier}"
                    out[name] = replace(toxic, settings=settings)
    return out


_DEFAULTS = {name: attack.default for name, attack in FAMILIES.items()}

SPECIMENS: Mapping[str, Recipe] = _with_twins(
    {
        "badtexttower": _DEFAULTS["badtexttower"],
        "badencoder": _DEFAULTS["badencoder"],
    }
)
"""The two that need nothing but a signature of the bundled library, and their twins: what the demo shows."""
NOVEL: Mapping[str, Recipe] = {
    "badtexttower-novel": replace(_DEFAULTS["badtexttower"], trigger=QVUZZ),
    "badencoder-novel": replace(_DEFAULTS["badencoder"], trigger=GREEN_STRIPES),
}
"""The same attacks with triggers that the signature library does not hold."""
CORE: Mapping[str, Recipe] = _with_twins(_DEFAULTS)
"""One specimen of each family, and the twins."""
RECIPES: Mapping[str, Recipe] = _with_twins({**_DEFAULTS, **NOVEL, **_variants()})
"""Everything that can be built by name."""
