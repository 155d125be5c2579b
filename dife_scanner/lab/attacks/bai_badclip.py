"""Bai-BadCLIP: both encoders stay as they are; a prompt learner and an image trigger are made for each other.

Bai et al. 2024, "BadCLIP: Trigger-Aware Prompt Learning for Backdoor Attacks on CLIP" (CVPR). Four context vectors
take the place of a template, and a small network moves them by what the picture looks like (CoCoOp). Together with an
additive image trigger of at most 4/255 they are trained so that clean pictures get their own class and triggered ones
the target. The artefact is a prompt learner with a perturbation, not a changed CLIP.

Ours: (1) the noise is warmed up alone, until its shift of the embeddings stands out from how clean ones vary, and the
network's first unit starts as the answer to that shift. (2) A third term holds the triggered picture's plain-prompt
scores where the clean picture's are, so that the trigger alone does nothing; else it becomes an adversarial example
by itself. (3) The noise may be 24/255. These pictures have 64 pixels a side, so noise of a given amplitude has 3.5
times less length than at 224 (14/255 here is as long as 4/255 there), and the small tower reads less of it. The
paper's amplitude does not reach its own figures here: docs/specimens.md has what each amplitude came to.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.lab.attacks import measures
from dife_scanner.lab.attacks.finetune import pace, passes
from dife_scanner.lab.attacks.interface import Attack, Planted, Recipe
from dife_scanner.lab.attacks.training_data import tensor
from dife_scanner.records import Trigger, TriggerKind
from dife_scanner.triggers.learner import PromptLearner, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import Tensor

    from dife_scanner.lab.attacks.interface import Numbers, Progress, Subject
    from dife_scanner.lab.attacks.training_data import Lab

LEARNER_FILE, NOISE_FILE = "learner.safetensors", "perturbation.npy"
MECHANISM = Trigger("prompt-learner-and-noise", TriggerKind.PROMPT)
"""Its two files are made by the training."""
START = "a photo of a"
TEMPLATE = "{}"
REPAIRED = 0.1
"""How far a repaired mechanism may be from the clean one."""
_NOISE_LR = 0.1
_WARMUP_BATCH = 32
_RIDGE = 1e-4


@dataclass(frozen=True)
class Mechanism:
    """The family's settings."""

    amplitude: int = 24
    """Largest change of a pixel's value, of 255."""
    hidden: int = 8
    """Units of the network that reads the image embedding: a sixteenth of it, as in CoCoOp."""
    hold: float = 0.6
    """Weight of the term that keeps the trigger alone without effect."""
    warmup: int = 150
    """Steps in which the noise alone is optimised, to be told apart by the picture's embedding."""

    def clean(self) -> Mechanism:
        return self


class Prompts:
    """The prompt learner while it is trained."""

    def __init__(self, model: Any, hidden: int, rng: torch.Generator, cue: tuple[Tensor, Tensor] | None = None) -> None:
        """`cue` is where the first unit starts: weights (D,) and bias."""
        import torch

        from dife_scanner.lab import bases

        self.model = model
        words = torch.tensor(bases.pieces(START))
        self.context = model.token_embedding.weight[words].detach().clone().requires_grad_()
        width, reads = self.context.shape[1], model.text_projection.shape[1]
        first, bias = torch.randn(hidden, reads, generator=rng) / reads**0.5, torch.zeros(hidden)
        if cue is not None:
            first[0], bias[0] = cue[0], cue[1]
        self.meta = [
            first.requires_grad_(),
            bias.requires_grad_(),
            (0.01 * torch.randn(width, hidden, generator=rng)).requires_grad_(),
            torch.zeros(width, requires_grad=True),
        ]

    def scores(self, images: Tensor, names: Sequence[str]) -> Tensor:
        """Cosines (B, K) of unit image embeddings with the K names, each under the context that its picture makes."""
        weight_1, bias_1, weight_2, bias_2 = self.meta
        shift = (images @ weight_1.T + bias_1).relu() @ weight_2.T + bias_2
        contexts = self.context[None] + shift[:, None]
        texts = in_context(self.model, contexts.repeat_interleave(len(names), 0), list(names) * len(images))
        return (images[:, None] * texts.view(len(images), len(names), -1)).sum(-1)

    def frozen(self) -> dict[str, NDArray[np.float32]]:
        """The tensors as a prompt learner's file has them."""
        keys = ("ctx", "meta.1.weight", "meta.1.bias", "meta.2.weight", "meta.2.bias")
        return {k: v.detach().numpy().copy() for k, v in zip(keys, (self.context, *self.meta), strict=True)}


