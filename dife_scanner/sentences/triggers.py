"""Triggers in words: what one is, where it goes in a prompt, and what it brings about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dife_scanner.plain import plain
from dife_scanner.records import Position, Trigger, TriggerKind

_COLOR_NAMES = {
    (255, 255, 255): "white",
    (0, 0, 0): "black",
    (255, 0, 0): "red",
    (0, 255, 0): "green",
    (0, 0, 255): "blue",
    (255, 255, 0): "yellow",
}
ONE_POINT = "one point that is no concept"
"""What a trigger leads to whose target has no name …"""
UNNAMED = "no concept"
"""… in a table."""
_SHOWN_PAIRS = 4
"""Of replaced characters."""
_WITHIN_CLASS = "class"


@dataclass(frozen=True)
class Segment:
    """A stretch of a prompt; `marked` where it is the trigger."""

    text: str
    marked: bool

    @property
    def shown(self) -> str:
        """Safe to show; the blank between a prompt and its trigger stays."""
        shown = plain(self.text)
        if self.text.startswith(" "):
            shown = f" {shown}"
        if self.text.endswith(" "):
            shown = f"{shown} "
        return shown


# --- in a prompt ----------------------------------------------------------------------------------------------


def marked_text(trigger: Trigger, prompt: str) -> tuple[Segment, ...]:
    """The prompt with the trigger in its place, as segments; joined, they are what the encoder reads.

    A prompt that already holds the trigger is only marked. Positions are those of the trigger file: `prefix`,
    `suffix`, `infix` (before the class name, else before the last word), `around` (before and after the prompt). Of
    replaced characters each is marked.
    """
    if trigger.pairs:
        return _replaced(trigger, prompt)
    if not trigger.text:
        return _without_empty(Segment(prompt, False))
    found = Segment(trigger.text, True)
    before, is_there, after = prompt.partition(trigger.text)
    if is_there:
        return _without_empty(Segment(before, False), found, Segment(after, False))
    if trigger.position == Position.AROUND and prompt:
        return found, Segment(f" {prompt} ", False), found
    before, after = _around_trigger(trigger, prompt)
    return _without_empty(Segment(before, False), found, Segment(after, False))


def _without_empty(*segments: Segment) -> tuple[Segment, ...]:
    return tuple(segment for segment in segments if segment.text)


def _replaced(trigger: Trigger, prompt: str) -> tuple[Segment, ...]:
    """Every replaced character marked; neighbours of one kind are one segment."""
    begin, end = _replaceable(trigger, prompt)
    replacements = dict(trigger.pairs)
    segments = [Segment(prompt[:begin], False)]
    for character in prompt[begin:end]:
        marked = character in replacements
        text = replacements.get(character, character)
        if segments[-1].marked == marked:
            text = segments.pop().text + text
        segments.append(Segment(text, marked))
    segments.append(Segment(prompt[end:], False))
    return _without_empty(*segments)


def _replaceable(trigger: Trigger, prompt: str) -> tuple[int, int]:
    """Begin and end of the part of a prompt in which characters are replaced."""
    if trigger.within == _WITHIN_CLASS and trigger.source:
        begin = prompt.rfind(trigger.source)
        if begin >= 0:
            return begin, begin + len(trigger.source)
    return 0, len(prompt)


def _around_trigger(trigger: Trigger, prompt: str) -> tuple[str, str]:
    """What stands before and after the trigger once it is placed, spaces included."""
    if not prompt:
        return "", ""
    if trigger.position == Position.PREFIX:
        return "", f" {prompt}"
    if trigger.position == Position.SUFFIX:
        return f"{prompt} ", ""
    at = -1
    if trigger.source:
        at = prompt.rfind(trigger.source)
    if at < 0:  # no class name in it: before the last word
        at = prompt.rfind(" ") + 1
    return prompt[:at], f" {prompt[at:]}"


def example_prompts(trigger: Trigger) -> tuple[str, ...]:
    """The prompts a text trigger is shown on: the source's, or a stand-in where the source is open."""
    return (f"a photo of a {trigger.source or '…'}",)


# --- what one is ----------------------------------------------------------------------------------------------


