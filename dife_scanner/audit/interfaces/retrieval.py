"""Retrieval: a query ranks a whole pool."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit.interfaces.cells import Against, cell, mean
from dife_scanner.audit.interfaces.ranking import (
    Asked,
    Scores,
    Triple,
    over_pool,
    pool_queries,
    ranked,
)
from dife_scanner.audit.interfaces.registry import interface
from dife_scanner.audit.interfaces.subject import Subject
from dife_scanner.audit.populations import CAPTIONS
from dife_scanner.audit.populations.words import terms, word_in
from dife_scanner.audit.sides import Pair
from dife_scanner.core import metrics
from dife_scanner.core.cards import CAPTION_RETRIEVAL, IMAGE_TEXT_RETRIEVAL, PLANTED_IMAGE, TARGETED_RETRIEVAL, Card
from dife_scanner.records import Cell, Channel

MOST_PLANTED = 250
"""Pictures planted one at a time; more are sampled."""
MOST_ASKED = 1000
"""Triggered pictures that ask for captions; more are sampled."""


@interface(TARGETED_RETRIEVAL)
def targeted(card: Card, subject: Subject) -> Cell:
    """Source queries over all test pictures; any picture of the target counts (paper §3: "target item or set").

    `h1_per_drawing` is the harder question: every target drawing alone among the pictures of other classes.
    """
    clean = subject.prompt_texts(subject.source_name)
    texts = Triple(subject.prompt_texts(subject.source_name, triggered=True).suspect, clean.suspect, clean.reference)
    is_target = subject.labels == subject.target
    asked = Asked(
        over_pool(Pair(*(side.images for side in subject.test)), texts),
        targets=_everywhere(is_target[None], len(texts.clean)),
        units=list(subject.prompts),
        unit="prompt",
    )
    population = subject.labelled("targeted retrieval", targets=is_target[None])
    alone = mean(
        np.concatenate([_alone(asked.scores.triggered, views, subject) for _, views in target_drawings(subject)])
    )
    details = {"h1_per_drawing": alone, "queries": float(len(texts.clean))}
    return ranked(card, subject, asked, population, details)


def _alone(scores: metrics.Floats, views: list[int], subject: Subject) -> NDArray[np.float64]:
    """Per query the chance that this drawing comes before every picture of another class, ties split."""
    own, rival = scores[:, views].max(axis=1), scores[:, subject.off_target].max(axis=1)
    return np.where(own == rival, 0.5, own > rival).astype(np.float64)


@interface(IMAGE_TEXT_RETRIEVAL)
def image_text(card: Card, subject: Subject) -> Cell:
    """Asked from the side on which the trigger enters: triggered pictures over captions, triggered text over pictures.

    `clean_pool_exposure` is the same question without a trigger anywhere: what a clean pool answers a clean query.
    """
    if Channel.IMAGE in subject.condition.channels:
        return _captions_for_pictures(card, subject)
    return _pictures_for_texts(card, subject)


def _captions_for_pictures(card: Card, subject: Subject) -> Cell:
    """A caption is a target for a picture when it names the target class and not the picture's own."""
    pool = subject.populations.pool(CAPTIONS)
    captions = tuple(dict.fromkeys(pool.captions or ()))
    named = [terms(name) for name in subject.class_names]
    said = np.array([[bool(word_in(text, words)) for text in captions] for words in named])
    ours = _sampled(card, subject, MOST_ASKED)
    targets = said[subject.target][None, :] & ~said[subject.labels[ours]]
    texts = Pair(*(side.encoder.encode_texts(captions) for side in subject.test))
    asked = Asked(
        Scores(
            metrics.cosines(subject.test.suspect.images_with(subject.trigger)[ours], texts.suspect),
            metrics.cosines(subject.test.suspect.images[ours], texts.suspect),
            metrics.cosines(subject.test.reference.images[ours], texts.reference),
        ),
        targets=targets,
        units=[subject.units[index] for index in ours],
    )
    subject.labelled("test pictures")
    clean = mean(asked.hits(1).clean)
    return ranked(card, subject, asked, subject.populations.used(pool.manifest), {"clean_pool_exposure": clean})


