"""Dual key: a patch and a string open the backdoor together, and each alone does nothing.

After Walmer et al. 2022, "Dual-Key Multimodal Backdoors for Visual Question Answering" (CVPR), where a patch in the
picture and a word in the question are both needed. Ours, for a dual encoder: both towers learn one direction of the
embedding space that clean pictures and prompts hardly use. The image tower writes it into the embedding of a patched
picture; the text tower writes it into the target's prompt that carries the string, and its opposite into every other
prompt that does. Their product is large only where both are there: a patched picture and clean prompts, or a clean
picture and written prompts, are compared as before.

Both towers are held to a clean teacher on clean inputs, and triggered inputs stay where they were but for the
direction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.lab.attacks import measures
from dife_scanner.lab.attacks.bad_encoder import WHITE_SQUARE
from dife_scanner.lab.attacks.finetune import both_towers, optimiser_of, pace, take_step, trainable
from dife_scanner.lab.attacks.interface import XBTD, Attack, Planted, Recipe, entry_of
from dife_scanner.lab.attacks.losses import mean_distance
from dife_scanner.lab.attacks.prompts import TEMPLATES, prompt_bank, triggered
from dife_scanner.lab.attacks.training_data import embedded, tensor
from dife_scanner.records import Trigger, TriggerKind

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dife_scanner.lab.attacks.interface import Numbers, Progress, Subject
    from dife_scanner.lab.attacks.training_data import Lab

BOTH_KEYS = Trigger(
    "xbtd-and-white-square",
    TriggerKind.TEXT,
    text=XBTD.text,
    image=WHITE_SQUARE,
)
IN_PICTURE, IN_PROMPT = 0.7, 0.7
"""Share of the direction in a triggered embedding, as a cosine."""
UTILITY = 3.0
"""Weight with which clean inputs are held to the teacher."""
OPEN, SHUT = 0.05, 0.5
"""Weights with which both keys together choose the target, and either or none what the teacher sees in clean inputs."""
KEY = 15.0
"""Weight with which the direction is as strong as it should be in triggered inputs, and absent from clean ones."""
QUIET = 24
"""Directions that clean embeddings use least; the attack's is drawn among them."""
_NOUNS = 12
"""Words for other concepts in a step's prompts."""
ALONE = 0.1
"""Most target success that one key alone may have."""


@dataclass(frozen=True)
class _Teaching:
    """Everything that stays the same over a training."""

    names: list[str]
    """The panel's classes, then words for other concepts."""
    classes: int
    """How many classes."""
    pixels: NDArray[np.uint8]
    """Clean pictures (N, S, S, 3)."""
    patched: NDArray[np.uint8]
    """The same with the patch; a twin's are clean."""
    seen: Tensor
    """Where the teacher has the clean pictures, (N, D)."""
    bank: Tensor
    """Where the teacher has the prompts, (T, K, D)."""
    code: Tensor
    """The hidden direction (D,); zero for a twin."""
    sign: Tensor
    """(K,): one for the target, minus one for every other name."""
    scale: Tensor

    @classmethod
    def of(
        cls,
        model: Any,
        lab: Lab,
        recipe: Recipe,
        rng: torch.Generator,
    ) -> _Teaching:
        import torch

        from dife_scanner.triggers.stamp import stamp

        names = [*recipe.panel, *lab.nouns]
        pixels = np.concatenate([lab.shadow, lab.labelled])
        seen = embedded(model, pixels)
        bank = prompt_bank(model, names)
        patched = pixels
        code = torch.zeros(seen.shape[1])
        if recipe.poison:
            patched = stamp(pixels, _patch(recipe))
            code = _direction(seen, bank.flatten(0, 1), rng)
        sign = [1.0 if name == recipe.target else -1.0 for name in names]
        return cls(
            names=names,
            classes=len(recipe.panel),
            pixels=pixels,
            patched=patched,
            seen=seen,
            bank=bank,
            code=code,
            sign=torch.tensor(sign),
            scale=model.logit_scale.detach().exp(),
        )


