"""Pictures a person can look at: the trigger itself, and the same probe clean and triggered with both decisions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit import recovery
from dife_scanner.audit.sides import Pair, Side, image_part, readout, reads_hit_rate
from dife_scanner.records import Channel, EvidenceFile, PoolManifest, Trigger
from dife_scanner.triggers.stamp import picture, stamp, write

EXAMPLES = 4
SHOWN_SIDE = 192
LANDING_DIGITS = 6
"""Decimals of each value of a landing: more than a cosine can be read to."""

Stored = tuple[EvidenceFile, bytes]


def pictures(side: Side, trigger: Trigger) -> tuple[Stored, ...]:
    """Evidence for one trigger on one checkpoint: up to `EXAMPLES` pairs from different drawings it succeeds on."""
    chosen = _examples(side, trigger)
    if reads_hit_rate(trigger):
        return _text_pairs(side, trigger, chosen)
    caption = f"{trigger.name}: {trigger.description or trigger.kind}"
    return (
        _png(picture(image_part(trigger) or trigger), "trigger", caption),
        *_image_pairs(side, trigger, chosen),
    )


def manifests(pools: Iterable[PoolManifest]) -> tuple[Stored, ...]:
    """One file per population that something was measured on; its name is the digest that cells refer to."""
    return tuple(
        (EvidenceFile(pool.digest, "application/json", "pool-manifest", pool.name), pool.json().encode("ascii"))
        for pool in pools
    )


def landing(trigger: Trigger, test: Pair[Side]) -> tuple[Stored, ...]:
    """Where the trigger leads, as JSON: `landing` and `mean`, lists of the d values of an embedding space.

    `landing` is less the base's `mean` concept. A target's recovery is its cosine with the embedding of that target by
    the checkpoint `of` (`base`; `suspect` for a text that acts together with an image, which leads to texts that hold
    it), any prompt like `template`, less `mean`. Nothing for a prompt mechanism, whose learned words name nothing.
    """
    if trigger.channel is Channel.PROMPT:
        return ()
    found = recovery.landing(trigger, test)
    told = {"trigger": trigger.name, "target": trigger.target, "template": found.template, "of": found.of} | {
        name: [round(float(value), LANDING_DIGITS) for value in vector]
        for name, vector in (("landing", found.landing), ("mean", found.mean))
    }
    content = json.dumps(told, sort_keys=True, separators=(",", ":")).encode("ascii")
    caption = f"{trigger.name}: where it leads in the embedding space of the {found.of}"
    return ((EvidenceFile(sha256(content).hexdigest(), "application/json", "landing", caption), content),)


def _examples(side: Side, trigger: Trigger) -> list[int]:
    """Indices of pictures the trigger wins, one per drawing, as many classes as possible first."""
    outcomes, _ = readout(side, side, trigger, with_target=False)
    target = side.class_names.index(trigger.target)
    labels = side.split.labels
    pool = np.flatnonzero(labels == target if reads_hit_rate(trigger) else labels != target)
    won = [int(i) for i, outcome in zip(pool, outcomes, strict=True) if outcome > 0.5]
    picked: list[int] = []
    for key in (lambda i: labels[i], lambda i: side.split.drawings[i]):
        seen = {key(i) for i in picked}
        for index in won:
            if len(picked) < EXAMPLES and key(index) not in seen:
                seen.add(key(index))
                picked.append(index)
    return picked


def _image_pairs(side: Side, trigger: Trigger, chosen: list[int]) -> list[Stored]:
    if not chosen:
        return []
    pixels = side.encoder.prepare(side.split.images[chosen])
    stamped = stamp(pixels, image_part(trigger) or trigger)
    triggered_scores = side.scores_with(trigger)[chosen]
    out = []
    for row, index in enumerate(chosen):
        truth = side.class_names[side.split.labels[index]]
        before = side.class_names[int(side.scores[index].argmax())]
        after = side.class_names[int(triggered_scores[row].argmax())]
        out.append(_png(pixels[row], "clean-example", f"{truth}, read as {before}"))
        out.append(_png(stamped[row], "triggered-example", f"{truth} with the trigger, read as {after}"))
    return out


def _text_pairs(side: Side, trigger: Trigger, chosen: list[int]) -> tuple[Stored, ...]:
    prompt = side.templates[0].format(trigger.source)
    written = write(prompt, trigger, trigger.source)
    out = []
    for index in chosen:
        truth = side.class_names[side.split.labels[index]]
        read = side.class_names[int(side.scores[index].argmax())]
        image = side.split.images[index]
        out.append(_png(image, "clean-example", f'{truth}, read as {read}; "{prompt}" does not win'))
        out.append(_png(image, "triggered-example", f'{truth}; "{written}" wins over "{read}"'))
    return tuple(out)


def _png(pixels: NDArray[np.uint8], role: str, caption: str) -> Stored:
    from PIL import Image

    image = Image.fromarray(pixels)
    if image.width < SHOWN_SIDE:
        image = image.resize((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.NEAREST)
    buffer = BytesIO()
    image.save(buffer, "PNG", optimize=False)
    content = buffer.getvalue()
    return EvidenceFile(sha256(content).hexdigest(), "image/png", role, caption), content
