"""A wide probe set of colours, and an encoder that knows some of them."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from dife_scanner.audit import probes, wide_probes
from dife_scanner.audit.probes import Probes, Split
from dife_scanner.audit.qualification import ProbeSets

CLASSES = ("bird", "cat", "truck")
THINGS = ("axe", "bag", "cap", "cup", "fan", "gem", "hat", "jar", "key", "map", "net", "pen")
CONCEPTS = ("banana", "crow", "lemon", "lime", "lorry", "pizza", *THINGS)
NAMES = (*CLASSES, *CONCEPTS)
PALETTE = {
    name: ((53 * n) % 211 + 20, (97 * n) % 199 + 20, (157 * n) % 193 + 20)
    for n, name in enumerate(NAMES)
}
SEARCHED = ("noto", "ph", "ri", "mdi")
HELD_OUT = ("emojione", "tabler", "icon-park")
KIND_OF = {"crow": "bird"}
NEAR = {"lemon": ["lime"], "lime": ["lemon"]}


def picture(name: str, style: str, size: int) -> np.ndarray:
    """One colour; the hand is a shade of the first row."""
    pixels = np.full((size, size, 3), PALETTE[name], np.uint8)
    pixels[0] = sum(map(ord, style)) % 256
    return pixels


def wide_folder(folder: Path, size: int = 32) -> Path:
    """A wide probe set as the builder writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for split, styles in (("search", SEARCHED), ("held-out", HELD_OUT)):
        with zipfile.ZipFile(folder / f"{split}.zip", "w") as archive:
            for name in CONCEPTS:
                for style in styles:
                    buffer = BytesIO()
                    Image.fromarray(picture(name, style, size)).save(buffer, "PNG")
                    file = f"{name}-{style}.png"
                    archive.writestr(file, buffer.getvalue())
                    rows.append(
                        {
                            "file": file,
                            "sha256": sha256(buffer.getvalue()).hexdigest(),
                            "concept": name,
                            "style": style,
                            "drawing": f"{style}:{name}",
                            "split": split,
                            "licence": "MIT",
                        }
                    )
    concepts = [
        {"name": name, "class": KIND_OF.get(name), "near": NEAR.get(name, []), "kept_out": False}
        for name in CONCEPTS
    ]
    manifest = {"version": "t1", "concepts": concepts, "images": rows}
    (folder / wide_probes.MANIFEST).write_text(json.dumps(manifest))
    return folder


def labelled(size: int = 32) -> Probes:
    """Labelled pictures of three classes: 8, 5 and 12 drawings each."""
    splits = {}
    for split, amount in ((probes.TRAIN, 8), (probes.DIAGNOSIS, 5), (probes.TEST, 12)):
        images, labels, drawings = [], [], []
        for label, name in enumerate(CLASSES):
            for number in range(amount):
                images.append(picture(name, str(number), size))
                labels.append(label)
                drawings.append(f"{split}:{name}-{number}")
        splits[split] = Split(
            split,
            np.stack(images),
            np.array(labels),
            tuple(drawings),
            styles=("ink",) * len(labels),
        )
    return Probes("t1", "0" * 64, CLASSES, splits)


def sets(folder: Path) -> ProbeSets:
    """Both sets."""
    return ProbeSets(labelled(), wide_probes.load(wide_folder(folder)))


@dataclass
class KnowingEncoder:
    """Takes pictures of `known` names for what they are, and all others for the first one."""

    known: tuple[str, ...] = NAMES
    alike: dict[str, str] = field(default_factory=dict)
    """Name -> another one whose prompt it nearly has."""
    blind_to: frozenset[str] = frozenset()
    """Styles whose pictures it cannot read."""
    image_tower: str = "image"
    text_tower: str = "text"
    context_length: int = 77
    images_encoded: int = 0
    texts_encoded: int = 0

    def prepare(self, images):
        return images

    def token_count(self, text):
        return len(text.split()) + 2

    def encode_images(self, pixels):
        self.images_encoded += len(pixels)
        palette = np.array([PALETTE[name] for name in NAMES], float)
        middle = pixels[:, 8, 8].astype(float)
        seen = np.linalg.norm(middle[:, None] - palette[None], axis=2).argmin(1)
        blind = {sum(map(ord, style)) % 256 for style in self.blind_to}
        rows = np.zeros((len(pixels), len(NAMES)), np.float32)
        for row, place in enumerate(seen):
            lost = NAMES[place] not in self.known or int(pixels[row, 0, 0, 0]) in blind
            rows[row, 0 if lost else place] = 1
        return rows

    def encode_texts(self, texts):
        self.texts_encoded += len(texts)
        rows = np.zeros((len(texts), len(NAMES)), np.float32)
        for row, text in enumerate(texts):
            name = next(word for word in reversed(text.split()) if word in NAMES)
            rows[row, NAMES.index(self.alike.get(name, name))] = 1
            rows[row, NAMES.index(name)] += 0.1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)
