"""One checkpoint seen through one split: embeddings of clean and triggered inputs, computed when first asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit.probes import Split
from dife_scanner.core import metrics
from dife_scanner.errors import AuditError, MeasurementError
from dife_scanner.models.interface import Encoder
from dife_scanner.records import Channel, Trigger
from dife_scanner.triggers import learner
from dife_scanner.triggers.kinds import find
from dife_scanner.triggers.stamp import stamp, write

Embeddings = NDArray[np.float32]

CONTEXTS_AT_ONCE = 4096
"""Image-conditioned prompts encoded in one call."""


def image_part(trigger: Trigger) -> Trigger | None:
    """What a trigger puts on a picture: itself, the image trigger it acts together with, or nothing."""
    return trigger if find(trigger.kind).stamp is not None else trigger.image


def writes(trigger: Trigger) -> bool:
    """Whether a trigger enters through a text."""
    return find(trigger.kind).write is not None


T = TypeVar("T")


class Pair(NamedTuple, Generic[T]):
    """The same thing of both checkpoints."""

    suspect: T
    reference: T


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
        self.learned_scores = lru_cache(maxsize=None)(self._learned_scores)

    def index(self, class_name: str) -> int:
        """Position of a class. `MeasurementError` where the probe set does not know it."""
        if class_name not in self.class_names:
            raise MeasurementError(
                f"the labelled pictures know no class `{class_name}`", f"use one of: {', '.join(self.class_names)}"
            )
        return self.class_names.index(class_name)

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
        """Image embeddings [n, d] under what the trigger puts on a picture; the clean ones where that is nothing."""
        part = image_part(trigger)
        return self.images if part is None else self.encoder.encode_images(self.stamped(part))

    def stamped(self, part: Trigger) -> NDArray[np.uint8]:
        """The split's pictures with an image trigger on them, uint8 [n, s, s, 3] at the model's resolution."""
        return stamp(self._pixels, part)

    def _prompts_with(self, trigger: Trigger) -> metrics.Floats:
        """Every class prompt carrying what the trigger writes [c, d]; the clean ones where that is nothing.

        `AuditError` if one does not fit the context.
        """
        if not writes(trigger):
            return self.prompts
        texts = self._texts(trigger)
        longest = max(texts, key=self.encoder.token_count)
        if self.encoder.token_count(longest) > self.encoder.context_length:
            raise AuditError(
                f"trigger `{trigger.name}` makes a prompt of {self.encoder.token_count(longest)} tokens; "
                f"this model reads {self.encoder.context_length} and would cut it silently",
                "shorten the trigger's text",
            )
        return metrics.class_prompts(self.encoder.encode_texts(texts), len(self.class_names))

    @cached_property
    def queries(self) -> Embeddings:
        """Every clean class prompt under every template, one row each [t * c, d], not averaged."""
        return self.encoder.encode_texts(self._texts(None))

    def texts_for(self, class_name: str, trigger: Trigger | None = None) -> Embeddings:
        """One embedding per template [t, d] for a class, not averaged: each template as a query of its own."""
        prompts = [template.format(class_name) for template in self.templates]
        if trigger is not None:
            prompts = [write(prompt, trigger, class_name) for prompt in prompts]
        return self.encoder.encode_texts(prompts)

    @cached_property
    def scores(self) -> metrics.Floats:
        """Clean cosine scores [n, c]."""
        return metrics.cosines(self.images, self.prompts)

    def scores_with(self, trigger: Trigger) -> metrics.Floats:
        """Scores [n, c] with the trigger wherever it enters: pictures, class prompts, or its prompt mechanism."""
        if trigger.channel is Channel.PROMPT:
            return self.learned_scores(trigger, triggered=True)
        return metrics.cosines(self.images_with(trigger), self.prompts_with(trigger))

    def _learned_scores(self, trigger: Trigger, *, triggered: bool) -> metrics.Floats:
        """Scores [n, c] with the learned prompts of a mechanism, on triggered or clean pictures."""
        if trigger.learner is None:
            raise MeasurementError(
                f"trigger `{trigger.name}` has no prompt learner",
                "name its file in the trigger file (docs/triggers.md)",
            )
        prompt = learner.of(trigger.learner)
        images = self.images_with(trigger) if triggered else self.images
        texts = prompt.texts(self.class_names)
        if not prompt.conditioned:
            contexts = np.repeat(prompt.contexts(images[:1]), len(texts), axis=0)
            return metrics.cosines(images, self.encoder.encode_with_context(contexts, texts))
        rows = max(1, CONTEXTS_AT_ONCE // len(texts))
        parts = [images[start : start + rows] for start in range(0, len(images), rows)]
        return np.concatenate([self._conditioned(prompt, part, texts) for part in parts])

    def _conditioned(self, prompt: learner.PromptLearner, images: Embeddings, texts: tuple[str, ...]) -> metrics.Floats:
        contexts = np.repeat(prompt.contexts(images), len(texts), axis=0)
        prompts = self.encoder.encode_with_context(contexts, list(texts) * len(images))
        distances = metrics.cosine_distance(np.repeat(images, len(texts), axis=0), prompts)
        return 1.0 - distances.reshape(len(images), len(texts))

    @cached_property
    def classifier(self) -> metrics.Floats:
        """A logistic classifier fitted on this side's clean image embeddings (`core.metrics.logistic_readout`)."""
        return _fitted(self.images.tobytes(), self.split.labels.tobytes(), len(self.class_names))

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


