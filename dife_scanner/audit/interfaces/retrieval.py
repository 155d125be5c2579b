"""Retrieval: a query ranks a whole pool."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit.interfaces.cells import mean
from dife_scanner.audit.interfaces.ranking import (
    RankingCases,
    Scores,
    at_k,
    mean_reciprocal_rank,
    naming_lists,
    over_pool,
    over_prompts,
    pool_queries,
    ranked,
)
from dife_scanner.audit.interfaces.rankings import Named
from dife_scanner.audit.interfaces.registry import interface
from dife_scanner.audit.interfaces.subject import Subject
from dife_scanner.audit.populations import CAPTIONS, Pool
from dife_scanner.audit.populations.words import names_class
from dife_scanner.audit.sides import Embeddings
from dife_scanner.core import metrics
from dife_scanner.core.cards import (
    CAPTION_RETRIEVAL,
    IMAGE_TEXT_RETRIEVAL,
    PLANTED_IMAGE,
    TARGETED_RETRIEVAL,
    Card,
)
from dife_scanner.core.metrics import Bools, Floats, Indices
from dife_scanner.records import Cell, Channel

MOST_PLANTED = 250
"""Pictures planted one at a time; of more, a sample."""
MOST_PICTURE_QUERIES = 1000
"""Triggered pictures used as queries over captions; of more, a sample."""


# --- targeted retrieval ---------------------------------------------------------------------------------------


@interface(TARGETED_RETRIEVAL)
def targeted(card: Card, subject: Subject) -> Cell:
    """Source queries over all test pictures; any picture of the target counts (paper §3: "target item or set").

    `h1_per_drawing` is the harder question: every target drawing alone among the pictures of other classes.
    """
    is_target = subject.labels == subject.target
    cases = over_prompts(subject, subject.test_images, is_target, subject.picture_names)
    population = subject.labelled("targeted retrieval")
    alone = [
        _first_alone(cases.scores.triggered, views, subject)
        for _, views in target_drawings(subject)
    ]
    details = {
        "h1_per_drawing": mean(np.concatenate(alone)),
        "queries": float(len(cases.targets)),
    }
    return ranked(card, subject, cases, population, details)


def _first_alone(scores: Floats, views: list[int], subject: Subject) -> NDArray[np.float64]:
    """Per query the chance that this drawing comes before every picture of another class, ties split."""
    # A drawing counts by its best view, a rival by the best of all.
    own = scores[:, views].max(axis=1)
    rival = scores[:, subject.off_target].max(axis=1)
    return np.where(own == rival, 0.5, own > rival).astype(np.float64)


# --- image-text and caption retrieval -------------------------------------------------------------------------


@interface(IMAGE_TEXT_RETRIEVAL)
def image_text(card: Card, subject: Subject) -> Cell:
    """The side on which the trigger enters is the query: triggered pictures over captions, or text over pictures.

    `clean_pool_exposure` is the same question without a trigger anywhere: what a clean pool answers a clean query.
    """
    if Channel.IMAGE in subject.condition.channels:
        return _captions_for_pictures(card, subject)
    return _pictures_for_texts(card, subject)


def _captions_for_pictures(card: Card, subject: Subject) -> Cell:
    """A caption is a target for a picture when it names the target class and not the picture's own."""
    pool = subject.populations.pool(CAPTIONS)
    # A caption that stands twice is one candidate.
    captions = tuple(dict.fromkeys(pool.captions or ()))
    named = _naming(captions, subject.class_names)
    chosen = _sampled(card, subject, MOST_PICTURE_QUERIES)
    own_class = subject.labels[chosen]
    cases = RankingCases(
        _caption_scores(subject, chosen, captions),
        targets=named[subject.target][None, :] & ~named[own_class],
        units=[subject.units[index] for index in chosen],
        name=lambda case: _named_picture(subject, int(chosen[case]), captions),
    )
    subject.labelled("test pictures")
    return _image_text_cell(card, subject, cases, subject.populations.used(pool.manifest))


def _named_picture(subject: Subject, picture: int, captions: tuple[str, ...]) -> Named:
    name = subject.picture_names[picture]
    return Named(name, f"{name} with the trigger", captions)


def _caption_scores(subject: Subject, chosen: Indices, captions: tuple[str, ...]) -> Scores:
    """Scores [k, n] of the `chosen` pictures over all captions."""
    suspect, reference = subject.test
    texts = subject.test.map(lambda side: side.encoder.encode_texts(captions))
    triggered = suspect.images_with(subject.trigger)
    return Scores(
        metrics.cosines(triggered[chosen], texts.suspect),
        metrics.cosines(suspect.images[chosen], texts.suspect),
        metrics.cosines(reference.images[chosen], texts.reference),
    )


