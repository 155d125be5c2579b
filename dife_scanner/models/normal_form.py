"""What a checkpoint holds and that adds nothing is taken away, so that it has the form of its base.

Two things are looked for: a layer scale all of whose values are one, and rows of the token table behind CLIP's own that
no text reaches. Neither changes an embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dife_scanner.models import canonical
from dife_scanner.models.config import CLIP_VOCABULARY, ClipConfig
from dife_scanner.models.conversion import Conversion, Source
from dife_scanner.models.tensors import is_of_image

_SCALES = (".ls_1.gamma", ".ls_2.gamma")
_WORDS = "token_embedding.weight"


def may_differ(config: ClipConfig) -> bool:
    """Whether a checkpoint of this configuration may have another normal form."""
    return config.vision.layer_scale or config.text.layer_scale or config.text.rows_behind > 0


def of(conversion: Conversion, weights: Sequence[Path]) -> tuple[Conversion, tuple[str, ...]]:
    """The conversion without what adds nothing, and notes of what that was.

    No text may reach a row behind CLIP's own: whoever calls knows the tokenizer. Raises `Unreadable` where a file is
    shorter than its table says.
    """
    notes = []
    for image in (True, False):
        scales = _scales(conversion, image)
        if scales and all(_is_one(scale, weights) for scale in scales):
            conversion = _without(conversion, scales, image)
            tower = "image" if image else "text"
            notes.append(
                f"left out: a layer scale of ones in the {tower} tower, which adds nothing"
            )
    rows = conversion.config.text.rows_behind
    if rows and any(source.name == _WORDS for source in conversion.sources):
        conversion = _with_clips_rows(conversion)
        notes.append(f"left out: rows of the token table that no text reaches ({rows})")
    return conversion, tuple(notes)


def _scales(conversion: Conversion, image: bool) -> list[Source]:
    found = []
    for source in conversion.sources:
        if source.name.endswith(_SCALES) and is_of_image(source.name) is image:
            found.append(source)
    return found


def _is_one(scale: Source, weights: Sequence[Path]) -> bool:
    return all(bool((canonical.values(part, weights) == 1).all()) for part in scale.parts)


def _without(conversion: Conversion, scales: Sequence[Source], image: bool) -> Conversion:
    config = conversion.config
    if image:
        config = replace(config, vision=replace(config.vision, layer_scale=False))
    else:
        config = replace(config, text=replace(config.text, layer_scale=False))
    kept = tuple(source for source in conversion.sources if source not in scales)
    return replace(conversion, config=config, sources=kept)


def _with_clips_rows(conversion: Conversion) -> Conversion:
    sources = []
    for source in conversion.sources:
        if source.name == _WORDS:
            (part,) = source.parts
            part = part.rows(0, CLIP_VOCABULARY)
            source = replace(source, shape=part.shape, parts=(part,))
        sources.append(source)
    text = replace(conversion.config.text, vocabulary=CLIP_VOCABULARY)
    config = replace(conversion.config, text=text)
    return replace(conversion, config=config, sources=tuple(sources))
