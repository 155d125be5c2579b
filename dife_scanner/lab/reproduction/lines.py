"""The lines of the reproduction: a checkpoint under a trigger file each, in parts that can be done one by one.

Clean twins are audited under their attack's trigger, so that "was fine-tuned" is not mistaken for "was backdoored".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from dife_scanner.lab import specimens
from dife_scanner.lab.reproduction import paper

FAMILIES: Mapping[str, str] = {
    "BadEncoder": "badencoder",
    "BadTextTower": "badtexttower",
    "ToxicTextCLIP": "toxictextclip",
    "Liang-BadCLIP": "liang-badclip",
    "ContrastivePoisoning": "contrastivepoisoning",
    "Bai-BadCLIP": "bai-badclip",
}
"""The paper's name -> the specimen's."""
SCOPES: Mapping[str, str] = {
    "text encoder": "badtexttower",
    "projection and embedding": "badtexttower/scope-projection-embedding",
    "both encoders": "badtexttower/scope-both",
    "visual only (control)": "badtexttower/scope-visual-only",
}
"""What was trained, in the paper's words -> the specimen's name."""
OTHER_VARIANTS: Mapping[str, str] = {
    "BadTextTower, source bird": "badtexttower/bird",
    "BadTextTower, source cat": "badtexttower/cat",
    "BadTextTower, trigger cfra": "badtexttower/cfra",
}
"""Line -> the specimen's name."""
SEEDS = 3
"""A family's mean is over so many implants that passed their native validation (paper App. C.3)."""
LAST_SEED = 4


@dataclass(frozen=True)
class Line:
    """One checkpoint under one trigger."""

    name: str
    """As it is called in the tables."""
    recipe: str
    under: str = ""
    """Recipe whose trigger file is used; its own when empty."""
    spare_for: tuple[str, ...] = ()
    """Lines of the same family that come first: this one is done only when fewer than `SEEDS` of them are left."""

    @property
    def triggers(self) -> str:
        """The recipe whose trigger file is used."""
        return self.under or self.recipe

    def needed(self, failures: Mapping[str, str]) -> bool:
        """Tell whether this line has to be done, after these lines failed."""
        if not self.spare_for:
            return True
        left = [name for name in self.spare_for if name not in failures]
        return len(left) < SEEDS


def seeds_of(name: str) -> tuple[str, ...]:
    """Name the lines of a family, one per seed; the family's own name is seed 0."""
    further = range(1, LAST_SEED + 1)
    return (name, *(f"{name} seed {seed}" for seed in further))


def _matrix() -> tuple[Line, ...]:
    return tuple(Line(name, recipe) for name, recipe in FAMILIES.items())


def _twins() -> tuple[Line, ...]:
    """Return the twins, each under its attack's trigger."""
    found = []
    for name, recipe in FAMILIES.items():
        # a prompt learner's twin has a clean learner, in a trigger file of its own
        under = "" if recipe == "bai-badclip" else recipe
        found.append(Line(f"{name} twin", specimens.twin_name(recipe), under))
    return tuple(found)


def _variants() -> tuple[Line, ...]:
    found = []
    for scope, recipe in SCOPES.items():
        # the family's own scope stands in the matrix
        if recipe != "badtexttower":
            found.append(Line(f"BadTextTower, {scope}", recipe))
    for name, recipe in OTHER_VARIANTS.items():
        found.append(Line(name, recipe))
    return tuple(found)


def _seeds() -> tuple[Line, ...]:
    """Return seeds 1 and 2, and further ones that are drawn as far as earlier implants fail."""
    found = []
    for name in paper.SEEDS:
        names = seeds_of(name)
        for seed in range(1, len(names)):
            spare_for = names[:seed] if seed >= SEEDS else ()
            recipe = f"{FAMILIES[name]}/seed-{seed}"
            found.append(Line(names[seed], recipe, spare_for=spare_for))
    return tuple(found)


def _sweep() -> tuple[Line, ...]:
    found = []
    for recipe in specimens.RECIPES:
        family, _, setting = recipe.partition("/")
        if family == "toxictextclip" and setting and not setting.endswith("-twin"):
            found.append(Line(f"ToxicTextCLIP {setting}", recipe))
    return tuple(found)


PARTS: Mapping[str, Callable[[], tuple[Line, ...]]] = {
    "matrix": _matrix,
    "twins": _twins,
    "variants": _variants,
    "seeds": _seeds,
    "sweep": _sweep,
}
"""What can be reproduced, in the order in which it is done."""


def lines_of(parts: Iterable[str] = tuple(PARTS)) -> tuple[Line, ...]:
    """Return every line of these parts."""
    found: list[Line] = []
    for part in parts:
        found += PARTS[part]()
    return tuple(found)
