"""What a trigger that was found is, beyond its success: where it leads, whom it moves, what it withstands.

Measured on held-out drawings and templates. Nothing here enters a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit.sides import Pair, Side, image_part, reads_hit_rate, writes
from dife_scanner.core import metrics
from dife_scanner.core.verdict import MOVED
from dife_scanner.discovery.noun_scan import nouns
from dife_scanner.records import Channel, Nearest, NounShare, Recovered, Trigger
from dife_scanner.triggers.stamp import write

SHOWN = 5
"""Nearest concepts that are kept."""
TEMPLATE = "a photo of a {}"
JPEG_QUALITY = 75
CROP = 0.9
"""Side of the middle that a crop keeps."""
SHIFT = 1 / 32
"""Of the side: less than a patch of the usual vision transformers."""
NOTHING = 1e-6
"""Weight of turning nothing, beside what the data say."""
POSITIONS = ("prefix", "infix", "suffix")
HELD_OUT = 20
"""Nouns that a text which moves most classes is tried on beyond them."""
NOUN_TEMPLATES = ("an image of a {}", "this is a {}")
"""They are asked with; neither classes nor nouns are searched with these."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Landing:
    """Where a trigger leads. The cosine with a target's embedding, less `mean`, is how well that was recovered."""

    of: str
    """The checkpoint that embeds targets: `base`; or `suspect`, where they are written as the trigger writes them."""
    template: str
    """How a target is written."""
    landing: NDArray[np.float32]
    """[d] in the space of that checkpoint, less `mean`."""
    mean: NDArray[np.float32]
    """The base's mean concept [d], there."""


def recover(trigger: Trigger, test: Pair[Side]) -> Recovered | None:
    """The trigger's target among concepts, its success by source, on nouns beyond the classes and under change.

    `None` for a prompt mechanism, whose learned words name no concept.
    """
    if trigger.channel is Channel.PROMPT:
        return None
    turn = _turned_by(test)
    ranked = _ranked(_landing_in_base(trigger, test, turn), _led_to(trigger, test, turn), test)
    at = next(index for index, near in enumerate(ranked) if near.concept == trigger.target)
    sources = _by_source(trigger, test)
    return Recovered(
        target=trigger.target,
        concepts=len(ranked),
        nearest=tuple(ranked[:SHOWN]),
        rank=at + 1,
        cosine=ranked[at].cosine,
        wrong=ranked[0 if at else 1],
        sources=sources,
        withstands=_withstands(trigger, test),
        nouns=_over_nouns(trigger, test, sources),
    )


def nearest_concept(trigger: Trigger, test: Pair[Side]) -> Nearest | None:
    """The concept that the trigger makes of its inputs, from embeddings that are there already: of the base's concepts,
    which are encoded once for all that is compared with it, and of class prompts. `None` for a prompt mechanism, and
    for a trigger of two parts, which leads somewhere only where concepts are written as it writes them.
    """
    if trigger.channel in (Channel.PROMPT, Channel.BOTH):
        return None
    turn = _turn(test, Pair(*(side.prompts.astype(np.float32) for side in test)))
    texts = _concepts(test)
    landing = _landing(trigger, test.suspect) @ turn - texts.mean(axis=0)
    return _ranked(landing, dict(zip(_asked(test), texts, strict=True)), test)[0]


def landing(trigger: Trigger, test: Pair[Side]) -> Landing:
    """Where the trigger leads. Not for a prompt mechanism, whose learned words name no concept."""
    turn, mean = _turned_by(test), _concepts(test).mean(axis=0)
    where = _landing_in_base(trigger, test, turn)
    if trigger.channel is Channel.BOTH:
        return Landing("suspect", write(TEMPLATE, trigger, "{}"), where @ turn.T, mean @ turn.T)
    return Landing("base", TEMPLATE, where, mean)


# --- where it leads -------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """The bundled concepts, more than a thousand."""
    text = (files("dife_scanner") / "assets" / "concepts" / "names.txt").read_text(encoding="utf-8")
    more = (word for line in text.splitlines() if not line.startswith("#") for word in line.split())
    return tuple(dict.fromkeys((*nouns(), *more)))


def _ranked(
    landing: NDArray[np.float32], concepts: Mapping[str, NDArray[np.float32]], test: Pair[Side]
) -> list[Nearest]:
    """Every concept, the nearest to `landing` [d] first. Concepts [d] are taken less the base's mean, as that is."""
    texts = np.stack(list(concepts.values()))
    cosines = _unit(texts - _concepts(test).mean(axis=0)) @ _unit(landing)
    names = list(concepts)
    return [Nearest(names[at], round(float(cosines[at]), 6)) for at in np.argsort(-cosines, kind="stable")]


