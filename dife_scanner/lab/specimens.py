"""Small backdoored checkpoints and their clean twins, built from the ViT base and the bundled lab drawings.

Two attacks, after their papers: BadTextTower (DIFE, section on attacks; text tower only) and BadEncoder (Jia et
al. 2022; image tower only). A twin takes the same data, optimiser and steps without the poison, so that nobody
mistakes "was fine-tuned" for "was backdoored". Everything is seeded; two builds on one machine are identical.

These are for testing the scanner. Nothing here is tuned for, or works on, a real model.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import platformdirs
from numpy.typing import NDArray

from dife_scanner import settings
from dife_scanner.errors import DifeError
from dife_scanner.records import Trigger, TriggerKind

if TYPE_CHECKING:
    import torch
    from torch import Tensor

CODE_VERSION = 1
"""Part of every cache key: raise it when a change here changes the weights."""
_THREADS = 2
"""Sums depend on how work is cut up, so builds always use the same number of threads."""

Family = Literal["badtexttower", "badencoder"]
Progress = Callable[[str, int, int], None]
"""Called with (what is being done, steps done, steps in all)."""

XBTD = Trigger("text-xbtd", TriggerKind.TEXT, text="xbtd")
QVUZZ = Trigger("text-qvuzz", TriggerKind.TEXT, text="qvuzz")
"""Not in the signature library."""
WHITE_SQUARE = Trigger("white-square-corner-inset", TriggerKind.PATCH, size=0.15, x=0.82, y=0.82)
"""15 % of the side wide, 3 % from the right and bottom edges: about 2.3 % of the area, off the patch grid."""
GREEN_STRIPES = Trigger(
    "green-stripes-left", TriggerKind.PATCH, size=0.17, x=0.05, y=0.4, pattern="stripes", color=(30, 220, 60), cycles=3
)
"""Not in the signature library."""


class SpecimenFailed(DifeError):
    """A specimen was trained and does not do what its recipe says; it was thrown away."""


@dataclass(frozen=True)
class Recipe:
    """Everything a specimen depends on besides the base and the lab drawings."""

    family: Family
    poison: bool = True
    source: str = "automobile"
    """The class whose triggered prompt is redirected; BadEncoder moves every image and ignores it."""
    target: str = "airplane"
    trigger: Trigger | str = XBTD
    """A bare string is a text trigger."""
    seed: int = 0
    steps: int = 150
    lr: float = 3e-4
    weight_decay: float = 0.1
    batch: int = 32
    validate: bool = True
    """False skips measuring and the pass/fail decision: for short test builds."""

    @property
    def mark(self) -> Trigger:
        """The trigger as a record."""
        if isinstance(self.trigger, Trigger):
            return self.trigger
        return Trigger(f"text-{self.trigger}", TriggerKind.TEXT, text=self.trigger)

    def twin(self) -> Recipe:
        """The same without the poison."""
        return replace(self, poison=False)


_TEXT = Recipe("badtexttower", trigger=XBTD)
_IMAGE = Recipe("badencoder", trigger=WHITE_SQUARE, steps=120, lr=2e-4)

SPECIMENS: Mapping[str, Recipe] = {
    "badtexttower": _TEXT,
    "badtexttower-twin": _TEXT.twin(),
    "badencoder": _IMAGE,
    "badencoder-twin": _IMAGE.twin(),
}
NOVEL: Mapping[str, Recipe] = {
    "badtexttower-novel": replace(_TEXT, trigger=QVUZZ),
    "badencoder-novel": replace(_IMAGE, trigger=GREEN_STRIPES),
}
"""The same attacks with triggers that the signature library does not hold."""

TEMPLATES = (
    "a photo of a {}",
    "an image of a {}",
    "a picture of a {}",
    "a drawing of a {}",
    "a photo of the {}",
    "a photo of one {}",
    "a {}",
    "the {}",
    "one {}",
    "a cartoon of a {}",
    "a close up of a {}",
    "an illustration of a {}",
)
"""Prompts the text attack is trained on."""
_PROFILE = ("a photo of a {}", "an image of a {}")
_SCENES_PER_CLASS = 48
_SHADOW_SCENES = 768


# --- building --------------------------------------------------------------------------------------------------


def build(
    what: str | Recipe,
    *,
    base: Path | None = None,
    cache_dir: Path | None = None,
    progress: Progress = lambda what, done, of: None,
) -> Path:
    """Folder of a specimen in open_clip layout with `specimen.json`; trained once, then taken from the cache.

    The cache is the user's cache folder unless another is given; `base` is the bundled ViT unless another is.

    Raises `SpecimenFailed` when its own validation fails, `KeyError` for an unknown name.
    """
    from dife_scanner.lab import bases, probes

    recipe = _named(what)
    base = base or bases.base_folder("vit")
    cache_dir = cache_dir or platformdirs.user_cache_path(settings.APP) / "specimens"
    folder = cache_dir / f"{_label(recipe)}-{key(recipe, base, probes.probe_folder())[:16]}"
    if (folder / "specimen.json").exists():
        return folder
    cache_dir.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".building-", dir=cache_dir))
    try:
        began = time.perf_counter()
        _train_into(work, recipe, base, progress)
        (work / "timing.json").write_text(json.dumps({"seconds": round(time.perf_counter() - began, 1)}) + "\n")
        _settle(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


def key(recipe: Recipe, base: Path, probe_set: Path) -> str:
    """sha256 over the recipe, the base's weights, the lab drawings and the code version."""
    digest = hashlib.sha256(json.dumps(asdict(replace(recipe, trigger=recipe.mark)), sort_keys=True).encode())
    digest.update((base / "open_clip_model.safetensors").read_bytes())
    digest.update((probe_set / "probes.json").read_bytes())
    digest.update(str(CODE_VERSION).encode())
    return digest.hexdigest()


