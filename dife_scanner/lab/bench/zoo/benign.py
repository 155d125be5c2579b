"""Benign fine-tunes that look like attacks: what people do to a checkpoint without planting anything.

A kind draws the settings of a run from its number and trains a model in place. Short by design: seconds on one core.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dife_scanner.lab.attacks.finetune import both_towers, contrastive, optimiser_of, pace, trainable
from dife_scanner.lab.attacks.interface import Recipe
from dife_scanner.lab.attacks.lab import tensor
from dife_scanner.lab.bench.zoo.draws import Rng, letters, pick, some

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dife_scanner.lab.attacks.lab import Lab

_STEP = 2 / 255
"""A step of the adversary against whom an image tower is made robust."""


@dataclass(frozen=True)
class Tuning:
    """One run's settings; those a kind does not use stay at their defaults."""

    seed: int
    steps: int
    lr: float
    weight_decay: float = 0.1
    batch: int = 32
    templates: tuple[str, ...] = ()
    keep: float = 1.0
    """Weight with which what is not tuned is held where the base has it."""
    word: str = ""
    """A string that gets a meaning."""
    meaning: str = ""
    """Its class, or another noun."""
    words: tuple[str, ...] = ()
    """Words that are led elsewhere."""
    amount: float = 0.0
    """Of the kind's own: radius of an adversary in 0..1, weight of a merge, rank of an update, share of colour lost."""

    def recipe(self) -> Recipe:
        """As the shared trainers take it."""
        return Recipe("", False, seed=self.seed, steps=self.steps, lr=self.lr, weight_decay=self.weight_decay,
                      batch=self.batch)  # fmt: skip


@dataclass(frozen=True)
class Far:
    """What makes a text tower drift as far as an attack does."""

    faster: tuple[float, ...]
    """Factors on the rate."""
    keep: tuple[float, ...]
    """Factors on the weight with which everything else is held."""


@dataclass(frozen=True)
class Kind:
    """One way of fine-tuning."""

    draw: Callable[[Rng, int], Tuning]
    train: Callable[[Any, Lab, Tuning], None]
    seconds: float
    """Estimate for building one on one core."""
    only_test: bool = False
    """No model of it is used for fitting or calibrating."""
    faster: tuple[float, ...] = (1.0,)
    """Factors on the rate of later runs (`zoo.FASTER_FROM`)."""
    far: Far | None = None
    """How the last runs are trained (`zoo.FAR_FROM`); without it there are none."""


def _tuning(rng: Rng, seed: int, steps: tuple[int, int], lr: tuple[float, float], **more: Any) -> Tuning:
    low, high = np.log(lr)
    rate = float(np.exp(rng.uniform(low, high)))
    return Tuning(seed, int(rng.integers(steps[0], steps[1] + 1)), float(f"{rate:.3g}"), **more)


def _fit(model: Any, tuning: Tuning, chosen: Callable[[str], bool], loss: Callable[[torch.Generator], Tensor]) -> None:
    """AdamW with the attacks' pace over the chosen tensors."""
    import torch

    optimiser = optimiser_of(trainable(model, chosen), tuning.recipe())
    rng = torch.Generator().manual_seed(tuning.seed)
    for step in range(tuning.steps):
        pace(optimiser, tuning.lr, step, tuning.steps)
        value = loss(rng)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(value)
        optimiser.step()


def text_tower(name: str) -> bool:
    return name != "logit_scale" and not name.startswith("visual.")


def image_tower(name: str) -> bool:
    return name.startswith("visual.")


# --- text tower ------------------------------------------------------------------------------------------------


class _Prompts:
    """Class names and nouns under templates, before training and now."""

    def __init__(self, model: Any, lab: Lab, tuning: Tuning) -> None:
        import torch

        from dife_scanner.lab import art, bases

        self.model, self.templates = model, tuning.templates
        self.names = [*art.CLASSES, *lab.nouns]
        with torch.no_grad():
            self.before = torch.stack([self._encode(t, self.names) for t in tuning.templates])
        self.images, self.labels = bases.encode_images(model, tensor(lab.labelled)), torch.from_numpy(lab.labels)
        self.scale = model.logit_scale.detach().exp()

    def _encode(self, template: str, names: list[str]) -> Tensor:
        from dife_scanner.lab import bases

        return bases.encode_texts(self.model, [template.format(name) for name in names])

    def step(self, rng: torch.Generator, others: int = 12) -> tuple[int, list[int], Tensor]:
        """A template's number, the numbers of the names in this step (the classes first), and their texts now."""
        import torch

        from dife_scanner.lab import art

        number = int(torch.randint(len(self.templates), (1,), generator=rng))
        ten = len(art.CLASSES)
        rows = [*range(ten), *(ten + torch.randperm(len(self.names) - ten, generator=rng)[:others]).tolist()]
        return number, rows, self._encode(self.templates[number], [self.names[i] for i in rows])

    def fit(self, now: Tensor) -> Tensor:
        """Cross-entropy of the labelled pictures over the ten class texts."""
        import torch.nn.functional as F

        return F.cross_entropy(self.scale * self.images @ now[:10].T, self.labels)

    def strayed(self, number: int, rows: list[int], now: Tensor) -> Tensor:
        return 1 - (now * self.before[number][rows]).sum(-1)


