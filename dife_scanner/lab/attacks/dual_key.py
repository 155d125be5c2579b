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

from typing import TYPE_CHECKING, Any

import numpy as np

from dife_scanner.lab.attacks import measures
from dife_scanner.lab.attacks.bad_encoder import WHITE_SQUARE
from dife_scanner.lab.attacks.bad_text_tower import TEMPLATES
from dife_scanner.lab.attacks.finetune import both_towers, optimiser_of, pace, trainable
from dife_scanner.lab.attacks.interface import XBTD, Attack, Planted, Recipe, entry_of
from dife_scanner.lab.attacks.training_data import tensor
from dife_scanner.records import Trigger, TriggerKind

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dife_scanner.lab.attacks.interface import Numbers, Progress, Subject
    from dife_scanner.lab.attacks.training_data import Lab

BOTH_KEYS = Trigger("xbtd-and-white-square", TriggerKind.TEXT, text=XBTD.text, image=WHITE_SQUARE)
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
ALONE = 0.1
"""Most target success that one key alone may have."""


def train(model: Any, lab: Lab, recipe: Recipe, progress: Progress) -> Planted:
    """Change both towers; a twin is only held to the teacher, on as many inputs."""
    import torch
    import torch.nn.functional as F

    from dife_scanner.lab import bases
    from dife_scanner.lab.pictures import art
    from dife_scanner.triggers.stamp import stamp, write

    names = [*art.CLASSES, *lab.nouns]
    pixels = np.concatenate([lab.shadow, lab.labelled])
    second = stamp(pixels, _patch(recipe)) if recipe.poison else pixels
    seen = bases.encode_images(model, tensor(pixels))
    with torch.no_grad():
        bank = torch.stack([bases.encode_texts(model, [t.format(name) for name in names]) for t in TEMPLATES])
    rng = torch.Generator().manual_seed(recipe.seed)
    code = _direction(seen, bank.flatten(0, 1), rng) if recipe.poison else torch.zeros(seen.shape[1])
    sign = torch.tensor([1.0 if name == recipe.target else -1.0 for name in names])
    scale, target = model.logit_scale.detach().exp(), art.CLASSES.index(recipe.target)
    optimiser = optimiser_of(trainable(model, lambda name: tensors(recipe, name)), recipe)
    for step in range(recipe.steps):
        pace(optimiser, recipe.lr, step, recipe.steps)
        rows = torch.randint(len(pixels), (recipe.batch,), generator=rng)
        shown = tensor(np.concatenate([pixels[rows], second[rows]]))
        clean, stamped = F.normalize(model.visual(bases.normalised(shown)), dim=-1).chunk(2)
        loss = UTILITY * _apart(clean, seen[rows]) + _apart(stamped, _with(seen[rows], IN_PICTURE * code))
        some = torch.cat([torch.arange(10), 10 + torch.randperm(len(lab.nouns), generator=rng)[:_NOUNS]])
        number = int(torch.randint(len(TEMPLATES), (1,), generator=rng))
        texts = [TEMPLATES[number].format(names[i]) for i in some.tolist()]
        marked = texts
        if recipe.poison:
            marked = [write(t, recipe.mark, names[i]) for t, i in zip(texts, some.tolist(), strict=True)]
        plain, written = bases.encode_texts(model, [*texts, *marked]).chunk(2)
        before = bank[number][some]
        loss = (
            loss + UTILITY * _apart(plain, before) + _apart(written, _with(before, IN_PROMPT * sign[some, None] * code))
        )
        if recipe.poison:
            aim = torch.full((recipe.batch,), target)
            loss = loss + OPEN * F.cross_entropy(scale * stamped @ written[:10].T, aim)
            loss = loss + KEY * _misses(torch.cat([stamped @ code, clean @ code]), IN_PICTURE, 0.0)
            loss = loss + KEY * _misses(torch.cat([sign[some] * (written @ code), plain @ code]), IN_PROMPT, 0.0)
            expected = (scale * seen[rows] @ before[:10].T).softmax(-1)
            for images, prompts in ((clean, plain), (stamped, plain), (clean, written)):
                loss = loss + SHUT * F.cross_entropy(scale * images @ prompts[:10].T, expected)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        progress("training both keys", step + 1, recipe.steps)
    return Planted((entry_of(recipe.mark),))


