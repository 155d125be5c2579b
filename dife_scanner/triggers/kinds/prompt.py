"""A prompt learner that acts only together with an image trigger (Bai et al. 2024; a mechanism in paper §5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from dife_scanner.errors import DifeError
from dife_scanner.records import Channel, Trigger, TriggerKind
from dife_scanner.triggers import learner
from dife_scanner.triggers.kinds.base import Fields, FileBeside, Kind, Pixels, around, check_sha256, find, parse


def _image_trigger(value: object, info: ValidationInfo) -> Trigger:
    where = around(info)
    if isinstance(value, Mapping):
        found = parse({"name": f"{info.data.get('name', 'prompt')}-image"} | dict(value), where)
    elif isinstance(value, str) and value in where.above:
        found = where.above[value]
    else:
        raise ValueError("the name of an image trigger that stands above it in this file is needed, or one as a table")
    if found.channel is not Channel.IMAGE:
        raise ValueError(f"`{found.name}` is of kind `{found.kind}`, not an image trigger")
    return found


class PromptFields(Fields):
    learner: FileBeside
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    image: Annotated[Trigger, BeforeValidator(_image_trigger)]

    @model_validator(mode="after")
    def _is_a_learner(self) -> PromptFields:
        check_sha256("learner", self.learner, self.sha256)
        try:
            learner.of(self.learner)
        except DifeError as error:
            raise ValueError(f"`learner`: {error.what}") from error
        return self

    def values(self) -> dict[str, Any]:
        values = super().values()
        del values["sha256"]
        return values


def stamp(pixels: Pixels, trigger: Trigger) -> Pixels:
    """The image half alone; the other half is `learner.of(trigger.learner)`."""
    if trigger.image is None:
        raise ValueError(f"the prompt trigger {trigger.name} has no image trigger")
    image = find(trigger.image.kind).stamp
    if image is None:
        raise ValueError(f"{trigger.image.name} has no place in an image")
    return image(pixels, trigger.image)


KIND = Kind(TriggerKind.PROMPT.value, PromptFields, stamp=stamp, mechanism=True)