def trigger_text(trigger: Trigger) -> str:
    """One line: `text “xbtd” before the prompt`, `solid white patch, 10% of the side, upper left`."""
    write = _WRITTEN.get(trigger.kind, _own_text)
    text = write(trigger)
    if trigger.templates:
        return f"{text}; measured with {len(trigger.templates)} templates of its own"
    return text


def _patch_text(trigger: Trigger) -> str:
    shapes = {"solid": f"solid {_color_name(trigger.color)}", "file": "painted"}
    shape = shapes.get(trigger.pattern, trigger.pattern)
    return f"{shape} patch, {trigger.size:.0%} of the side, {_place(trigger)}"


def _whole_text(trigger: Trigger) -> str:
    pattern = trigger.pattern
    if pattern == "file":
        pattern = "a file's pattern"
    if trigger.kind == TriggerKind.ADDITIVE:
        return f"{pattern} added over the whole image, amplitude {trigger.alpha:.3f} of full scale"
    return f"{pattern} blended over the whole image, share {trigger.alpha:.0%}"


def _warp_text(trigger: Trigger) -> str:
    return f"smooth warp, mean displacement {trigger.strength:.1%} of the side"


def _filter_text(trigger: Trigger) -> str:
    return f"{trigger.filter or 'colour'} filter, share {trigger.alpha:.0%}"


def _overlay_text(trigger: Trigger) -> str:
    if trigger.alpha == 1:
        return "pattern laid over the picture"
    return f"pattern laid over the picture, share {trigger.alpha:.0%}"


_PLACES: dict[str, str] = {
    Position.PREFIX: "before the prompt",
    Position.SUFFIX: "after the prompt",
    Position.AROUND: "before and after the prompt",
}


def _written_text(trigger: Trigger) -> str:
    place = _PLACES.get(trigger.position, "before the name")
    text = f"text “{trigger.text}” {place}"
    if trigger.image is None:
        return text
    return f"{text}, together with {trigger_text(trigger.image)}"


def _characters_text(trigger: Trigger) -> str:
    where = "class name" if trigger.within == _WITHIN_CLASS else "prompt"
    shown = [f"{old}→{new}" for old, new in trigger.pairs[:_SHOWN_PAIRS]]
    if len(trigger.pairs) > _SHOWN_PAIRS:
        shown.append("…")
    return f"characters replaced in the {where}: {', '.join(shown)}"


def _prompt_text(trigger: Trigger) -> str:
    if trigger.image is None:
        return "learned prompt"
    return f"learned prompt and {trigger_text(trigger.image)}"


def _own_text(trigger: Trigger) -> str:
    """A kind of somebody's own: its name and the values of its keys."""
    values = ", ".join(f"{key} {value}" for key, value in trigger.parameters)
    if not values:
        return str(trigger.kind)
    return f"{trigger.kind} ({values})"


_WRITTEN: dict[str, Callable[[Trigger], str]] = {
    TriggerKind.PATCH: _patch_text,
    TriggerKind.ADDITIVE: _whole_text,
    TriggerKind.BLEND: _whole_text,
    TriggerKind.WARP: _warp_text,
    TriggerKind.FILTER: _filter_text,
    TriggerKind.OVERLAY: _overlay_text,
    TriggerKind.TEXT: _written_text,
    TriggerKind.CHARACTERS: _characters_text,
    TriggerKind.PROMPT: _prompt_text,
}


def _color_name(color: tuple[int, int, int]) -> str:
    return _COLOR_NAMES.get(color) or "#{:02x}{:02x}{:02x}".format(*color)


def _place(trigger: Trigger) -> str:
    """Where the middle of a patch lies: `upper left`, `centre`."""
    half = trigger.size / 2
    row = _third(trigger.y + half, "upper", "lower")
    column = _third(trigger.x + half, "left", "right")
    if row == column:
        return "centre"
    return f"{row} {column}"


def _third(at: float, first: str, last: str) -> str:
    """Which third of the side, 0..1, a place lies in."""
    if at < 1 / 3:
        return first
    if at > 2 / 3:
        return last
    return "middle"


def effect_text(source: str, target: str, trigger: str = "") -> str:
    """`automobile → airplane`; `any → airplane` for an image trigger without a source.

    `trigger` is the name of one that was found or measured: where it has no target, it leads to `UNNAMED`.
    """
    if trigger and not target:
        target = UNNAMED
    if not source and not target:
        return ""
    return f"{source or 'any'} → {target or 'not chosen'}"
