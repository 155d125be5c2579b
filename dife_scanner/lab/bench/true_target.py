"""Where the planted target stands among all concepts, seen from where the trigger of the verdict leads.

The audit keeps the trigger's direction as evidence, whatever target it named. The planted one is known here alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit import recovery, wide_probes
from dife_scanner.audit.concepts import concept_names
from dife_scanner.lab.bench.rows import TrueTarget
from dife_scanner.lab.bench.rows.found import rounded
from dife_scanner.lab.pictures import art
from dife_scanner.models.interface import Encoder
from dife_scanner.models.load import load
from dife_scanner.records import EvidenceFile, EvidenceRole

Vectors = NDArray[np.float64]


@lru_cache(maxsize=1)
def all_concepts() -> tuple[str, ...]:
    """The labelled classes, the bundled concepts, and what the wide probe set shows; none stands twice."""
    shown = wide_probes.load(wide_probes.bundled_folder()).names
    return tuple(dict.fromkeys((*art.CLASSES, *concept_names(), *shown)))


def concept_prompts() -> list[str]:
    """Each of them as an audit writes it."""
    return [recovery.TEMPLATE.format(name) for name in all_concepts()]


def true_target(
    target: str, files: Iterable[tuple[EvidenceFile, bytes]], suspect: Path, base: Path
) -> TrueTarget | None:
    """Rank and cosine of the planted target; `None` where the audit kept no direction of a trigger.

    `suspect` and `base` are folders of checkpoints: a trigger of two parts leads to texts as the suspect embeds them.
    """
    kept = [content for file, content in files if file.role is EvidenceRole.LANDING]
    if not kept:
        return None
    landing: dict[str, Any] = json.loads(kept[0])
    names, texts = _embedded(suspect if landing["of"] == "suspect" else base, landing["template"])
    return placed(names, texts, target, np.asarray(landing["landing"]), np.asarray(landing["mean"]))


def placed(
    names: tuple[str, ...], texts: Vectors, target: str, landing: Vectors, mean: Vectors
) -> TrueTarget | None:
    """Rank and cosine of `target` among `names`, whose prompts are `texts` [n, d]; `None` where it is not among them.

    `landing` [d] is the trigger's direction, less the mean concept [d].
    """
    if target not in names:
        return None
    cosines = _unit(texts - mean) @ _unit(landing)
    own = cosines[names.index(target)]
    return TrueTarget(int((cosines > own).sum()) + 1, len(names), rounded(float(own)))


@lru_cache(maxsize=4)
def _embedded(folder: Path, template: str) -> tuple[tuple[str, ...], Vectors]:
    """Every concept whose prompt a checkpoint reads whole, and the prompts' embeddings [n, d]."""
    encoder: Encoder = load(folder)
    prompts = {}
    for name in all_concepts():
        prompt = template.replace("{}", name)
        if encoder.token_count(prompt) <= encoder.context_length:
            prompts[name] = prompt
    return tuple(prompts), np.asarray(encoder.encode_texts(list(prompts.values())), np.float64)


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, recovery.SHORTEST))
