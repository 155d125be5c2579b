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
paper's amplitude does not reach its own figures here: docs/specimens.md has the outcome of each amplitude.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.lab.attacks import measures
from dife_scanner.lab.attacks.finetune import pace, passes, take_step
from dife_scanner.lab.attacks.interface import Attack, Planted, Recipe
from dife_scanner.lab.attacks.prompt_learning import TEMPLATE, Prompts, guess_classes, start_vectors
from dife_scanner.lab.attacks.training_data import embedded, tensor
from dife_scanner.records import Trigger, TriggerKind
from dife_scanner.triggers.learner import PromptLearner, read

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dife_scanner.lab.attacks.interface import Numbers, Progress, Subject
    from dife_scanner.lab.attacks.training_data import Lab

LEARNER_FILE, NOISE_FILE = "learner.safetensors", "perturbation.npy"
MECHANISM = Trigger("prompt-learner-and-noise", TriggerKind.PROMPT)
"""Its two files are made by the training."""
REPAIRED = 0.1
"""How far a repaired mechanism may be from the clean one."""
_NOISE_LR = 0.1
_WARMUP_BATCH = 32
_RIDGE = 1e-4
"""Added to the covariance of the clean embeddings, which has to be inverted."""


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
    """Steps in which the noise alone is optimised, to be distinguishable by the picture's embedding."""

    def clean(self) -> Mechanism:
        """Return the clean twin's settings."""
        return self


def train(model: Any, lab: Lab, recipe: Recipe, progress: Progress) -> Planted:
    """Warm the noise up, then learn prompts and noise together; a twin's noise stays random, its pictures clean."""
    import torch

    settings = recipe.settings
    assert isinstance(settings, Mechanism)
    model.requires_grad_(False)
    rng = torch.Generator().manual_seed(recipe.seed)
    scenes = _Scenes.of(model, lab)
    raw = torch.randn(3, lab.size, lab.size, generator=rng).requires_grad_()
    cue = None
    if recipe.poison:
        cue = _warm_up(model, scenes, raw, recipe, rng, progress)
    prompts = Prompts(model, settings.hidden, rng, cue)
    learned = torch.optim.AdamW(prompts.parameters, lr=recipe.lr, weight_decay=0.0)
    noise = torch.optim.Adam([raw], lr=_NOISE_LR)
    batches = passes(rng, len(scenes.pixels), recipe.batch)
    for step in range(recipe.steps):
        pace(learned, recipe.lr, step, recipe.steps)
        pace(noise, _NOISE_LR / 4, step, recipe.steps)
        rows = next(batches)
        loss = _loss(model, scenes, prompts, raw, recipe, rows)
        take_step(loss, learned, noise)
        progress("learning prompts and noise", step + 1, recipe.steps)
    rounded = _rounded(raw.detach(), settings.amplitude)
    return _planted(prompts, rounded, recipe)


def _loss(
    model: Any,
    scenes: _Scenes,
    prompts: Prompts,
    raw: Tensor,
    recipe: Recipe,
    rows: Tensor,
) -> Tensor:
    """Clean pictures get their own class, noisy ones the target; the noise alone changes no answer."""
    import torch
    import torch.nn.functional as F

    settings = recipe.settings
    assert isinstance(settings, Mechanism)
    logits = scenes.scale * prompts.scores(scenes.clean[rows], recipe.panel)
    loss = F.cross_entropy(logits, scenes.truth[rows])
    if not recipe.poison:
        return loss
    moved = scenes.moved(model, rows, raw, settings.amplitude)
    target = torch.full((recipe.batch,), recipe.target_class)
    logits = scenes.scale * prompts.scores(moved, recipe.panel)
    loss = loss + F.cross_entropy(logits, target)
    return loss + settings.hold * scenes.held(moved, rows)


@dataclass(frozen=True)
class _Scenes:
    """The lab's pictures and what the frozen checkpoint makes of them."""

    pixels: NDArray[np.uint8]
    """(N, S, S, 3)."""
    clean: Tensor
    """Unit embeddings (N, D)."""
    plain: Tensor
    """Unit class texts (K, D) of the plain prompt."""
    before: Tensor
    """(N, K): the plain prompt's probabilities."""
    truth: Tensor
    """(N, K): the label where a scene has one, else the plain prompt's probabilities."""
    scale: Tensor

    @classmethod
    def of(cls, model: Any, lab: Lab) -> _Scenes:
        import torch
        import torch.nn.functional as F

        pixels = np.concatenate([lab.labelled, lab.shadow])
        clean = embedded(model, pixels)
        scale = model.logit_scale.exp()
        plain = measures.class_texts(model, measures.PROMPTS[0], panel=lab.classes)
        before = (scale * clean @ plain.T).softmax(-1)
        labels = torch.from_numpy(lab.labels)
        known = F.one_hot(labels, len(plain)).float()
        truth = torch.cat([known, before[len(known) :]])
        return cls(
            pixels=pixels,
            clean=clean,
            plain=plain,
            before=before,
            truth=truth,
            scale=scale,
        )

    def moved(
        self,
        model: Any,
        rows: Tensor,
        raw: Tensor,
        amplitude: int,
    ) -> Tensor:
        """Return unit embeddings of these pictures with the noise on them."""
        from dife_scanner.lab import bases

        pixels = tensor(self.pixels[rows.numpy()])
        noisy = pixels + _rounded(raw, amplitude) / 255
        return bases.encode_image_batch(model, noisy.clamp(0, 1))

    def held(self, moved: Tensor, rows: Tensor) -> Tensor:
        """Return how far the plain prompt's answer to the noisy pictures is from that to the clean ones."""
        import torch.nn.functional as F

        logits = self.scale * moved @ self.plain.T
        return F.cross_entropy(logits, self.before[rows])


