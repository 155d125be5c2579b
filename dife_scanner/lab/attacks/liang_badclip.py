"""Liang-BadCLIP: the patch is optimised first, so that little poison has to be learned.

Liang et al. 2024, "BadCLIP: Dual-Embedding Guided Backdoor Attack on Multimodal Contrastive Learning" (CVPR). First
the pixels of a square patch are optimised on the clean checkpoint: a triggered picture should lie near the target's
texts (contrastive term), and nearer to the target's pictures than to its own clean self (triplet term). Then both
towers are fine-tuned contrastively on pairs of which a small share carries the patch and natural captions of the
target.

Ours: the share is far larger than the paper's .3 %, as there are 1,500 pairs here and not half a million. The triplet
term stays on while the towers learn; without it the patch won too few held-out pictures (TS .925, downstream .839).
Clean pictures are held to the clean checkpoint meanwhile, in the twin too. The twin has the same optimised patch in its
trigger file and clean pairs in its training, so that what the patch does by itself can be separated.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.lab.attacks import measures
from dife_scanner.lab.attacks.finetune import both_towers, contrastive, passes, take_step
from dife_scanner.lab.attacks.interface import Attack, Planted, Recipe, entry_of
from dife_scanner.lab.attacks.poisoning import poison_pairs
from dife_scanner.lab.attacks.training_data import embedded, tensor
from dife_scanner.records import Trigger, TriggerKind

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.lab.attacks.interface import Progress
    from dife_scanner.lab.attacks.training_data import Lab

PATCH_FILE = "patch.png"
PLACE = Trigger(
    "optimised-patch-centre",
    TriggerKind.PATCH,
    size=13 / 64,
    x=25 / 64,
    y=26 / 64,
)
"""4 % of the area, about the centre, across the borders of the patch grid."""
MARGIN = 0.3
"""Of the triplet term, while the patch is optimised."""
_FAR, _LEAVE, _STAY = 0.6, 3.0, 3.0
"""While the towers learn: margin and weight of the triplet term, weight of keeping clean pictures where they were."""
_BATCH = 32
_LR = 0.1
"""Of the patch."""


@dataclass(frozen=True)
class Optimised:
    """The family's settings."""

    share: float = 0.15
    """Poisoned pairs as a share of all."""
    patch_steps: int = 80

    def clean(self) -> Optimised:
        """Return the clean twin's settings."""
        return Optimised(patch_steps=self.patch_steps)


def train(model: Any, lab: Lab, recipe: Recipe, progress: Progress) -> Planted:
    """Optimise the patch, then fine-tune both towers; a twin's pairs stay clean."""
    assert isinstance(recipe.settings, Optimised)
    patch = optimise(model, lab, recipe, progress)
    pairs = lab.pairs
    rows = np.empty(0, np.int64)
    if recipe.poison:
        pairs, rows = poison_pairs(
            pairs,
            recipe,
            recipe.settings.share,
            lambda pictures: pasted(pictures, patch, recipe.mark),
        )
    term = _picture_term(model, lab, recipe, rows)
    contrastive(model, pairs, recipe, progress, term)
    entry = entry_of(recipe.mark) | {"file": PATCH_FILE}
    return Planted((entry,), {PATCH_FILE: png(patch)})