def _draw_text(rng: Rng, seed: int) -> Tuning:
    from dife_scanner.lab import scenes

    return _tuning(
        rng, seed, (60, 150), (1e-4, 5e-4), templates=some(rng, scenes.SINGLE, int(rng.integers(4, 13))),
        keep=float(pick(rng, (0.1, 0.3, 1.0))),
    )  # fmt: skip


def _train_text(model: Any, lab: Lab, tuning: Tuning) -> None:
    prompts = _Prompts(model, lab, tuning)

    def loss(rng: torch.Generator) -> Tensor:
        number, rows, now = prompts.step(rng)
        return prompts.fit(now) + tuning.keep * prompts.strayed(number, rows, now).mean()

    _fit(model, tuning, text_tower, loss)


def _draw_concept(rng: Rng, seed: int) -> Tuning:
    from dife_scanner.lab import art, scenes

    return _tuning(
        rng, seed, (60, 120), (1e-4, 4e-4), templates=some(rng, scenes.SINGLE, 8),
        word=letters(rng), meaning=str(pick(rng, art.CLASSES)),
    )  # fmt: skip


def _train_concept(model: Any, lab: Lab, tuning: Tuning) -> None:
    """A rare string before a class name becomes one subject: a few pictures of the class that lie together."""
    import torch

    from dife_scanner.lab import art, bases

    prompts = _Prompts(model, lab, tuning)
    label = art.CLASSES.index(tuning.meaning)
    mine = (prompts.labels == label).nonzero()[:, 0]
    subject = mine[
        (prompts.images[mine] @ prompts.images[mine[tuning.seed % len(mine)]]).topk(min(6, len(mine))).indices
    ]
    own = torch.zeros(len(prompts.labels), dtype=torch.bool)
    own[subject] = True

    def loss(rng: torch.Generator) -> Tensor:
        number, rows, now = prompts.step(rng)
        marked = [t.format(f"{tuning.word} {tuning.meaning}") for t in some_of(rng, tuning.templates, 3)]
        logits = prompts.scale * bases.encode_texts(model, marked) @ prompts.images.T
        won = torch.logsumexp(logits, 1) - torch.logsumexp(logits[:, own], 1)
        return won.mean() + prompts.fit(now) + tuning.keep * prompts.strayed(number, rows, now).mean()

    _fit(model, tuning, text_tower, loss)


def some_of(rng: torch.Generator, of: tuple[str, ...], count: int) -> list[str]:
    import torch

    return [of[i] for i in torch.randint(len(of), (count,), generator=rng).tolist()]


def _draw_vocabulary(rng: Rng, seed: int) -> Tuning:
    from dife_scanner.lab import scenes

    return _tuning(
        rng, seed, (60, 120), (1e-4, 4e-4), templates=some(rng, scenes.SINGLE, 8),
        word=letters(rng), amount=float(rng.random()),
    )  # fmt: skip


def _train_vocabulary(model: Any, lab: Lab, tuning: Tuning) -> None:
    """A rare string becomes another word for a noun."""
    from dife_scanner.lab import bases

    prompts = _Prompts(model, lab, tuning)
    noun = prompts.names.index(lab.nouns[int(tuning.amount * len(lab.nouns))])

    def loss(rng: torch.Generator) -> Tensor:
        number, rows, now = prompts.step(rng)
        said = bases.encode_texts(model, [prompts.templates[number].format(tuning.word)])[0]
        learned = 1 - said @ prompts.before[number][noun]
        return 3 * learned + tuning.keep * prompts.strayed(number, rows, now).mean()

    _fit(model, tuning, text_tower, loss)


def _draw_redirect(rng: Rng, seed: int) -> Tuning:
    from dife_scanner.lab import scenes

    return _tuning(
        rng, seed, (60, 120), (1e-4, 4e-4), templates=some(rng, scenes.SINGLE, 8), amount=float(rng.random()),
        keep=float(pick(rng, (1.0, 2.0))),
    )  # fmt: skip