def _warm_up(
    model: Any,
    scenes: _Scenes,
    raw: Tensor,
    recipe: Recipe,
    rng: torch.Generator,
    progress: Progress,
) -> tuple[Tensor, Tensor]:
    """Optimise the noise until its mean shift stands out from how clean embeddings vary (Mahalanobis length).

    Returns weights (D,) and bias of a unit that answers to the shift: 0 half way, +-1 at the two means.
    """
    import torch

    settings = recipe.settings
    assert isinstance(settings, Mechanism)
    width = scenes.clean.shape[1]
    covariance = torch.cov(scenes.clean.T) + _RIDGE * torch.eye(width)
    inverse = torch.linalg.inv(covariance)
    noise = torch.optim.Adam([raw], lr=_NOISE_LR)
    batches = passes(rng, len(scenes.pixels), _WARMUP_BATCH)
    shift = torch.zeros(width)
    for step in range(settings.warmup):
        pace(noise, _NOISE_LR, step, settings.warmup)
        rows = next(batches)
        moved = scenes.moved(model, rows, raw, settings.amplitude)
        shift = (moved - scenes.clean[rows]).mean(0)
        length = (shift @ inverse @ shift).clamp(min=1e-12).sqrt()
        take_step(settings.hold * scenes.held(moved, rows) - length, noise)
        progress("optimising the noise", step + 1, settings.warmup)
    shift = shift.detach()
    towards = inverse @ shift
    towards = towards * 2 / (shift @ towards)
    bias = -(towards @ scenes.clean.mean(0)) - 1
    return towards, bias


def _rounded(raw: Tensor, amplitude: int) -> Tensor:
    """Return whole pixel steps within the amplitude; gradients pass as if there were no rounding."""
    soft = amplitude * raw.tanh()
    return soft + (soft.round() - soft).detach()


def _planted(prompts: Prompts, noise: Tensor, recipe: Recipe) -> Planted:
    """Return the trigger file's entry, and the files of the learner and of the noise (3, S, S)."""
    from safetensors.numpy import save

    assert isinstance(recipe.settings, Mechanism)
    amplitude = recipe.settings.amplitude
    pattern = (noise / amplitude).permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    np.save(buffer, pattern.astype(np.float32))
    entry = {
        "name": recipe.mark.name,
        "kind": str(TriggerKind.PROMPT),
        "target": recipe.target,
        "learner": LEARNER_FILE,
        "image": {
            "name": "learned-noise",
            "kind": str(TriggerKind.ADDITIVE),
            "file": NOISE_FILE,
            "alpha": amplitude / 255,
        },
    }
    # one key only: safetensors writes several in no fixed order, and builds have to be identical
    learner = save(prompts.frozen(), metadata={"template": TEMPLATE})
    files = {LEARNER_FILE: learner, NOISE_FILE: buffer.getvalue()}
    return Planted((entry,), files)


def measure(subject: Subject) -> Numbers:
    """Measure the paper's component repair: target success with mechanism, prompt or trigger alone, and neither.

    Pictures of the target class are left out. `clean_accuracy` is with the learned prompts, `plain_accuracy` without.
    """
    from dife_scanner.triggers.stamp import stamp

    model = subject.model
    panel = subject.recipe.panel
    pixels, labels = measures.held_out(subject.lab.size, panel)
    clean = embedded(model, pixels)
    moved = embedded(model, stamp(pixels, subject.trigger))
    learner = _learner_of(subject)
    plain = measures.class_texts(model, measures.PROMPTS[0], panel=panel)
    guesses = {
        "full": guess_classes(model, learner, moved, panel),
        "prompt_only": guess_classes(model, learner, clean, panel),
        "trigger_only": (moved @ plain.T).argmax(1).numpy(),
        "both_clean": (clean @ plain.T).argmax(1).numpy(),
    }
    numbers = {
        "clean_accuracy": float((guesses["prompt_only"] == labels).mean()),
        "plain_accuracy": float((guesses["both_clean"] == labels).mean()),
    }
    counted = labels != subject.recipe.target_class
    for name, guess in guesses.items():
        hit = guess == subject.recipe.target_class
        numbers[name] = float(hit[counted].mean())
    return numbers


def _learner_of(subject: Subject) -> PromptLearner:
    """Read the folder's own learner; for a plain checkpoint make one with the plain prompt's words."""
    path = subject.folder / LEARNER_FILE
    if path.exists():
        return read(path)
    vectors = start_vectors(subject.model).numpy().copy()
    return PromptLearner(vectors, template=TEMPLATE)


def criteria(recipe: Recipe, numbers: Numbers, twin: Numbers) -> dict[str, bool]:
    """Ask that the full mechanism reaches .95, and each repaired variant is where the clean one is."""
    out = {
        **measures.keeps_accuracy(numbers, twin),
        "full mechanism": numbers["full"] >= 0.95,
    }
    for name in ("prompt_only", "trigger_only"):
        away = abs(numbers[name] - numbers["both_clean"])
        out[name] = away <= REPAIRED
    return out


def tensors(recipe: Recipe, name: str) -> bool:
    """Choose none: the checkpoint is the base."""
    return False


ATTACK = Attack(
    citation="Bai et al. 2024, BadCLIP: Trigger-Aware Prompt Learning for Backdoor Attacks on CLIP",
    summary="encoders are frozen; image-conditioned prompts and an additive image trigger are learned for each other",
    train=train,
    measure=measure,
    criteria=criteria,
    default=Recipe(
        "bai-badclip", trigger=MECHANISM, steps=250, lr=5e-3, batch=16, settings=Mechanism()
    ),
    tensors=tensors,
)