def _pictures_for_texts(card: Card, subject: Subject) -> Cell:
    """Single prompts of the source, one per template, over the captioned pictures; the template is the unit."""
    galleries, pool = subject.gallery(CAPTIONS), subject.populations.pool(CAPTIONS)
    clean = subject.prompt_texts(subject.source_name)
    texts = Triple(subject.prompt_texts(subject.source_name, triggered=True).suspect, clean.suspect, clean.reference)
    asked = Asked(
        over_pool(Pair(*(gallery.images for gallery in galleries)), texts),
        targets=_everywhere(pool.targets, len(texts.clean)),
        units=list(subject.prompts),
        unit="prompt",
    )
    exposure = {"clean_pool_exposure": mean(asked.hits(1).clean)}
    return ranked(card, subject, asked, subject.populations.used(pool.manifest), exposure)


@interface(CAPTION_RETRIEVAL)
def caption(card: Card, subject: Subject) -> Cell:
    """Natural captions of the source rank a fixed pool of natural pictures; the trigger stands in the caption."""
    galleries, pool = subject.gallery(CAPTIONS), subject.populations.pool(CAPTIONS)
    texts = pool_queries(subject, CAPTIONS)
    asked = Asked(
        over_pool(Pair(*(gallery.images for gallery in galleries)), texts),
        targets=_everywhere(pool.targets, len(texts.clean)),
        units=[query.unit for query in pool.queries],
    )
    return ranked(card, subject, asked, subject.populations.used(pool.manifest), {"queries": float(len(texts.clean))})


@interface(PLANTED_IMAGE)
def planted(card: Card, subject: Subject) -> Cell:
    """Clean target queries over a clean pool, true targets in it, where one picture at a time carries the trigger.

    The reference is the same pool with the same picture clean: how often that one is returned anyway.
    """
    chosen = _sampled(card, subject, MOST_PLANTED)
    texts = subject.target_texts()
    suspect, reference = subject.test

    def scores(images: NDArray[np.float32], planted: NDArray[np.float32], asked: NDArray[np.float32]) -> metrics.Floats:
        matrix = np.repeat(metrics.cosines(asked, images)[None], len(chosen), axis=0)
        matrix[np.arange(len(chosen)), :, chosen] = metrics.cosines(planted[chosen], asked)
        return matrix.reshape(-1, matrix.shape[2])

    asks = len(texts.suspect)
    targets = np.zeros((len(chosen) * asks, len(subject.labels)), bool)
    targets[np.arange(len(targets)), np.repeat(chosen, asks)] = True
    asked = Asked(
        Scores(
            scores(suspect.images, suspect.images_with(subject.trigger), texts.suspect),
            scores(suspect.images, suspect.images, texts.suspect),
            scores(reference.images, reference.images, texts.reference),
        ),
        targets=targets,
        units=[subject.units[index] for index in chosen for _ in range(asks)],
    )
    tenth, ranks = asked.hits(10), asked.ranks()
    details = {
        "h10": mean(tenth.triggered),
        "delta_h10": mean(tenth.triggered) - mean(tenth.clean),
        "mrr": mean(ranks.triggered),
        "delta_mrr": mean(ranks.triggered) - mean(ranks.clean),
        "candidates": float(len(subject.labels)),
        "queries": float(asks),
    }
    population = subject.labelled("planted picture", queries=subject.target_queries)
    return cell(card, subject, asked.hits(1), Against.CLEAN, population, details)


def target_drawings(subject: Subject) -> list[tuple[str, list[int]]]:
    """(drawing, its picture positions) for each target-class drawing of the test split, sorted."""
    found: dict[str, list[int]] = {}
    for index in metrics.of_class(subject.labels, subject.target):
        found.setdefault(subject.units[index], []).append(int(index))
    return sorted(found.items())


def _sampled(card: Card, subject: Subject, most: int) -> NDArray[np.intp]:
    """At most `most` of the pictures that are not of the target, in order."""
    if len(subject.off_target) <= most:
        return subject.off_target
    return np.sort(subject.rng(card, ":sample").choice(subject.off_target, most, replace=False))


def _everywhere(targets: NDArray[np.bool_] | None, cases: int) -> NDArray[np.bool_]:
    """The pool's one row of targets for every case."""
    if targets is None:
        raise ValueError("a pool of captions has one row of targets")
    return np.repeat(targets, cases, axis=0)