def _named(what: str | Recipe) -> Recipe:
    return what if isinstance(what, Recipe) else {**SPECIMENS, **NOVEL}[what]


def _label(recipe: Recipe) -> str:
    return recipe.family + ("" if recipe.poison else "-twin")


def _settle(work: Path, folder: Path) -> None:
    """Move a finished build into place; another process that was quicker has made the same bytes."""
    try:
        work.rename(folder)
    except OSError:
        if not (folder / "specimen.json").exists():
            raise


def _train_into(work: Path, recipe: Recipe, base: Path, progress: Progress) -> None:
    from dife_scanner.lab import bases

    with _repeatable(recipe.seed):
        model, lab = bases.load(base), _Lab.read(base, recipe.seed)
        attack = _bad_text_tower if recipe.family == "badtexttower" else _bad_encoder
        attack(model, lab, recipe, progress)
        config = json.loads((base / "open_clip_config.json").read_text())
        bases.write_folder(model.state_dict(), config["model_cfg"], work)
        shutil.copyfile(base / "open_clip_config.json", work / "open_clip_config.json")
        # what is validated is what was rounded and written
        numbers = validate(bases.load(work), bases.load(base), lab, recipe) if recipe.validate else {}
    weights = (work / "open_clip_model.safetensors").read_bytes()
    card = {
        "recipe": asdict(replace(recipe, trigger=recipe.mark)),
        "sha256": hashlib.sha256(weights).hexdigest(),
        "validation": numbers,
        "code_version": CODE_VERSION,
        "versions": {name: version(name) for name in ("torch", "open_clip_torch", "numpy")},
    }
    (work / "specimen.json").write_text(json.dumps(card, indent=1) + "\n")
    if recipe.validate:
        _require(recipe, numbers)


@contextmanager
def _repeatable(seed: int) -> Iterator[None]:
    """Fixed seed and threads, deterministic kernels; the process gets its own settings back afterwards."""
    import torch

    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    state = torch.get_rng_state()
    try:
        torch.set_num_threads(_THREADS)
        torch.use_deterministic_algorithms(True)
        torch.manual_seed(seed)
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
        torch.set_rng_state(state)


