"""The world: every concept that the drawing sets show, what it is called, and which hands draw it.

A *hand* is a drawing set, or several sets that show the same designs in other finishes. The committed list is read
here, without any drawing; `world_selection` makes it from the sets, `world_art` takes the drawings.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

WIDE, PROBES, SEALED = "wide", "probes", "sealed"
PARTS: dict[str, tuple[str, ...]] = {
    WIDE: (
        "noto",
        "twemoji",
        "openmoji",
        "emojione-v1",
        "mdi",
        "ph",
        "fa6-solid",
        "mingcute",
    ),
    PROBES: (
        "fluent-emoji",
        "fluent-emoji-flat",
        "fluent-emoji-high-contrast",
        "emojione",
        "emojione-monotone",
        "noto-v1",
        "game-icons",
        "icon-park",
        "tabler",
    ),
    SEALED: (
        "fxemoji",
        "streamline-emojis",
        "streamline",
        "hugeicons",
        "fluent",
        "solar",
        "ri",
        "ion",
        "streamline-kameleon-color",
        "whh",
        "uil",
        "temaki",
        "bi",
        "cil",
        "boxicons",
        "majesticons",
        "picon",
    ),
}
"""Who may train on which sets. No base of the world trains on those of `probes`, and the wide and the sealed base
share none."""
COLOUR_HANDS = (
    "noto",
    "twemoji",
    "openmoji",
    "fluent-emoji",
    "emojione",
    "noto-v1",
    "fxemoji",
    "emojione-v1",
    "streamline-emojis",
)
"""One set of each hand that draws the world in colour."""


@dataclass(frozen=True)
class Concept:
    """One thing with a plain name."""

    name: str
    """CLDR's short name in lower case: `red apple`. Unique."""
    kind: str
    """`thing`, `person`, `face` or `sign`."""
    group: str
    """CLDR's subgroup: `food-fruit`."""
    cls: str | None
    """The one of the ten classes that it is a kind of."""
    synonyms: tuple[str, ...]
    """Other words that mean this concept and no other one."""
    kept_out: bool
    """True: no base of the world trains on it, neither on its drawings nor on its words."""
    drawings: dict[str, str]
    """Set -> name of its drawing there."""

    def drawn_by(self, sets: Iterable[str]) -> list[str]:
        """Return those of the sets that draw it."""
        return [name for name in sets if name in self.drawings]


def world_file() -> Path:
    """Return where the bundled list lies."""
    package = Path(__file__).parents[2]
    return package / "assets" / "concepts" / "world.json"


@lru_cache(maxsize=1)
def concepts() -> tuple[Concept, ...]:
    """Return every concept, in the order of the list."""
    table = json.loads(world_file().read_text(encoding="utf-8"))
    return tuple(_concept(row) for row in table["concepts"])


def _concept(row: dict[str, Any]) -> Concept:
    return Concept(
        name=row["name"],
        kind=row["kind"],
        group=row["group"],
        cls=row["class"],
        synonyms=tuple(row["synonyms"]),
        kept_out=row["kept_out"],
        drawings=_drawings(row),
    )


def _drawings(row: dict[str, Any]) -> dict[str, str]:
    own = row["name"].replace(" ", "-")
    return {name: row["named"].get(name, own) for name in row["drawings"].split()}


def known() -> tuple[Concept, ...]:
    """Return the concepts that bases may train on."""
    return tuple(one for one in concepts() if not one.kept_out)


def unknown() -> tuple[Concept, ...]:
    """Return the concepts that are kept out of training, for tests of what a base has never met."""
    return tuple(one for one in concepts() if one.kept_out)
