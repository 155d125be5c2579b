"""One checkpoint seen through one split: embeddings of clean and triggered inputs, computed when first asked for."""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit.probes import Split
from dife_scanner.core import metrics
from dife_scanner.errors import AuditError
from dife_scanner.models.interface import Encoder
from dife_scanner.records import Channel, Trigger
from dife_scanner.triggers.stamp import stamp, write

Embeddings = NDArray[np.float32]


class Side:
    """`encoder` on `split`, asked with `templates` that each hold one `{}` for the class name.

    Text embeddings of a class are averaged over the templates and normalised again.
    """

    def __init__(
        self, encoder: Encoder, split: Split, class_names: tuple[str, ...], templates: tuple[str, ...]
    ) -> None:
        self.encoder = encoder
        self.split = split
        self.class_names = class_names
        self.templates = templates
        self.images_with = lru_cache(maxsize=None)(self._images_with)
        self.prompts_with = lru_cache(maxsize=None)(self._prompts_with)

    @cached_property
    def _pixels(self) -> NDArray[np.uint8]:
        return self.encoder.prepare(self.split.images)

    @cached_property
    def images(self) -> Embeddings:
        """Clean image embeddings [n, d]."""
        return self.encoder.encode_images(self._pixels)

    @cached_property
    def prompts(self) -> metrics.Floats:
        """Clean class prompt embeddings [c, d]."""
        return metrics.class_prompts(self.encoder.encode_texts(self._texts(None)), len(self.class_names))

    def _images_with(self, trigger: Trigger) -> Embeddings:
        """Image embeddings [n, d] under an image trigger; the clean ones for a text trigger."""
        if trigger.channel is Channel.TEXT:
            return self.images
        return self.encoder.encode_images(stamp(self._pixels, trigger))

    def _prompts_with(self, trigger: Trigger) -> metrics.Floats:
        """Every class prompt carrying a text trigger [c, d]. `AuditError` if one does not fit the context."""
        texts = self._texts(trigger)
        longest = max(texts, key=self.encoder.token_count)
        if self.encoder.token_count(longest) > self.encoder.context_length:
            raise AuditError(
                f"trigger `{trigger.name}` makes a prompt of {self.encoder.token_count(longest)} tokens; "
                f"this model reads {self.encoder.context_length} and would cut it silently",
                "shorten the trigger's text",
            )
        return metrics.class_prompts(self.encoder.encode_texts(texts), len(self.class_names))

    def texts_for(self, class_name: str, trigger: Trigger | None = None) -> Embeddings:
        """One embedding per template [t, d] for a class, not averaged: each template as a query of its own."""
        prompts = [template.format(class_name) for template in self.templates]
        if trigger is not None:
            prompts = [write(prompt, trigger, class_name) for prompt in prompts]
        return self.encoder.encode_texts(prompts)

    @cached_property
    def scores(self) -> metrics.Floats:
        """Clean cosine scores [n, c]."""
        return self.images @ self.prompts.T

    @cached_property
    def accuracy(self) -> float:
        return float(metrics.accuracy(self.scores, self.split.labels).mean())

    def _texts(self, trigger: Trigger | None) -> list[str]:
        out = []
        for template in self.templates:
            for name in self.class_names:
                prompt = template.format(name)
                out.append(prompt if trigger is None else write(prompt, trigger, name))
        return out


def readout(
    images_of: Side, texts_of: Side, trigger: Trigger, *, with_target: bool
) -> tuple[metrics.Floats, list[str]]:
    """Outcomes and drawings of the diagnostic readout for a trigger with source and target (paper §5).

    Image trigger: zero-shot TS, the image side stamped. Text trigger: QHR on target-class images, the text side
    written. `with_target` keeps target-class images in TS, as the paper counts; QHR has only those.
    """
    labels, drawings = images_of.split.labels, images_of.split.drawings
    target = images_of.class_names.index(trigger.target)
    if trigger.channel is Channel.TEXT:
        source = images_of.class_names.index(trigger.source)
        keep = np.flatnonzero(labels == target)
        outcomes = metrics.triggered_source_wins(
            images_of.images[keep], texts_of.prompts, texts_of.prompts_with(trigger)[source], source
        )
    else:
        keep = np.arange(len(labels)) if with_target else np.flatnonzero(labels != target)
        outcomes = metrics.wins(images_of.images_with(trigger)[keep] @ texts_of.prompts.T, target)
    return outcomes, [drawings[index] for index in keep]


def mixed_accuracy(images_of: Side, texts_of: Side) -> float:
    """Clean zero-shot accuracy of one checkpoint's image tower with another's text tower."""
    return float(metrics.accuracy(images_of.images @ texts_of.prompts.T, images_of.split.labels).mean())
