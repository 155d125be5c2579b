"""One training run of a base: model, optimiser and counters; every step is a function of (seed, step)."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dife_scanner.lab.bases import distillation
from dife_scanner.lab.bases.captions import SPECIAL, Words, draw_words
from dife_scanner.lab.bases.checkpoint import (
    MODEL_CFG,
    VOCABULARY,
    has_trunk,
    new_model,
)
from dife_scanner.lab.bases.encoding import (
    class_texts,
    encode_by_length,
    encode_image_batch,
)
from dife_scanner.lab.bases.evaluation import HeldOut, accuracy_by_style, nonsense_shift
from dife_scanner.lab.bases.initialisation import initialise
from dife_scanner.lab.bases.losses import (
    contrastive_loss,
    cosine_schedule,
    sigmoid_loss,
    word_targets,
)
from dife_scanner.lab.bases.plan import plan_at
from dife_scanner.lab.bases.stock import choose, draw_scenes
from dife_scanner.lab.bases.teacher import Teacher
from dife_scanner.lab.pictures import art

if TYPE_CHECKING:
    from dife_scanner.lab.bases.plan import Plan
    from dife_scanner.lab.bases.scene_pool import ScenePool
    from dife_scanner.lab.bases.stock import Stock

Tell = Callable[[dict[str, Any]], None]
"""Called with a row of the training log."""
_FIRST_BIAS = -10.0
"""As in SigLIP, where nearly every pair is wrong."""
_PIECES_PER_STEP = 512
"""Token ids of the shuffled vocabulary that one step may use."""


class Run:
    """Model, optimiser and counters of one training run."""

    def __init__(
        self,
        plan: Plan,
        model: Any,
        vectors: Tensor,
        bias: Tensor,
        optimiser: torch.optim.Optimizer,
        teacher: Teacher | None = None,
    ) -> None:

        self.plan = plan
        self.model = model
        self.optimiser = optimiser
        self.teacher = teacher
        self.step = 0
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        self.loss = 0.0
        """Running mean of the losses of this phase."""
        self.vectors = vectors
        """One free vector per word, (V, D)."""
        self.vocabulary: dict[str, int] = {}
        """Word -> row of `vectors`."""
        self.scenes: ScenePool | None = None
        self.bias = bias
        """Of the sigmoid loss: what is added to every score."""
        self.kept = copy.deepcopy(model) if plan.average else model
        """What is measured and written in the end: the model, or the running mean of its weights."""
        self.touched = torch.zeros(VOCABULARY, dtype=torch.bool)
        """Token rows that have had a gradient."""

    @classmethod
    def start(
        cls,
        plan: Plan,
        words: int,
        checkpoint: Path | None = None,
    ) -> Run:
        """Start a fresh run; with a teacher's checkpoint its text tower and word vectors are the starting point."""

        config = MODEL_CFG[plan.kind]
        model: Any = new_model(config).train()
        if plan.channels_last:
            model.visual.to(memory_format=torch.channels_last)
        random = torch.randn(words, config["embed_dim"])
        vectors = torch.nn.Parameter(random * plan.vector_size)
        bias = torch.nn.Parameter(torch.tensor(_FIRST_BIAS))
        groups = _parameter_groups(model, plan)
        groups.append({"params": [vectors, bias], "weight_decay": 0.0})
        teacher = None
        if checkpoint is not None:
            teacher = Teacher(checkpoint, config)
            model.load_state_dict(teacher.text_state(), strict=False)
            vectors.data.copy_(teacher.vectors)
            if not has_trunk(config):
                initialise(model.visual)
            head = list(teacher.head.parameters())
            groups.append({"params": head, "weight_decay": 0.0})
        optimiser = torch.optim.AdamW(
            groups,
            lr=plan.lr,
            betas=(0.9, 0.98),
            eps=1e-6,
            fused=True,
        )
        return cls(plan, model, vectors, bias, optimiser, teacher)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint, where there is one of the same plan."""
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        if state["plan"] != self.plan.key:
            return
        self.model.load_state_dict(state["model"])
        self.kept.load_state_dict(state["kept"])
        self.vectors.data.copy_(state["vectors"])
        self.bias.data.copy_(state["bias"])
        if self.teacher is not None:
            self.teacher.head.load_state_dict(state["head"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]
        self.seconds = state["seconds"]
        self.cpu_seconds = state["cpu_seconds"]
        self.touched = state["touched"]

    def save(self, path: Path) -> None:
        """Write a checkpoint, complete as soon as it has its name."""
        head = {}
        if self.teacher is not None:
            head = self.teacher.head.state_dict()
        state = {
            "plan": self.plan.key,
            "model": self.model.state_dict(),
            "kept": self.kept.state_dict(),
            "vectors": self.vectors.data,
            "bias": self.bias.data,
            "head": head,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "touched": self.touched,
        }
        part = path.with_suffix(".tmp")
        torch.save(state, part)
        part.replace(path)

    def distil(self, stock: Stock, tell: Tell) -> None:
        """Do the whole first phase with the teacher, on a pool of scenes drawn once."""
        assert self.teacher is not None
        began = time.perf_counter()
        pool = distillation.draw_pool(self.plan, self.teacher, stock)
        tell(
            {
                "phase": "pool",
                "scenes": len(pool.pixels),
                "seconds": _since(began),
            }
        )

        def say(step: int, loss: float) -> None:
            tell(
                {
                    "step": step,
                    "phase": "pupil",
                    "loss": round(loss, 4),
                    "seconds": _since(began),
                }
            )

        distillation.distil(
            self.model,
            self.optimiser,
            self.plan,
            self.teacher,
            pool,
            say,
        )
        self.step = self.plan.image_steps
        self.seconds = time.perf_counter() - began

    def advance(self, stock: Stock) -> None:
        """Take one optimiser step of whichever phase it is."""
        began = time.perf_counter()
        used = time.process_time()
        rng = torch.Generator().manual_seed(self.plan.seed * 1_000_003 + self.step)
        phase, at, steps = self.plan.phase(self.step)
        self._set_learning_rate(phase, at, steps)
        loss = self._phase_loss(phase, rng, stock)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self._note_touched()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        # CLIP's own limit: a logit scale above 100 makes training unstable
        self.model.logit_scale.data.clamp_(max=math.log(100))
        self._average()
        self.loss = 0.95 * self.loss + 0.05 * loss.item() if at else loss.item()
        self.step += 1
        self.seconds += time.perf_counter() - began
        self.cpu_seconds += time.process_time() - used

    def _average(self) -> None:
        """Move the running mean of the weights; it is short at first, so that random weights are soon forgotten."""
        if not self.plan.average:
            return
        decay = min(self.plan.average, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            means = list(self.kept.parameters())
            torch._foreach_lerp_(means, list(self.model.parameters()), 1 - decay)
            for mean, value in zip(self.kept.buffers(), self.model.buffers(), strict=True):
                mean.copy_(value)

    def _set_learning_rate(self, phase: str, at: int, steps: int) -> None:
        peak, floor = self.plan.lr, self.plan.last_share
        if phase == "joint":
            peak, floor = self.plan.joint_lr, 0.01
        share = cosine_schedule(at, steps, self.plan.warmup, floor)
        for group in self.optimiser.param_groups:
            group["lr"] = peak * share

    def _note_touched(self) -> None:
        gradient = self.model.token_embedding.weight.grad
        if gradient is not None:
            self.touched |= gradient.abs().amax(1) > 0

    def _phase_loss(
        self,
        phase: str,
        rng: torch.Generator,
        stock: Stock,
    ) -> Tensor:
        if phase == "image":
            return self._image_loss(rng, stock)
        if phase == "text":
            return self._text_loss(rng, stock)
        return self._joint_loss(rng, stock)

    def _image_loss(self, rng: torch.Generator, stock: Stock) -> Tensor:
        """Return cross-entropy against the free vectors; class word .7, finer word .3, shared by the objects."""
        plan = plan_at(self.plan, self.step)
        index = choose(rng, stock, plan.batch, plan)
        pixels = draw_scenes(rng, stock, index, plan)
        targets = word_targets(stock, index, plan.term_weight)
        if self.teacher is not None:
            return distillation.taught_loss(self.model, self.teacher, pixels, targets)
        images = encode_image_batch(self.model, pixels)
        vectors = F.normalize(self.vectors, dim=-1)
        scale = self.model.logit_scale.exp()
        if plan.sigmoid:
            return sigmoid_loss(images, vectors, scale, self.bias, targets == 0)
        return F.cross_entropy(
            scale * images @ vectors.T,
            targets,
            label_smoothing=plan.smoothing,
        )

    def _text_loss(self, rng: torch.Generator, stock: Stock) -> Tensor:
        """Return the loss of captions against the sum of the (now fixed) vectors of their words."""
        # there are no pictures to encode, so twice as many captions fit
        plan = replace(self.plan, batch=2 * self.plan.batch)
        index = choose(rng, stock, plan.batch, plan)
        words = self._words(rng, stock, index, plan)
        vectors = F.normalize(self.vectors.detach(), dim=-1)
        targets = F.normalize(words.mentioned @ vectors, dim=-1)
        texts = encode_by_length(self.model, [*words.captions, *words.distractors])
        wrong = replace(words, shown=words.mentioned).wrong()
        return self._paired_loss(targets, texts, wrong)

    def _joint_loss(self, rng: torch.Generator, stock: Stock) -> Tensor:
        """Return the loss of scenes against captions; a pool's scenes are changed a little, others are always new."""
        if self.scenes is None:
            index = choose(rng, stock, self.plan.batch, self.plan)
            pixels = draw_scenes(rng, stock, index, self.plan)
        else:
            _, at, _ = self.plan.phase(self.step)
            pixels, index = self.scenes.batch(rng, self.plan, at)
        words = self._words(rng, stock, index, self.plan)
        texts = encode_by_length(self.model, [*words.captions, *words.distractors])
        images = encode_image_batch(self.model, pixels)
        return self._paired_loss(images, texts, words.wrong())

    def _paired_loss(self, images: Tensor, texts: Tensor, wrong: Tensor) -> Tensor:
        scale = self.model.logit_scale.exp()
        if self.plan.sigmoid:
            return sigmoid_loss(images, texts, scale, self.bias, wrong)
        return contrastive_loss(images, texts, scale, wrong)

    def _words(
        self,
        rng: torch.Generator,
        stock: Stock,
        index: Tensor,
        plan: Plan,
    ) -> Words:
        """Draw the step's captions and distractors."""
        nonsense = _nonsense_of_step(plan.seed, self.step - plan.image_steps)
        return draw_words(rng, stock, index, plan, nonsense)

    def _vectors_of(self, names: Sequence[str]) -> Tensor:
        """The free vectors of these words, (N, D)."""
        rows = [self.vocabulary[name] for name in names]
        return F.normalize(self.vectors.data[rows], dim=-1)

    def report(self, held_out: HeldOut | None) -> dict[str, Any]:
        """Return a row of the log; with held-out drawings it has the accuracy on them."""
        phase, _, _ = self.plan.phase(self.step - 1)
        row: dict[str, Any] = {
            "step": self.step,
            "phase": phase,
            "seconds": round(self.seconds, 1),
            "cpu_seconds": round(self.cpu_seconds, 1),
            "loss": round(self.loss, 4),
            "rows_with_gradient": round(float(self.touched.float().mean()), 5),
        }
        if held_out is None:
            return row
        model = self.kept.eval()
        has_words = self.step > self.plan.image_steps
        classifier = class_texts(model) if has_words else self._vectors_of(art.CLASSES)
        row["accuracy"] = accuracy_by_style(model, held_out.classes, classifier)
        if held_out.things is not None:
            names = held_out.names
            named = class_texts(model, names=names) if has_words else self._vectors_of(names)
            row["top_1"] = held_out.top_1(model, named)
        if has_words:
            row["nonsense_shift"] = nonsense_shift(model)
        model.train()
        return row


