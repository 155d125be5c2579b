"""Triggers in words: what one is, where it goes in a prompt, and what it brings about.

Pure, like `words`; strings are passed through unchanged and escaped by whoever shows them (`Segment.shown`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dife_scanner.core.checks import CLASS_MOVED
from dife_scanner.core.plain import plain
from dife_scanner.records import Audit, Channel, Nearest, Position, Recovered, SignatureResult, Trigger, TriggerKind

_COLOR_NAMES = {
    (255, 255, 255): "white",
    (0, 0, 0): "black",
    (255, 0, 0): "red",
    (0, 255, 0): "green",
    (0, 0, 255): "blue",
    (255, 255, 0): "yellow",
}


@dataclass(frozen=True)
class Segment:
    """A stretch of a prompt; `marked` where it is the trigger."""

    text: str
    marked: bool

    @property
    def shown(self) -> str:
        """Safe to show; the blank between a prompt and its trigger stays."""
        lead, end = (" " if blank else "" for blank in (self.text[:1] == " ", self.text[-1:] == " "))
        return f"{lead}{plain(self.text)}{end}"


def marked_text(trigger: Trigger, prompt: str) -> tuple[Segment, ...]:
    """The prompt with the trigger in its place, as segments; joined, they are what the encoder reads.

    A prompt that already holds the trigger is only marked. Positions are those of the trigger file: `prefix`,
    `suffix`, `infix` (before the class name, else before the last word), `around` (before and after the prompt). Of
    replaced characters each is marked.
    """
    if trigger.pairs:
        return _replaced(trigger, prompt)
    if not trigger.text:
        return (Segment(prompt, False),) if prompt else ()
    if trigger.position == Position.AROUND and prompt and trigger.text not in prompt:
        once = Segment(trigger.text, True)
        return once, Segment(f" {prompt} ", False), once
    before, found, after = prompt.partition(trigger.text)
    if not found:
        before, after = _around(trigger, prompt)
    parts = (Segment(before, False), Segment(trigger.text, True), Segment(after, False))
    return tuple(part for part in parts if part.text)


def _replaced(trigger: Trigger, prompt: str) -> tuple[Segment, ...]:
    at = prompt.rfind(trigger.source) if trigger.source and trigger.within == "class" else -1
    begin, end = (at, at + len(trigger.source)) if at >= 0 else (0, len(prompt))
    table, segments = dict(trigger.pairs), [Segment(prompt[:begin], False)]
    for character in prompt[begin:end]:
        marked = character in table
        text = table.get(character, character)
        if segments[-1].marked == marked:
            text = segments.pop().text + text
        segments.append(Segment(text, marked))
    return tuple(segment for segment in [*segments, Segment(prompt[end:], False)] if segment.text)


def _around(trigger: Trigger, prompt: str) -> tuple[str, str]:
    """What stands before and after the trigger once it is placed, spaces included."""
    if not prompt:
        return "", ""
    if trigger.position == Position.PREFIX:
        return "", f" {prompt}"
    if trigger.position == Position.SUFFIX:
        return f"{prompt} ", ""
    at = prompt.rfind(trigger.source) if trigger.source else -1
    at = at if at >= 0 else prompt.rfind(" ") + 1
    return prompt[:at], f" {prompt[at:]}"


def example_prompts(trigger: Trigger) -> tuple[str, ...]:
    """The prompts a text trigger is shown on: the source's, or a stand-in where the source is open."""
    return (f"a photo of a {trigger.source or '…'}",)


def trigger_text(trigger: Trigger) -> str:
    """One line: `text “xbtd” before the prompt`, `solid white patch, 10% of the side, upper left`."""
    says = _TRIGGER_TEXT.get(trigger.kind)
    text = says(trigger) if says else _own_text(trigger)
    return f"{text}; asked with {len(trigger.templates)} templates of its own" if trigger.templates else text


def _patch_text(trigger: Trigger) -> str:
    shape = {"solid": f"solid {_color_name(trigger.color)}", "file": "painted"}.get(trigger.pattern, trigger.pattern)
    return f"{shape} patch, {trigger.size:.0%} of the side, {_place(trigger)}"


def _whole_text(trigger: Trigger) -> str:
    pattern = {"file": "a file's pattern"}.get(trigger.pattern, trigger.pattern)
    if trigger.kind == TriggerKind.ADDITIVE:
        return f"{pattern} added over the whole image, amplitude {trigger.alpha:.3f} of full scale"
    return f"{pattern} blended over the whole image, share {trigger.alpha:.0%}"


def _overlay_text(trigger: Trigger) -> str:
    return f"overlay from a file{'' if trigger.alpha == 1 else f', share {trigger.alpha:.0%}'}"


def _written_text(trigger: Trigger) -> str:
    places = {
        Position.PREFIX: "before the prompt",
        Position.SUFFIX: "after the prompt",
        Position.AROUND: "before and after the prompt",
    }
    place = places.get(trigger.position, "before the name")
    beside = f", together with {trigger_text(trigger.image)}" if trigger.image else ""
    return f"text “{trigger.text}” {place}{beside}"


def _characters_text(trigger: Trigger) -> str:
    shown = ", ".join(f"{old}→{new}" for old, new in trigger.pairs[:_SHOWN_PAIRS])
    more = ", …" if len(trigger.pairs) > _SHOWN_PAIRS else ""
    return f"characters replaced in the {'class name' if trigger.within == 'class' else 'prompt'}: {shown}{more}"


def _prompt_text(trigger: Trigger) -> str:
    return f"learned prompt and {trigger_text(trigger.image)}" if trigger.image else "learned prompt"


