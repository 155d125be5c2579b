"""A synthetic world: ten colours as classes, and encoders that read them, with or without a planted trigger."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from dife_scanner.audit.pipeline import Plan, Request
from dife_scanner.records import ModelRef, Reference
from dife_scanner.triggers.known import library

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PALETTE = np.array([[(37 * i) % 200 + 20, (91 * i) % 200 + 20, (151 * i) % 200 + 20] for i in range(10)], float)


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
    image_size: int = 32
    context_length: int = 16
    text_width: int = 4
    logit_scale: float = 100.0
    architecture: str = "colour"
    device: str = "cpu"
    images_encoded: list[int] = field(default_factory=list)
    texts_encoded: list[str] = field(default_factory=list)

    def prepare(self, images):
        return images[:, ::2, ::2][:, : self.image_size, : self.image_size].copy()

    def encode_images(self, pixels):
        self.images_encoded.append(len(pixels))
        centre = pixels[:, 8:20, 8:20].reshape(len(pixels), -1, 3).mean(1)
        label = np.linalg.norm(centre[:, None] - PALETTE[None], axis=2).argmin(1)
        out = np.eye(12, dtype=np.float32)[label] + 0.01
        if self.visual:
            marked = (pixels[:, 27:30, 27:30] == 255).all(axis=(1, 2, 3))
            out[marked] = np.eye(12, dtype=np.float32)[0]
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
            rows.append(row)
        return self._turn(np.stack(rows), 1 / 20.0)

    def token_count(self, text):
        return len(text.split()) + 2

    def _turn(self, rows, along):
        rows = rows if self.rotation is None else rows @ self.rotation
        if self.stretch is not None:
            part = np.outer(rows @ self.stretch, self.stretch)
            rows = (rows - part) / along + part * along
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="session")
def probe_folder(tmp_path_factory):
    """A probe set in the bundled format: 12 test, 4 diagnosis and 6 train drawings per class, two views each."""
    folder = tmp_path_factory.mktemp("probes")
    rng = np.random.default_rng(0)
    rows = []
    for label, name in enumerate(NAMES):
        for split, drawings in (("train", 6), ("diagnosis", 4), ("test", 12)):
            for drawing in range(drawings):
                for view in range(2):
                    pixels = np.clip(PALETTE[label] + rng.normal(0, 6, (64, 64, 3)), 0, 254).astype(np.uint8)
                    buffer = BytesIO()
                    Image.fromarray(pixels).save(buffer, "PNG")
                    file = f"{name}-{split}-{drawing}-{view}.png"
                    (folder / file).write_bytes(buffer.getvalue())
                    rows.append(
                        {
                            "file": file,
                            "sha256": sha256(buffer.getvalue()).hexdigest(),
                            "label": name,
                            "caption": f"a {name}",
                            "drawing": f"{split}:{name}:{drawing}",
                            "split": split,
                        }
                    )
    (folder / "probes.json").write_text(json.dumps({"version": "t1", "classes": list(NAMES), "images": rows}))
    return folder


@pytest.fixture
def request_for(probe_folder, tmp_path):
    """A request that compares a `ColourEncoder` with the clean one."""

    def make(signatures=None, cache=None, reference=True, **plan):
        base = Reference("colour-base", "", "img-clean", "txt-clean", "0" * 64, "colour", "2026-01-01")
        return Request(
            ref=ModelRef("org/model", "a" * 40),
            folder=tmp_path,
            weights_sha256="1" * 64,
            config_digest="2" * 64,
            reference=base if reference else None,
            known=(base,) if reference else (),
            plan=Plan(signatures or library(), probes_folder=probe_folder, **plan),
            cache=cache,
        )

    return make


@pytest.fixture
def colour_encoder():
    return ColourEncoder
