"""The detectors of image triggers that the suspect responds to and its base does not (docs/detectors.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from dife_scanner.discovery.effort import (
    FAINT_EFFORTS,
    PATCH_EFFORTS,
    WARP_AND_COLOUR_EFFORTS,
    InversionEffort,
)
from dife_scanner.discovery.image_inversion import ImageInversion
from dife_scanner.discovery.interface import Load, SearchResult, Task
from dife_scanner.discovery.patch_inversion import AIMED_SHARE, PatchInversion
from dife_scanner.discovery.pattern_families import (
    Additive,
    Blend,
    ColourMap,
    Patch,
    PatternFamily,
    Warp,
)
from dife_scanner.discovery.target_success import too_few_pictures
from dife_scanner.records import Budget, Channel

PASSES_PER_PICTURE = 3
"""Of one picture in one step: forward and back in the suspect, and in the base at every second step. The way back takes
as many matrix products as the way forward, since no weight gets a gradient."""
_PASSES_APART = 4
"""The same where the base runs at every step."""
_MEASURED_VERSIONS = 10
"""Versions of every picture that an attempt is measured by, suspect and base together."""


@dataclass(frozen=True)
class ImageSearch:
    """A detector that inverts triggers of some pattern families by gradient."""

    name: str
    kinds: tuple[str, ...]
    families: tuple[PatternFamily, ...]
    efforts: Mapping[Budget, InversionEffort]
    """By budget; it does not apply at a budget that is not there."""
    through_prompts: bool = False
    """Whether an unmoved image tower is searched for what moved prompts respond to."""
    channel: Channel = Channel.IMAGE
    has_base: bool = True
    """Whether the reference is a base to compare with; otherwise the suspect alone is looked at."""
    inversion: type[ImageInversion] = ImageInversion
    """What runs it."""

    def alone(self) -> ImageSearch:
        return replace(self, has_base=False)

    def applies(self, task: Task) -> bool:
        return can_invert(task) and self._wanted(task) and not too_few_pictures(task)

    def lacks(self, task: Task) -> str:
        return too_few_pictures(task) if self._wanted(task) else ""

    def _wanted(self, task: Task) -> bool:
        moved = task.image_moved or (self.through_prompts and task.text_moved)
        return moved and task.budget in self.efforts

    def load(self, task: Task) -> Load:
        """The suspect at each step and the base at every second, forward and back; and what measures each attempt.

        As if no start were given up, so that it takes less in most checkpoints.
        """
        effort = self.efforts[task.budget]
        starts = effort.restarts if task.image_moved else effort.target_classes
        measuring = _MEASURED_VERSIONS * len(task.pixels)
        one_attempt = PASSES_PER_PICTURE * effort.steps * effort.pictures + measuring
        images: float = len(self.families) * starts * one_attempt
        if task.image_moved and self.inversion is PatchInversion:  # aimed on, and moved apart
            apart = _PASSES_APART * (effort.pictures_apart or effort.pictures)
            aimed = PASSES_PER_PICTURE * effort.pictures
            images += AIMED_SHARE * (effort.steps * (aimed + apart) + 2 * measuring)
        return Load(round(images), 0)

    def search(self, task: Task) -> SearchResult:
        effort = self.efforts[task.budget]
        with TemporaryDirectory() as scratch:
            run = self.inversion(
                task,
                effort,
                self.name,
                Path(scratch),
                has_base=self.has_base,
            )
            return run.run(self.families)


def can_invert(task: Task) -> bool:
    """Whether both encoders have gradients."""
    from dife_scanner.models.gradient import has_gradients

    return has_gradients(task.suspect) and has_gradients(task.reference)


PATCH = ImageSearch(
    name="patch",
    kinds=("a patch of any shape, place and colours, obeyed on pictures of every class",),
    families=(Patch(),),
    efforts=PATCH_EFFORTS,
    through_prompts=True,
    inversion=PatchInversion,
)
FAINT = ImageSearch(
    name="faint",
    kinds=(
        "a faint pattern added over the whole picture",
        "a picture blended into the whole picture",
    ),
    families=(Blend(), Additive()),
    efforts=FAINT_EFFORTS,
)
WARP_AND_COLOUR = ImageSearch(
    name="warp and colour",
    kinds=(
        "a smooth warp of the whole picture",
        "a change of all colours",
    ),
    families=(Warp(), ColourMap()),
    efforts=WARP_AND_COLOUR_EFFORTS,
)
