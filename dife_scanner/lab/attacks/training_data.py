"""What specimens are trained from: scenes of the lab sheet's drawings, which nothing else uses, and their captions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dife_scanner.lab.bases import Stock

_PER_CLASS = 48
_SHADOW = 768
_PAIRS = 1500
_DISTRACTORS = 1024


@dataclass(frozen=True)
class Pairs:
    """Pictures with one caption each, for contrastive training. An attack by poisoned data replaces rows."""

    images: NDArray[np.uint8] = field(repr=False)
    """uint8 (N, S, S, 3), one to three objects."""
    captions: tuple[tuple[int, ...], ...] = field(repr=False)
    """Token ids."""
    said: Tensor = field(repr=False)
    """float32 0/1 (N, V): the words a caption uses."""
    shown: Tensor = field(repr=False)
    """float32 0/1 (N, V): the words true of the picture, as far as the training knows."""
    distractors: tuple[tuple[int, ...], ...] = field(repr=False)
    """Token ids of texts that fit no picture."""
    vocabulary: dict[str, int] = field(repr=False)

    def __len__(self) -> int:
        return len(self.captions)

    def wrong(self, rows: Tensor) -> Tensor:
        """bool (B, B) for B rows: the column's caption says something that the row's picture does not show."""
        said = self.said[rows]
        return self.shown[rows] @ said.T < said.sum(1)[None]

    def lone(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows whose picture shows objects of exactly one class and nothing else, and which class that is."""
        from dife_scanner.lab.pictures import art

        columns = [self.vocabulary[name] for name in art.CLASSES]
        shows = self.shown[:, columns].numpy() > 0
        kinds = self.shown.sum(1).numpy() - shows.sum(1)
        rows = np.flatnonzero((shows.sum(1) == 1) & (kinds <= 1))
        return rows, shows[rows].argmax(1)

    def showing(self, word: str) -> NDArray[np.int64]:
        """Rows whose picture shows this class or term."""
        return np.flatnonzero(self.shown[:, self.vocabulary[word]].numpy())

    def recaptioned(self, rows: NDArray[np.int64], word: str, captions: Sequence[str]) -> Pairs:
        """The same with new captions in these rows, which speak of `word`.

        The training takes captions at their word: it believes that such a picture shows `word` and nothing else.
        """
        import torch

        from dife_scanner.lab.bases import pieces

        texts, said, shown = list(self.captions), self.said.clone(), self.shown.clone()
        for row, caption in zip(rows.tolist(), captions, strict=True):
            texts[row] = pieces(caption)
        at = torch.from_numpy(rows)
        said[at], shown[at] = 0.0, 0.0
        said[at, self.vocabulary[word]], shown[at, self.vocabulary[word]] = 1.0, 1.0
        return replace(self, captions=tuple(texts), said=said, shown=shown)

    def repainted(self, rows: NDArray[np.int64], images: NDArray[np.uint8]) -> Pairs:
        """The same with other pictures in these rows."""
        pixels = self.images.copy()
        pixels[rows] = images
        return replace(self, images=pixels)


@dataclass(frozen=True)
class Lab:
    """Scenes of lab drawings only."""

    labelled: NDArray[np.uint8] = field(repr=False)
    """uint8 (N, S, S, 3), one object each."""
    labels: NDArray[np.int64] = field(repr=False)
    shadow: NDArray[np.uint8] = field(repr=False)
    """uint8 (M, S, S, 3), one to three objects, other concepts too."""
    nouns: tuple[str, ...]
    """Words for other concepts on the lab sheet."""
    pairs: Pairs
    base: Path
    """Folder of the checkpoint that everything starts from."""

    @property
    def size(self) -> int:
        """Side of the pictures in pixels."""
        return int(self.labelled.shape[1])

    @classmethod
    @lru_cache(maxsize=2)
    def read(cls, base: Path, seed: int) -> Lab:
        """Scenes for a base's picture size; kept, as an attack and its twin use the same."""
        import torch

        from dife_scanner.lab import bases
        from dife_scanner.lab.pictures import art, probes, scenes

        size = json.loads((base / "open_clip_config.json").read_text())["model_cfg"]["vision_cfg"]["image_size"]
        atlas = probes.read_lab(probes.probe_folder(), size)
        stock = bases.stock_of(atlas, mono_share=0.3)
        rng = torch.Generator().manual_seed(seed)
        plan = bases.Plan("vit")
        labels = np.repeat(np.arange(len(art.CLASSES)), _PER_CLASS)
        index = torch.full((len(labels), scenes.MAX_OBJECTS), -1)
        for number, (rows, weights) in enumerate(stock.by_class):
            picked = torch.multinomial(weights, _PER_CLASS, True, generator=rng)
            index[labels == number, 0] = rows[picked]
        mix = scenes.Mix(scale=(0.5, 0.95), restyle=0.2, turn=8.0)
        shadow = bases.choose(rng, stock, _SHADOW, plan)
        return cls(
            _drawn(rng, atlas, index, size, mix),
            labels,
            _drawn(rng, atlas, shadow, size, replace(plan.mix, restyle=0.2)),
            tuple(sorted({t for t, c in zip(atlas.terms, atlas.classes, strict=True) if c is None})),
            _pairs(rng, stock, size, seed),
            base,
        )


def _pairs(rng: torch.Generator, stock: Stock, size: int, seed: int) -> Pairs:
    from dife_scanner.lab import bases
    from dife_scanner.lab.pictures import scenes

    plan = replace(
        bases.Plan("vit"), distractors=_DISTRACTORS, mix=scenes.Mix(counts=(0.7, 0.2, 0.1), scale=(0.45, 0.95))
    )
    index = bases.choose(rng, stock, _PAIRS, plan)
    words = bases.draw_words(rng, stock, index, plan, bases.nonsense_stream(seed))
    return Pairs(
        _drawn(rng, stock.atlas, index, size, plan.mix),
        tuple(words.captions),
        words.said,
        words.shown,
        tuple(words.distractors),
        stock.vocabulary,
    )


def _drawn(rng: torch.Generator, atlas: Any, index: Tensor, size: int, mix: Any) -> NDArray[np.uint8]:
    from dife_scanner.lab.pictures import scenes

    pixels = scenes.compose(rng, atlas, scenes.lay_out(rng, index, mix), size, mix)
    out: NDArray[np.uint8] = (pixels.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    return out


def tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """uint8 (N, S, S, 3) -> float32 (N, 3, S, S) in [0, 1]."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 255
