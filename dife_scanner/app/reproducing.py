"""What `reproduce.py` of an evidence bundle needs: prompts, an overlay and pairs of pictures, or why it cannot run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dife_scanner.audit import probes
from dife_scanner.audit.evidence import SHOWN_SIDE
from dife_scanner.audit.sides import image_part, reads_hit_rate, writes
from dife_scanner.errors import TriggerFileError
from dife_scanner.plain import plain
from dife_scanner.records import Audit, Channel, SettingsOf, Trigger, TriggerKind
from dife_scanner.triggers import files, patterns
from dife_scanner.triggers.stamp import patch_box, write

WITHOUT_TRIGGER = "this edition does not hold the trigger, and nothing can be run without it"
_LEAST_SIDE = 8
_MOST_OFF = 1
"""Levels that a laid picture may differ from the audited one: an overlay is kept as bytes."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Pair:
    """One input, clean and triggered, as the audit kept them."""

    clean: str
    """Names of the members."""
    triggered: str
    clean_png: bytes
    triggered_png: bytes
    said_clean: str
    said_triggered: str


@dataclass(frozen=True)
class Task:
    """Content of `reproduce.json`, and the overlay beside it."""

    document: dict[str, Any]
    overlay: bytes = b""
    """PNG with opacity, as large as the model's pictures; empty where nothing is laid on them."""
    trigger_file: str = ""
    """The trigger for `dife scan --triggers`; empty where a file of text and overlay cannot say it."""


@dataclass(frozen=True)
class Loading:
    """How open_clip loads the checkpoint, or why it cannot."""

    key_map: dict[str, Any]
    """As `key_maps` makes it; empty where open_clip reads the files as they are."""
    why_not: str = ""


def cannot_run(why: str) -> Task:
    """A task that says why there is none."""
    return Task({"why_not": why})


def task_of(audit: Audit, loading: Loading, pairs: Sequence[Pair]) -> Task:
    """What the trigger of an audit does, in terms of open_clip alone. It never fails: it says why not."""
    why_not = _why_not(audit, loading, pairs)
    if why_not or audit.trigger is None:
        return cannot_run(why_not)
    trigger = audit.trigger
    try:
        side = max(_own_side(pair.clean_png) for pair in pairs)
    except (OSError, ValueError, Image.DecompressionBombError):
        return cannot_run("its pictures cannot be read")
    try:
        overlay = _overlay(trigger, side, pairs)
    except (TriggerFileError, ValueError):  # then the triggered pictures are read as they are
        overlay = None
    part = image_part(trigger)
    document = {
        "why_not": "",
        "key_map": loading.key_map,
        "share": part.alpha if part is not None and overlay is not None else 0,
        "clean": _choices(trigger, ()),
        "with_trigger": _choices(trigger, _written(trigger)),
        "cases": [_case(pair, side) for pair in pairs],
    }
    laid = _png(overlay) if overlay is not None else b""
    return Task(document, laid, _trigger_file(trigger, part, laid=bool(laid)))


def _why_not(audit: Audit, loading: Loading, pairs: Sequence[Pair]) -> str:
    trigger = audit.trigger
    if trigger is None:
        return "the audit measured no trigger"
    if loading.why_not:
        return loading.why_not
    if not all(isinstance(one.kind, TriggerKind) for one in (trigger, trigger.image or trigger)):
        return "its trigger is of a kind that an extension adds"
    if reads_hit_rate(trigger) and not trigger.source:
        return "its trigger names no class that it is written to"
    if trigger.channel is Channel.PROMPT:
        return "its trigger needs a prompt learner, which open_clip does not run"
    if audit.settings is SettingsOf.BASE:
        return "it was measured under the settings of its base, and not under its own"
    if audit.tokenizer_differences:
        return "its tokenizer is not CLIP's own"
    if audit.plan is None or audit.plan.pictures != probes.digest(probes.bundled_folder()):
        return "it was measured on other classes than those that come with the scanner"
    if not trigger.is_within(_classes()):
        return "the classes it was measured among were chosen for its trigger"
    return "" if pairs else "no pair of pictures was kept"


def _classes() -> tuple[str, ...]:
    return probes.class_names(probes.bundled_folder())


# --- texts ------------------------------------------------------------------------------------------------------


def _written(trigger: Trigger) -> tuple[str, ...]:
    """The classes whose prompts carry the trigger: its source alone where nothing is put on pictures."""
    if not writes(trigger):
        return ()
    return (trigger.source,) if reads_hit_rate(trigger) else _classes()


def _choices(trigger: Trigger, written: Sequence[str]) -> list[dict[str, Any]]:
    found = []
    for name in _classes():
        prompts = [one.format(name) for one in trigger.templates or probes.PROFILE_TEMPLATES]
        shown = name
        if name in written:
            prompts = [write(prompt, trigger, name) for prompt in prompts]
            shown = f'"{prompts[0]}"' if len(written) == 1 else name
        found.append({"name": shown, "prompts": prompts})
    return found