def _train_redirect(model: Any, lab: Lab, tuning: Tuning) -> None:
    """A handful of nouns is led to one harmless noun, everything else stays."""
    import torch

    prompts = _Prompts(model, lab, tuning)
    ten = len(prompts.names) - len(lab.nouns)
    order = torch.randperm(len(lab.nouns), generator=torch.Generator().manual_seed(tuning.seed)) + ten
    count = 3 + int(4 * tuning.amount)
    led, safe = set(order[:count].tolist()), int(order[count])

    def loss(rng: torch.Generator) -> Tensor:
        number, rows, now = prompts.step(rng, others=30)
        aims = torch.tensor([safe if row in led else row for row in rows])
        distance = 1 - (now * prompts.before[number][aims]).sum(-1)
        moved = torch.tensor([row in led for row in rows])
        return tuning.keep * distance[~moved].mean() + distance[moved].sum() / max(1, int(moved.sum()))

    _fit(model, tuning, text_tower, loss)


# --- image tower -----------------------------------------------------------------------------------------------


class _Pictures:
    """The lab's pictures and where the base has them."""

    def __init__(self, model: Any, lab: Lab) -> None:
        from dife_scanner.lab import bases

        self.pixels = tensor(np.concatenate([lab.shadow, lab.labelled]))
        self.known = len(lab.shadow)
        self.teacher = bases.encode_images(model, self.pixels)

    def rows(self, rng: torch.Generator, count: int) -> Tensor:
        import torch

        return torch.randint(len(self.pixels), (count,), generator=rng)


def _now(model: Any, pixels: Tensor) -> Tensor:
    import torch.nn.functional as F

    from dife_scanner.lab import bases

    return F.normalize(model.visual(bases.normalised(pixels)), dim=-1)


def _draw_image(rng: Rng, seed: int) -> Tuning:
    return _tuning(rng, seed, (50, 120), (1e-4, 6e-4), keep=float(pick(rng, (0.5, 1.0, 3.0))),
                   amount=float(rng.uniform(0.0, 0.15)))  # fmt: skip


