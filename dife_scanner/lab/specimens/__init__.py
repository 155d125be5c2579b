"""Specimens: small backdoored checkpoints and their clean twins, built from the ViT base and the lab drawings.

The attacks are in `lab/attacks`; their recipes are in `recipes`, the cache and the building in `building`. These are
for testing the scanner. Nothing here is tuned for, or works on, a real model.
"""

from dife_scanner.lab.specimens.building import (
    CARD,
    TRIGGERS,
    SpecimenFailed,
    build,
    built,
    default_cache,
    key,
    place,
)
from dife_scanner.lab.specimens.recipes import (
    CORE,
    NOVEL,
    QVUZZ,
    RECIPES,
    SPECIMENS,
    twin,
    twin_name,
)

__all__ = [
    "CARD",
    "CORE",
    "NOVEL",
    "QVUZZ",
    "RECIPES",
    "SPECIMENS",
    "TRIGGERS",
    "SpecimenFailed",
    "build",
    "built",
    "default_cache",
    "key",
    "place",
    "twin",
    "twin_name",
]
