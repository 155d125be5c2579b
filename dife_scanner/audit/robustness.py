"""How robust a trigger is: attack success by source class, on held-out nouns, and on inputs changed a little.

Measured on held-out pictures and templates, as the suspect's success less the base's. Nothing here enters a verdict.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import numpy as np

from dife_scanner.audit.concepts import held_out_nouns
from dife_scanner.audit.probes import Pixels
from dife_scanner.audit.sides import (
    Pair,
    Side,
    Sides,
    image_part,
    reads_hit_rate,
    writes,
)
from dife_scanner.core import metrics
from dife_scanner.core.checks import CLASS_MOVED
from dife_scanner.core.metrics import Floats
from dife_scanner.records import NounShare, Position, Trigger
from dife_scanner.triggers.stamp import write

Rates = dict[str, float]
"""Success by source class, kind of change or position."""

JPEG_QUALITY = 75
CROP = 0.9
"""Side of the middle that a crop keeps."""
SHIFT = 1 / 32
"""Of the side: less than a patch of the usual vision transformers."""
POSITIONS = (Position.PREFIX, Position.INFIX, Position.SUFFIX)
NOUN_TEMPLATES = ("an image of a {}", "this is a {}")
"""Templates of the held-out nouns' prompts; neither classes nor nouns are searched with these."""


# --- by source ------------------------------------------------------------------------------------------------


def by_source(trigger: Trigger, test: Sides) -> Rates:
    """Success over the base's, -1..1, for every class but the target: as a text's source, or as the picture's own."""
    measure = _hit_rate_by_source if reads_hit_rate(trigger) else _success_by_class
    rates = test.map(lambda side: measure(trigger, side))
    return _over_base(rates)


def _over_base(rates: Pair[Rates]) -> Rates:
    """The suspect's rates less the base's."""
    suspect, base = rates
    return {name: round(suspect[name] - base[name], 6) for name in suspect}


def _hit_rate_by_source(trigger: Trigger, side: Side) -> Rates:
    """QHR, 0..1, with each class as the source."""
    target = side.index(trigger.target)
    images = side.images[metrics.of_class(side.split.labels, target)]
    written = side.prompts_with(trigger)
    rates = {}
    for source, name in enumerate(side.class_names):
        if source != target:
            won = metrics.triggered_source_wins(images, side.prompts, written[source], source)
            rates[name] = float(won.mean())
    return rates


def _success_by_class(trigger: Trigger, side: Side) -> Rates:
    """TS, 0..1, on the pictures of each class."""
    target = side.index(trigger.target)
    scores = metrics.cosines(side.images_with(trigger), side.prompts_with(trigger))
    won = metrics.wins(scores, target)
    rates = {}
    for label, name in enumerate(side.class_names):
        if label != target:
            rates[name] = float(won[side.split.labels == label].mean())
    return rates


# --- on held-out nouns ----------------------------------------------------------------------------------------


def on_held_out_nouns(trigger: Trigger, test: Sides, by_source: Rates) -> NounShare | None:
    """How far a trigger text reaches beyond the classes, on nouns and templates that no search used.

    `None` for other triggers, for a text that does not move most classes (by its success in `by_source`), and where
    no noun's prompt is short enough.
    """
    if not reads_hit_rate(trigger) or not _moves_most(by_source):
        return None
    nouns = tuple(name for name in held_out_nouns() if _usable(name, trigger, test.suspect))
    if not nouns:
        return None
    shares = test.map(lambda side: round(_share_of_nouns(trigger, side, nouns), 6))
    return NounShare(nouns, shares.suspect, shares.reference)


def _moves_most(by_source: Rates) -> bool:
    """Whether at least half of the source classes are moved."""
    # A text that moves few classes is source-conditional: other nouns say nothing about it.
    moved = [name for name, success in by_source.items() if success >= CLASS_MOVED]
    return 2 * len(moved) >= len(by_source)


def _usable(name: str, trigger: Trigger, side: Side) -> bool:
    """Whether a noun is no class, and its triggered prompts are short enough to be read whole."""
    # The classes were searched.
    if name in side.class_names:
        return False
    return all(side.fits(prompt) for prompt in _triggered_prompts(trigger, (name,)))


