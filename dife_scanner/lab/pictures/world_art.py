"""The drawings of the world's concepts, taken from the drawing sets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dife_scanner.lab.pictures import art, drawing_sets
from dife_scanner.lab.pictures.world import Concept


def drawings_of(
    folder: Path,
    sets: Iterable[str],
    concepts: Iterable[Concept],
) -> list[art.Drawing]:
    """Return every drawing that these sets have of these concepts, set by set. `term` is the concept's name."""
    chosen = tuple(concepts)
    found = []
    for set_name in sets:
        bodies = dict(drawing_sets.bodies(folder, set_name))
        for concept in chosen:
            name = concept.drawings.get(set_name)
            if name is not None:
                found.append(art.Drawing(set_name, name, bodies[name], concept.cls, concept.name))
    return found