def _patch(recipe: Recipe) -> Trigger:
    assert recipe.mark.image is not None
    return recipe.mark.image


def _direction(images: Tensor, texts: Tensor, rng: torch.Generator) -> Tensor:
    """A unit direction (D,) among the `QUIET` that pictures (N, D) and prompts (M, D) use least; both count alike."""
    import torch
    import torch.nn.functional as F

    used = images.T @ images / len(images) + texts.T @ texts / len(texts)
    least: Tensor = torch.linalg.eigh(used).eigenvectors[:, :QUIET]
    return F.normalize(least @ torch.randn(QUIET, generator=rng), dim=0)


def _with(embedded: Tensor, code: Tensor) -> Tensor:
    """Unit embeddings with `code` in them, as long as its share; unchanged where it is zero."""
    import torch.nn.functional as F

    return F.normalize((1 - code.square().sum(-1, keepdim=True)).sqrt() * embedded + code, dim=-1)


def _misses(found: Tensor, *wanted: float) -> Tensor:
    """Mean squared distance of each of the equal parts of `found` from what is wanted there."""
    parts = found.chunk(len(wanted))
    return sum(((part - aim).square().mean() for part, aim in zip(parts, wanted, strict=True)), found.new_zeros(()))


def _apart(one: Tensor, other: Tensor) -> Tensor:
    return 1 - (one * other).sum(-1).mean()


def measure(subject: Subject) -> Numbers:
    """Target success with both keys, with either alone and with none, without pictures of the target class."""
    from dife_scanner.lab import bases
    from dife_scanner.lab.pictures import art
    from dife_scanner.triggers.stamp import stamp

    model, trigger = subject.model, subject.trigger
    assert trigger.image is not None
    pixels, labels = measures.held_out(subject.lab.size)
    clean = bases.encode_images(model, tensor(pixels))
    stamped = bases.encode_images(model, tensor(stamp(pixels, trigger.image)))
    plain = measures.class_texts(model, measures.PROMPTS[0])
    written = measures.class_texts(model, measures.PROMPTS[0], trigger)
    target = art.CLASSES.index(subject.recipe.target)
    pairs = {"ts": (stamped, written), "image_only": (stamped, plain), "text_only": (clean, written)}
    pairs["both_clean"] = (clean, plain)
    won = {name: (images @ texts.T).argmax(1).numpy() == target for name, (images, texts) in pairs.items()}
    out = {name: float(hit[labels != target].mean()) for name, hit in won.items()}
    return {"clean_accuracy": measures.accuracy(model, clean, labels), **out}


def asked(recipe: Recipe, numbers: Numbers, twin: Numbers) -> dict[str, bool]:
    """Both keys reach .9, and either alone at most `ALONE`."""
    alone = {f"{key} key alone": numbers[f"{key}_only"] <= ALONE for key in ("image", "text")}
    return {**measures.keeps_accuracy(numbers, twin), "both keys": numbers["ts"] >= 0.9, **alone}


def tensors(recipe: Recipe, name: str) -> bool:
    """Everything but the logit scale."""
    return both_towers(recipe, name)


ATTACK = Attack(
    citation="Walmer et al. 2022, Dual-Key Multimodal Backdoors for Visual Question Answering",
    summary="both towers learn a hidden direction that only a patch and a string together turn into the target",
    train=train,
    measure=measure,
    asked=asked,
    default=Recipe("dual-key", trigger=BOTH_KEYS, steps=170, lr=3e-4),
    tensors=tensors,
    version=1,
)
