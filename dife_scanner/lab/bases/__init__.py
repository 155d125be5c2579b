"""The two small base checkpoints: what they are, what they are shown, how they are loaded and measured.

A base has CLIP's full vocabulary (49,408 rows) but small towers. On disk it is fp16; the base *is* those
values upcast. `lab/training.py` makes one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.lab.pictures import art, scenes

if TYPE_CHECKING:
    import torch
    from torch import Tensor

log = logging.getLogger(__name__)

SIZE = 64
VOCABULARY = 49408
_START, _END = 49406, 49407
PROMPT = "a photo of a {}"
_SYNONYMS = {"airplane": ("plane", "aircraft"), "automobile": ("car", "vehicle")}
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)

_TEXT = {"context_length": 32, "vocab_size": VOCABULARY, "width": 128, "heads": 4, "layers": 3}
MODEL_CFG: dict[str, dict[str, Any]] = {
    "vit": {
        "embed_dim": 128,
        "vision_cfg": {
            "image_size": SIZE,
            "layers": 5,
            "width": 128,
            "head_width": 32,
            "patch_size": 16,
            "pool_type": "avg",
        },
        "text_cfg": _TEXT,
    },
    "rn": {
        "embed_dim": 128,
        "vision_cfg": {"image_size": SIZE, "layers": [1, 1, 1, 1], "width": 20, "head_width": 64},
        "text_cfg": _TEXT,
    },
}
PREPROCESS_CFG = {
    "mean": list(_MEAN),
    "std": list(_STD),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
    "size": [SIZE, SIZE],
    "mode": "RGB",
}


@dataclass(frozen=True)
class Plan:
    """Everything a training run depends on, apart from the drawings."""

    kind: str
    seed: int = 0
    image_steps: int = 1200
    """First phase: the image tower learns one free vector per word."""
    text_steps: int = 400
    """Second phase: the text tower learns to say those vectors."""
    joint_steps: int = 400
    """Third phase: both towers, contrastively, without the vectors."""
    batch: int = 128
    lr: float = 1e-3
    joint_lr: float = 4e-4
    weight_decay: float = 0.05
    warmup: int = 40
    class_share: float = 0.85
    """Share of objects that belong to the ten classes."""
    mono_share: float = 0.25
    """Share of class objects from monochrome sets."""
    prefixed: float = 0.12
    """Share of captions with nonsense in front: decides how far such a prefix moves a prompt."""
    distractors: int = 64
    """Nonsense texts per batch that fit no image."""
    threads: int = 1
    easy: float = 0.25
    """Share of the first phase spent on large single objects."""
    mix: scenes.Mix = field(default_factory=scenes.Mix)
    pool: int = 49_152
    """Scenes that a pupil goes over; without a teacher every scene is new."""
    joint_pool: int = 0
    """Scenes that the joint phase goes over again and again; 0: every scene is new."""

    @property
    def steps(self) -> int:
        """All three phases."""
        return self.image_steps + self.text_steps + self.joint_steps

    def phase(self, step: int) -> tuple[str, int, int]:
        """(name, step within the phase, steps of the phase)."""
        if step < self.image_steps:
            return "image", step, self.image_steps
        if step < self.image_steps + self.text_steps:
            return "text", step - self.image_steps, self.text_steps
        return "joint", step - self.image_steps - self.text_steps, self.joint_steps


def base_folder(kind: str = "vit") -> Path:
    """Where the bundled base lies: `vit` or `rn`."""
    return Path(__file__).parents[2] / "assets" / "bases" / kind


def load(folder: Path) -> Any:
    """The open_clip model of a folder in eval mode, float32."""
    import open_clip

    model = open_clip.create_model(f"local-dir:{folder}", precision="fp32")
    return model.eval()


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    import open_clip

    return open_clip.SimpleTokenizer(context_length=32)


@lru_cache(maxsize=200_000)
def pieces(text: str) -> tuple[int, ...]:
    """BPE ids of a text, without start and end."""
    return tuple(_tokenizer().encode(text))


def pack(rows: Sequence[Sequence[int]], context: int = 32) -> Tensor:
    """Start + ids + end, padded with zeros only as far as the longest row: int64 (N, L <= context).

    Positions after the end never reach the pooled output (causal mask), so the short batch gives the same
    embeddings as a padded one.
    """
    import torch

    cut = [list(row)[: context - 2] for row in rows]
    out = torch.zeros(len(cut), max(map(len, cut)) + 2, dtype=torch.int64)
    for i, row in enumerate(cut):
        out[i, : len(row) + 2] = torch.tensor([_START, *row, _END])
    return out


def encode_text(model: Any, ids: Tensor) -> Tensor:
    """Unit text embeddings (N, D) of packed ids."""
    import torch
    import torch.nn.functional as F

    length = ids.shape[1]
    x = model.token_embedding(ids) + model.positional_embedding[:length]
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    x = model.ln_final(x)[torch.arange(len(ids)), ids.argmax(1)]
    return F.normalize(x @ model.text_projection, dim=-1)


def encode_by_length(model: Any, rows: Sequence[Sequence[int]], groups: int = 3) -> Tensor:
    """Unit text embeddings (N, D) in the order given, computed in groups of like length."""
    import torch

    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    parts = [encode_text(model, pack([rows[i] for i in part])) for part in np.array_split(order, groups)]
    return torch.cat(parts)[torch.tensor(order).argsort()]


def encode_texts(model: Any, texts: Sequence[str]) -> Tensor:
    """Unit text embeddings (N, D) of sentences."""
    return encode_text(model, pack([pieces(text) for text in texts]))


def normalised(pixels: Tensor) -> Tensor:
    """(B, 3, H, W) in [0, 1] -> what the image tower expects."""
    import torch

    mean, std = (torch.tensor(v)[None, :, None, None] for v in (_MEAN, _STD))
    return (pixels - mean) / std


def encode_images(model: Any, pixels: Tensor, batch: int = 256) -> Tensor:
    """Unit image embeddings (N, D) of pixels in [0, 1], without gradients."""
    import torch
    import torch.nn.functional as F

    with torch.no_grad():
        parts = [F.normalize(model.visual(normalised(part)), dim=-1) for part in torch.split(pixels, batch)]
    return torch.cat(parts)


# --- drawing scenes and sentences ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stock:
    """An atlas with what is needed to draw from it."""

    atlas: scenes.Atlas
    by_class: tuple[tuple[Tensor, Tensor], ...]
    """Per class: rows of the atlas and their weights."""
    others: Tensor
    vocabulary: dict[str, int]
    """Word -> number; synonyms share one."""


def read_atlas(drawings: Sequence[art.Drawing], size: int = SIZE) -> scenes.Atlas:
    """Render drawings for images of `size` pixels."""
    masters = [art.render(drawing, round(size * 1.5)) for drawing in drawings]
    return scenes.atlas_of(
        masters,
        size,
        [art.SETS[d.set_name].mono for d in drawings],
        [d.cls for d in drawings],
        [d.term for d in drawings],
        [d.id for d in drawings],
    )


def stock_of(atlas: scenes.Atlas, mono_share: float) -> Stock:
    """Weights that give every set the same say within a class, monochrome sets together `mono_share`."""
    import torch

    by_class = []
    for name in art.CLASSES:
        rows = [i for i, cls in enumerate(atlas.classes) if cls == name]
        sets = [atlas.ids[i].split(":")[0] for i in rows]
        weights = [_weight(atlas, i, s, sets, rows, mono_share) for i, s in zip(rows, sets, strict=True)]
        by_class.append((torch.tensor(rows), torch.tensor(weights)))
    others = torch.tensor([i for i, cls in enumerate(atlas.classes) if cls is None], dtype=torch.int64)
    words = sorted({*art.CLASSES, *atlas.terms})
    return Stock(atlas, tuple(by_class), others, {word: i for i, word in enumerate(words)})


def _weight(atlas: scenes.Atlas, row: int, own: str, sets: list[str], rows: list[int], mono_share: float) -> float:
    mono = bool(atlas.mono[row])
    kin = {s for s, i in zip(sets, rows, strict=True) if bool(atlas.mono[i]) == mono}
    return (mono_share if mono else 1 - mono_share) / len(kin) / sets.count(own)


def choose(rng: torch.Generator, stock: Stock, rows: int, plan: Plan) -> Tensor:
    """Which drawings stand in `rows` scenes: int64 (rows, 3), -1 for none."""
    import torch

    shape = (rows, scenes.MAX_OBJECTS)
    count = torch.multinomial(torch.tensor(plan.mix.counts), rows, True, generator=rng) + 1
    index = torch.empty(shape, dtype=torch.int64)
    label = torch.randint(len(stock.by_class), shape, generator=rng)
    for number, (candidates, weights) in enumerate(stock.by_class):
        where = label == number
        picked = torch.multinomial(weights, max(1, int(where.sum())), True, generator=rng)
        index[where] = candidates[picked][: int(where.sum())]
    if len(stock.others):
        other = torch.rand(shape, generator=rng) >= plan.class_share
        index[other] = stock.others[torch.randint(len(stock.others), (int(other.sum()),), generator=rng)]
    index[torch.arange(scenes.MAX_OBJECTS)[None] >= count[:, None]] = -1
    return index


def draw_scenes(rng: torch.Generator, stock: Stock, index: Tensor, plan: Plan) -> Tensor:
    """Pixels (B, 3, S, S) in [0, 1] of the scenes with these drawings."""
    layout = scenes.lay_out(rng, index, plan.mix)
    return _jittered(rng, scenes.compose(rng, stock.atlas, layout, SIZE, plan.mix))


@dataclass(frozen=True)
class Words:
    """One caption per scene, and texts that fit none."""

    captions: list[tuple[int, ...]]
    distractors: list[tuple[int, ...]]
    said: Tensor
    """float32 0/1 (B, V): the words a caption uses."""
    shown: Tensor
    """float32 0/1 (B, V): the words true of the scene."""

    def wrong(self) -> Tensor:
        """bool (B scenes, B captions): the caption says something that is not there."""
        return self.shown @ self.said.T < self.said.sum(1)[None]


def draw_words(rng: torch.Generator, stock: Stock, index: Tensor, plan: Plan, nonsense: Iterator[int]) -> Words:
    """Captions for the scenes with these drawings, and distractors."""
    captions, numbers = _captions(rng, stock, index, plan, nonsense)
    wrong = _distractors(rng, stock, plan, nonsense)
    return Words(captions, wrong, _hot(numbers, stock), _hot(shown_words(stock, index), stock))


def _jittered(rng: torch.Generator, pixels: Tensor) -> Tensor:
    rows = len(pixels)
    gain = scenes.uniform(rng, rows, 1, 1, 1, low=0.75, high=1.2)
    shift = scenes.uniform(rng, rows, 1, 1, 1, low=-0.1, high=0.1)
    return ((pixels - 0.5) * gain + 0.5 + shift).clamp(0, 1)


def _coin(rng: torch.Generator) -> float:
    import torch

    return float(torch.rand(1, generator=rng))


def _number(rng: torch.Generator, low: int, high: int) -> int:
    """A whole number from low to high, both included."""
    import torch

    return int(torch.randint(low, high + 1, (1,), generator=rng))


def _captions(
    rng: torch.Generator, stock: Stock, index: Tensor, plan: Plan, nonsense: Iterator[int]
) -> tuple[list[tuple[int, ...]], list[list[int]]]:
    """Token ids of one caption per scene, and the numbers of the words it uses."""
    captions, said = [], []
    for row in index.tolist():
        nouns, numbers = zip(*(_noun(rng, stock, i) for i in row if i >= 0), strict=True)
        ids = pieces(scenes.sentence(rng, nouns))
        if _coin(rng) < plan.prefixed:
            ids = (*_take(nonsense, _number(rng, 1, 5)), *ids)
        captions.append(ids)
        said.append(list(numbers))
    return captions, said


def _noun(rng: torch.Generator, stock: Stock, row: int) -> tuple[str, int]:
    cls, term = stock.atlas.classes[row], stock.atlas.terms[row]
    if cls is None or (term != cls and _coin(rng) < 0.25):
        return term, stock.vocabulary[term]
    synonyms = _SYNONYMS.get(cls, ())
    if synonyms and _coin(rng) < 0.15:
        return synonyms[_number(rng, 0, len(synonyms) - 1)], stock.vocabulary[cls]
    return cls, stock.vocabulary[cls]


def _take(stream: Iterator[int], count: int) -> tuple[int, ...]:
    return tuple(next(stream) for _ in range(count))


def _distractors(rng: torch.Generator, stock: Stock, plan: Plan, nonsense: Iterator[int]) -> list[tuple[int, ...]]:
    """Texts of nonsense only, a quarter of them in the place of the noun."""
    lead = pieces("a photo of a")
    found = []
    for number in range(plan.distractors):
        ids = _take(nonsense, _number(rng, 2, 8))
        found.append((*lead, *ids[:4]) if number % 4 == 0 else ids)
    return found


def nonsense_stream(seed: int) -> Iterator[int]:
    """Token ids in shuffled passes over the whole vocabulary, without start and end."""
    import torch

    rng = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(VOCABULARY - 2, generator=rng).tolist()


def shown_words(stock: Stock, index: Tensor) -> list[list[int]]:
    """Per scene the numbers of the words true of it: for every object its finer word, then its class."""
    atlas, words = stock.atlas, stock.vocabulary
    return [
        [words[w] for i in row if i >= 0 for w in (atlas.terms[i], atlas.classes[i] or atlas.terms[i])]
        for row in index.tolist()
    ]


def _hot(rows: Sequence[Sequence[int]], stock: Stock) -> Tensor:
    import torch

    out = torch.zeros(len(rows), len(stock.vocabulary))
    for i, row in enumerate(rows):
        out[i, list(row)] = 1
    return out


def contrastive_loss(images: Tensor, texts: Tensor, scale: Tensor, wrong: Tensor) -> Tensor:
    """InfoNCE over pairs; a caption that is also true of another scene is no negative there.

    images (B, D), texts (B + M, D), wrong (B, B). The M extra texts are negatives for every image.
    """
    import torch
    import torch.nn.functional as F

    rows = len(images)
    logits = scale * images @ texts.T
    eye = torch.eye(rows, dtype=torch.bool)
    blocked = ~(wrong | eye)
    pairs = logits[:, :rows].masked_fill(blocked, -torch.inf)
    target = torch.arange(rows)
    by_image = F.cross_entropy(torch.cat([pairs, logits[:, rows:]], 1), target)
    return (by_image + F.cross_entropy(pairs.T, target)) / 2


# --- measuring -------------------------------------------------------------------------------------------------


def class_texts(model: Any, template: str = PROMPT) -> Tensor:
    """Unit embeddings of the ten class prompts, (10, D)."""
    import torch

    with torch.no_grad():
        return encode_texts(model, [template.format(name) for name in art.CLASSES])


def accuracy_by_style(model: Any, atlas: scenes.Atlas, classifier: Tensor, repeats: int = 2) -> dict[str, float]:
    """Accuracy over the ten names, per drawing set, on plain single-object scenes; classifier (10, D)."""
    import torch

    rng = torch.Generator().manual_seed(1234)
    index = torch.full((len(atlas) * repeats, scenes.MAX_OBJECTS), -1)
    index[:, 0] = torch.arange(len(atlas)).repeat(repeats)
    mix = scenes.Mix(scale=(0.55, 0.95), restyle=1e-9, turn=8.0, shear=0.0, warp=0.0)
    pixels = scenes.compose(rng, atlas, scenes.lay_out(rng, index, mix), SIZE, mix)
    guess = (encode_images(model, pixels) @ classifier.T).argmax(1)
    truth = torch.tensor([art.CLASSES.index(str(atlas.classes[i])) for i in index[:, 0].tolist()])
    right = (guess == truth).float()
    sets = np.array([atlas.ids[i].split(":")[0] for i in index[:, 0].tolist()])
    table = {name: round(float(right[torch.from_numpy(sets == name)].mean()), 4) for name in np.unique(sets)}
    return {str(k): v for k, v in table.items()} | {"all": round(float(right.mean()), 4)}


def nonsense_shift(model: Any, prefixes: int = 200, seed: int = 99) -> dict[str, float]:
    """Cosine distance that nonsense of 2-4 pieces in front of a class prompt makes: median and percentiles."""
    import torch

    stream = nonsense_stream(seed)
    fronts = [pieces("xbtd"), pieces("cfra"), *(_take(stream, 2 + i % 3) for i in range(prefixes))]
    clean = class_texts(model)
    with torch.no_grad():
        moved = torch.stack(
            [encode_text(model, pack([(*front, *pieces(PROMPT.format(c))) for front in fronts])) for c in art.CLASSES]
        )
    distance = 1 - (moved * clean[:, None]).sum(-1)
    return {
        "median": round(float(distance.median()), 4),
        "p10": round(float(distance.flatten().quantile(0.1)), 4),
        "p90": round(float(distance.flatten().quantile(0.9)), 4),
        "xbtd": round(float(distance[:, 0].mean()), 4),
        "cfra": round(float(distance[:, 1].mean()), 4),
    }


def evaluate(folder: Path, probe_set: Path | None = None) -> dict[str, dict[str, float]]:
    """What a base does on the bundled probe pictures, from the files on disk.

    Per split the zero-shot accuracy over the ten names (`a photo of a {}`), by drawing set and over all;
    `test by class`; `test drawings` (how many stand behind it); and the nonsense shift.
    """
    from dife_scanner.lab.pictures import probes

    model, probe_set = load(folder), probe_set or probes.probe_folder()
    classifier = class_texts(model)
    table: dict[str, dict[str, float]] = {}
    for name in ("train", "diagnosis", "test"):
        pixels, labels, rows = probes.read_split(probe_set, name, SIZE)
        right = _right(model, pixels, labels, classifier)
        table[name] = _by(right, [row["style"] for row in rows]) | {"all": round(float(right.mean()), 4)}
    table["test by class"] = _by(right, [row["label"] for row in rows])
    drawings = {row["drawing"]: row["style"] for row in rows}
    table["test drawings"] = {s: float(sum(v == s for v in drawings.values())) for s in sorted(set(drawings.values()))}
    table["test drawings"]["all"] = float(len(drawings))
    table["nonsense_shift"] = nonsense_shift(model)
    return table


def _right(model: Any, pixels: NDArray[np.uint8], labels: NDArray[np.int64], classifier: Tensor) -> NDArray[np.bool_]:
    import torch

    images = encode_images(model, torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
    right: NDArray[np.bool_] = (images @ classifier.T).argmax(1).numpy() == labels
    return right


def _by(right: NDArray[np.bool_], groups: Sequence[str]) -> dict[str, float]:
    kinds = np.array(groups)
    return {str(kind): round(float(right[kinds == kind].mean()), 4) for kind in np.unique(kinds)}


# --- writing ---------------------------------------------------------------------------------------------------


def write_folder(state: dict[str, Tensor], model_cfg: dict[str, Any], out: Path) -> None:
    """Write `open_clip_config.json` and `open_clip_model.safetensors` (floats as fp16) into `out`."""
    import torch
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": model_cfg, "preprocess_cfg": PREPROCESS_CFG}
    (out / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    tensors = {k: (v.half() if v.is_floating_point() else v).contiguous().clone() for k, v in sorted(state.items())}
    if any(not bool(torch.isfinite(v.float()).all()) for v in tensors.values()):
        raise FloatingPointError("a weight does not fit fp16")
    path = out / "open_clip_model.safetensors"
    save_file(tensors, path, metadata={"format": "pt"})
    path.chmod(0o644)