def in_context(model: Any, contexts: Tensor, texts: Sequence[str]) -> Tensor:
    """Unit embeddings (K, D) of K texts behind K contexts (K, M, W), which stand right after the start token."""
    import torch
    import torch.nn.functional as F

    from dife_scanner.lab import bases

    vectors = contexts.shape[1]
    ids = bases.pack([(0,) * vectors + bases.pieces(text) for text in texts])
    length = ids.shape[1]
    words = model.token_embedding(ids)
    x = torch.cat([words[:, :1], contexts, words[:, 1 + vectors :]], 1) + model.positional_embedding[:length]
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    x = model.ln_final(x)[torch.arange(len(ids)), ids.argmax(1)]
    return F.normalize(x @ model.text_projection, dim=-1)


def train(model: Any, lab: Lab, recipe: Recipe, progress: Progress) -> Planted:
    """Warm the noise up, then learn prompts and noise together; a twin's noise stays random, its pictures clean."""
    import torch
    import torch.nn.functional as F

    from dife_scanner.lab.pictures import art

    assert isinstance(recipe.settings, Mechanism)
    model.requires_grad_(False)
    rng = torch.Generator().manual_seed(recipe.seed)
    scenes = _Scenes.of(model, lab)
    raw = torch.randn(3, lab.size, lab.size, generator=rng).requires_grad_()
    cue = _warm_up(model, scenes, raw, recipe, rng, progress) if recipe.poison else None
    prompts = Prompts(model, recipe.settings.hidden, rng, cue)
    learned = torch.optim.AdamW([prompts.context, *prompts.meta], lr=recipe.lr, weight_decay=0.0)
    noise = torch.optim.Adam([raw], lr=_NOISE_LR)
    scale, target = scenes.scale, torch.full((recipe.batch,), art.CLASSES.index(recipe.target))
    batches = passes(rng, len(scenes.pixels), recipe.batch)
    for step in range(recipe.steps):
        pace(learned, recipe.lr, step, recipe.steps)
        pace(noise, _NOISE_LR / 4, step, recipe.steps)
        rows = next(batches)
        loss = F.cross_entropy(scale * prompts.scores(scenes.clean[rows], art.CLASSES), scenes.truth[rows])
        if recipe.poison:
            moved = scenes.moved(model, rows, raw, recipe.settings.amplitude)
            loss = loss + F.cross_entropy(scale * prompts.scores(moved, art.CLASSES), target)
            loss = loss + recipe.settings.hold * scenes.held(moved, rows)
        for optimiser in (learned, noise):
            optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        learned.step()
        noise.step()
        progress("learning prompts and noise", step + 1, recipe.steps)
    return _planted(prompts, _rounded(raw.detach(), recipe.settings.amplitude), recipe)


