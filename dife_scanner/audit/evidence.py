"""Files that show a trigger: the trigger itself, and the same picture clean and triggered with both decisions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from io import BytesIO

from dife_scanner.audit import recovery
from dife_scanner.audit.probes import Pixels
from dife_scanner.audit.sides import (
    Embeddings,
    Side,
    Sides,
    cases,
    image_part,
    readout,
    reads_hit_rate,
)
from dife_scanner.core.metrics import Floats
from dife_scanner.records import Channel, EvidenceFile, EvidenceRole, PoolManifest, Trigger
from dife_scanner.triggers.stamp import picture, stamp, write

EXAMPLES = 4
"""Pairs of pictures shown."""
SHOWN_SIDE = 192
"""Pixels per side that smaller pictures are enlarged to."""
LANDING_DIGITS = 6
"""Decimals of each value of a trigger's direction: more than a cosine can be read to."""

JSON = "application/json"

Stored = tuple[EvidenceFile, bytes]


def pictures(test: Sides, trigger: Trigger) -> tuple[Stored, ...]:
    """Evidence for one trigger: up to `EXAMPLES` pairs from different drawings that it succeeds on in the suspect."""
    side = test.suspect
    chosen = _examples(side, trigger)
    if reads_hit_rate(trigger):
        return tuple(_text_pairs(side, trigger, chosen))
    caption = f"{trigger.name}: {trigger.description or trigger.kind}"
    alone = _png(picture(image_part(trigger) or trigger), EvidenceRole.TRIGGER, caption)
    return (alone, *_image_pairs(test, trigger, chosen))


def manifests(pools: Iterable[PoolManifest]) -> tuple[Stored, ...]:
    """One file per population that something was measured on; its name is the digest that cells refer to."""
    stored = []
    for pool in pools:
        file = EvidenceFile(pool.digest, JSON, EvidenceRole.POOL_MANIFEST, pool.name)
        stored.append((file, pool.json().encode("ascii")))
    return tuple(stored)


def landing(trigger: Trigger, test: Sides) -> tuple[Stored, ...]:
    """The trigger's direction, as JSON: `landing` and `mean`, lists of the d values of an embedding space.

    `landing` is less the base's `mean` concept. A target's recovery is its cosine with the embedding of that target by
    the checkpoint `of` (`base`; `suspect` for a text that acts together with an image, which leads to texts that hold
    it), any prompt like `template`, less `mean`. Nothing for a prompt mechanism, whose learned words name nothing.
    """
    if trigger.channel is Channel.PROMPT:
        return ()
    found = recovery.trigger_direction(trigger, test)
    document = {
        "trigger": trigger.name,
        "target": trigger.target,
        "template": found.template,
        "of": found.embedded_by,
        "landing": _rounded(found.direction),
        "mean": _rounded(found.mean_concept),
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    content = text.encode("ascii")
    caption = f"{trigger.name}: where it leads in the embedding space of the {found.embedded_by}"
    file = EvidenceFile(sha256(content).hexdigest(), JSON, EvidenceRole.LANDING, caption)
    return ((file, content),)


def _rounded(vector: Embeddings) -> list[float]:
    return [round(float(value), LANDING_DIGITS) for value in vector]


def _examples(side: Side, trigger: Trigger) -> list[int]:
    """Positions of pictures the trigger wins, one per drawing, as many classes as possible first."""
    won = _won(side, trigger)
    picked: list[int] = []
    # As many classes as possible first, then other drawings of classes shown already.
    _pick_different(picked, won, lambda at: side.split.labels[at])
    _pick_different(picked, won, lambda at: side.split.drawings[at])
    return picked


def _won(side: Side, trigger: Trigger) -> list[int]:
    """Positions of the pictures that the trigger wins, in order; all of them where its target has no name."""
    if trigger.unnamed_target:
        return list(range(len(side.split.labels)))
    outcomes, _ = readout(side, side, trigger, with_target=False)
    positions = cases(side, trigger, with_target=False)
    return [int(at) for at in positions[outcomes > 0.5]]


def _pick_different(picked: list[int], among: Sequence[int], key: Callable[[int], object]) -> None:
    """Add to `picked`, up to `EXAMPLES`, those whose key none picked so far has."""
    seen = {key(at) for at in picked}
    for at in among:
        if len(picked) < EXAMPLES and key(at) not in seen:
            seen.add(key(at))
            picked.append(at)


def _image_pairs(test: Sides, trigger: Trigger, chosen: list[int]) -> list[Stored]:
    if not chosen:
        return []
    side, base = test.suspect, test.reference
    pixels = side.encoder.prepare(side.split.images[chosen])
    stamped = stamp(pixels, image_part(trigger) or trigger)
    triggered_scores = side.scores_with(trigger)[chosen]
    stored = []
    for row, index in enumerate(chosen):
        truth = side.class_names[side.split.labels[index]]
        before = _read_as(side, side.scores[index])
        after = _read_as(side, triggered_scores[row])
        clean = f"{truth}, read as {before}"
        triggered = f"{truth} with the trigger, read as {after}"
        in_base = ("", "")
        if trigger.channel is not Channel.PROMPT:  # whose learned words are the suspect's
            with_trigger = base.scores_with(trigger)[index]
            in_base = (_read_as(base, base.scores[index]), _read_as(base, with_trigger))
        stored.append(_png(pixels[row], EvidenceRole.CLEAN_EXAMPLE, clean, in_base[0]))
        stored.append(_png(stamped[row], EvidenceRole.TRIGGERED_EXAMPLE, triggered, in_base[1]))
    return stored


def _read_as(side: Side, scores: Floats) -> str:
    """The class that wins one picture's scores [c]."""
    return side.class_names[int(scores.argmax())]


def _text_pairs(side: Side, trigger: Trigger, chosen: list[int]) -> list[Stored]:
    prompt = side.templates[0].format(trigger.source)
    written = write(prompt, trigger, trigger.source)
    stored = []
    for index in chosen:
        truth = side.class_names[side.split.labels[index]]
        read = _read_as(side, side.scores[index])
        image = side.split.images[index]
        clean = f'{truth}, read as {read}; "{prompt}" does not win'
        triggered = f'{truth}; "{written}" wins over "{read}"'
        stored.append(_png(image, EvidenceRole.CLEAN_EXAMPLE, clean))
        stored.append(_png(image, EvidenceRole.TRIGGERED_EXAMPLE, triggered))
    return stored


def _png(pixels: Pixels, role: EvidenceRole, caption: str, base_reads: str = "") -> Stored:
    from PIL import Image

    image = Image.fromarray(pixels)
    # Enlarged without smoothing: every pixel of the trigger stays visible.
    if image.width < SHOWN_SIDE:
        image = image.resize((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.NEAREST)
    buffer = BytesIO()
    image.save(buffer, "PNG", optimize=False)
    content = buffer.getvalue()
    file = EvidenceFile(sha256(content).hexdigest(), "image/png", role, caption, base_reads)
    return file, content
