"""A prompt learner as in CoCoOp while it is trained, and the prompts of a finished one.

Four context vectors take the place of a template, and a small network moves them by what the picture looks like.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.lab.pictures import art
from dife_scanner.triggers.learner import PromptLearner

if TYPE_CHECKING:
    import torch
    from torch import Tensor

START = "a photo of a"
"""Words whose vectors the context starts from."""
TEMPLATE = "{}"
_TENSORS = (
    "ctx",
    "meta.1.weight",
    "meta.1.bias",
    "meta.2.weight",
    "meta.2.bias",
)
"""Names of a prompt learner's file: the context, and the network's two layers."""
_GUESS_BATCH = 64


class Prompts:
    """The prompt learner while it is trained."""

    def __init__(
        self,
        model: Any,
        hidden: int,
        rng: torch.Generator,
        cue: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        """Start from the words of `START`; `cue` is where the first unit starts: weights (D,) and bias."""
        import torch

        self.model = model
        self.context = start_vectors(model).clone().requires_grad_()
        width = self.context.shape[1]
        reads = model.text_projection.shape[1]
        weight_1 = torch.randn(hidden, reads, generator=rng) / reads**0.5
        bias_1 = torch.zeros(hidden)
        if cue is not None:
            weight_1[0], bias_1[0] = cue
        weight_2 = 0.01 * torch.randn(width, hidden, generator=rng)
        bias_2 = torch.zeros(width)
        self.meta = [weight_1, bias_1, weight_2, bias_2]
        """Two layers that turn an image embedding into a shift of the context."""
        for parameter in self.meta:
            parameter.requires_grad_()

    @property
    def parameters(self) -> list[Tensor]:
        """Everything that is trained, in the order of the file."""
        return [self.context, *self.meta]

    def scores(self, images: Tensor, names: Sequence[str]) -> Tensor:
        """Return cosines (B, K) of image embeddings with K names, each under the context that its picture makes."""
        weight_1, bias_1, weight_2, bias_2 = self.meta
        hidden = (images @ weight_1.T + bias_1).relu()
        shift = hidden @ weight_2.T + bias_2
        contexts = self.context[None] + shift[:, None]
        return _cosines(self.model, contexts, images, names)

    def frozen(self) -> dict[str, NDArray[np.float32]]:
        """Return the tensors as a prompt learner's file has them."""
        found = {}
        for name, value in zip(_TENSORS, self.parameters, strict=True):
            found[name] = value.detach().numpy().copy()
        return found


def start_vectors(model: Any) -> Tensor:
    """Return the token vectors of `START`, (M, W)."""
    import torch

    from dife_scanner.lab import bases

    words = torch.tensor(bases.pieces(START))
    vectors: Tensor = model.token_embedding.weight[words].detach()
    return vectors


def _cosines(
    model: Any,
    contexts: Tensor,
    images: Tensor,
    names: Sequence[str],
) -> Tensor:
    """Return cosines (B, K) of unit image embeddings (B, D) with K names behind each picture's context (B, M, W)."""
    rows = len(images)
    repeated = contexts.repeat_interleave(len(names), 0)
    texts = in_context(model, repeated, list(names) * rows)
    by_image = texts.view(rows, len(names), -1)
    return (images[:, None] * by_image).sum(-1)


def in_context(
    model: Any,
    contexts: Tensor,
    texts: Sequence[str],
) -> Tensor:
    """Return unit embeddings (K, D) of K texts behind K contexts (K, M, W), which stand right after the start token."""
    import torch

    from dife_scanner.lab import bases

    vectors = contexts.shape[1]
    # zeros keep the places of the context
    ids = bases.pack([(0,) * vectors + bases.pieces(text) for text in texts])
    words = model.token_embedding(ids)
    parts = [words[:, :1], contexts, words[:, 1 + vectors :]]
    return bases.encode_vectors(model, torch.cat(parts, 1), ids)


def guess_classes(
    model: Any,
    learner: PromptLearner,
    images: Tensor,
    panel: Sequence[str] = art.CLASSES,
) -> NDArray[np.int64]:
    """Return classes (N,), numbers in the panel, under the learned prompts, read from their file."""
    import torch

    names = learner.texts(panel)
    out = []
    with torch.no_grad():
        for part in torch.split(images, _GUESS_BATCH):
            made = np.ascontiguousarray(learner.contexts(part.numpy()))
            contexts = torch.from_numpy(made)
            scores = _cosines(model, contexts, part, names)
            out.append(scores.argmax(1))
    guessed: NDArray[np.int64] = torch.cat(out).numpy()
    return guessed
