"""What specimens are trained from: scenes of the lab sheets' drawings, which nothing else uses, and their captions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.lab.pictures import art

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dife_scanner.lab.bases import Plan, Stock
    from dife_scanner.lab.pictures.scenes import Atlas, Mix

_PER_CLASS = 48
"""Labelled pictures of each class."""
_SHADOW = 768
"""Pictures without a label."""
_PAIRS = 1500
"""Pictures with a caption."""
_DISTRACTORS = 1024
"""Texts of nonsense."""


@dataclass(frozen=True)
class Pairs:
    """Pictures with one caption each, for contrastive training. An attack by poisoned data replaces rows."""

    images: NDArray[np.uint8] = field(repr=False)
    """uint8 (N, S, S, 3), one to three objects."""
    captions: tuple[tuple[int, ...], ...] = field(repr=False)
    """Token ids."""
    mentioned: Tensor = field(repr=False)
    """float32 0/1 (N, V): the words a caption uses."""
    shown: Tensor = field(repr=False)
    """float32 0/1 (N, V): the words true of the picture, as far as the training knows."""
    distractors: tuple[tuple[int, ...], ...] = field(repr=False)
    """Token ids of texts that fit no picture."""
    vocabulary: dict[str, int] = field(repr=False)
    """Word -> its column in `mentioned` and `shown`."""
    classes: tuple[str, ...] = art.CLASSES
    """Words of the vocabulary that are classes."""

    def __len__(self) -> int:
        return len(self.captions)

    def pixels(self, rows: Tensor) -> Tensor:
        """Return the pictures of these rows: float32 (B, 3, S, S) in [0, 1]."""
        return tensor(self.images[rows.numpy()])

    def wrong(self, rows: Tensor) -> Tensor:
        """Mark captions (columns) that say what a picture (row) does not show: bool (B, B) for B rows."""
        from dife_scanner.lab.bases.captions import mentions_absent_words

        return mentions_absent_words(self.mentioned[rows], self.shown[rows])

    def lone(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return rows whose picture shows objects of exactly one class and nothing else, and which class that is."""
        columns = [self.vocabulary[name] for name in self.classes]
        shows = self.shown[:, columns].numpy() > 0
        classes = shows.sum(1)
        terms = self.shown.sum(1).numpy() - classes
        rows = np.flatnonzero((classes == 1) & (terms <= 1))
        return rows, shows[rows].argmax(1)

    def showing(self, word: str) -> NDArray[np.int64]:
        """Return the rows whose picture shows this class or term."""
        column = self.vocabulary[word]
        return np.flatnonzero(self.shown[:, column].numpy())

    def recaptioned(
        self,
        rows: NDArray[np.int64],
        word: str,
        captions: Sequence[str],
    ) -> Pairs:
        """Return the same with new captions in these rows, which speak of `word`.

        The training takes captions at their word: it believes that such a picture shows `word` and nothing else.
        """
        import torch

        from dife_scanner.lab.bases import pieces

        texts = list(self.captions)
        for row, caption in zip(rows.tolist(), captions, strict=True):
            texts[row] = pieces(caption)
        column = self.vocabulary[word]
        mentioned = self.mentioned.clone()
        shown = self.shown.clone()
        at = torch.from_numpy(rows)
        for words in (mentioned, shown):
            words[at] = 0.0
            words[at, column] = 1.0
        return replace(self, captions=tuple(texts), mentioned=mentioned, shown=shown)

    def repainted(
        self,
        rows: NDArray[np.int64],
        images: NDArray[np.uint8],
    ) -> Pairs:
        """Return the same with other pictures in these rows."""
        pixels = self.images.copy()
        pixels[rows] = images
        return replace(self, images=pixels)


