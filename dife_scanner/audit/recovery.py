"""Target recovery: to which concept a trigger leads, among more than a thousand.

Measured on held-out pictures and templates. Nothing here enters a verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit import robustness
from dife_scanner.audit.concepts import concept_names
from dife_scanner.audit.sides import (
    Embeddings,
    Pair,
    Side,
    Sides,
    reads_hit_rate,
    writes,
)
from dife_scanner.core import metrics
from dife_scanner.records import Channel, NearestConcept, Recovered, Trigger
from dife_scanner.triggers.stamp import write

NEAREST_KEPT = 5
"""NearestConcept concepts that are kept."""
TEMPLATE = "a photo of a {}"
IDENTITY_WEIGHT = 1e-6
"""Weight of the identity in an alignment, the data having 1: too small to move a direction that has data."""
SHORTEST = 1e-12
"""Least length that is divided by."""


@dataclass(frozen=True)
class TriggerDirection:
    """The mean triggered input's embedding, less the mean concept.

    A target's recovery is the cosine of `direction` with the target's embedding less `mean_concept`.
    """

    embedded_by: str
    """The checkpoint that embeds targets: `base`; or `suspect`, where they are written as the trigger writes them."""
    template: str
    """How a target is written."""
    direction: Embeddings
    """[d] in the space of that checkpoint."""
    mean_concept: Embeddings
    """The base's mean over all concepts [d], in the same space."""


def recover(trigger: Trigger, test: Sides) -> Recovered | None:
    """The target's rank among concepts, and how robust the trigger is: by source, under change, on held-out nouns.

    `None` for a prompt mechanism, whose learned words name no concept.
    """
    if trigger.channel is Channel.PROMPT:
        return None
    rotation = _to_base(test)
    direction = _direction_in_base(trigger, test, rotation)
    ranked = _ranked(direction, _candidates(trigger, test, rotation), test)
    position = [near.concept for near in ranked].index(trigger.target)
    by_source = robustness.by_source(trigger, test)
    return Recovered(
        target=trigger.target,
        concepts=len(ranked),
        nearest=tuple(ranked[:NEAREST_KEPT]),
        rank=position + 1,
        cosine=ranked[position].cosine,
        wrong=ranked[1] if position == 0 else ranked[0],
        sources=by_source,
        withstands=robustness.under_change(trigger, test),
        nouns=robustness.on_held_out_nouns(trigger, test, by_source),
    )


def nearest_concept(trigger: Trigger, test: Sides) -> NearestConcept | None:
    """The concept that the trigger makes of its inputs, without one more text through the suspect.

    The base's concepts are encoded once for all that is compared with it; the spaces are aligned by pictures or class
    prompts. `None` for a prompt mechanism, and for a trigger of two parts: that leads somewhere only where concepts
    are written as it writes them.
    """
    if trigger.channel in (Channel.PROMPT, Channel.BOTH):
        return None
    prompts = test.map(lambda side: side.prompts.astype(np.float32))
    # Class prompts are encoded already; all concepts would cost the suspect a thousand texts.
    rotation = _alignment(test, prompts)
    direction = _direction_in_base(trigger, test, rotation)
    return _ranked(direction, _base_concepts(test), test)[0]


def trigger_direction(trigger: Trigger, test: Sides) -> TriggerDirection:
    """Where the trigger's inputs lie in an embedding space, for a reader who has other targets in mind.

    Not for a prompt mechanism, whose learned words name no concept.
    """
    rotation = _to_base(test)
    mean = _mean_concept(test)
    direction = _direction_in_base(trigger, test, rotation)
    if trigger.channel is not Channel.BOTH:
        return TriggerDirection("base", TEMPLATE, direction, mean)
    template = write(TEMPLATE, trigger, "{}")
    # Turned back to the suspect's space: the inverse of a rotation is its transpose.
    return TriggerDirection("suspect", template, direction @ rotation.T, mean @ rotation.T)


# --- concepts and their ranking -------------------------------------------------------------------------------


def _ranked(
    direction: Embeddings, concepts: Mapping[str, Embeddings], test: Sides
) -> list[NearestConcept]:
    """Every concept, the nearest to `direction` [d] first. Concepts are [d] each, in the base's space."""
    names = list(concepts)
    embedded = np.stack(list(concepts.values()))
    # The mean concept is taken off both: all texts share a large part, which would hide what they differ in.
    cosines = _unit(embedded - _mean_concept(test)) @ _unit(direction)
    ranked = []
    for at in np.argsort(-cosines, kind="stable"):
        cosine = round(float(cosines[at]), 6)
        ranked.append(NearestConcept(names[at], cosine))
    return ranked


def _candidates(trigger: Trigger, test: Sides, rotation: Embeddings) -> dict[str, Embeddings]:
    """Concepts [d] that the trigger may lead to, as the base embeds them.

    A patch that acts together with a text moves pictures to a place where no clean text lies. Its target shows only in
    the suspect's prompts with the text in them.
    """
    if trigger.channel is not Channel.BOTH:
        return _base_concepts(test)
    written = written_concepts(trigger, test, concept_names())
    rows = test.suspect.encoder.encode_texts(list(written.values())) @ rotation
    return dict(zip(written, rows, strict=True))