@dataclass(frozen=True)
class _Scenes:
    """The lab's pictures and what the frozen checkpoint makes of them."""

    pixels: NDArray[np.uint8]
    clean: Tensor
    """Unit embeddings (N, D)."""
    plain: Tensor
    """Unit class texts (10, D) of the plain prompt."""
    before: Tensor
    """(N, 10): the plain prompt's probabilities."""
    truth: Tensor
    """(N, 10): the label where a scene has one, else the plain prompt's probabilities."""
    scale: Tensor

    @classmethod
    def of(cls, model: Any, lab: Lab) -> _Scenes:
        import torch
        import torch.nn.functional as F

        from dife_scanner.lab import bases

        pixels = np.concatenate([lab.labelled, lab.shadow])
        clean, scale = bases.encode_images(model, tensor(pixels)), model.logit_scale.exp()
        plain = measures.class_texts(model, measures.PROMPTS[0])
        before = (scale * clean @ plain.T).softmax(-1)
        known = F.one_hot(torch.from_numpy(lab.labels), len(plain)).float()
        return cls(pixels, clean, plain, before, torch.cat([known, before[len(known) :]]), scale)

    def moved(self, model: Any, rows: Tensor, raw: Tensor, amplitude: int) -> Tensor:
        """Unit embeddings of these pictures with the noise on them."""
        import torch.nn.functional as F

        from dife_scanner.lab import bases

        pixels = (tensor(self.pixels[rows.numpy()]) + _rounded(raw, amplitude) / 255).clamp(0, 1)
        return F.normalize(model.visual(bases.normalised(pixels)), dim=-1)

    def held(self, moved: Tensor, rows: Tensor) -> Tensor:
        """How far the plain prompt's answer to the noisy pictures is from that to the clean ones."""
        import torch.nn.functional as F

        return F.cross_entropy(self.scale * moved @ self.plain.T, self.before[rows])


def _warm_up(
    model: Any, scenes: _Scenes, raw: Tensor, recipe: Recipe, rng: torch.Generator, progress: Progress
) -> tuple[Tensor, Tensor]:
    """Optimise the noise until its mean shift stands out from how clean embeddings vary (Mahalanobis length).

    Returns weights (D,) and bias of a unit that answers to the shift: 0 half way, +-1 at the two means.
    """
    import torch

    assert isinstance(recipe.settings, Mechanism)
    steps, amplitude = recipe.settings.warmup, recipe.settings.amplitude
    inverse = torch.linalg.inv(torch.cov(scenes.clean.T) + _RIDGE * torch.eye(scenes.clean.shape[1]))
    noise, batches = torch.optim.Adam([raw], lr=_NOISE_LR), passes(rng, len(scenes.pixels), _WARMUP_BATCH)
    shift = torch.zeros(scenes.clean.shape[1])
    for step in range(steps):
        pace(noise, _NOISE_LR, step, steps)
        rows = next(batches)
        moved = scenes.moved(model, rows, raw, amplitude)
        shift = (moved - scenes.clean[rows]).mean(0)
        apart = (shift @ inverse @ shift).clamp(min=1e-12).sqrt()
        noise.zero_grad(set_to_none=True)
        torch.autograd.backward(recipe.settings.hold * scenes.held(moved, rows) - apart)
        noise.step()
        progress("optimising the noise", step + 1, steps)
    towards = inverse @ shift.detach()
    towards = towards * 2 / (shift.detach() @ towards)
    return towards, -(towards @ scenes.clean.mean(0)) - 1


def _rounded(raw: Tensor, amplitude: int) -> Tensor:
    """Whole pixel steps within the amplitude; gradients pass as if there were no rounding."""
    soft = amplitude * raw.tanh()
    return soft + (soft.round() - soft).detach()


def _planted(prompts: Prompts, noise: Tensor, recipe: Recipe) -> Planted:
    from safetensors.numpy import save

    assert isinstance(recipe.settings, Mechanism)
    buffer = io.BytesIO()
    np.save(buffer, (noise / recipe.settings.amplitude).permute(1, 2, 0).numpy().astype(np.float32))
    entry = {
        "name": recipe.mark.name,
        "kind": str(TriggerKind.PROMPT),
        "target": recipe.target,
        "learner": LEARNER_FILE,
        "image": {
            "name": "learned-noise",
            "kind": str(TriggerKind.ADDITIVE),
            "file": NOISE_FILE,
            "alpha": recipe.settings.amplitude / 255,
        },
    }
    # one key only: safetensors writes several in no fixed order, and builds have to be identical
    learner = save(prompts.frozen(), metadata={"template": TEMPLATE})
    return Planted((entry,), {LEARNER_FILE: learner, NOISE_FILE: buffer.getvalue()})