@dataclass(frozen=True)
class Lab:
    """Scenes of lab drawings only."""

    labelled: NDArray[np.uint8] = field(repr=False)
    """uint8 (N, S, S, 3), one object each."""
    labels: NDArray[np.int64] = field(repr=False)
    """(N,), into `classes`."""
    shadow: NDArray[np.uint8] = field(repr=False)
    """uint8 (M, S, S, 3), one to three objects, other concepts too."""
    nouns: tuple[str, ...]
    """Words for other concepts on the lab sheet."""
    pairs: Pairs
    base: Path
    """Folder of the checkpoint that everything starts from."""
    classes: tuple[str, ...] = art.CLASSES
    """What labelled pictures show; in pictures without a label there is more."""

    @property
    def size(self) -> int:
        """Side of the pictures in pixels."""
        return int(self.labelled.shape[1])

    @classmethod
    @lru_cache(maxsize=2)
    def read(cls, base: Path, seed: int) -> Lab:
        """Draw the ten classes' scenes for a base's picture size; kept, as an attack and its twin use the same."""
        from dife_scanner.lab import bases
        from dife_scanner.lab.pictures import probes

        atlas = probes.read_lab(probes.probe_folder(), picture_size(base))
        stock = bases.stock_of(atlas, mono_share=0.3)
        return cls.drawn(base, seed, stock, art.CLASSES)

    @classmethod
    def drawn(
        cls,
        base: Path,
        seed: int,
        stock: Stock,
        classes: tuple[str, ...],
        **changed: Any,
    ) -> Lab:
        """Draw the scenes of a stock, which knows these classes in this order; `changed` are fields of their plan."""
        import torch

        from dife_scanner.lab import bases
        from dife_scanner.lab.pictures import scenes

        size = picture_size(base)
        plan = replace(bases.Plan("vit"), **changed)
        rng = torch.Generator().manual_seed(seed)
        labels = np.repeat(np.arange(len(classes)), _PER_CLASS)
        lone = _lone_drawings(rng, stock, labels)
        crowded = bases.choose(rng, stock, _SHADOW, plan)
        lone_mix = scenes.Mix(scale=(0.5, 0.95), restyle=0.2, turn=8.0)
        crowded_mix = replace(plan.mix, restyle=0.2)
        return cls(
            labelled=_drawn(rng, stock.atlas, lone, size, lone_mix),
            labels=labels,
            shadow=_drawn(rng, stock.atlas, crowded, size, crowded_mix),
            nouns=_other_terms(stock.atlas),
            pairs=replace(_pairs(rng, stock, plan, size, seed), classes=classes),
            base=base,
            classes=classes,
        )


def picture_size(base: Path) -> int:
    """Return the pixels per side that a checkpoint sees."""
    config = json.loads((base / "open_clip_config.json").read_text())
    size: int = config["model_cfg"]["vision_cfg"]["image_size"]
    return size


def _other_terms(atlas: Atlas) -> tuple[str, ...]:
    """Return the words for drawings of no class, in alphabetical order."""
    terms = set()
    for term, cls in zip(atlas.terms, atlas.classes, strict=True):
        if cls is None:
            terms.add(term)
    return tuple(sorted(terms))


def _lone_drawings(
    rng: torch.Generator,
    stock: Stock,
    labels: NDArray[np.int64],
) -> Tensor:
    """Choose one drawing of each label: int64 (N, 3), -1 where there is none."""
    import torch

    from dife_scanner.lab.pictures import scenes

    index = torch.full((len(labels), scenes.MAX_OBJECTS), -1)
    for number, (rows, weights) in enumerate(stock.by_class):
        picked = torch.multinomial(weights, _PER_CLASS, True, generator=rng)
        index[labels == number, 0] = rows[picked]
    return index


def _pairs(
    rng: torch.Generator,
    stock: Stock,
    plan: Plan,
    size: int,
    seed: int,
) -> Pairs:
    """Draw scenes with a caption each, and texts that fit none."""
    from dife_scanner.lab import bases
    from dife_scanner.lab.pictures import scenes

    mix = scenes.Mix(counts=(0.7, 0.2, 0.1), scale=(0.45, 0.95))
    plan = replace(plan, distractors=_DISTRACTORS, mix=mix)
    index = bases.choose(rng, stock, _PAIRS, plan)
    nonsense = bases.nonsense_stream(seed)
    words = bases.draw_words(rng, stock, index, plan, nonsense)
    return Pairs(
        images=_drawn(rng, stock.atlas, index, size, mix),
        captions=tuple(words.captions),
        mentioned=words.mentioned,
        shown=words.shown,
        distractors=tuple(words.distractors),
        vocabulary=stock.vocabulary,
    )


def _drawn(
    rng: torch.Generator,
    atlas: Atlas,
    index: Tensor,
    size: int,
    mix: Mix,
) -> NDArray[np.uint8]:
    """Draw scenes: uint8 (N, S, S, 3)."""
    from dife_scanner.lab.pictures import scenes

    layout = scenes.lay_out(rng, index, mix)
    pixels = scenes.compose(rng, atlas, layout, size, mix)
    channels_last = pixels.permute(0, 2, 3, 1).numpy()
    out: NDArray[np.uint8] = (channels_last * 255).round().astype(np.uint8)
    return out


def tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """Turn uint8 (N, S, S, 3) into float32 (N, 3, S, S) in [0, 1]."""
    import torch

    whole = torch.from_numpy(np.ascontiguousarray(pixels))
    return whole.permute(0, 3, 1, 2).float() / 255


def embedded(model: Any, pixels: NDArray[np.uint8]) -> Tensor:
    """Encode pictures (N, S, S, 3) as unit image embeddings (N, D), without gradients."""
    from dife_scanner.lab import bases

    return bases.encode_images(model, tensor(pixels))
