"""How far each layer of a suspect's towers is from its base's, a column for each layer, both towers on one scale."""

from __future__ import annotations

from collections.abc import Sequence

from dife_scanner.figures.columns import Column, Columns
from dife_scanner.records import Audit, LayerChange
from dife_scanner.sentences import checks
from dife_scanner.sentences.numbers import count

TITLE = "How far each layer is from the base's"
NOT_RECORDED = f"{TITLE}: {checks.NOT_RECORDED}."
UPWARDS = "length of the difference of a layer's weights, in lengths of the base's (no unit)"
_NAMED = 3
"""Layers that a sentence names."""
NO_NUMBER = "no number"


def layer_columns(audit: Audit) -> tuple[Columns, ...] | str:
    """One figure for each tower that differs; a sentence where nothing was recorded, empty where there is nothing to
    tell."""
    same = {"image": audit.image_tower_same, "text": audit.text_tower_same}
    if not audit.reference or all(same.values()):
        return ""
    if not audit.layers:
        return NOT_RECORDED
    most = max((one.change or 0.0 for one in audit.layers), default=0.0)
    shown = []
    for tower in ("image", "text"):
        layers = [one for one in audit.layers if one.tower == tower]
        if layers and not same[tower]:
            shown.append(_drawn(tower, layers, most))
    return tuple(shown)


def tower_sentences(layers: Sequence[LayerChange]) -> tuple[str, ...]:
    """What is said of each tower; none where nothing was recorded."""
    said = []
    for tower in ("image", "text"):
        of_tower = [one for one in layers if one.tower == tower]
        if of_tower:
            said.append(_sentence(tower, of_tower))
    return tuple(said)


def _drawn(tower: str, layers: Sequence[LayerChange], most: float) -> Columns:
    columns = []
    for one in layers:
        share = one.change
        if share is not None and most > 0:
            share /= most
        columns.append(Column(one.layer, change_text(one.change), share))
    return Columns(
        title=f"{tower.capitalize()} tower",
        columns=tuple(columns),
        top=change_text(most),
        across=f"layers of the {tower} tower, from its input to its end",
        upwards=UPWARDS,
        sentence=_sentence(tower, layers),
    )


def _sentence(tower: str, layers: Sequence[LayerChange]) -> str:
    """`Text tower, 6 layers, 2 as in the base; furthest: …`"""
    told = [one for one in layers if one.change]
    furthest = sorted(told, key=lambda one: -(one.change or 0.0))[:_NAMED]
    equal = sum(one.change == 0.0 for one in layers)
    unknown = sum(one.change is None for one in layers)
    text = f"{tower.capitalize()} tower: {count(len(layers), 'layer')}, {equal} as in the base"
    if unknown:
        text += f", {unknown} without a number (weights not finite, or all zero in the base)"
    if not furthest:
        return f"{text}."
    named = [f"{one.layer} {change_text(one.change)}" for one in furthest]
    return f"{text}. Furthest: {', '.join(named)}."


def change_text(change: float | None) -> str:
    """Two digits that count: `0.034`, `1.2e-05`.

    >>> change_text(0.0344), change_text(0.0), change_text(None)
    ('0.034', '0', 'no number')
    """
    return NO_NUMBER if change is None else f"{change:.2g}"
