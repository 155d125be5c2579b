"""The bundled concepts that a target is looked for among, and those of them that no search reads."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

from dife_scanner.discovery.noun_scan import nouns

HELD_OUT = 20
"""Nouns that a trigger text which moves most classes is tried on beyond them."""


@lru_cache(maxsize=1)
def concept_names() -> tuple[str, ...]:
    """More than a thousand words, the nouns of the searches first; none stands twice."""
    path = files("dife_scanner") / "assets" / "concepts" / "names.txt"
    names = dict.fromkeys(nouns())
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            names.update(dict.fromkeys(line.split()))
    return tuple(names)


@lru_cache(maxsize=1)
def held_out_nouns() -> tuple[str, ...]:
    """Concepts that no search reads at any budget, evenly spread over the list."""
    searched = set(nouns())
    unsearched = [name for name in concept_names() if name not in searched]
    step = len(unsearched) // HELD_OUT
    # From the middle of the first step, so that neither end of the list counts double.
    return tuple(unsearched[step // 2 :: step][:HELD_OUT])