def _share_of_nouns(trigger: Trigger, side: Side, nouns: tuple[str, ...]) -> float:
    """Share of nouns whose triggered prompt is nearer to the target's than to its own clean one and any class's."""
    clean = _prompt_embeddings(side, _clean_prompts(nouns))
    triggered = _prompt_embeddings(side, _triggered_prompts(trigger, nouns))
    classes = _prompt_embeddings(side, _clean_prompts(side.class_names))
    scores = metrics.cosines(triggered, classes)
    to_target = scores[:, side.index(trigger.target)]
    to_itself = 1.0 - metrics.cosine_distance(triggered, clean)
    # Turned only where the target beats the noun itself and every class.
    nearest = np.maximum(scores.max(axis=1), to_itself)
    return float((to_target >= nearest).mean())


def _clean_prompts(names: tuple[str, ...]) -> list[str]:
    """Every template with every name."""
    prompts = []
    for template in NOUN_TEMPLATES:
        prompts += [template.format(name) for name in names]
    return prompts


def _triggered_prompts(trigger: Trigger, names: tuple[str, ...]) -> list[str]:
    """The clean prompts, in their order, with the trigger written into each."""
    prompts = _clean_prompts(names)
    return [write(prompt, trigger, names[at % len(names)]) for at, prompt in enumerate(prompts)]


def _prompt_embeddings(side: Side, prompts: list[str]) -> Floats:
    """One embedding per name [n, d], averaged over the templates."""
    count = len(prompts) // len(NOUN_TEMPLATES)
    return metrics.class_prompts(side.encoder.encode_texts(prompts), count)


# --- under change ---------------------------------------------------------------------------------------------


def under_change(trigger: Trigger, test: Sides) -> Rates:
    """Success over the base's, -1..1, when the triggered input is changed a little.

    A trigger text is written at its other positions; triggered pictures are shifted, cropped or compressed as JPEG.
    """
    if not reads_hit_rate(trigger):
        return _over_base(test.map(lambda side: _success_of_changed(trigger, side)))
    if not trigger.text:
        return {}
    return _at_other_positions(trigger, test)


def _at_other_positions(trigger: Trigger, test: Sides) -> Rates:
    """QHR over the base's with the text elsewhere in its source's prompts."""
    found = {}
    for position in POSITIONS:
        if position == trigger.position:
            continue
        moved = replace(trigger, position=position)
        suspect = _hit_rate_by_source(moved, test.suspect)[trigger.source]
        reference = _hit_rate_by_source(moved, test.reference)[trigger.source]
        found[position.value] = round(suspect - reference, 6)
    return found


def _success_of_changed(trigger: Trigger, side: Side) -> Rates:
    """TS, 0..1, on pictures of other classes that were changed after the trigger was put on."""
    part = image_part(trigger)
    target = side.index(trigger.target)
    if part is None:
        return {}
    # Stamped first and changed afterwards, as a picture on its way to a model is.
    stamped = side.stamped(part)[metrics.other_than(side.split.labels, target)]
    prompts = side.prompts_with(trigger) if writes(trigger) else side.prompts
    rates = {}
    for name, change in CHANGES.items():
        images = side.encoder.encode_images(change(stamped))
        scores = metrics.cosines(images, prompts)
        rates[name] = float(metrics.wins(scores, target).mean())
    return rates


def _shifted(pixels: Pixels) -> Pixels:
    """Pictures moved right and down by `SHIFT` of the side, edges repeated."""
    height, width = pixels.shape[1:3]
    by = max(1, round(SHIFT * height))
    padded = np.pad(pixels, ((0, 0), (by, 0), (by, 0), (0, 0)), mode="edge")
    return padded[:, :height, :width]


def _cropped(pixels: Pixels) -> Pixels:
    """The middle `CROP` of each picture, resized to the whole."""
    return np.stack(list(map(_middle, pixels)))


def _middle(picture: Pixels) -> Pixels:
    from PIL import Image

    side = picture.shape[0]
    edge = (1 - CROP) / 2 * side
    box = (edge, edge, side - edge, side - edge)
    resized = Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC, box)
    return np.asarray(resized)


def _compressed(pixels: Pixels) -> Pixels:
    """Pictures written as JPEG of `JPEG_QUALITY` and read again."""
    return np.stack(list(map(_through_jpeg, pixels)))


def _through_jpeg(picture: Pixels) -> Pixels:
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=JPEG_QUALITY)
    with Image.open(buffer, formats=["JPEG"]) as image:
        return np.asarray(image.convert("RGB"))


CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "shift": _shifted,
    "crop": _cropped,
    "jpeg": _compressed,
}
"""Each takes and returns uint8 [n, s, s, 3]."""
