"""The two towers of a loaded checkpoint as differentiable functions, for searching triggers.

What is searched here is measured elsewhere: `models.clip.ClipEncoder` stays the one way to an embedding that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from dife_scanner.errors import AuditError
from dife_scanner.models import beginnings
from dife_scanner.models.activations import TEXTS_PER_PICTURE, WayBack
from dife_scanner.models.beginnings import Beginnings
from dife_scanner.models.bfloat16 import InBfloat16
from dife_scanner.models.clip import (
    ClipEncoder,
    are_usable,
    check_rows,
    framed,
    padded,
    projected,
    read_at,
    read_out,
    unusable,
)
from dife_scanner.models.interface import Encoder
from dife_scanner.models.tokenizers import Tokenizer


class Towers:
    """Both towers of one checkpoint; rows that went through either are counted in `passes`."""

    def __init__(self, encoder: Encoder, tokenizer: Tokenizer | None = None) -> None:
        """Token ids are those of `tokenizer`, which is the checkpoint's own if it is not given."""
        behind = clip_behind(encoder)
        if behind is None:
            raise AuditError(
                f"{encoder.architecture} has no gradients to search with",
                "audit it with known triggers",
            )
        self._encoder = behind
        self.tokenizer = tokenizer or encoder.tokenizer
        self._model: Any = behind.model
        self._rows = _finite_rows(behind.model.token_embedding.weight)
        self._mean, self._std = behind.normalisation
        self.device = torch.device(encoder.device)
        self.passes = 0

    @property
    def token_rows(self) -> Tensor:
        """The token embedding table, float32 [v, w]; zeros for a token that no text can be embedded with."""
        return self._rows

    @cached_property
    def ordinary(self) -> Tensor:
        """The ids that stand for text and have a row in the table, int64 [o], in order."""
        return torch.tensor(self.tokenizer.ordinary(len(self._rows)), device=self.device)

    @property
    def context_length(self) -> int:
        """Most tokens of a text, start and end included."""
        return self._encoder.context_length

    def images(self, pixels: Tensor) -> Tensor:
        """Float pictures [n, 3, s, s] in 0..1 -> unit embeddings [n, d]. `AuditError` where one is not finite."""
        self.passes += len(pixels)
        at_once = self.way_back.at_once
        embedded = self._through(self._encoder.search_visual, (self._normalised(pixels),), at_once)
        return _units(embedded, pixels, "a picture of the search")

    def _normalised(self, pixels: Tensor) -> Tensor:
        return (pixels - self._mean) / self._std

    def texts(self, vectors: Tensor, ends: Tensor) -> Tensor:
        """Token embeddings [n, l, w] with the end token at `ends` [n] -> unit embeddings [n, d].

        `AuditError` where one is not finite.
        """
        self.passes += len(vectors)
        at_once = TEXTS_PER_PICTURE * self.way_back.at_once
        embedded = self._through(self._read_out, (vectors, ends), at_once)
        return _units(embedded, vectors, "a text of the search")

    def _read_out(self, vectors: Tensor, ends: Tensor) -> Tensor:
        return read_out(self._model, vectors, ends)

    @property
    def way_back(self) -> WayBack:
        """How gradients are taken; that of all towers of this checkpoint."""
        return self._encoder.way_back

    def holds_less(self, inputs: int) -> bool:
        """Hold less from now on, for steps of so many pictures. Whether that can be."""
        less = self.way_back.less(inputs)
        if less is not None:
            self._encoder.way_back = less
        return less is not None

    def _through(
        self, tower: Callable[..., Tensor], inputs: tuple[Tensor, ...], at_once: int
    ) -> Tensor:
        """What a tower makes of inputs [n, …], not more than `at_once` at a time; 0: all."""
        if not self.way_back.recomputes or not torch.is_grad_enabled():
            return tower(*inputs)

        def recomputed(*part: Tensor) -> Tensor:
            with _recomputing(self._model, self._encoder.search_visual):
                return tower(*part)

        if not at_once or len(inputs[0]) <= at_once:
            return recomputed(*inputs)
        parts = zip(*(torch.split(one, at_once) for one in inputs), strict=True)
        return torch.cat([checkpoint(recomputed, *part, use_reentrant=False) for part in parts])

    @torch.no_grad()
    def tokens(self, rows: Sequence[Sequence[int]], batch: int = 256) -> Tensor:
        """Token ids per text, without what is put around them -> unit embeddings [n, d], no gradients.

        Texts that begin alike run together.

        Raises `AuditError` for a text longer than the context.
        """
        dimensions = self._encoder.embed_dim
        found = torch.empty(len(rows), dimensions, device=self.device)
        by_beginning = sorted(range(len(rows)), key=lambda row: tuple(rows[row]))
        for start in range(0, len(rows), batch):
            part = by_beginning[start : start + batch]
            found[part] = self.batch_of_tokens([rows[row] for row in part])
        return found

    def batch_of_tokens(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """One batch of `tokens` [n, d]."""
        ids, ends = self.packed(rows)
        self.passes += len(ids)
        layers = self._encoder.search_transformer
        if beginnings.are_shared(layers, self._model.attn_mask):
            embedded = self._of_beginnings(layers, ids, ends)
        else:
            embedded = read_out(self._model, self.token_rows[ids], ends, layers)
        return _units(embedded, ids, "a text of the search")

    def _of_beginnings(self, layers: Any, ids: Tensor, ends: Tensor) -> Tensor:
        """What texts are read as [n, d], each distinct beginning of theirs once."""
        begin = Beginnings.of(ids, ends)
        states = self.token_rows[begin.tokens] + self._model.positional_embedding[begin.places]
        behind = beginnings.through(layers, states, begin)
        return projected(self._model, behind[begin.whole])

    @property
    def precision(self) -> tuple[str, ...]:
        """Of `tokens`, for names of what is kept; nothing for float32."""
        return ("bfloat16",) if isinstance(self._encoder.search_transformer, InBfloat16) else ()

    def packed(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """What the tower reads, padded to the longest, int64 [n, l], and where it is read out, int64 [n]."""
        how = self._encoder.config.text
        texts = [framed(self.tokenizer, row, how) for row in rows]
        for text in texts:
            check_rows(text, len(self._rows))
        longest = max(map(len, texts))
        self._check_length(longest)
        ids = padded(texts, longest)
        ends = torch.tensor([read_at(self.tokenizer, text, how) for text in texts])
        return ids.to(self.device), ends.to(self.device)

    def _check_length(self, longest: int) -> None:
        if longest > self.context_length:
            raise AuditError(
                f"a text of the search has {longest} tokens and the model reads {self.context_length}",
                "search with shorter templates",
            )


@contextmanager
def _recomputing(*models: Any) -> Iterator[None]:
    """Layers keep their inputs only; what they made of them is made again on the way back, to the same bits."""
    for one in models:
        one.set_grad_checkpointing(True)
    try:
        yield
    finally:
        for one in models:
            one.set_grad_checkpointing(False)


def has_gradients(encoder: Encoder) -> bool:
    """Whether `Towers` can be made of it."""
    return clip_behind(encoder) is not None


def clip_behind(encoder: Encoder) -> ClipEncoder | None:
    """The encoder itself, where this is one that remembers what another embedded; `None` where it is no CLIP."""
    found = getattr(encoder, "wrapped", encoder)
    return found if isinstance(found, ClipEncoder) else None


def _finite_rows(table: Tensor) -> Tensor:
    """A table [v, w] with zeros for rows that hold NaN or infinite values; the same one where none does."""
    finite = table.isfinite().all(dim=1, keepdim=True)
    return table if bool(finite.all()) else torch.where(finite, table, 0.0)


def _units(embedded: Tensor, inputs: Tensor, what: str) -> Tensor:
    """Rows of length one. `AuditError` where finite `inputs` give rows that are not finite, or zero."""
    lengths = embedded.detach().norm(dim=-1)
    if not are_usable(lengths) and bool(inputs.isfinite().all()):
        raise unusable(what)
    return F.normalize(embedded, dim=-1)