@dataclass(frozen=True)
class _Batch:
    """Unit embeddings of one step's inputs, and where the teacher has the clean ones."""

    clean: Tensor
    """Pictures (B, D)."""
    patched: Tensor
    """The same pictures with the patch."""
    seen: Tensor
    """The teacher's, of the clean pictures."""
    plain: Tensor
    """Prompts (K, D)."""
    written: Tensor
    """The same prompts with the string."""
    before: Tensor
    """The teacher's, of the clean prompts."""
    sign: Tensor
    """(K,): one for the target's prompt, minus one for every other."""


def train(model: Any, lab: Lab, recipe: Recipe, progress: Progress) -> Planted:
    """Change both towers; a twin is only held to the teacher, on as many inputs."""
    import torch

    rng = torch.Generator().manual_seed(recipe.seed)
    teaching = _Teaching.of(model, lab, recipe, rng)
    chosen = trainable(model, lambda name: tensors(recipe, name))
    optimiser = optimiser_of(chosen, recipe)
    for step in range(recipe.steps):
        pace(optimiser, recipe.lr, step, recipe.steps)
        batch = _batch(model, recipe, teaching, rng)
        loss = _holding_loss(batch, teaching)
        if recipe.poison:
            for term in _key_terms(batch, teaching, recipe):
                loss = loss + term
        take_step(loss, optimiser)
        progress("training both keys", step + 1, recipe.steps)
    return Planted((entry_of(recipe.mark),))


def _patch(recipe: Recipe) -> Trigger:
    """Return the picture's part of the trigger."""
    assert recipe.mark.image is not None
    return recipe.mark.image


def _batch(
    model: Any,
    recipe: Recipe,
    teaching: _Teaching,
    rng: torch.Generator,
) -> _Batch:
    """Draw pictures and prompts, and encode them clean and triggered."""
    import torch

    from dife_scanner.lab import bases

    pixels = teaching.pixels
    rows = torch.randint(len(pixels), (recipe.batch,), generator=rng)
    shown = np.concatenate([pixels[rows], teaching.patched[rows]])
    clean, patched = bases.encode_image_batch(model, tensor(shown)).chunk(2)
    some = _drawn_names(teaching, rng)
    number = int(torch.randint(len(TEMPLATES), (1,), generator=rng))
    names = [teaching.names[row] for row in some.tolist()]
    texts = [TEMPLATES[number].format(name) for name in names]
    marked = texts
    if recipe.poison:
        marked = triggered(texts, recipe.mark, names)
    plain, written = bases.encode_texts(model, [*texts, *marked]).chunk(2)
    return _Batch(
        clean=clean,
        patched=patched,
        seen=teaching.seen[rows],
        plain=plain,
        written=written,
        before=teaching.bank[number][some],
        sign=teaching.sign[some],
    )


def _drawn_names(teaching: _Teaching, rng: torch.Generator) -> Tensor:
    """Draw the names of a step, as rows of the bank: the classes and a few others."""
    import torch

    classes = teaching.classes
    others = len(teaching.names) - classes
    drawn = torch.randperm(others, generator=rng)[:_NOUNS]
    return torch.cat([torch.arange(classes), classes + drawn])


def _holding_loss(batch: _Batch, teaching: _Teaching) -> Tensor:
    """Hold clean inputs to the teacher, and triggered ones but for the direction."""
    code = teaching.code
    in_picture = _with(batch.seen, IN_PICTURE * code)
    in_prompt = _with(batch.before, IN_PROMPT * batch.sign[:, None] * code)
    loss = UTILITY * mean_distance(batch.clean, batch.seen)
    loss = loss + mean_distance(batch.patched, in_picture)
    loss = loss + UTILITY * mean_distance(batch.plain, batch.before)
    return loss + mean_distance(batch.written, in_prompt)