@lru_cache(maxsize=8)
def _fitted(features: bytes, labels: bytes, classes: int) -> metrics.Floats:
    """Fitted once for equal features: checkpoints that share their image tower share this."""
    known = np.frombuffer(labels, np.int64)
    return metrics.logistic_readout(np.frombuffer(features, np.float32).reshape(len(known), -1), known, classes)


@dataclass(frozen=True, eq=False)
class View:
    """What a readout takes from one checkpoint under one trigger: rows of length one, images [n, d], prompts [c, d]."""

    images: Embeddings
    triggered_images: Embeddings
    prompts: metrics.Floats
    triggered_prompts: metrics.Floats

    def turned(self, rotation: metrics.Floats) -> View:
        """Everything in this view, turned by an orthogonal [d, d]."""
        return View(
            *(
                np.asarray(part @ rotation, dtype=part.dtype)
                for part in (self.images, self.triggered_images, self.prompts, self.triggered_prompts)
            )
        )


def view(side: Side, trigger: Trigger) -> View:
    return View(side.images, side.images_with(trigger), side.prompts, side.prompts_with(trigger))


def readout(
    images_of: Side, texts_of: Side, trigger: Trigger, *, with_target: bool
) -> tuple[metrics.Floats, list[str]]:
    """Outcomes and drawings of the diagnostic readout for a trigger with source and target (paper §5).

    Image trigger: zero-shot TS, the image side stamped. Text trigger: QHR on target-class images, the text side
    written. Both: TS with triggered pictures and prompts. A prompt mechanism: TS with its learned prompts, which has
    one side only. `with_target` keeps target-class images in TS, as the paper counts; QHR has only those.
    """
    split = images_of.split
    if trigger.channel is Channel.PROMPT:
        outcomes = metrics.wins(images_of.scores_with(trigger), images_of.index(trigger.target))
        keep = np.arange(len(outcomes)) if with_target else _others(images_of, trigger)
        return outcomes[keep], [split.drawings[index] for index in keep]
    keep = cases(images_of, trigger, with_target=with_target)
    outcomes = swapped(view(images_of, trigger), view(texts_of, trigger), images_of, trigger, keep)
    return outcomes, [split.drawings[index] for index in keep]


def baseline(reference: Side, trigger: Trigger, *, with_target: bool) -> tuple[metrics.Floats, list[str]]:
    """What the clean checkpoint does with the same trigger; of a mechanism it has only the image trigger."""
    if trigger.channel is not Channel.PROMPT:
        return readout(reference, reference, trigger, with_target=with_target)
    outcomes = metrics.wins(spared(reference, trigger), reference.index(trigger.target))
    keep = np.arange(len(outcomes)) if with_target else _others(reference, trigger)
    return outcomes[keep], [reference.split.drawings[index] for index in keep]


def spared(reference: Side, trigger: Trigger) -> metrics.Floats:
    """Scores [n, c] of a checkpoint without a prompt mechanism: the image trigger alone, written class prompts."""
    return metrics.cosines(reference.images_with(trigger), reference.prompts_with(trigger))


def cases(side: Side, trigger: Trigger, *, with_target: bool) -> NDArray[np.intp]:
    """Positions of the pictures that the trigger's readout is asked on."""
    if reads_hit_rate(trigger):
        return metrics.of_class(side.split.labels, side.index(trigger.target))
    return np.arange(len(side.split.labels)) if with_target else _others(side, trigger)


def reads_hit_rate(trigger: Trigger) -> bool:
    """Whether the readout is QHR: a trigger that enters through texts and through nothing else."""
    return writes(trigger) and image_part(trigger) is None


def swapped(images: View, texts: View, side: Side, trigger: Trigger, keep: NDArray[np.intp]) -> NDArray[np.float64]:
    """Outcomes of the readout on pictures `keep`, image and text branch from two views (paper §5)."""
    if reads_hit_rate(trigger):
        source = side.index(trigger.source)
        return metrics.triggered_source_wins(
            images.images[keep], texts.prompts, texts.triggered_prompts[source], source
        )
    scores = metrics.cosines(images.triggered_images[keep], texts.triggered_prompts)
    return metrics.wins(scores, side.index(trigger.target))


def clean_accuracy(images_of: View, texts_of: View, labels: NDArray[np.int64]) -> float:
    """Clean zero-shot accuracy of one view's images with another's prompts."""
    return float(metrics.accuracy(metrics.cosines(images_of.images, texts_of.prompts), labels).mean())


def _others(side: Side, trigger: Trigger) -> NDArray[np.intp]:
    return metrics.other_than(side.split.labels, side.index(trigger.target))
