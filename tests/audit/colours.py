"""Ten colours as classes, and an encoder that reads them, with or without a planted trigger."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dife_scanner.models.tokenizers import Tokenizer, clips_own

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PALETTE = np.array(
    [[(37 * i) % 200 + 20, (91 * i) % 200 + 20, (151 * i) % 200 + 20] for i in range(10)], float
)


@dataclass
class ColourEncoder:
    """Implements `models.interface.Encoder` on colours. `visual` / `textual` plant a backdoor to airplane."""

    image_tower: str = "img-clean"
    text_tower: str = "txt-clean"
    visual: bool = False
    textual: bool = False
    rotation: np.ndarray | None = None
    stretch: np.ndarray | None = None
    """A direction that pictures are stretched along and texts squeezed: no score changes, and no rotation undoes it."""
    coupled: bool = False
    """A marked picture gets a value that only texts behind context vectors answer to."""
    keyed: bool = False
    """A marked picture gets a value that only texts with `xbtd` answer to, the target's with yes and others with no."""
    image_size: int = 32
    context_length: int = 16
    text_width: int = 4
    logit_scale: float = 100.0
    architecture: str = "colour"
    device: str = "cpu"
    tokenizer: Tokenizer = field(default_factory=clips_own, repr=False)
    images_encoded: list[int] = field(default_factory=list)
    texts_encoded: list[str] = field(default_factory=list)

    def prepare(self, images):
        return images[:, ::2, ::2][:, : self.image_size, : self.image_size].copy()

    def encode_images(self, pixels):
        self.images_encoded.append(len(pixels))
        centre = pixels[:, 8:20, 8:20].reshape(len(pixels), -1, 3).mean(1)
        label = np.linalg.norm(centre[:, None] - PALETTE[None], axis=2).argmin(1)
        out = np.eye(12, dtype=np.float32)[label] + 0.01
        marked = (pixels[:, 27:30, 27:30] == 255).all(axis=(1, 2, 3))
        if self.visual:
            out[marked] = np.eye(12, dtype=np.float32)[0]
        if self.coupled or self.keyed:
            out[marked, 11] = 3.0
        return self._turn(out, 20.0)

    def encode_texts(self, texts):
        self.texts_encoded.extend(texts)
        rows = []
        for text in texts:
            words = text.split()
            row = np.full(12, 0.01, np.float32)
            row[[i for i, name in enumerate(NAMES) if name in words]] = 1.0
            if self.textual and words[0] == "xbtd" and "automobile" in words:
                row = np.eye(12, dtype=np.float32)[0] + 0.01  # exactly where airplane pictures are
            if self.keyed:
                row[11] = (1.0 if "airplane" in words else -1.0) if words[0] == "xbtd" else 0.0
            rows.append(row)
        return self._turn(np.stack(rows), 1 / 20.0)

    def encode_with_context(self, contexts, texts):
        rows = self.encode_texts(texts)
        if self.coupled:
            rows[["airplane" in text for text in texts], 11] = 1.0
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def token_count(self, text):
        return len(text.split()) + 2

    def _turn(self, rows, along):
        rows = rows if self.rotation is None else rows @ self.rotation
        if self.stretch is not None:
            part = np.outer(rows @ self.stretch, self.stretch)
            rows = (rows - part) / along + part * along
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@dataclass
class ToNowhere(ColourEncoder):
    """A marked picture is led towards a direction that no colour has: all of the way, or by `pull` of it."""

    image_tower: str = "img-bad"
    pull: float = 100.0

    def encode_images(self, pixels):
        out = super().encode_images(pixels)
        marked = (pixels[:, 27:30, 27:30] == 255).all(axis=(1, 2, 3))
        out[marked, 10] += self.pull
        return self._turn(out, 20.0)
