"""One checkpoint on one split: embeddings of clean and triggered inputs, computed when first needed.

The readouts of the branch swap (paper §5) are taken from these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit.probes import Labels, Pixels, Split
from dife_scanner.core import metrics
from dife_scanner.core.metrics import Floats, Indices
from dife_scanner.core.recognition import recognition
from dife_scanner.errors import AuditError, MeasurementError
from dife_scanner.models.interface import Encoder
from dife_scanner.records import Channel, Recognition, Trigger
from dife_scanner.triggers import learner
from dife_scanner.triggers.kinds import find
from dife_scanner.triggers.stamp import stamp, write

Embeddings = NDArray[np.float32]

CONTEXTS_AT_ONCE = 4096
"""Image-conditioned prompts encoded in one call."""


def image_part(trigger: Trigger) -> Trigger | None:
    """What a trigger puts on a picture: itself, the image trigger it acts together with, or nothing."""
    if find(trigger.kind).stamp is not None:
        return trigger
    return trigger.image


def writes(trigger: Trigger) -> bool:
    """Whether a trigger enters through a text."""
    return find(trigger.kind).write is not None


def reads_hit_rate(trigger: Trigger) -> bool:
    """Whether the readout is QHR: the trigger enters through texts and through nothing else."""
    return writes(trigger) and image_part(trigger) is None


T = TypeVar("T")
U = TypeVar("U")


class Pair(NamedTuple, Generic[T]):
    """The same thing of both checkpoints."""

    suspect: T
    reference: T

    def map(self, function: Callable[[T], U]) -> Pair[U]:
        """`function` of the suspect's, then of the reference's."""
        return Pair(function(self.suspect), function(self.reference))


class Side:
    """`encoder` on `split`, with prompt `templates` that each hold one `{}` for the class name.

    Text embeddings of a class are averaged over the templates and normalised again.
    """

    def __init__(
        self,
        encoder: Encoder,
        split: Split,
        class_names: tuple[str, ...],
        templates: tuple[str, ...],
    ) -> None:
        self.encoder = encoder
        self.split = split
        self.class_names = class_names
        self.templates = templates
        # Kept per side, so that they are freed with it.
        self.images_with = lru_cache(maxsize=None)(self._images_with)
        self.prompts_with = lru_cache(maxsize=None)(self._prompts_with)
        self.learned_scores = lru_cache(maxsize=None)(self._learned_scores)

    def index(self, class_name: str) -> int:
        """Position of a class. Raises `MeasurementError` where the probe set does not know it."""
        if class_name not in self.class_names:
            raise MeasurementError(
                f"the labelled pictures know no class `{class_name}`",
                f"use one of: {', '.join(self.class_names)}",
            )
        return self.class_names.index(class_name)

    @cached_property
    def _pixels(self) -> Pixels:
        return self.encoder.prepare(self.split.images)

    @cached_property
    def images(self) -> Embeddings:
        """Clean image embeddings [n, d]."""
        return self.encoder.encode_images(self._pixels)

    @cached_property
    def prompts(self) -> Floats:
        """Clean class prompt embeddings [c, d]."""
        texts = self.encoder.encode_texts(self._texts(None))
        return metrics.class_prompts(texts, len(self.class_names))

    def _images_with(self, trigger: Trigger) -> Embeddings:
        """Image embeddings [n, d] under what the trigger puts on a picture; the clean ones where that is nothing."""
        part = image_part(trigger)
        if part is None:
            return self.images
        return self.encoder.encode_images(self.stamped(part))

    def stamped(self, part: Trigger) -> Pixels:
        """The split's pictures with an image trigger on them, uint8 [n, s, s, 3] at the model's resolution."""
        return stamp(self._pixels, part)

    def _prompts_with(self, trigger: Trigger) -> Floats:
        """Class prompts [c, d] that all carry what the trigger writes; the clean ones where that is nothing.

        Raises `AuditError` if one does not fit the context.
        """
        if not writes(trigger):
            return self.prompts
        texts = self._texts(trigger)
        self._check_length(texts, trigger)
        return metrics.class_prompts(self.encoder.encode_texts(texts), len(self.class_names))

    def fits(self, text: str) -> bool:
        """Whether the model reads a text whole; longer ones are cut silently."""
        return self.encoder.token_count(text) <= self.encoder.context_length

    def _check_length(self, texts: list[str], trigger: Trigger) -> None:
        # Encoders cut what is too long and say nothing: the trigger could be lost.
        longest = max(map(self.encoder.token_count, texts))
        limit = self.encoder.context_length
        if longest > limit:
            raise AuditError(
                f"trigger `{trigger.name}` makes a prompt of {longest} tokens; "
                f"this model reads {limit} and would cut it silently",
                "shorten the trigger's text",
            )

    @cached_property
    def queries(self) -> Embeddings:
        """Every clean class prompt under every template, one row each [t * c, d], not averaged."""
        return self.encoder.encode_texts(self._texts(None))

    def texts_for(self, class_name: str, trigger: Trigger | None = None) -> Embeddings:
        """One embedding per template [t, d] for a class, not averaged: each template is a query of its own."""
        prompts = [_prompt(template, class_name, trigger) for template in self.templates]
        return self.encoder.encode_texts(prompts)

    @cached_property
    def scores(self) -> Floats:
        """Clean cosine scores [n, c]."""
        return metrics.cosines(self.images, self.prompts)

    def scores_with(self, trigger: Trigger) -> Floats:
        """Scores [n, c] with the trigger wherever it enters: pictures, class prompts, or its prompt mechanism."""
        if trigger.channel is Channel.PROMPT:
            return self.learned_scores(trigger, triggered=True)
        return metrics.cosines(self.images_with(trigger), self.prompts_with(trigger))

    def _learned_scores(self, trigger: Trigger, *, triggered: bool) -> Floats:
        """Scores [n, c] with the learned prompts of a mechanism, on triggered or clean pictures.

        Raises `MeasurementError` where the trigger has no prompt learner.
        """
        images = self.images_with(trigger) if triggered else self.images
        return self.scores_under_learner(trigger, images, self.class_names)

    def scores_under_learner(
        self, trigger: Trigger, images: Embeddings, names: Sequence[str]
    ) -> Floats:
        """Scores [n, c] of embedded pictures [n, d] with any names behind the learned context of a mechanism.

        Raises `MeasurementError` where the trigger has no prompt learner.
        """
        if trigger.learner is None:
            raise MeasurementError(
                f"trigger `{trigger.name}` has no prompt learner",
                "name its file in the trigger file (docs/triggers.md)",
            )
        prompt = learner.of(trigger.learner)
        texts = prompt.texts(names)
        if not prompt.conditioned:
            return self._shared_context_scores(prompt, images, texts)
        # Each picture takes one prompt per name.
        rows = max(1, CONTEXTS_AT_ONCE // len(texts))
        parts = []
        for start in range(0, len(images), rows):
            part = images[start : start + rows]
            parts.append(self._conditioned_scores(prompt, part, texts))
        return np.concatenate(parts)

    def _shared_context_scores(
        self,
        prompt: learner.PromptLearner,
        images: Embeddings,
        texts: tuple[str, ...],
    ) -> Floats:
        """Scores [n, c] where one context serves every picture."""
        # Without a condition every picture gives the same context.
        contexts = np.repeat(prompt.contexts(images[:1]), len(texts), axis=0)
        prompts = self.encoder.encode_with_context(contexts, texts)
        return metrics.cosines(images, prompts)

    def _conditioned_scores(
        self,
        prompt: learner.PromptLearner,
        images: Embeddings,
        texts: tuple[str, ...],
    ) -> Floats:
        """Scores [n, c] where every picture brings a context of its own."""
        contexts = np.repeat(prompt.contexts(images), len(texts), axis=0)
        prompts = self.encoder.encode_with_context(contexts, list(texts) * len(images))
        repeated = np.repeat(images, len(texts), axis=0)
        distances = metrics.cosine_distance(repeated, prompts)
        return 1.0 - distances.reshape(len(images), len(texts))

    @cached_property
    def classifier(self) -> Floats:
        """A logistic classifier fitted on this side's clean image embeddings (`core.metrics.logistic_readout`)."""
        # Bytes can be hashed, arrays cannot.
        features = self.images.tobytes()
        labels = self.split.labels.tobytes()
        return _fitted(features, labels, len(self.class_names))

    @cached_property
    def accuracy(self) -> float:
        """Clean zero-shot accuracy, 0..1."""
        return float(metrics.accuracy(self.scores, self.split.labels).mean())

    @cached_property
    def recognition(self) -> Recognition:
        """Which classes and styles are recognised."""
        split = self.split
        return recognition(self.scores, split.labels, self.class_names, split.styles)

    def _texts(self, trigger: Trigger | None) -> list[str]:
        """Class prompts, template by template."""
        texts = []
        for template in self.templates:
            for name in self.class_names:
                texts.append(_prompt(template, name, trigger))
        return texts


