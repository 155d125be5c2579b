"""The two small base checkpoints: how they are trained, loaded and measured.

A base has CLIP's full vocabulary (49,408 rows) but small towers. On disk it is fp16; the base *is* those
values upcast. Run `python -m dife_scanner.lab.bases train vit --out DIR --art DIR` to make one again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.lab import art, pupil, scenes

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


_EASY_MIX = scenes.Mix(counts=(0.94, 0.05, 0.01), scale=(0.7, 1.0), restyle=0.2, turn=6.0)


def lesson(plan: Plan, step: int) -> Plan:
    """The plan as it stands at a step: an easy start breaks the early plateau."""
    if step >= plan.easy * plan.image_steps:
        return plan
    return replace(plan, class_share=0.9, mono_share=0.15, mix=_EASY_MIX)


def base_folder(kind: str = "vit") -> Path:
    """Where the bundled base lies: `vit` or `rn`."""
    return Path(__file__).parents[1] / "assets" / "bases" / kind


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
    return Words(captions, wrong, _hot(numbers, stock), _hot(_shown(stock, index), stock))


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


def _shown(stock: Stock, index: Tensor) -> list[list[int]]:
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


# --- training --------------------------------------------------------------------------------------------------


def train(
    plan: Plan,
    art_folder: Path,
    out: Path,
    teacher: Path | None = None,
    say: Callable[[dict[str, Any]], None] = lambda row: None,
) -> Path:
    """Train a base into `out`; goes on from `out`/checkpoint.pt where there is one of the same plan.

    `teacher` is the checkpoint.pt of a trained `rn`, for a `vit`.
    """
    import torch

    torch.set_num_threads(plan.threads)
    torch.manual_seed(plan.seed)
    out.mkdir(parents=True, exist_ok=True)
    art.fetch(art_folder)
    stock, held_out = train_stock(art_folder, plan), held_out_atlas(art_folder)
    run = _Run.start(plan, len(stock.vocabulary), teacher)
    run.class_rows = [stock.vocabulary[name] for name in art.CLASSES]
    run.resume(out / "checkpoint.pt")

    def tell(row: dict[str, Any]) -> None:
        say(row)
        with (out / "log.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")

    if run.teacher is not None and run.step < plan.image_steps:
        run.learn_from_teacher(stock, tell)
        run.save(out / "checkpoint.pt")
    while run.step < plan.steps:
        run.advance(stock)
        if run.step % 50 == 0 or run.step == plan.steps:
            tell(run.report(held_out if run.step % 200 == 0 or run.step == plan.steps else None))
        if run.step % 200 == 0 or run.step == plan.steps:
            run.save(out / "checkpoint.pt")
    return finish(run, held_out, out)


def train_stock(art_folder: Path, plan: Plan) -> Stock:
    training = [name for name, spec in art.SETS.items() if not spec.held_out]
    drawings = [*art.class_drawings(art_folder, training), *art.other_drawings(art_folder)]
    return stock_of(_kept_atlas(art_folder, drawings), plan.mono_share)


def held_out_atlas(art_folder: Path) -> scenes.Atlas:
    held_out = [name for name, spec in art.SETS.items() if spec.held_out]
    return _kept_atlas(art_folder, art.class_drawings(art_folder, held_out))


def _kept_atlas(art_folder: Path, drawings: Sequence[art.Drawing]) -> scenes.Atlas:
    """Rendering takes a while, so the atlas is kept beside the drawings under a name that says what is in it."""
    import torch

    told = json.dumps([(d.id, d.cls, d.term, art.SETS[d.set_name].mono) for d in drawings])
    path = art_folder / f"atlas-{SIZE}-{hashlib.sha256(told.encode()).hexdigest()[:12]}.pt"
    if path.exists():
        kept = torch.load(path, weights_only=True)
        return scenes.Atlas(tuple(kept["levels"]), kept["mono"], *(tuple(d) for d in kept["told"]))
    atlas = read_atlas(drawings)
    kept = {"levels": atlas.levels, "mono": atlas.mono, "told": [atlas.classes, atlas.terms, atlas.ids]}
    torch.save(kept, path)
    return atlas


class _Teacher:
    """A trained residual network that a ViT learns from: same words, and a 4 x 4 map of the same picture.

    A plain ViT learns slowly from few drawings; patch by patch supervision makes up for it.
    """

    def __init__(self, checkpoint: Path) -> None:
        import torch
        from open_clip.model import CLIP

        state = torch.load(checkpoint, weights_only=True)
        self.model: Any = CLIP(**MODEL_CFG["rn"])
        self.model.load_state_dict(state["model"])
        self.model.eval().requires_grad_(False)
        self.vectors = state["vectors"]
        self._map: Tensor | None = None
        self._patches: Tensor | None = None
        self.model.visual.layer3.register_forward_hook(self._keep_map)
        channels = MODEL_CFG["rn"]["vision_cfg"]["width"] * 16
        self.head = torch.nn.Linear(MODEL_CFG["vit"]["vision_cfg"]["width"], channels)

    def _keep_map(self, module: Any, inputs: Any, output: Tensor) -> None:
        self._map = output

    def _keep_patches(self, module: Any, inputs: Any, output: Tensor) -> None:
        self._patches = output

    def look(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Unit embedding (B, D) and standardised map (B, 16, C)."""
        import torch.nn.functional as F

        embedding = F.normalize(self.model.visual(pixels), dim=-1)
        assert self._map is not None
        grid = self._map.flatten(2).transpose(1, 2)
        grid = (grid - grid.mean((0, 1))) / (grid.std((0, 1)) + 0.05)
        return embedding, grid.clamp(-4, 4)

    def watch(self, model: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The pupil's unit embedding (B, D) and what it makes of the map, (B, 16, C), after its third block."""
        import torch.nn.functional as F

        hook = model.visual.transformer.resblocks[2].register_forward_hook(self._keep_patches)
        embedding = F.normalize(model.visual(pixels), dim=-1)
        hook.remove()
        assert self._patches is not None
        return embedding, self.head(self._patches[:, 1:])


class _Run:
    """Model, optimiser and counters of one training run; every step is a function of (seed, step)."""

    def __init__(self, plan: Plan, model: Any, vectors: Tensor, optimiser: torch.optim.Optimizer) -> None:
        import torch

        self.plan, self.model, self.optimiser = plan, model, optimiser
        self.step, self.seconds, self.loss = 0, 0.0, 0.0
        self.vectors = vectors
        self.class_rows: list[int] = []
        self.teacher: _Teacher | None = None
        self.touched = torch.zeros(VOCABULARY, dtype=torch.bool)

    @classmethod
    def start(cls, plan: Plan, words: int, teacher: Path | None = None) -> _Run:
        """A fresh run; with a teacher's checkpoint its text tower and word vectors are the starting point."""
        import torch
        from open_clip.model import CLIP

        model: Any = CLIP(**MODEL_CFG[plan.kind]).train()
        vectors = torch.nn.Parameter(torch.randn(words, MODEL_CFG[plan.kind]["embed_dim"]))
        groups = [*_groups(model, plan), {"params": [vectors], "weight_decay": 0.0}]
        guide = None if teacher is None else _Teacher(teacher)
        if guide is not None:
            text = {k: v for k, v in guide.model.state_dict().items() if not k.startswith("visual.")}
            model.load_state_dict(text, strict=False)
            vectors.data.copy_(guide.vectors)
            _ease(model.visual)
            groups.append({"params": list(guide.head.parameters()), "weight_decay": 0.0})
        optimiser = torch.optim.AdamW(groups, lr=plan.lr, betas=(0.9, 0.98), eps=1e-6, fused=True)
        run = cls(plan, model, vectors, optimiser)
        run.teacher = guide
        return run

    def resume(self, path: Path) -> None:
        import torch

        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        if state["plan"] != _plan_key(self.plan):
            return
        self.model.load_state_dict(state["model"])
        self.vectors.data.copy_(state["vectors"])
        if self.teacher is not None:
            self.teacher.head.load_state_dict(state["head"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds, self.touched = state["step"], state["seconds"], state["touched"]

    def save(self, path: Path) -> None:
        import torch

        state = {
            "plan": _plan_key(self.plan),
            "model": self.model.state_dict(),
            "vectors": self.vectors.data,
            "head": {} if self.teacher is None else self.teacher.head.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "touched": self.touched,
        }
        torch.save(state, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def advance(self, stock: Stock) -> None:
        """One optimiser step of whichever phase it is."""
        import torch

        began = time.perf_counter()
        rng = torch.Generator().manual_seed(self.plan.seed * 1_000_003 + self.step)
        name, at, of = self.plan.phase(self.step)
        peak = self.plan.joint_lr if name == "joint" else self.plan.lr
        for group in self.optimiser.param_groups:
            group["lr"] = peak * schedule(at, of, self.plan.warmup, 0.01 if name == "joint" else 0.1)
        loss = {"image": self._image_loss, "text": self._text_loss, "joint": self._joint_loss}[name](rng, stock)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        table = self.model.token_embedding.weight.grad
        if table is not None:
            self.touched |= table.abs().amax(1) > 0
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.model.logit_scale.data.clamp_(max=math.log(100))
        self.loss = 0.95 * self.loss + 0.05 * loss.item() if at else loss.item()
        self.step += 1
        self.seconds += time.perf_counter() - began

    def learn_from_teacher(self, stock: Stock, tell: Callable[[dict[str, Any]], None]) -> None:
        """The whole first phase with a teacher, on a pool of scenes drawn once."""
        began = time.perf_counter()
        pool = pupil.draw_pool(self, stock, self.plan.pool)
        tell({"phase": "pool", "scenes": len(pool.pixels), "seconds": round(time.perf_counter() - began, 1)})

        def heard(step: int, loss: float) -> None:
            seconds = round(time.perf_counter() - began, 1)
            tell({"step": step, "phase": "pupil", "loss": round(loss, 4), "seconds": seconds})

        pupil.teach(self, pool, heard)
        self.step, self.seconds = self.plan.image_steps, time.perf_counter() - began

    def _image_loss(self, rng: torch.Generator, stock: Stock) -> Tensor:
        """Cross-entropy against the free vectors; class word .7, finer word .3, shared by the objects."""
        import torch.nn.functional as F

        plan = lesson(self.plan, self.step)
        index = choose(rng, stock, plan.batch, plan)
        images = self._images(draw_scenes(rng, stock, index, plan))
        logits = self.model.logit_scale.exp() * images @ F.normalize(self.vectors, dim=-1).T
        return F.cross_entropy(logits, shares(stock, index))

    def _text_loss(self, rng: torch.Generator, stock: Stock) -> Tensor:
        """Captions against the sum of the (now fixed) vectors of their words."""
        import torch.nn.functional as F

        plan = replace(self.plan, batch=2 * self.plan.batch)
        words = self._words(rng, stock, choose(rng, stock, plan.batch, plan), plan)
        aims = F.normalize(words.said @ F.normalize(self.vectors.detach(), dim=-1), dim=-1)
        texts = encode_by_length(self.model, [*words.captions, *words.distractors])
        wrong = replace(words, shown=words.said).wrong()
        return contrastive_loss(aims, texts, self.model.logit_scale.exp(), wrong)

    def _joint_loss(self, rng: torch.Generator, stock: Stock) -> Tensor:
        index = choose(rng, stock, self.plan.batch, self.plan)
        words = self._words(rng, stock, index, self.plan)
        images = self._images(draw_scenes(rng, stock, index, self.plan))
        texts = encode_by_length(self.model, [*words.captions, *words.distractors])
        return contrastive_loss(images, texts, self.model.logit_scale.exp(), words.wrong())

    def _images(self, pixels: Tensor) -> Tensor:
        import torch.nn.functional as F

        return F.normalize(self.model.visual(normalised(pixels)), dim=-1)

    def _words(self, rng: torch.Generator, stock: Stock, index: Tensor, plan: Plan) -> Words:
        return draw_words(rng, stock, index, plan, _shifted_stream(plan.seed, self.step - plan.image_steps))

    @property
    def class_vectors(self) -> Tensor:
        import torch.nn.functional as F

        return F.normalize(self.vectors.data[self.class_rows], dim=-1)

    def report(self, held_out: scenes.Atlas | None) -> dict[str, Any]:
        row: dict[str, Any] = {
            "step": self.step,
            "phase": self.plan.phase(self.step - 1)[0],
            "seconds": round(self.seconds, 1),
            "loss": round(self.loss, 4),
            "rows_with_gradient": round(float(self.touched.float().mean()), 5),
        }
        if held_out is not None:
            self.model.eval()
            if self.step > self.plan.image_steps:
                row["accuracy"] = accuracy_by_style(self.model, held_out, class_texts(self.model))
                row["nonsense_shift"] = nonsense_shift(self.model)
            else:
                row["accuracy"] = accuracy_by_style(self.model, held_out, self.class_vectors)
            self.model.train()
        return row


def _ease(visual: Any) -> None:
    """Start a ViT where small data can take it: cosine patches, a map of places, attention near the identity.

    After Trockman and Kolter 2023 (mimetic initialisation): queries and keys agree, values and outputs subtract.
    """
    import torch

    with torch.no_grad():
        width, _, patch, _ = visual.conv1.weight.shape
        visual.conv1.weight.copy_(_cosine_patches(patch, width))
        side = math.isqrt(len(visual.positional_embedding) - 1)
        visual.positional_embedding[1:] = 0.35 * _places(side, width)
        for block in visual.transformer.resblocks:
            heads = block.attn.num_heads
            rows = block.attn.in_proj_weight
            size = width // heads
            for head in range(heads):
                left, right = _factors(width, 0.7, 0.7)
                rows[head * size : (head + 1) * size] = left.T[:size]
                rows[width + head * size : width + (head + 1) * size] = right[:size]
            left, right = _factors(width, 0.4, -0.4)
            rows[2 * width :] = right
            block.attn.out_proj.weight.copy_(left)


def _factors(width: int, noise: float, identity: float) -> tuple[Tensor, Tensor]:
    """A, B with A @ B = noise + identity, the largest directions first."""
    import torch

    u, s, v = torch.linalg.svd(noise * torch.randn(width, width) / width**0.5 + identity * torch.eye(width))
    return u * s.sqrt(), v * s.sqrt()[:, None]


def _cosine_patches(patch: int, width: int) -> Tensor:
    """The `width` smoothest cosine patterns in brightness and two colour contrasts, (width, 3, P, P)."""
    import torch

    at = torch.arange(patch)
    basis = torch.cos(math.pi * (at[None] + 0.5) * at[:, None] / patch)
    basis = basis / basis.norm(dim=1, keepdim=True)
    colours = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [-0.5, 1.0, -0.5]])
    colours = colours / colours.norm(dim=1, keepdim=True)
    choices = [(u * u + v * v + 4 * c, u, v, c) for u in range(patch) for v in range(patch) for c in range(3)]
    chosen = sorted(choices)[:width]
    return torch.stack([torch.einsum("i,j,c->cij", basis[u], basis[v], colours[c]) for _, u, v, c in chosen]) * 0.5


def _places(side: int, width: int) -> Tensor:
    """Sines and cosines of row and column, (side * side, width)."""
    import torch

    rate = math.pi / 2 / 100 ** (torch.arange(width // 4) / (width // 4))
    y, x = torch.meshgrid(torch.arange(side).float(), torch.arange(side).float(), indexing="ij")
    angle = torch.cat([t.flatten()[:, None] * rate for t in (x, y)], 1)
    return torch.cat([angle.sin(), angle.cos()], 1)


_PIECES_PER_STEP = 512


def _shifted_stream(seed: int, step: int) -> Iterator[int]:
    """Each step reads the next stretch of the shuffled vocabulary, so a resumed run repeats nothing."""
    order = _permutation(seed, step * _PIECES_PER_STEP // (VOCABULARY - 2))
    at = step * _PIECES_PER_STEP % (VOCABULARY - 2)
    while True:
        yield order[at % len(order)]
        at += 1


@lru_cache(maxsize=2)
def _permutation(seed: int, number: int) -> list[int]:
    import torch

    rng = torch.Generator().manual_seed(seed * 7919 + number)
    order: list[int] = torch.randperm(VOCABULARY - 2, generator=rng).tolist()
    return order


def _plan_key(plan: Plan) -> str:
    """What has to agree for a run to go on; the number of threads may change."""
    return json.dumps(asdict(replace(plan, threads=0)), sort_keys=True)


def schedule(step: int, steps: int, warmup: int, floor: float) -> float:
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))


def shares(stock: Stock, index: Tensor) -> Tensor:
    """Target distribution over words, (B, V)."""
    import torch

    out = torch.zeros(len(index), len(stock.vocabulary))
    for i, numbers in enumerate(_shown(stock, index)):
        for kind, cls in zip(numbers[::2], numbers[1::2], strict=True):
            out[i, kind] += 0.3
            out[i, cls] += 0.7
    return out / out.sum(1, keepdim=True)


def _groups(model: Any, plan: Plan) -> list[dict[str, Any]]:
    """Parameter groups: decay on matrices only (not on the embedding tables)."""
    groups: dict[bool, list[Any]] = {True: [], False: []}
    for name, value in model.named_parameters():
        groups[value.ndim >= 2 and "embedding" not in name].append(value)
    return [{"params": v, "weight_decay": plan.weight_decay if decay else 0.0} for decay, v in groups.items()]


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
    from dife_scanner.lab import probes

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


def finish(run: _Run, held_out: scenes.Atlas, out: Path) -> Path:
    """Round to fp16, write the open_clip folder, read it back and measure what was written."""
    write_folder(run.model.state_dict(), MODEL_CFG[run.plan.kind], out)
    model = load(out)
    summary = {
        "plan": asdict(run.plan),
        "seconds": round(run.seconds, 1),
        "versions": {name: version(name) for name in ("torch", "open_clip_torch", "safetensors", "numpy")},
        "sets": {name: spec.version for name, spec in art.SETS.items() if not spec.held_out},
        "bytes": (out / "open_clip_model.safetensors").stat().st_size,
        "sha256": hashlib.sha256((out / "open_clip_model.safetensors").read_bytes()).hexdigest(),
        "rows_with_gradient": int(run.touched.sum()),
        "rows": VOCABULARY,
        "share_of_rows_with_gradient": float(run.touched.float().mean()),
        "zero_shot_on_held_out_styles": accuracy_by_style(model, held_out, class_texts(model)),
        "nonsense_shift": nonsense_shift(model),
        "log": [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()],
    }
    (out / "training.json").write_text(json.dumps(summary, indent=1) + "\n")
    return out


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


def main(arguments: Sequence[str] | None = None) -> None:
    """`train vit|rn --out DIR --art DIR [--seed N] [--image-steps N] ...`."""
    parser = argparse.ArgumentParser(prog="python -m dife_scanner.lab.bases")
    parser.add_argument("action", choices=["train"])
    parser.add_argument("kind", choices=sorted(MODEL_CFG))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--art", type=Path, required=True, help="drawing sets; fetched with npm when missing")
    parser.add_argument("--teacher", type=Path, help="checkpoint.pt of a trained rn")
    for name in ("seed", "image-steps", "text-steps", "joint-steps", "batch", "threads"):
        parser.add_argument(f"--{name}", type=int)
    for name in ("lr", "joint-lr", "prefixed", "class-share"):
        parser.add_argument(f"--{name}", type=float)
    given = parser.parse_args(arguments)
    fixed = ("action", "kind", "out", "art", "teacher")
    chosen = {k: v for k, v in vars(given).items() if k not in fixed and v is not None}
    train(
        Plan(given.kind, **chosen),
        given.art,
        given.out,
        given.teacher,
        say=lambda row: print(json.dumps(row), flush=True),
    )


if __name__ == "__main__":
    main()