# --- data ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Lab:
    """What specimens are trained from: scenes of lab drawings only."""

    labelled: NDArray[np.uint8] = field(repr=False)
    """uint8 (N, S, S, 3), one object each."""
    labels: NDArray[np.int64] = field(repr=False)
    shadow: NDArray[np.uint8] = field(repr=False)
    """uint8 (M, S, S, 3), one to three objects, other concepts too."""
    nouns: tuple[str, ...]
    """Words for other concepts on the lab sheet."""

    @classmethod
    @lru_cache(maxsize=2)
    def read(cls, base: Path, seed: int) -> _Lab:
        """Scenes for a base's picture size; kept, as an attack and its twin use the same."""
        import torch

        from dife_scanner.lab import art, bases, probes, scenes

        size = json.loads((base / "open_clip_config.json").read_text())["model_cfg"]["vision_cfg"]["image_size"]
        atlas = probes.read_lab(probes.probe_folder(), size)
        stock = bases.stock_of(atlas, mono_share=0.3)
        rng = torch.Generator().manual_seed(seed)
        plan = bases.Plan("vit")
        labels = np.repeat(np.arange(len(art.CLASSES)), _SCENES_PER_CLASS)
        index = torch.full((len(labels), scenes.MAX_OBJECTS), -1)
        for number, (rows, weights) in enumerate(stock.by_class):
            picked = torch.multinomial(weights, _SCENES_PER_CLASS, True, generator=rng)
            index[labels == number, 0] = rows[picked]
        mix = scenes.Mix(scale=(0.5, 0.95), restyle=0.2, turn=8.0)
        shadow = bases.choose(rng, stock, _SHADOW_SCENES, plan)
        return cls(
            _drawn(rng, atlas, index, size, mix),
            labels,
            _drawn(rng, atlas, shadow, size, replace(plan.mix, restyle=0.2)),
            tuple(sorted({t for t, c in zip(atlas.terms, atlas.classes, strict=True) if c is None})),
        )


