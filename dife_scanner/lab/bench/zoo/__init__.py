"""The benchmark's models, attacks and benign fine-tunes alike: which there are, how each is drawn, how it is built."""

from dife_scanner.lab.bench.zoo.families import FAMILIES, Family
from dife_scanner.lab.bench.zoo.lookup import family_of
from dife_scanner.lab.bench.zoo.models import (
    AIM,
    BENIGN_RUNS,
    COPIES,
    ZOO_VERSION,
    Model,
    Role,
    attack_and_twin,
    benign_models,
    plan,
    twin_of,
)
from dife_scanner.lab.bench.zoo.parts import Part

__all__ = [
    "AIM",
    "BENIGN_RUNS",
    "COPIES",
    "FAMILIES",
    "ZOO_VERSION",
    "Family",
    "Model",
    "Part",
    "Role",
    "attack_and_twin",
    "benign_models",
    "family_of",
    "plan",
    "twin_of",
]
