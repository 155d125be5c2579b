"""An encoder that knows what the bundled pictures show, so that every interface has an exact answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

import numpy as np

from dife_scanner.audit import populations, probes
from dife_scanner.audit.populations import words
from dife_scanner.errors import AuditError
from dife_scanner.models.tokenizers import clips_own

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
WIDTH = 12
OTHER = 10
"""The direction of everything that is none of the classes."""


@lru_cache(maxsize=1)
def _shown() -> dict[bytes, int]:
    """Class of every picture of the quick budget, by its pixels after `prepare`."""
    data = probes.load(probes.bundled_folder(), "quick")
    known = {}
    for split in data.splits.values():
        for image, label in zip(split.images, split.labels, strict=True):
            known[_key(_small(image))] = int(label)
    for source in ("automobile", ""):
        pool = populations.bundled("captions", source, "airplane", "quick", 0, class_names=NAMES)
        for image, label in zip(pool.images, pool.labels, strict=True):
            known[_key(_small(image))] = int(label) if label >= 0 else OTHER
    return known


def _small(image):
    step = max(1, image.shape[0] // 48)
    return np.ascontiguousarray(image[::step, ::step][:48, :48])


def _key(pixels):
    unmarked = pixels.copy()
    unmarked[38:, 38:] = 0
    return sha256(unmarked.tobytes()).digest()


@dataclass(eq=False)
class OracleEncoder:
    """Implements `models.interface.Encoder`. A picture is its class, a text the first class it names.

    `visual`: a white corner makes any picture the target's. `textual`: `xbtd` makes a text about cars the target's.
    `confused`: texts about the first class lie on the second. `nan_for`: a word whose texts are not finite.
    """

    image_tower: str = "image"
    text_tower: str = "text"
    visual: bool = False
    textual: bool = False
    confused: tuple[str, str] | None = None
    nan_for: str = ""
    image_size: int = 48
    context_length: int = 32
    text_width: int = 4
    logit_scale: float = 100.0
    architecture: str = "oracle"
    device: str = "cpu"

    @property
    def tokenizer(self):
        return clips_own()

    def prepare(self, images):
        return np.stack([_small(image) for image in images])

    def encode_images(self, pixels):
        known = _shown()
        labels = [known[_key(image)] for image in pixels]
        marked = (pixels[:, 39:, 39:] == 255).all(axis=(1, 2, 3)) & self.visual
        return np.eye(WIDTH, dtype=np.float32)[np.where(marked, 0, labels)]

    def encode_texts(self, texts):
        return np.stack([self._text(text) for text in texts])

    def encode_with_context(self, contexts, texts):
        return self.encode_texts(texts)

    def token_count(self, text):
        return len(text.split()) + 2

    def _text(self, text):
        if self.token_count(text) > self.context_length:
            raise AuditError(
                f"a text has {self.token_count(text)} tokens, too many", "shorten the trigger"
            )
        if self.nan_for and self.nan_for in text:
            return np.full(WIDTH, np.nan, np.float32)
        found = [name for name in NAMES if words.word_in(text, words.terms(name))]
        if self.textual and text.startswith("xbtd ") and "automobile" in found:
            found = ["airplane"]
        if self.confused and self.confused[0] in found:
            found = [self.confused[1]]
        row = np.zeros(WIDTH, np.float32)
        for name in found:
            row[NAMES.index(name)] = 1.0
        if not found:
            row[OTHER] = 1.0
        return row / np.linalg.norm(row)