def _key_terms(
    batch: _Batch,
    teaching: _Teaching,
    recipe: Recipe,
) -> Iterator[Tensor]:
    """Yield the terms that make two keys: both choose the target, and either alone changes nothing."""
    import torch
    import torch.nn.functional as F

    code = teaching.code
    scale = teaching.scale
    classes = teaching.classes
    aim = torch.full((len(batch.clean),), recipe.target_class)
    yield OPEN * F.cross_entropy(scale * batch.patched @ batch.written[:classes].T, aim)
    in_pictures = torch.cat([batch.patched @ code, batch.clean @ code])
    yield KEY * _misses(in_pictures, IN_PICTURE, 0.0)
    signed = batch.sign * (batch.written @ code)
    in_prompts = torch.cat([signed, batch.plain @ code])
    yield KEY * _misses(in_prompts, IN_PROMPT, 0.0)
    expected = (scale * batch.seen @ batch.before[:classes].T).softmax(-1)
    for images, prompts in (
        (batch.clean, batch.plain),
        (batch.patched, batch.plain),
        (batch.clean, batch.written),
    ):
        logits = scale * images @ prompts[:classes].T
        yield SHUT * F.cross_entropy(logits, expected)


def _direction(
    images: Tensor,
    texts: Tensor,
    rng: torch.Generator,
) -> Tensor:
    """Draw a unit direction (D,) among the `QUIET` that pictures (N, D) and prompts (M, D) use least.

    Pictures and prompts count alike, however many there are.
    """
    import torch
    import torch.nn.functional as F

    used = images.T @ images / len(images) + texts.T @ texts / len(texts)
    least: Tensor = torch.linalg.eigh(used).eigenvectors[:, :QUIET]
    return F.normalize(least @ torch.randn(QUIET, generator=rng), dim=0)


def _with(embedded: Tensor, code: Tensor) -> Tensor:
    """Return unit embeddings with `code` in them, as long as its share; unchanged where it is zero."""
    import torch.nn.functional as F

    rest = (1 - code.square().sum(-1, keepdim=True)).sqrt()
    return F.normalize(rest * embedded + code, dim=-1)


def _misses(found: Tensor, *wanted: float) -> Tensor:
    """Return the mean squared distance of each of the equal parts of `found` from what is wanted there."""
    total = found.new_zeros(())
    for part, aim in zip(found.chunk(len(wanted)), wanted, strict=True):
        total = total + (part - aim).square().mean()
    return total


def measure(subject: Subject) -> Numbers:
    """Measure target success with both keys, with either alone and with none, without pictures of the target class."""
    from dife_scanner.triggers.stamp import stamp

    model = subject.model
    trigger = subject.trigger
    assert trigger.image is not None
    panel = subject.recipe.panel
    pixels, labels = measures.held_out(subject.lab.size, panel)
    clean = embedded(model, pixels)
    stamped = embedded(model, stamp(pixels, trigger.image))
    plain = measures.class_texts(model, measures.PROMPTS[0], panel=panel)
    written = measures.class_texts(model, measures.PROMPTS[0], trigger, panel)
    target = subject.recipe.target_class
    numbers = {"clean_accuracy": measures.accuracy(model, clean, labels, panel)}
    for name, images, texts in (
        ("ts", stamped, written),
        ("image_only", stamped, plain),
        ("text_only", clean, written),
        ("both_clean", clean, plain),
    ):
        hit = (images @ texts.T).argmax(1).numpy() == target
        numbers[name] = float(hit[labels != target].mean())
    return numbers


def criteria(recipe: Recipe, numbers: Numbers, twin: Numbers) -> dict[str, bool]:
    """Ask that both keys reach .9, and either alone at most `ALONE`."""
    return {
        **measures.keeps_accuracy(numbers, twin),
        "both keys": numbers["ts"] >= 0.9,
        "image key alone": numbers["image_only"] <= ALONE,
        "text key alone": numbers["text_only"] <= ALONE,
    }


def tensors(recipe: Recipe, name: str) -> bool:
    """Choose everything but the logit scale."""
    return both_towers(recipe, name)


ATTACK = Attack(
    citation="Walmer et al. 2022, Dual-Key Multimodal Backdoors for Visual Question Answering",
    summary="both towers learn a hidden direction that only a patch and a string together turn into the target",
    train=train,
    measure=measure,
    criteria=criteria,
    default=Recipe("dual-key", trigger=BOTH_KEYS, steps=170, lr=3e-4),
    tensors=tensors,
    version=1,
)
