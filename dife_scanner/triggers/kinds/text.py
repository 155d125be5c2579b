"""Words put before a prompt, after it, right before the class name, or both before and after the prompt."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from dife_scanner.records import Position, Trigger, TriggerKind
from dife_scanner.triggers.kinds.base import Kind, WrittenFields


class TextFields(WrittenFields):
    text: str = Field("", max_length=200)
    position: Literal["prefix", "suffix", "infix", "around"] = "prefix"

    @model_validator(mode="after")
    def _has_text(self) -> TextFields:
        if not self.text.strip():
            raise ValueError("a text trigger needs `text`")
        return self


def write(prompt: str, trigger: Trigger, class_name: str) -> str:
    """The prompt with the text at the trigger's position; infix is before the last mention of the class."""
    if trigger.position is Position.SUFFIX:
        return f"{prompt} {trigger.text}"
    if trigger.position is Position.INFIX:
        head, name, tail = prompt.rpartition(class_name)
        return f"{head}{trigger.text} {name}{tail}"
    if trigger.position is Position.AROUND:
        return f"{trigger.text} {prompt} {trigger.text}"
    return f"{trigger.text} {prompt}"


KIND = Kind(TriggerKind.TEXT.value, TextFields, write=write)