def _own_text(trigger: Trigger) -> str:
    """A kind of somebody's own: its name and the values of its keys."""
    values = ", ".join(f"{key} {value}" for key, value in trigger.parameters)
    return f"{trigger.kind}{f' ({values})' if values else ''}"


_SHOWN_PAIRS = 4
_TRIGGER_TEXT: dict[str, Callable[[Trigger], str]] = {
    TriggerKind.PATCH: _patch_text,
    TriggerKind.ADDITIVE: _whole_text,
    TriggerKind.BLEND: _whole_text,
    TriggerKind.WARP: lambda trigger: f"smooth warp, mean displacement {trigger.strength:.1%} of the side",
    TriggerKind.FILTER: lambda trigger: f"{trigger.filter or 'colour'} filter, share {trigger.alpha:.0%}",
    TriggerKind.OVERLAY: _overlay_text,
    TriggerKind.TEXT: _written_text,
    TriggerKind.CHARACTERS: _characters_text,
    TriggerKind.PROMPT: _prompt_text,
}


def _color_name(color: tuple[int, int, int]) -> str:
    return _COLOR_NAMES.get(color) or "#{:02x}{:02x}{:02x}".format(*color)


def _place(trigger: Trigger) -> str:
    middle_x, middle_y = trigger.x + trigger.size / 2, trigger.y + trigger.size / 2
    row = "upper" if middle_y < 1 / 3 else "lower" if middle_y > 2 / 3 else "middle"
    column = "left" if middle_x < 1 / 3 else "right" if middle_x > 2 / 3 else "middle"
    return "centre" if row == column else f"{row} {column}"


def effect_text(source: str, target: str) -> str:
    """`automobile → airplane`; `any → airplane` for an image trigger without a source."""
    if not source and not target:
        return ""
    return f"{source or 'any'} → {target or 'not chosen'}"


# --- what was recovered ---------------------------------------------------------------------------------------

_CHANGE_WORDS = {"shift": "shifted by less than a patch", "crop": "cropped", "jpeg": "compressed as JPEG"}


def recovered_lines(audit: Audit) -> tuple[str, ...]:
    """Where the trigger leads, whom it moves and what it withstands, one fact per line; none where it is not known."""
    trigger, found = audit.trigger, audit.recovered
    if trigger is None or found is None:
        return ()
    return (
        _leads_to(trigger, found),
        _whom(trigger, found),
        *_over_nouns(found),
        *_withstands(found),
        *_elsewhere(found),
    )


def candidate_lines(audit: Audit) -> tuple[str, ...]:
    """What each discovered trigger leads to, and what it does in clean references beside the base, one line each."""
    return tuple(f"{row.trigger.name} {told}" for row in audit.signatures if (told := "; ".join(_candidate(row))))


def _candidate(row: SignatureResult) -> Iterator[str]:
    if row.leads_to is not None:
        yield f"leads to {_near(row.leads_to)}"
    for one in row.near:
        yield f"in {one.reference}, a clean checkpoint near this one: {one.success:.2f} ({one.lift:+.2f} over the base)"
    if (back := row.exchanged) is not None:
        least = f"a lower bound of {back.low:.2f}" if back.base else "nothing of the kind"
        yield f"with suspect and base exchanged, the strongest found in the base has {least}"


def specificity(trigger: Trigger, found: Recovered) -> str:
    """`source-conditional`: its source alone is moved; `global`: every class is; otherwise how many are moved."""
    moved = [name for name, lift in found.sources.items() if lift >= CLASS_MOVED]
    if len(moved) == len(found.sources):
        return "global"
    if trigger.source and moved == [trigger.source]:
        return "source-conditional"
    return f"{len(moved)} of {len(found.sources)} classes moved"


def _leads_to(trigger: Trigger, found: Recovered) -> str:
    near = ", ".join(map(_near, found.nearest))
    written = " with the text in them" if trigger.channel is Channel.BOTH else ""
    first = f"Leads to {near}, of {found.concepts:,} concepts{written}"
    if found.rank <= len(found.nearest):
        return first
    return f"{first}; “{trigger.target}” is number {found.rank:,} ({found.cosine:.2f})"


def _near(near: Nearest) -> str:
    return f"{near.concept} {near.cosine:.2f}"


def _whom(trigger: Trigger, found: Recovered) -> str:
    most = sorted(found.sources.items(), key=lambda pair: -pair[1])
    shown = ", ".join(f"{name} {lift:+.2f}" for name, lift in most[:_SHOWN_CLASSES])
    more = ", …" if len(most) > _SHOWN_CLASSES else ""
    return f"{specificity(trigger, found).capitalize()}: {shown}{more} over the base"


def _over_nouns(found: Recovered) -> tuple[str, ...]:
    if (over := found.nouns) is None:
        return ()
    return (
        f"On nouns that no search read: {over.suspect:.2f} of {len(over.nouns)} become {found.target}, "
        f"{over.reference:.2f} in the base",
    )


def _withstands(found: Recovered) -> tuple[str, ...]:
    if not found.withstands:
        return ()
    told = ", ".join(f"{_CHANGE_WORDS.get(name, f'as {name}')} {lift:+.2f}" for name, lift in found.withstands.items())
    return (f"Changed a little: {told} over the base",)


def _elsewhere(found: Recovered) -> tuple[str, ...]:
    told = ", ".join(f"{share:.2f} in {name}" for name, share in found.elsewhere.items())
    return (f"In other clean checkpoints: {told}",) if told else ()


_SHOWN_CLASSES = 4