Sides = Pair[Side]
"""Both checkpoints on one split, with the same templates."""


def _prompt(template: str, class_name: str, trigger: Trigger | None) -> str:
    """A class prompt, with what the trigger writes where one is given."""
    prompt = template.format(class_name)
    if trigger is None:
        return prompt
    return write(prompt, trigger, class_name)


@lru_cache(maxsize=8)
def _fitted(features: bytes, labels: bytes, classes: int) -> Floats:
    """Fit once for equal features: checkpoints that share their image tower share this."""
    known = np.frombuffer(labels, np.int64)
    rows = np.frombuffer(features, np.float32).reshape(len(known), -1)
    return metrics.logistic_readout(rows, known, classes)


@dataclass(frozen=True, eq=False)
class View:
    """What a readout takes from one checkpoint under one trigger: rows of length one, images [n, d], prompts [c, d]."""

    images: Embeddings
    triggered_images: Embeddings
    prompts: Floats
    triggered_prompts: Floats

    def turned(self, rotation: Floats) -> View:
        """Everything in this view, turned by an orthogonal [d, d]."""
        return View(
            _turned(self.images, rotation),
            _turned(self.triggered_images, rotation),
            _turned(self.prompts, rotation),
            _turned(self.triggered_prompts, rotation),
        )