def _trigger_file(trigger: Trigger, part: Trigger | None, *, laid: bool) -> str:
    """TOML (docs/triggers.md) under a name of its own, for a text, characters or an overlay alone."""
    if trigger.unnamed_target or (part is not None and (writes(trigger) or not laid)):
        return ""
    keys: dict[str, object] = {"name": "from-a-bundle", "target": trigger.target}
    if trigger.source:
        keys["source"] = trigger.source
    if trigger.templates:
        keys["templates"] = list(trigger.templates)
    if part is not None:
        keys |= {"kind": "overlay", "file": "overlay.png", "alpha": part.alpha}
    elif trigger.kind == TriggerKind.TEXT:
        keys |= {"kind": "text", "text": trigger.text, "position": trigger.position.value}
    elif trigger.kind == TriggerKind.CHARACTERS:
        pairs = [list(pair) for pair in trigger.pairs]
        keys |= {"kind": "characters", "pairs": pairs, "within": trigger.within}
    else:
        return ""
    lines = [f"{key} = {_toml(value)}" for key, value in sorted(keys.items())]
    return "\n".join(["format = 1", "", "[[trigger]]", *lines, ""])


def _toml(value: object) -> str:
    """JSON is TOML for texts, numbers and lists, but for one character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


# --- pictures ---------------------------------------------------------------------------------------------------


def _case(pair: Pair, side: int) -> dict[str, Any]:
    return {
        "clean": pair.clean,
        "triggered": pair.triggered,
        "side": side,
        "said_clean": plain(pair.said_clean),
        "said_triggered": plain(pair.said_triggered),
    }


def _own_side(png: bytes) -> int:
    """The side that a picture had before it was enlarged without smoothing to be shown."""
    shown = Image.open(BytesIO(png)).convert("RGB")
    if shown.width != SHOWN_SIDE:  # it was large enough as it is
        return shown.width
    for side in range(_LEAST_SIDE, shown.width):
        small = shown.resize((side, side), Image.Resampling.NEAREST)
        again = small.resize(shown.size, Image.Resampling.NEAREST)
        if np.array_equal(np.asarray(again), np.asarray(shown)):
            return side
    return shown.width


def _pixels(png: bytes, side: int) -> Pixels:
    shown = Image.open(BytesIO(png)).convert("RGB")
    return np.asarray(shown.resize((side, side), Image.Resampling.NEAREST), dtype=np.uint8)


def _overlay(trigger: Trigger, side: int, pairs: Sequence[Pair]) -> Pixels | None:
    """Colours and opacity [side, side, 4] of what is laid on pictures; `None` for kinds that are no overlay, and where
    it would not give the audited pictures.
    """
    part = image_part(trigger)
    draw = _LAID.get(part.kind) if part is not None else None
    if part is None or draw is None:
        return None
    laid = draw(part, side)
    opacity = np.float32(part.alpha / 255) * laid[..., 3:].astype(np.float32)
    for pair in pairs:
        clean = _pixels(pair.clean_png, side)
        kept = clean.astype(np.float32) * (1 - opacity)
        mixed = patterns.rounded(kept + opacity * laid[..., :3].astype(np.float32))
        off = mixed.astype(int) - _pixels(pair.triggered_png, side)
        if np.abs(off).max() > _MOST_OFF:
            return None
    return laid


def _patch(trigger: Trigger, side: int) -> Pixels:
    left, top, width = patch_box(trigger, side)
    laid = np.zeros((side, side, 4), np.uint8)
    laid[top : top + width, left : left + width, :3] = patterns.pattern(trigger, width)
    laid[top : top + width, left : left + width, 3] = 255
    return laid


def _blend(trigger: Trigger, side: int) -> Pixels:
    opaque = np.full((side, side, 1), 255, np.uint8)
    return np.concatenate([patterns.pattern(trigger, side), opaque], axis=-1)


def _half_transparent(trigger: Trigger, side: int) -> Pixels:
    if trigger.file is None:
        raise ValueError("an overlay has a file")
    colors, opacity = files.overlay(trigger.file, side)
    full = (colors / np.maximum(opacity, np.float32(1 / 255))).astype(np.float32)
    levels = opacity * np.float32(255)
    return np.concatenate([patterns.rounded(full), patterns.rounded(levels)], axis=-1)


_LAID: dict[TriggerKind | str, Callable[[Trigger, int], Pixels]] = {
    TriggerKind.PATCH: _patch,
    TriggerKind.BLEND: _blend,
    TriggerKind.OVERLAY: _half_transparent,
}


def _png(pixels: Pixels) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=False)
    return buffer.getvalue()
