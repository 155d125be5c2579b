"""A prompt learner that acts only together with an image trigger (Bai et al. 2024; a mechanism in paper §5)."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from dife_scanner.errors import DifeError
from dife_scanner.records import Trigger, TriggerKind
from dife_scanner.triggers import learner
from dife_scanner.triggers.kinds.base import (
    Fields,
    FileBeside,
    ImageTrigger,
    Kind,
    Pixels,
    check_sha256,
    find,
)


class PromptFields(Fields):
    learner: FileBeside
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    image: ImageTrigger

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