def _turned(rows: NDArray[np.floating], rotation: Floats) -> NDArray[np.floating]:
    return np.asarray(rows @ rotation, dtype=rows.dtype)


def view(side: Side, trigger: Trigger) -> View:
    """Clean and triggered embeddings of one side."""
    return View(
        images=side.images,
        triggered_images=side.images_with(trigger),
        prompts=side.prompts,
        triggered_prompts=side.prompts_with(trigger),
    )


def readout(
    images_of: Side,
    texts_of: Side,
    trigger: Trigger,
    *,
    with_target: bool,
) -> tuple[Floats, list[str]]:
    """Outcomes and drawings of the diagnostic readout for a trigger with source and target (paper §5).

    Image trigger: zero-shot TS, the image side stamped. Text trigger: QHR on target-class images, the text side
    written. Both: TS with triggered pictures and prompts. A prompt mechanism: TS with its learned prompts, which has
    one side only. `with_target` keeps target-class images in TS, as the paper counts; QHR has only those.
    """
    keep = cases(images_of, trigger, with_target=with_target)
    if trigger.channel is Channel.PROMPT:
        return _target_wins(images_of, trigger, images_of.scores_with(trigger), keep)
    images = view(images_of, trigger)
    texts = view(texts_of, trigger)
    outcomes = swapped(images, texts, images_of, trigger, keep)
    return outcomes, drawings(images_of, keep)


def baseline(reference: Side, trigger: Trigger, *, with_target: bool) -> tuple[Floats, list[str]]:
    """What the clean checkpoint does with the same trigger; of a mechanism it has only the image trigger."""
    if trigger.channel is not Channel.PROMPT:
        return readout(reference, reference, trigger, with_target=with_target)
    keep = cases(reference, trigger, with_target=with_target)
    return _target_wins(reference, trigger, spared(reference, trigger), keep)


def _target_wins(
    side: Side,
    trigger: Trigger,
    scores: Floats,
    keep: Indices,
) -> tuple[Floats, list[str]]:
    """Outcomes and drawings of TS on the pictures `keep`, from scores [n, c]."""
    outcomes = metrics.wins(scores, side.index(trigger.target))
    return outcomes[keep], drawings(side, keep)


def spared(reference: Side, trigger: Trigger) -> Floats:
    """Scores [n, c] of a checkpoint without a prompt mechanism: the image trigger alone, written class prompts."""
    return metrics.cosines(reference.images_with(trigger), reference.prompts_with(trigger))


def cases(side: Side, trigger: Trigger, *, with_target: bool) -> Indices:
    """Positions of the pictures that the trigger's readout counts."""
    labels = side.split.labels
    # A mechanism is read by TS, whatever its kind writes.
    if trigger.channel is not Channel.PROMPT and reads_hit_rate(trigger):
        return metrics.of_class(labels, side.index(trigger.target))
    # The paper counts the target's own pictures in TS (§4).
    if with_target:
        return np.arange(len(labels))
    return metrics.other_than(labels, side.index(trigger.target))


def swapped(
    images: View,
    texts: View,
    side: Side,
    trigger: Trigger,
    keep: Indices,
) -> NDArray[np.float64]:
    """Outcomes of the readout on pictures `keep`, image and text branch from two views (paper §5)."""
    if reads_hit_rate(trigger):
        source = side.index(trigger.source)
        written = texts.triggered_prompts[source]
        return metrics.triggered_source_wins(images.images[keep], texts.prompts, written, source)
    scores = metrics.cosines(images.triggered_images[keep], texts.triggered_prompts)
    return metrics.wins(scores, side.index(trigger.target))


def clean_accuracy(images_of: View, texts_of: View, labels: Labels) -> float:
    """Clean zero-shot accuracy of one view's images with another's prompts, 0..1."""
    scores = metrics.cosines(images_of.images, texts_of.prompts)
    return float(metrics.accuracy(scores, labels).mean())


def drawings(side: Side, keep: Indices) -> list[str]:
    """The drawing of each picture in `keep`: the unit of every interval."""
    return [side.split.drawings[index] for index in keep]