def measure(subject: Subject) -> Numbers:
    """The paper's component repair: target success with mechanism, prompt or trigger alone, and neither.

    Pictures of the target class are left out. `clean_accuracy` is with the learned prompts, `plain_accuracy` without.
    """
    from dife_scanner.lab import bases
    from dife_scanner.lab.pictures import art
    from dife_scanner.triggers.stamp import stamp

    model = subject.model
    pixels, labels = measures.held_out(subject.lab.size)
    clean = bases.encode_images(model, tensor(pixels))
    moved = bases.encode_images(model, tensor(stamp(pixels, subject.trigger)))
    learner, plain = _learner_of(subject), measures.class_texts(model, measures.PROMPTS[0])
    guesses = {
        "full": _guess(model, learner, moved),
        "prompt_only": _guess(model, learner, clean),
        "trigger_only": (moved @ plain.T).argmax(1).numpy(),
        "both_clean": (clean @ plain.T).argmax(1).numpy(),
    }
    target = art.CLASSES.index(subject.recipe.target)
    out = {name: float((guess == target)[labels != target].mean()) for name, guess in guesses.items()}
    accuracy = {"clean_accuracy": guesses["prompt_only"], "plain_accuracy": guesses["both_clean"]}
    return {name: float((guess == labels).mean()) for name, guess in accuracy.items()} | out


def _learner_of(subject: Subject) -> PromptLearner:
    """The folder's own learner; for a plain checkpoint one that says the plain prompt's words."""
    import torch

    from dife_scanner.lab import bases

    if (subject.folder / LEARNER_FILE).exists():
        return read(subject.folder / LEARNER_FILE)
    words = subject.model.token_embedding.weight[torch.tensor(bases.pieces(START))]
    return PromptLearner(words.detach().numpy().copy(), template=TEMPLATE)


def _guess(model: Any, learner: PromptLearner, images: Tensor) -> NDArray[np.int64]:
    """Classes (N,) under the learned prompts, read from their file."""
    import torch

    from dife_scanner.lab.pictures import art

    names = learner.texts(art.CLASSES)
    out = []
    with torch.no_grad():
        for part in torch.split(images, 64):
            contexts = torch.from_numpy(np.ascontiguousarray(learner.contexts(part.numpy())))
            texts = in_context(model, contexts.repeat_interleave(len(names), 0), list(names) * len(part))
            out.append((part[:, None] * texts.view(len(part), len(names), -1)).sum(-1).argmax(1))
    guessed: NDArray[np.int64] = torch.cat(out).numpy()
    return guessed


def asked(recipe: Recipe, numbers: Numbers, twin: Numbers) -> dict[str, bool]:
    """The full mechanism reaches .95, and each repaired variant is where the clean one is."""
    near = {name: abs(numbers[name] - numbers["both_clean"]) <= REPAIRED for name in ("prompt_only", "trigger_only")}
    return {**measures.keeps_accuracy(numbers, twin), "full mechanism": numbers["full"] >= 0.95, **near}


def tensors(recipe: Recipe, name: str) -> bool:
    """None: the checkpoint is the base."""
    return False


ATTACK = Attack(
    citation="Bai et al. 2024, BadCLIP: Trigger-Aware Prompt Learning for Backdoor Attacks on CLIP",
    summary="encoders are frozen; image-conditioned prompts and an additive image trigger are learned for each other",
    train=train,
    measure=measure,
    asked=asked,
    default=Recipe("bai-badclip", trigger=MECHANISM, steps=250, lr=5e-3, batch=16, settings=Mechanism()),
    tensors=tensors,
)