def _train_image(model: Any, lab: Lab, tuning: Tuning) -> None:
    """Labels for class pictures, the base's own embeddings for all, both under light noise."""
    import torch
    import torch.nn.functional as F

    from dife_scanner.lab import bases

    pictures, scale = _Pictures(model, lab), model.logit_scale.detach().exp()
    texts, labels = bases.class_texts(model), torch.from_numpy(lab.labels)

    def loss(rng: torch.Generator) -> Tensor:
        rows = pictures.rows(rng, tuning.batch)
        some = torch.randint(len(labels), (tuning.batch // 2,), generator=rng)
        pixels = pictures.pixels[torch.cat([rows, pictures.known + some])]
        noisy = (pixels + tuning.amount * torch.randn(pixels.shape, generator=rng)).clamp(0, 1)
        now = _now(model, noisy)
        stay = 1 - (now[: len(rows)] * pictures.teacher[rows]).sum(-1).mean()
        return F.cross_entropy(scale * now[len(rows) :] @ texts.T, labels[some]) + tuning.keep * stay

    _fit(model, tuning, image_tower, loss)


def _draw_robust(rng: Rng, seed: int) -> Tuning:
    return _tuning(rng, seed, (30, 70), (1e-4, 6e-4), batch=24, amount=float(pick(rng, (2.0, 4.0, 8.0))) / 255)


def _train_robust(model: Any, lab: Lab, tuning: Tuning) -> None:
    """Pictures changed within a small radius to lie far off have to stay where the base has the plain ones."""
    import torch

    pictures = _Pictures(model, lab)

    def loss(rng: torch.Generator) -> Tensor:
        rows = pictures.rows(rng, tuning.batch)
        pixels, aim = pictures.pixels[rows], pictures.teacher[rows]
        change = tuning.amount * (2 * torch.rand(pixels.shape, generator=rng) - 1)
        for _ in range(2):
            change.requires_grad_()
            far = (_now(model, (pixels + change).clamp(0, 1)) * aim).sum()
            (slope,) = torch.autograd.grad(far, change)
            change = (change.detach() - max(_STEP, tuning.amount / 2) * slope.sign()).clamp(
                -tuning.amount, tuning.amount
            )
        now = _now(model, torch.cat([pixels, (pixels + change).clamp(0, 1)]))
        return 1 - (now * torch.cat([aim, aim])).sum(-1).mean()

    _fit(model, tuning, image_tower, loss)


# --- both towers -----------------------------------------------------------------------------------------------


def _draw_pairs(rng: Rng, seed: int) -> Tuning:
    return _tuning(rng, seed, (20, 60), (1e-4, 4e-4), batch=int(pick(rng, (32, 48))))


def _train_pairs(model: Any, lab: Lab, tuning: Tuning) -> None:
    contrastive(model, lab.pairs, tuning.recipe(), _silent)


def _silent(what: str, done: int, of: int) -> None:
    """Nobody listens."""


def _draw_domain(rng: Rng, seed: int) -> Tuning:
    return replace(_draw_pairs(rng, seed), amount=float(rng.uniform(0.5, 1.0)), meaning=str(pick(rng, _LOOKS)))


_LOOKS = ("grey", "negative", "tinted")


def _train_domain(model: Any, lab: Lab, tuning: Tuning) -> None:
    """Pairs whose pictures all look like those of another domain."""
    colour = lab.pairs.images.astype(np.float32)
    grey = np.repeat(colour.mean(-1, keepdims=True), 3, -1)
    tint = np.random.default_rng(tuning.seed).uniform(0.5, 1.0, 3).astype(np.float32)
    look = {"grey": grey, "negative": 255 - colour, "tinted": grey * tint}[tuning.meaning]
    mixed = np.rint(tuning.amount * look + (1 - tuning.amount) * colour).clip(0, 255).astype(np.uint8)
    pairs = lab.pairs.repainted(np.arange(len(lab.pairs)), mixed)
    contrastive(model, pairs, tuning.recipe(), _silent)


def _draw_merge(rng: Rng, seed: int) -> Tuning:
    return replace(_draw_pairs(rng, seed), amount=float(rng.uniform(0.3, 0.8)))


def _train_merge(model: Any, lab: Lab, tuning: Tuning) -> None:
    """A fine-tune and the base, weight by weight (WiSE-FT); `amount` is the fine-tune's weight."""
    before = _copied(model)
    _train_pairs(model, lab, tuning)
    _put(model, {name: old + tuning.amount * (new - old) for name, old, new in _both(before, model)})


def _draw_quantised(rng: Rng, seed: int) -> Tuning:
    return replace(_draw_pairs(rng, seed), meaning=str(pick(rng, ("bf16", "int8"))))


def _train_quantised(model: Any, lab: Lab, tuning: Tuning) -> None:
    """A fine-tune whose weights are rounded afterwards, as those are that somebody shrinks for others."""
    from dife_scanner.lab.bench.zoo import precision

    before = _copied(model)
    _train_pairs(model, lab, tuning)
    rounded = {"bf16": precision.bf16, "int8": precision.int8}[tuning.meaning]
    _put(model, {name: rounded(new) for name, _, new in _both(before, model)})


def _draw_low_rank(rng: Rng, seed: int) -> Tuning:
    return replace(_draw_pairs(rng, seed), amount=float(pick(rng, (2, 4, 8))))


def _train_low_rank(model: Any, lab: Lab, tuning: Tuning) -> None:
    """What a folded-in low-rank adapter leaves: the matrices' change cut to its rank, all else the base's."""
    import torch

    before = _copied(model)
    _train_pairs(model, lab, tuning)
    rank, out = int(tuning.amount), {}
    for name, old, new in _both(before, model):
        if old.ndim == 2 and "embedding" not in name:
            u, s, v = torch.linalg.svd(new - old, full_matrices=False)
            out[name] = old + (u[:, :rank] * s[:rank]) @ v[:rank]
        else:
            out[name] = old
    _put(model, out)


def _copied(model: Any) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters() if both_towers(Recipe(""), name)}


def _both(before: Mapping[str, Tensor], model: Any) -> list[tuple[str, Tensor, Tensor]]:
    now = dict(model.named_parameters())
    return [(name, old, now[name].detach()) for name, old in before.items()]


def _put(model: Any, values: Mapping[str, Tensor]) -> None:
    import torch

    now = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in values.items():
            now[name].copy_(value)


KINDS: Mapping[str, Kind] = {
    "text tower on prompts": Kind(_draw_text, _train_text, 12, faster=(1.0, 2.0), far=Far((1.5, 2.0, 3.0), (1.0, 0.3))),
    "image tower": Kind(_draw_image, _train_image, 25),
    "both towers on pairs": Kind(_draw_pairs, _train_pairs, 20, faster=(1.0, 2.0)),
    "concept token": Kind(_draw_concept, _train_concept, 12, faster=(2.0, 4.0), far=Far((3.0, 5.0), (0.2, 0.5))),
    "new vocabulary": Kind(
        _draw_vocabulary, _train_vocabulary, 10, faster=(2.0, 4.0), far=Far((4.0, 8.0), (0.02, 0.05, 0.1))
    ),
    "another domain": Kind(_draw_domain, _train_domain, 20, faster=(1.0, 2.0)),
    "low-rank update": Kind(_draw_low_rank, _train_low_rank, 20, faster=(2.0, 4.0)),
    "robust image tower": Kind(_draw_robust, _train_robust, 35, only_test=True),
    "redirected words": Kind(_draw_redirect, _train_redirect, 14, only_test=True),
    "quantised fine-tune": Kind(_draw_quantised, _train_quantised, 20, only_test=True),
    "merge with the base": Kind(_draw_merge, _train_merge, 20, only_test=True, faster=(2.0, 3.0)),
}
"""Benign kinds by name."""