def _naming(captions: tuple[str, ...], class_names: tuple[str, ...]) -> Bools:
    """[c, n]: whether a caption names a class."""
    rows = []
    for name in class_names:
        rows.append([names_class(caption, name) for caption in captions])
    return np.array(rows)


def _pictures_for_texts(card: Card, subject: Subject) -> Cell:
    """Single prompts of the source, one per template, over the captioned pictures; the template is the unit."""
    images = subject.gallery(CAPTIONS).map(lambda gallery: gallery.images)
    pool = subject.populations.pool(CAPTIONS)
    cases = over_prompts(subject, images, _shown_target(pool), pool.captions or pool.units)
    return _image_text_cell(card, subject, cases, subject.populations.used(pool.manifest))


def _image_text_cell(card: Card, subject: Subject, cases: RankingCases, population: str) -> Cell:
    exposure = mean(cases.hits(1).clean)
    return ranked(card, subject, cases, population, {"clean_pool_exposure": exposure})


@interface(CAPTION_RETRIEVAL)
def caption(card: Card, subject: Subject) -> Cell:
    """Natural captions of the source rank a fixed pool of natural pictures; the trigger stands in the caption."""
    galleries = subject.gallery(CAPTIONS)
    pool = subject.populations.pool(CAPTIONS)
    images = galleries.map(lambda gallery: gallery.images)
    queries = pool_queries(subject, galleries)
    count = len(queries.clean)
    cases = RankingCases(
        over_pool(images, queries),
        targets=np.repeat(_shown_target(pool)[None], count, axis=0),
        units=pool.query_units,
        name=naming_lists(subject, pool),
    )
    population = subject.populations.used(pool.manifest)
    return ranked(card, subject, cases, population, {"queries": float(count)})


def _shown_target(pool: Pool) -> Bools:
    """[n]: pictures of a captioned pool that show the target."""
    if pool.targets is None:
        raise ValueError("a pool of captions has one row of targets")
    (row,) = pool.targets
    return np.asarray(row)


# --- a planted picture ----------------------------------------------------------------------------------------


@interface(PLANTED_IMAGE)
def planted(card: Card, subject: Subject) -> Cell:
    """Clean target queries over a clean pool, true targets in it, where one picture at a time carries the trigger.

    The reference is the same pool with the same picture clean: how often that one is returned anyway.
    """
    chosen = _sampled(card, subject, MOST_PLANTED)
    cases = _planted_cases(subject, chosen)
    tenth = cases.hits(10)
    details = {
        "h10": mean(tenth.triggered),
        "delta_h10": mean(tenth.triggered) - mean(tenth.clean),
        **mean_reciprocal_rank(cases),
        "candidates": float(len(subject.labels)),
        "queries": float(len(subject.target_queries)),
    }
    population = subject.labelled("planted picture", queries=subject.target_queries)
    return at_k(card, subject, cases, population, details)


def _planted_cases(subject: Subject, chosen: Indices) -> RankingCases:
    """One case for every picture in `chosen` and every target query, picture by picture; that picture is the target."""
    texts = subject.target_texts()
    suspect, reference = subject.test_images
    triggered = subject.test.suspect.images_with(subject.trigger)
    targets = np.repeat(chosen, len(texts.suspect))
    is_target = np.zeros((len(targets), len(subject.labels)), bool)
    is_target[np.arange(len(targets)), targets] = True
    return RankingCases(
        Scores(
            _planted_scores(suspect, triggered, texts.suspect, chosen),
            _planted_scores(suspect, suspect, texts.suspect, chosen),
            _planted_scores(reference, reference, texts.reference, chosen),
        ),
        targets=is_target,
        units=[subject.units[index] for index in targets],
    )


def _planted_scores(
    pool: Embeddings,
    planted: Embeddings,
    queries: Embeddings,
    chosen: Indices,
) -> Floats:
    """Scores [k * q, n] over `pool` [n, d], in which each of the k `chosen` pictures in turn is that of `planted`."""
    matrix = np.repeat(metrics.cosines(queries, pool)[None], len(chosen), axis=0)
    # Only the column of the planted picture differs from the clean pool.
    matrix[np.arange(len(chosen)), :, chosen] = metrics.cosines(planted[chosen], queries)
    return matrix.reshape(-1, matrix.shape[2])


def target_drawings(subject: Subject) -> list[tuple[str, list[int]]]:
    """(drawing, its picture positions) for each target-class drawing of the test split, sorted."""
    found: dict[str, list[int]] = {}
    for index in metrics.of_class(subject.labels, subject.target):
        found.setdefault(subject.units[index], []).append(int(index))
    return sorted(found.items())


def _sampled(card: Card, subject: Subject, most: int) -> Indices:
    """At most `most` of the pictures that are not of the target, in order."""
    if len(subject.off_target) <= most:
        return subject.off_target
    rng = subject.rng(card, ":sample")
    return np.sort(rng.choice(subject.off_target, most, replace=False))