def _since(began: float) -> float:
    """Return the seconds since then, to a tenth."""
    return round(time.perf_counter() - began, 1)


def _parameter_groups(model: Any, plan: Plan) -> list[dict[str, Any]]:
    """Group the parameters: decay on matrices only (not on the embedding tables)."""
    decayed = []
    others = []
    for name, value in model.named_parameters():
        if value.ndim >= 2 and "embedding" not in name:
            decayed.append(value)
        else:
            others.append(value)
    return [
        {"params": decayed, "weight_decay": plan.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def _nonsense_of_step(seed: int, step: int) -> Iterator[int]:
    """Yield the next stretch of the shuffled vocabulary, so that a resumed run repeats nothing."""
    first = step * _PIECES_PER_STEP
    order = _permutation(seed, first // (VOCABULARY - SPECIAL))
    at = first % (VOCABULARY - SPECIAL)
    while True:
        yield order[at % len(order)]
        at += 1


@lru_cache(maxsize=2)
def _permutation(seed: int, number: int) -> list[int]:
    """Return a shuffled vocabulary, without start and end."""
    rng = torch.Generator().manual_seed(seed * 7919 + number)
    shuffled = torch.randperm(VOCABULARY - SPECIAL, generator=rng)
    order: list[int] = shuffled.tolist()
    return order