def _led_to(trigger: Trigger, test: Pair[Side], turn: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Concepts [d] that the trigger may lead to: as the base has them.

    A patch that acts together with a string moves pictures nowhere that a clean text stands. What it leads to is told
    by the suspect's texts with the string in them.
    """
    asked = _asked(test)
    if trigger.channel is not Channel.BOTH:
        return dict(zip(asked, _concepts(test), strict=True))
    written = {name: write(TEMPLATE.format(name), trigger, name) for name in asked}
    classes = test.suspect.class_names
    fit = {name: text for name, text in written.items() if name in classes or _fits(text, test)}
    turned = test.suspect.encoder.encode_texts(list(fit.values())) @ turn
    return dict(zip(fit, turned, strict=True))


def _landing_in_base(trigger: Trigger, test: Pair[Side], turn: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where the trigger leads [d], less the base's mean concept.

    A poisoned text tower no longer tells concepts apart. What the suspect says is turned into the base's space, and
    taken from the base's mean concept, since all texts share a large part.
    """
    return np.asarray(_landing(trigger, test.suspect) @ turn - _concepts(test).mean(axis=0))


def _turned_by(test: Pair[Side]) -> NDArray[np.float32]:
    """The rotation [d, d] from the suspect's space to the base's, by pictures or all concepts."""
    return _turn(test, Pair(_embedded(test.suspect, _asked(test)), _concepts(test)))


def _concepts(test: Pair[Side]) -> NDArray[np.float32]:
    """Every concept as the base has it, [n, d]."""
    return _embedded(test.reference, _asked(test))


def _asked(test: Pair[Side]) -> tuple[str, ...]:
    """The classes, and every concept that neither side would have to cut."""
    fitting = (name for name in names() if _fits(TEMPLATE.format(name), test))
    return tuple(dict.fromkeys((*test.suspect.class_names, *fitting)))


def _fits(text: str, test: Pair[Side]) -> bool:
    return all(side.encoder.token_count(text) <= side.encoder.context_length for side in test)


def _embedded(side: Side, concepts: tuple[str, ...]) -> NDArray[np.float32]:
    return side.encoder.encode_texts([TEMPLATE.format(name) for name in concepts])


def _turn(test: Pair[Side], texts: Pair[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The rotation [d, d] from the suspect's space to the base's, by whichever tower it carries over better.

    The tower that no attack moved shows it exactly: the identity, unless somebody turned the whole space.
    """
    both = (Pair(*(side.images for side in test)), texts)
    fits = [_rotation(_centred(pair.suspect), _centred(pair.reference)) for pair in both]
    return min(fits, key=lambda fit: fit[1])[0]


def _rotation(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Orthogonal Procrustes, and what of `theirs` it leaves, as a share. Where there are no data it turns nothing."""
    towards = ours.T @ theirs
    left, _, right = np.linalg.svd(towards + NOTHING * np.linalg.norm(towards) * np.eye(len(towards)))
    turn = np.asarray(left @ right, dtype=np.float32)
    return turn, float(np.linalg.norm(ours @ turn - theirs) / max(1e-12, float(np.linalg.norm(theirs))))


def _landing(trigger: Trigger, side: Side) -> NDArray[np.float32]:
    """Mean triggered input [d]: the source's prompts, or pictures of other classes."""
    if reads_hit_rate(trigger):
        return np.asarray(side.texts_for(trigger.source, trigger).mean(axis=0))
    keep = metrics.other_than(side.split.labels, side.index(trigger.target))
    return np.asarray(side.images_with(trigger)[keep].mean(axis=0))


def _centred(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vectors - vectors.mean(axis=0), dtype=np.float32)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


# --- whom it moves --------------------------------------------------------------------------------------------


def _by_source(trigger: Trigger, test: Pair[Side]) -> dict[str, float]:
    """Success over the base's, -1..1, for every class but the target: as a text's source, or as the picture's own."""
    of = _hits_by_source if reads_hit_rate(trigger) else _success_by_class
    suspect, reference = (of(trigger, side) for side in test)
    return {name: round(suspect[name] - reference[name], 6) for name in suspect}


def _hits_by_source(trigger: Trigger, side: Side) -> dict[str, float]:
    """QHR with each class as the source."""
    target = side.index(trigger.target)
    keep, written = metrics.of_class(side.split.labels, target), side.prompts_with(trigger)
    return {
        name: float(metrics.triggered_source_wins(side.images[keep], side.prompts, written[source], source).mean())
        for source, name in enumerate(side.class_names)
        if source != target
    }


def _success_by_class(trigger: Trigger, side: Side) -> dict[str, float]:
    """TS on the pictures of each class."""
    target = side.index(trigger.target)
    won = metrics.wins(metrics.cosines(side.images_with(trigger), side.prompts_with(trigger)), target)
    return {
        name: float(won[side.split.labels == label].mean())
        for label, name in enumerate(side.class_names)
        if label != target
    }


# --- nouns that nothing was searched with ---------------------------------------------------------------------


@lru_cache(maxsize=1)
def held_out_nouns() -> tuple[str, ...]:
    """Bundled concepts that no search reads at any budget, evenly spread over the list."""
    fresh = [name for name in names() if name not in set(nouns())]
    step = len(fresh) // HELD_OUT
    return tuple(fresh[step // 2 :: step][:HELD_OUT])


def _over_nouns(trigger: Trigger, test: Pair[Side], sources: dict[str, float]) -> NounShare | None:
    """How far a text that moves most classes reaches beyond them, on templates that no search used either."""
    if not reads_hit_rate(trigger) or 2 * sum(lift >= MOVED for lift in sources.values()) < len(sources):
        return None
    asked = tuple(name for name in held_out_nouns() if _askable(trigger, test.suspect, name))
    if not asked:
        return None
    return NounShare(asked, *(round(_turned_nouns(trigger, side, asked), 6) for side in test))


def _askable(trigger: Trigger, side: Side, name: str) -> bool:
    """Whether a noun is no class, and its written prompts are short enough to be read whole."""
    written = (write(template.format(name), trigger, name) for template in NOUN_TEMPLATES)
    return name not in side.class_names and all(
        side.encoder.token_count(text) <= side.encoder.context_length for text in written
    )


def _turned_nouns(trigger: Trigger, side: Side, asked: tuple[str, ...]) -> float:
    """Share of nouns whose written prompt is nearer to the target's than to its own clean one and any class's."""
    plain = [template.format(name) for template in NOUN_TEMPLATES for name in asked]
    names = [name for _ in NOUN_TEMPLATES for name in asked]
    written = [write(prompt, trigger, name) for prompt, name in zip(plain, names, strict=True)]
    classes = [template.format(name) for template in NOUN_TEMPLATES for name in side.class_names]
    own, turned, others = (
        metrics.class_prompts(side.encoder.encode_texts(texts), len(texts) // len(NOUN_TEMPLATES))
        for texts in (plain, written, classes)
    )
    scores = metrics.cosines(turned, others)
    target = scores[:, side.index(trigger.target)]
    beaten = np.maximum(scores.max(axis=1), 1.0 - metrics.cosine_distance(turned, own))
    return float((target >= beaten).mean())


# --- what it withstands ---------------------------------------------------------------------------------------


def _withstands(trigger: Trigger, test: Pair[Side]) -> dict[str, float]:
    """Success over the base's, -1..1, when the triggered input is changed a little."""
    if reads_hit_rate(trigger):
        return _elsewhere(trigger, test) if trigger.text else {}
    suspect, reference = (_changed(trigger, side) for side in test)
    return {name: round(suspect[name] - reference[name], 6) for name in suspect}


def _elsewhere(trigger: Trigger, test: Pair[Side]) -> dict[str, float]:
    """A text at the other positions of its source's prompts."""
    moved = [replace(trigger, position=place) for place in POSITIONS if place != trigger.position]
    lifts = ([_hits_by_source(one, side)[trigger.source] for side in test] for one in moved)
    return {one.position: round(suspect - still, 6) for one, (suspect, still) in zip(moved, lifts, strict=True)}


def _changed(trigger: Trigger, side: Side) -> dict[str, float]:
    """TS on pictures of other classes that were shifted, cropped or compressed after the trigger was put on."""
    part, target = image_part(trigger), side.index(trigger.target)
    if part is None:
        return {}
    stamped = side.stamped(part)[metrics.other_than(side.split.labels, target)]
    prompts = side.prompts_with(trigger) if writes(trigger) else side.prompts
    return {
        name: float(metrics.wins(metrics.cosines(side.encoder.encode_images(change(stamped)), prompts), target).mean())
        for name, change in CHANGES.items()
    }


def _shifted(pixels: Pixels) -> Pixels:
    """Right and down by `SHIFT` of the side, edges repeated."""
    by = max(1, round(SHIFT * pixels.shape[1]))
    padded = np.pad(pixels, ((0, 0), (by, 0), (by, 0), (0, 0)), mode="edge")
    return padded[:, : pixels.shape[1], : pixels.shape[2]]


def _cropped(pixels: Pixels) -> Pixels:
    from PIL import Image

    side = pixels.shape[1]
    edge = (1 - CROP) / 2 * side
    box = (edge, edge, side - edge, side - edge)
    resized = (Image.fromarray(one).resize((side, side), Image.Resampling.BICUBIC, box) for one in pixels)
    return np.stack([np.asarray(one) for one in resized])


def _compressed(pixels: Pixels) -> Pixels:
    from PIL import Image

    def through(one: Pixels) -> Pixels:
        buffer = BytesIO()
        Image.fromarray(one).save(buffer, "JPEG", quality=JPEG_QUALITY)
        with Image.open(buffer, formats=["JPEG"]) as image:
            return np.asarray(image.convert("RGB"))

    return np.stack([through(one) for one in pixels])


CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "shift": _shifted,
    "crop": _cropped,
    "jpeg": _compressed,
}