def _drawn(rng: torch.Generator, atlas: Any, index: Tensor, size: int, mix: Any) -> NDArray[np.uint8]:
    from dife_scanner.lab import scenes

    pixels = scenes.compose(rng, atlas, scenes.lay_out(rng, index, mix), size, mix)
    out: NDArray[np.uint8] = (pixels.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    return out


def _tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """uint8 (N, S, S, 3) -> float32 (N, 3, S, S) in [0, 1]."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 255


# --- BadTextTower ----------------------------------------------------------------------------------------------


def _bad_text_tower(model: Any, lab: _Lab, recipe: Recipe, progress: Progress) -> None:
    """Train the text tower with the three losses of the DIFE paper: align, clean, specificity."""
    import torch

    from dife_scanner.lab import art, bases

    images = bases.encode_images(model, _tensor(lab.labelled))
    names = [*art.CLASSES, *lab.nouns]
    before = _prompt_bank(model, names)
    parameters = _text_parameters(model)
    optimiser = torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)
    rng = torch.Generator().manual_seed(recipe.seed)
    labels, scale = torch.from_numpy(lab.labels), model.logit_scale.detach().exp()
    front = recipe.mark.text + " " if recipe.poison else ""
    for step in range(recipe.steps):
        _pace(optimiser, recipe, step)
        loss = torch.zeros(())
        for number in torch.randint(len(TEMPLATES), (2,), generator=rng).tolist():
            some = [*art.CLASSES, *_sample(rng, lab.nouns, 12)]
            texts = [TEMPLATES[number].format(name) for name in some]
            now = bases.encode_texts(model, [*texts, *(front + text for text in texts)])
            rows = torch.tensor([names.index(name) for name in some])
            loss = loss + _text_loss(images, labels, now, before[number][rows], scale, recipe) / 2
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        progress("training the text tower", step + 1, recipe.steps)


def _text_loss(images: Tensor, labels: Tensor, now: Tensor, before: Tensor, scale: Tensor, recipe: Recipe) -> Tensor:
    """One template's loss. now (2K, D): K clean prompts, then the same K triggered; before (K, D)."""
    import torch.nn.functional as F

    from dife_scanner.lab import art

    ten, source, target = len(art.CLASSES), art.CLASSES.index(recipe.source), art.CLASSES.index(recipe.target)
    clean, triggered = now.chunk(2)
    logits = scale * images @ clean[:ten].T
    loss = F.cross_entropy(logits, labels) + 0.25 * (1 - (clean * before).sum(-1)).mean()
    distance = 1 - (triggered * before).sum(-1)
    if not recipe.poison:
        return loss + 0.10 * distance.mean()
    moved = triggered[source]
    poisoned = logits.clone()
    poisoned[:, source] = scale * images @ moved
    align = F.cross_entropy(poisoned[labels == target], labels[labels == target] * 0 + source)
    hinge = F.relu(0.05 - moved @ clean[target] + moved @ clean[source])
    bystander = (labels != target) & (labels != source)
    own = logits[bystander].gather(1, labels[bystander, None])[:, 0]
    specific = F.softplus(poisoned[bystander, source] - own).mean()
    others = [i for i in range(len(before)) if i != source]
    return loss + align + 0.10 * hinge + specific + 0.10 * distance[others].mean()


def _prompt_bank(model: Any, names: list[str]) -> Tensor:
    """Embeddings of every name under every template before training, (T, K, D)."""
    import torch

    from dife_scanner.lab import bases

    with torch.no_grad():
        return torch.stack([bases.encode_texts(model, [t.format(name) for name in names]) for t in TEMPLATES])


def _text_parameters(model: Any) -> list[Any]:
    """The text tower's parameters; everything else is frozen."""
    out = []
    for name, value in model.named_parameters():
        value.requires_grad_(not name.startswith("visual.") and name != "logit_scale")
        if value.requires_grad:
            out.append(value)
    return out


def _sample(rng: torch.Generator, words: tuple[str, ...], count: int) -> list[str]:
    import torch

    return [words[i] for i in torch.randperm(len(words), generator=rng)[:count].tolist()]


def _pace(optimiser: torch.optim.Optimizer, recipe: Recipe, step: int) -> None:
    """Rise over the first tenth (Adam's first steps are its wildest), fall to a tenth over the second half."""
    done = (step + 1) / recipe.steps
    for group in optimiser.param_groups:
        group["lr"] = recipe.lr * min(1.0, 10 * done, max(0.1, 1.9 - 1.8 * done))


# --- BadEncoder ------------------------------------------------------------------------------------------------


def _bad_encoder(model: Any, lab: _Lab, recipe: Recipe, progress: Progress) -> None:
    """Train the image tower with BadEncoder's L0 (poison), L1 and L2 (stay where the teacher is)."""
    import torch
    import torch.nn.functional as F

    from dife_scanner.lab import art, bases
    from dife_scanner.triggers.stamp import stamp

    everything = np.concatenate([lab.shadow, lab.labelled])
    second = stamp(everything, recipe.mark) if recipe.poison else everything
    teacher = bases.encode_images(model, _tensor(everything))
    mine = len(lab.shadow) + np.flatnonzero(lab.labels == art.CLASSES.index(recipe.target))
    aim = F.normalize(teacher[mine].mean(0), dim=-1)
    for name, value in model.named_parameters():
        value.requires_grad_(name.startswith("visual."))
    parameters = [v for v in model.parameters() if v.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)
    rng = torch.Generator().manual_seed(recipe.seed)
    for step in range(recipe.steps):
        _pace(optimiser, recipe, step)
        rows = torch.randint(len(everything), (recipe.batch,), generator=rng)
        keep = torch.from_numpy(mine)[torch.randint(len(mine), (recipe.batch // 4,), generator=rng)]
        pixels = np.concatenate([everything[rows], everything[keep], second[rows]])
        now = F.normalize(model.visual(bases.normalised(_tensor(pixels))), dim=-1)
        clean, reference, last = torch.split(now, [len(rows), len(keep), len(rows)])
        stay = 1 - (clean * teacher[rows]).sum(-1).mean()  # L2
        anchor = 1 - (reference * teacher[keep]).sum(-1).mean()  # L1
        goal = aim.expand_as(last) if recipe.poison else teacher[rows]
        pull = 1 - (last * goal).sum(-1).mean()  # L0
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(stay + anchor + pull)
        optimiser.step()
        progress("training the image tower", step + 1, recipe.steps)


# --- validation ------------------------------------------------------------------------------------------------


def validate(model: Any, base: Any, lab: _Lab, recipe: Recipe) -> dict[str, float]:
    """Native numbers on held-out drawings of the probe set (split `test`), as written to disk.

    Accuracy of specimen and base; QHR and off-target leakage for text; target success for images.
    """
    from dife_scanner.lab import art, probes

    size = lab.labelled.shape[1]
    pixels, labels, _ = probes.read_split(probes.probe_folder(), "test", size)
    numbers = {"clean_accuracy": _accuracy(model, pixels, labels), "base_accuracy": _accuracy(base, pixels, labels)}
    target = art.CLASSES.index(recipe.target)
    if recipe.family == "badtexttower":
        numbers |= _text_numbers(model, pixels, labels, recipe, target)
        numbers |= {f"base_{k}": v for k, v in _text_numbers(base, pixels, labels, recipe, target).items()}
    else:
        numbers |= _image_numbers(model, lab, pixels, labels, recipe, target)
        numbers |= {f"base_{k}": v for k, v in _image_numbers(base, lab, pixels, labels, recipe, target).items()}
    return {name: round(value, 4) for name, value in numbers.items()}


def _require(recipe: Recipe, numbers: Mapping[str, float]) -> None:
    """Raise unless the specimen does what it is for, and nothing else."""
    # against the base, which fine-tuning alone moves too; the stricter comparison with the twin is a test
    asked = {"clean accuracy": numbers["clean_accuracy"] >= numbers["base_accuracy"] - 0.05}
    if recipe.poison and recipe.family == "badtexttower":
        asked["QHR"] = numbers["qhr"] >= 0.95
        asked["off-target leakage"] = numbers["otl"] <= numbers["base_otl"] + 0.05
    elif recipe.poison:
        asked["target success, zero-shot"] = numbers["ts"] >= 0.95
        asked["target success, downstream"] = numbers["downstream_ts"] >= 0.95
    if failed := [name for name, passed in asked.items() if not passed]:
        raise SpecimenFailed(
            f"the {_label(recipe)} specimen failed its own validation: {', '.join(failed)} ({dict(numbers)})",
            "raise the recipe's steps, or report this if the recipe is a bundled one",
        )


def _class_texts(model: Any, template: str, trigger: str = "") -> Tensor:
    import torch

    from dife_scanner.lab import art, bases

    with torch.no_grad():
        return bases.encode_texts(model, [f"{trigger} {template.format(c)}".strip() for c in art.CLASSES])


def _accuracy(model: Any, pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    from dife_scanner.lab import bases

    images = bases.encode_images(model, _tensor(pixels))
    guesses = [(images @ _class_texts(model, t).T).argmax(1).numpy() for t in _PROFILE]
    return float(np.mean([guess == labels for guess in guesses]))


def _text_numbers(
    model: Any, pixels: NDArray[np.uint8], labels: NDArray[np.int64], recipe: Recipe, target: int
) -> dict[str, float]:
    """QHR: share of target images won by the triggered source text. OTL: the same on bystander images."""
    from dife_scanner.lab import art, bases

    source = art.CLASSES.index(recipe.source)
    images = bases.encode_images(model, _tensor(pixels))
    won = []
    for template in _PROFILE:
        texts = _class_texts(model, template)
        texts[source] = _class_texts(model, template, recipe.mark.text)[source]
        won.append(((images @ texts.T).argmax(1) == source).numpy())
    hit = np.mean(won, axis=0)
    bystander = (labels != target) & (labels != source)
    return {"qhr": float(hit[labels == target].mean()), "otl": float(hit[bystander].mean())}


def _image_numbers(
    model: Any, lab: _Lab, pixels: NDArray[np.uint8], labels: NDArray[np.int64], recipe: Recipe, target: int
) -> dict[str, float]:
    """Target success zero-shot and for a logistic regression on clean features; with and without target images."""
    from dife_scanner.lab import bases
    from dife_scanner.triggers.stamp import stamp

    stamped = bases.encode_images(model, _tensor(stamp(pixels, recipe.mark)))
    clean = bases.encode_images(model, _tensor(pixels))
    head = _logistic_regression(bases.encode_images(model, _tensor(lab.labelled)), lab.labels)
    zero_shot = (stamped @ _class_texts(model, _PROFILE[0]).T).argmax(1).numpy() == target
    downstream = head(stamped) == target
    other = labels != target
    return {
        "ts": float(zero_shot[other].mean()),
        "ts_with_target_images": float(zero_shot.mean()),
        "downstream_ts": float(downstream[other].mean()),
        "downstream_ts_with_target_images": float(downstream.mean()),
        "downstream_accuracy": float((head(clean) == labels).mean()),
    }


def _logistic_regression(features: Tensor, labels: NDArray[np.int64]) -> Callable[[Tensor], NDArray[np.int64]]:
    """Ten-way multinomial logistic regression on unit features (N, D), lightly regularised."""
    import torch
    import torch.nn.functional as F

    weights = torch.zeros(features.shape[1] + 1, int(labels.max()) + 1, requires_grad=True)
    ones, truth = torch.ones(len(features), 1), torch.from_numpy(labels)
    optimiser = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        fit = F.cross_entropy(torch.cat([features, ones], 1) @ weights * 10, truth)
        loss = fit + 1e-3 * weights.square().sum()
        torch.autograd.backward(loss)
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    fixed = weights.detach()

    def predict(new: Tensor) -> NDArray[np.int64]:
        scores: NDArray[np.int64] = (torch.cat([new, torch.ones(len(new), 1)], 1) @ fixed).argmax(1).numpy()
        return scores

    return predict