def written_concepts(trigger: Trigger, test: Sides, concepts: Iterable[str]) -> dict[str, str]:
    """Class or concept to its prompt with what the trigger writes in it, the clean one where that is nothing.

    Those that a model would cut are left out, classes excepted.
    """
    written = {}
    for name in readable(test, concepts):
        prompt = TEMPLATE.format(name)
        if writes(trigger):
            prompt = write(prompt, trigger, name)
        # The target is a class: without it there is nothing to rank.
        if name in test.suspect.class_names or _fits_both(prompt, test):
            written[name] = prompt
    return written


def _concepts(test: Sides) -> tuple[str, ...]:
    return readable(test, concept_names())


def readable(test: Sides, concepts: Iterable[str]) -> tuple[str, ...]:
    """The classes, and every concept that neither model would have to cut."""
    # Classes first: they are kept whatever their length.
    found = dict.fromkeys(test.suspect.class_names)
    for name in concepts:
        if _fits_both(TEMPLATE.format(name), test):
            found[name] = None
    return tuple(found)


def _fits_both(text: str, test: Sides) -> bool:
    return test.suspect.fits(text) and test.reference.fits(text)


def prompts_of(side: Side, concepts: tuple[str, ...]) -> Embeddings:
    """Clean concepts as one checkpoint embeds them [n, d]."""
    return side.encoder.encode_texts([TEMPLATE.format(name) for name in concepts])


def _base_concepts(test: Sides) -> dict[str, Embeddings]:
    """Every concept as the base embeds it [d]."""
    names = _concepts(test)
    return dict(zip(names, prompts_of(test.reference, names), strict=True))


def _mean_concept(test: Sides) -> Embeddings:
    """The base's mean over all concepts [d]."""
    mean: Embeddings = prompts_of(test.reference, _concepts(test)).mean(axis=0)
    return mean


# --- the trigger's direction, in the base's space -------------------------------------------------------------


def _direction_in_base(trigger: Trigger, test: Sides, rotation: Embeddings) -> Embeddings:
    """The mean triggered input [d], less the base's mean concept.

    A poisoned text tower no longer separates concepts. So the suspect's embedding is turned into the base's space.
    """
    triggered = _mean_triggered(trigger, test.suspect)
    return np.asarray(triggered @ rotation - _mean_concept(test))


def _mean_triggered(trigger: Trigger, side: Side) -> Embeddings:
    """Mean triggered input [d]: the source's prompts, or pictures of other classes than a named target."""
    if reads_hit_rate(trigger):
        rows = side.texts_for(trigger.source, trigger)
    elif trigger.unnamed_target:
        rows = side.images_with(trigger)
    else:
        # The target's own pictures lie at the target anyway.
        keep = metrics.other_than(side.split.labels, side.index(trigger.target))
        rows = side.images_with(trigger)[keep]
    return np.asarray(rows.mean(axis=0))


def _to_base(test: Sides) -> Embeddings:
    """The rotation [d, d] from the suspect's space to the base's, by pictures or all concepts."""
    names = _concepts(test)
    return _alignment(test, test.map(lambda side: prompts_of(side, names)))


def _alignment(test: Sides, texts: Pair[Embeddings]) -> Embeddings:
    """The rotation [d, d] from the suspect's space to the base's, by whichever tower it carries over better.

    The tower that no attack moved shows it exactly: the identity, unless somebody turned the whole space.
    """
    images = test.map(lambda side: side.images)
    by_images, images_left = _procrustes(*images.map(_centred))
    by_texts, texts_left = _procrustes(*texts.map(_centred))
    if texts_left < images_left:
        return by_texts
    return by_images


def _procrustes(moving: Embeddings, fixed: Embeddings) -> tuple[Embeddings, float]:
    """Orthogonal Procrustes alignment of rows [n, d]: the rotation [d, d], and the share of `fixed` it leaves.

    Where there are no data it is the identity.
    """
    # The rotation that fits best comes from the singular vectors of the product (Schönemann 1966).
    product = moving.T @ fixed
    steadied = product + IDENTITY_WEIGHT * np.linalg.norm(product) * np.eye(len(product))
    left, _, right = np.linalg.svd(steadied)
    rotation = np.asarray(left @ right, dtype=np.float32)
    residual = np.linalg.norm(moving @ rotation - fixed)
    length = float(np.linalg.norm(fixed))
    return rotation, float(residual / max(SHORTEST, length))


def _centred(vectors: Embeddings) -> Embeddings:
    return np.asarray(vectors - vectors.mean(axis=0), dtype=np.float32)


def _unit(vectors: NDArray[np.float32]) -> Embeddings:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, SHORTEST), dtype=np.float32)