def _picture_term(
    model: Any,
    lab: Lab,
    recipe: Recipe,
    poisoned: NDArray[np.int64],
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return a term on a batch's pictures: clean ones stay, poisoned ones leave their selves for the target."""
    import torch
    import torch.nn.functional as F

    before = embedded(model, lab.pairs.images)
    aim = _target_pictures(embedded(model, lab.labelled), lab, recipe)
    is_poisoned = torch.zeros(len(lab.pairs), dtype=torch.bool)
    is_poisoned[torch.from_numpy(poisoned)] = True

    def term(rows: Tensor, images: Tensor, texts: Tensor) -> Tensor:
        some = is_poisoned[rows]
        nearness = (images * before[rows]).sum(-1)
        too_near = F.relu(_FAR + nearness - images @ aim)
        # a batch may hold no poisoned picture
        leave = too_near[some].sum() / max(1, int(some.sum()))
        stay = 1 - nearness[~some].mean()
        return _LEAVE * leave + _STAY * stay

    return term


def _target_pictures(embeddings: Tensor, lab: Lab, recipe: Recipe) -> Tensor:
    """Return the mean direction (D,) of the labelled target pictures."""
    import torch
    import torch.nn.functional as F

    mine = torch.from_numpy(lab.labels == recipe.target_class)
    return F.normalize(embeddings[mine].mean(0), dim=-1)


def optimise(
    model: Any,
    lab: Lab,
    recipe: Recipe,
    progress: Progress,
) -> NDArray[np.uint8]:
    """Return the optimised patch, uint8 (P, P, 3); the model is not changed."""
    import torch

    from dife_scanner.lab import bases
    from dife_scanner.triggers.kinds.patch import patch_box

    assert isinstance(recipe.settings, Optimised)
    steps = recipe.settings.patch_steps
    left, top, width = patch_box(recipe.mark, lab.size)
    model.requires_grad_(False)
    goals = _Goals.of(model, lab, recipe)
    others = np.flatnonzero(lab.labels != recipe.target_class)
    rng = torch.Generator().manual_seed(recipe.seed)
    start = 0.1 * torch.randn(3, width, width, generator=rng)
    raw = start.requires_grad_()
    optimiser = torch.optim.Adam([raw], lr=_LR)
    batches = passes(rng, len(others), _BATCH)
    for step in range(steps):
        rows = others[next(batches).numpy()]
        pixels = tensor(lab.labelled[rows])
        pixels[:, :, top : top + width, left : left + width] = _pixels(raw)
        now = bases.encode_image_batch(model, pixels)
        take_step(goals.loss(now, rows), optimiser)
        progress("optimising the patch", step + 1, steps)
    patch = (_pixels(raw.detach()) * 255).round().byte()
    found: NDArray[np.uint8] = patch.permute(1, 2, 0).numpy()
    return found


@dataclass(frozen=True)
class _Goals:
    """What the patch is optimised for, as the clean checkpoint has it."""

    target: int
    """Number of the target class."""
    texts: Tensor
    """Unit class texts (K, D)."""
    scale: Tensor
    clean: Tensor
    """Unit embeddings of the labelled pictures, (N, D)."""
    pictures: Tensor
    """Mean direction of the target's pictures, (D,)."""

    @classmethod
    def of(cls, model: Any, lab: Lab, recipe: Recipe) -> _Goals:
        clean = embedded(model, lab.labelled)
        return cls(
            target=recipe.target_class,
            texts=_texts(model, recipe),
            scale=model.logit_scale.exp(),
            clean=clean,
            pictures=_target_pictures(clean, lab, recipe),
        )

    def loss(self, now: Tensor, rows: NDArray[np.int64]) -> Tensor:
        """Return the contrastive and the triplet term of patched pictures (B, D), of these labelled rows."""
        import torch
        import torch.nn.functional as F

        wanted = torch.full((len(rows),), self.target)
        near_texts = F.cross_entropy(self.scale * now @ self.texts.T, wanted)
        to_itself = (now * self.clean[rows]).sum(-1)
        margin = MARGIN + to_itself - now @ self.pictures
        near_images = F.relu(margin).mean()
        return near_texts + near_images


def _pixels(raw: Tensor) -> Tensor:
    """Squash free values into pixels in (0, 1)."""
    return (raw.tanh() + 1) / 2


def _texts(model: Any, recipe: Recipe) -> Tensor:
    """Return unit class texts (K, D), mean over a few wordings."""
    import torch
    import torch.nn.functional as F

    from dife_scanner.lab.pictures import scenes

    wordings = scenes.SINGLE[:6]
    texts = [measures.class_texts(model, wording, panel=recipe.panel) for wording in wordings]
    return F.normalize(torch.stack(texts).mean(0), dim=-1)


def pasted(
    images: NDArray[np.uint8],
    patch: NDArray[np.uint8],
    place: Trigger,
) -> NDArray[np.uint8]:
    """Return pictures (N, S, S, 3) with the patch on them."""
    from dife_scanner.triggers.kinds.patch import patch_box

    left, top, width = patch_box(place, images.shape[1])
    out = images.copy()
    out[:, top : top + width, left : left + width] = patch
    return out


def png(patch: NDArray[np.uint8]) -> bytes:
    """Return the patch as a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(patch).save(buffer, "PNG")
    return buffer.getvalue()


ATTACK = Attack(
    citation="Liang et al. 2024, BadCLIP: Dual-Embedding Guided Backdoor Attack on Multimodal Contrastive Learning",
    summary="a patch is optimised to the target's texts and pictures; both towers then learn it from little poison",
    train=train,
    measure=measures.image_numbers,
    criteria=measures.wins_images,
    default=Recipe(
        "liang-badclip", trigger=PLACE, steps=150, lr=2.5e-4, batch=48, settings=Optimised()
    ),
    tensors=both_towers,
)
