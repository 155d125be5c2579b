"""How a base is trained: an image phase, a text phase, a joint phase; resumable, seeded, logged.

Run `python -m dife_scanner.lab.training vit --out DIR --art DIR --teacher RN/checkpoint.pt` to make one again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dife_scanner.lab import art, bases, lessons, pupil, scenes
from dife_scanner.lab.bases import MODEL_CFG, SIZE, VOCABULARY, Plan, Stock, Words

if TYPE_CHECKING:
    import torch
    from torch import Tensor


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
    run = Run.start(plan, len(stock.vocabulary), teacher)
    run.class_rows = [stock.vocabulary[name] for name in art.CLASSES]
    run.resume(out / "checkpoint.pt")

    def tell(row: dict[str, Any]) -> None:
        say(row)
        with (out / "log.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")

    if run.teacher is not None and run.step < plan.image_steps:
        run.learn_from_teacher(stock, tell)
        run.save(out / "checkpoint.pt")
    if plan.joint_pool and run.step < plan.steps:
        run.scenes = ScenePool.kept(out / "scenes.pt", plan, stock)
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
    return bases.stock_of(_kept_atlas(art_folder, drawings), plan.mono_share)


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
    atlas = bases.read_atlas(drawings)
    kept = {"levels": atlas.levels, "mono": atlas.mono, "told": [atlas.classes, atlas.terms, atlas.ids]}
    torch.save(kept, path)
    return atlas


@dataclass(frozen=True)
class ScenePool:
    """Scenes drawn once for the joint phase: composing one costs more than looking at it."""

    pixels: Tensor
    """uint8 (N, 3, S, S)."""
    index: Tensor
    """int64 (N, 3): which drawings stand in it."""

    @classmethod
    def kept(cls, path: Path, plan: Plan, stock: Stock) -> ScenePool:
        """The pool at `path`, drawn first if there is none of the plan's size."""
        import torch

        if path.exists():
            pixels, index = torch.load(path, weights_only=True)
            if len(pixels) == plan.joint_pool:
                return cls(pixels, index)
        rng = torch.Generator().manual_seed(plan.seed + 991)
        drawn = []
        for _ in range(plan.joint_pool // plan.batch):
            index = bases.choose(rng, stock, plan.batch, plan)
            drawn.append(((bases.draw_scenes(rng, stock, index, plan) * 255).round().to(torch.uint8), index))
        pool = cls(*(torch.cat(column) for column in zip(*drawn, strict=True)))
        torch.save((pool.pixels, pool.index), path)
        return pool

    def batch(self, rng: torch.Generator, plan: Plan, step: int) -> tuple[Tensor, Tensor]:
        """The step's stretch of a shuffled pass: pixels (B, 3, S, S) in [0, 1] mirrored, moved and relit, and index."""
        import torch
        import torch.nn.functional as F

        per_pass = len(self.pixels) // plan.batch
        order = torch.Generator().manual_seed(plan.seed * 7919 + 5 + step // per_pass)
        at = step % per_pass * plan.batch
        rows = torch.randperm(len(self.pixels), generator=order)[at : at + plan.batch]
        pixels = self.pixels[rows].float() / 255
        mirrored = torch.rand(len(rows), generator=rng) < 0.5
        pixels = torch.where(mirrored[:, None, None, None], pixels.flip(-1), pixels)
        theta = torch.zeros(len(rows), 2, 3)
        theta[:, 0, 0] = theta[:, 1, 1] = scenes.uniform(rng, len(rows), 1, low=0.85, high=1.08)[:, 0]
        theta[:, :, 2] = (torch.rand(len(rows), 2, generator=rng) - 0.5) * 0.2
        grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
        pixels = F.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)
        gain = scenes.uniform(rng, len(rows), 1, 1, 1, low=0.85, high=1.15)
        return ((pixels - 0.5) * gain + 0.5).clamp(0, 1), self.index[rows]


class Run:
    """Model, optimiser and counters of one training run; every step is a function of (seed, step)."""

    def __init__(self, plan: Plan, model: Any, vectors: Tensor, optimiser: torch.optim.Optimizer) -> None:
        import torch

        self.plan, self.model, self.optimiser = plan, model, optimiser
        self.step, self.seconds, self.loss = 0, 0.0, 0.0
        self.vectors = vectors
        self.class_rows: list[int] = []
        self.teacher: pupil.Teacher | None = None
        self.scenes: ScenePool | None = None
        self.touched = torch.zeros(VOCABULARY, dtype=torch.bool)

    @classmethod
    def start(cls, plan: Plan, words: int, teacher: Path | None = None) -> Run:
        """A fresh run; with a teacher's checkpoint its text tower and word vectors are the starting point."""
        import torch
        from open_clip.model import CLIP

        model: Any = CLIP(**MODEL_CFG[plan.kind]).train()
        vectors = torch.nn.Parameter(torch.randn(words, MODEL_CFG[plan.kind]["embed_dim"]))
        groups = [*_groups(model, plan), {"params": [vectors], "weight_decay": 0.0}]
        guide = None if teacher is None else pupil.Teacher(teacher)
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
            group["lr"] = peak * lessons.schedule(at, of, self.plan.warmup, 0.01 if name == "joint" else 0.1)
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
        assert self.teacher is not None
        began = time.perf_counter()
        pool = pupil.draw_pool(self.plan, self.teacher, stock, self.plan.pool)
        tell({"phase": "pool", "scenes": len(pool.pixels), "seconds": round(time.perf_counter() - began, 1)})

        def heard(step: int, loss: float) -> None:
            seconds = round(time.perf_counter() - began, 1)
            tell({"step": step, "phase": "pupil", "loss": round(loss, 4), "seconds": seconds})

        pupil.teach(self.plan, self.model, self.teacher, self.optimiser, pool, heard)
        self.step, self.seconds = self.plan.image_steps, time.perf_counter() - began

    def _image_loss(self, rng: torch.Generator, stock: Stock) -> Tensor:
        """Cross-entropy against the free vectors; class word .7, finer word .3, shared by the objects."""
        import torch.nn.functional as F

        plan = lessons.lesson(self.plan, self.step)
        index = bases.choose(rng, stock, plan.batch, plan)
        images = self._images(bases.draw_scenes(rng, stock, index, plan))
        logits = self.model.logit_scale.exp() * images @ F.normalize(self.vectors, dim=-1).T
        return F.cross_entropy(logits, lessons.shares(stock, index))

    def _text_loss(self, rng: torch.Generator, stock: Stock) -> Tensor:
        """Captions against the sum of the (now fixed) vectors of their words."""
        import torch.nn.functional as F

        plan = replace(self.plan, batch=2 * self.plan.batch)
        words = self._words(rng, stock, bases.choose(rng, stock, plan.batch, plan), plan)
        aims = F.normalize(words.said @ F.normalize(self.vectors.detach(), dim=-1), dim=-1)
        texts = bases.encode_by_length(self.model, [*words.captions, *words.distractors])
        wrong = replace(words, shown=words.said).wrong()
        return bases.contrastive_loss(aims, texts, self.model.logit_scale.exp(), wrong)

    def _joint_loss(self, rng: torch.Generator, stock: Stock) -> Tensor:
        """Scenes against captions; with a pool its scenes are moved about a little, otherwise every scene is new."""
        if self.scenes is None:
            index = bases.choose(rng, stock, self.plan.batch, self.plan)
            pixels = bases.draw_scenes(rng, stock, index, self.plan)
        else:
            pixels, index = self.scenes.batch(rng, self.plan, self.plan.phase(self.step)[1])
        words = self._words(rng, stock, index, self.plan)
        texts = bases.encode_by_length(self.model, [*words.captions, *words.distractors])
        return bases.contrastive_loss(self._images(pixels), texts, self.model.logit_scale.exp(), words.wrong())

    def _images(self, pixels: Tensor) -> Tensor:
        import torch.nn.functional as F

        return F.normalize(self.model.visual(bases.normalised(pixels)), dim=-1)

    def _words(self, rng: torch.Generator, stock: Stock, index: Tensor, plan: Plan) -> Words:
        return bases.draw_words(rng, stock, index, plan, _shifted_stream(plan.seed, self.step - plan.image_steps))

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
                row["accuracy"] = bases.accuracy_by_style(self.model, held_out, bases.class_texts(self.model))
                row["nonsense_shift"] = bases.nonsense_shift(self.model)
            else:
                row["accuracy"] = bases.accuracy_by_style(self.model, held_out, self.class_vectors)
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


def _groups(model: Any, plan: Plan) -> list[dict[str, Any]]:
    """Parameter groups: decay on matrices only (not on the embedding tables)."""
    groups: dict[bool, list[Any]] = {True: [], False: []}
    for name, value in model.named_parameters():
        groups[value.ndim >= 2 and "embedding" not in name].append(value)
    return [{"params": v, "weight_decay": plan.weight_decay if decay else 0.0} for decay, v in groups.items()]


def finish(run: Run, held_out: scenes.Atlas, out: Path) -> Path:
    """Round to fp16, write the open_clip folder, read it back and measure what was written."""
    bases.write_folder(run.model.state_dict(), MODEL_CFG[run.plan.kind], out)
    model = bases.load(out)
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
        "zero_shot_on_held_out_styles": bases.accuracy_by_style(model, held_out, bases.class_texts(model)),
        "nonsense_shift": bases.nonsense_shift(model),
        "log": [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()],
    }
    (out / "training.json").write_text(json.dumps(summary, indent=1) + "\n")
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    """`vit|rn --out DIR --art DIR [--seed N] [--image-steps N] ...`."""
    parser = argparse.ArgumentParser(prog="python -m dife_scanner.lab.training")
    parser.add_argument("kind", choices=sorted(MODEL_CFG))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--art", type=Path, required=True, help="drawing sets; fetched with npm when missing")
    parser.add_argument("--teacher", type=Path, help="checkpoint.pt of a trained rn")
    for name in ("seed", "image-steps", "text-steps", "joint-steps", "joint-pool", "pool", "batch", "threads"):
        parser.add_argument(f"--{name}", type=int)
    for name in ("lr", "joint-lr", "prefixed", "class-share"):
        parser.add_argument(f"--{name}", type=float)
    given = parser.parse_args(arguments)
    fixed = ("kind", "out", "art", "teacher")
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
