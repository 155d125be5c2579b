"""What the rest of the program may ask of a loaded checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from dife_scanner.models.tokenizers import Tokenizer

    Pixels = NDArray[np.uint8]
    Embeddings = NDArray[np.float32]


class Encoder(Protocol):
    """A dual encoder ready for use; both towers embed into one embedding space of `d` dimensions."""

    @property
    def image_tower(self) -> str:
        """sha256 over the image tower's float32 values, its configuration and the preprocessing."""

    @property
    def text_tower(self) -> str:
        """sha256 over the text tower's float32 values, its configuration and the tokenizer."""

    @property
    def tokenizer(self) -> Tokenizer:
        """What cuts its texts into tokens."""

    @property
    def image_size(self) -> int:
        """Side of the square picture the image tower reads, in pixels."""

    @property
    def context_length(self) -> int:
        """Most tokens of one text, start and end tokens included."""

    @property
    def text_width(self) -> int:
        """Values of one token embedding."""

    @property
    def logit_scale(self) -> float:
        """The factor on cosine similarities (already exponentiated)."""

    @property
    def architecture(self) -> str:
        """Short and stable, as in `records.Manifest.architecture`."""

    @property
    def device(self) -> str:
        """Where the towers run, e.g. `cpu` or `cuda:0`."""

    def prepare(self, images: Pixels) -> Pixels:
        """Resize and crop `[n, h, w, 3]` as the checkpoint needs it, to `[n, s, s, 3]` with s = `image_size`."""

    def encode_images(self, pixels: Pixels) -> Embeddings:
        """Embed prepared pictures `[n, s, s, 3]` as rows `[n, d]` of length one.

        Raises `AuditError` where an embedding is not finite.
        """

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed `n` texts as rows `[n, d]` of length one.

        Raises `AuditError` for a text longer than the context (nothing is ever cut silently) and where an
        embedding is not finite.
        """

    def encode_with_context(self, contexts: Embeddings, texts: Sequence[str]) -> Embeddings:
        """Embed `k` texts, each behind its own `m` context vectors, as rows `[k, d]` of length one.

        `contexts` is float32 `[k, m, w]` with w = `text_width`: the vectors stand in place of token embeddings right
        after the start token, as a prompt learner's do. Raises `AuditError` for vectors of another width or not
        finite, for `m` vectors and a text that together outgrow the context, and as `encode_texts` does.
        """

    def token_count(self, text: str) -> int:
        """Tokens of `text`, start and end tokens included, before any cut."""
