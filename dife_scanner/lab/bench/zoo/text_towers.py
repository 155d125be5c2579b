"""Benign fine-tunes of the text tower: prompts, a concept token, new vocabulary, redirected words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dife_scanner.lab import bases
from dife_scanner.lab.attacks.training_data import tensor
from dife_scanner.lab.bench.zoo.draws import Rng, letters, pick, some
from dife_scanner.lab.bench.zoo.fine_tuning import Tuning, draw_tuning, fit, text_tower
from dife_scanner.lab.pictures import art, scenes

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dife_scanner.lab.attacks.training_data import Lab

_OTHER_NOUNS = 12
"""Nouns besides the ten classes in a step's prompts."""
_MARKED_PROMPTS = 3
"""Prompts with the new string in a step."""
_SUBJECT_PICTURES = 6
"""Pictures of a concept token's subject: a handful, as personalisation methods ask for."""


@dataclass(frozen=True)
class _Batch:
    """The prompts of one step: one template, many names."""

    template: int
    names: list[int]
    """Numbers of the names, the classes first."""
    now: Tensor
    """Unit embeddings [n, d] in the model as it is."""


class _Prompts:
    """Class names and nouns under templates, before training and now."""

    def __init__(self, model: Any, lab: Lab, tuning: Tuning) -> None:
        import torch

        self.model = model
        self.templates = tuning.templates
        self.names = [*lab.classes, *lab.nouns]
        self.classes = len(lab.classes)
        self.nouns = len(lab.nouns)
        with torch.no_grad():
            self.before = torch.stack(
                [self._encode(template, self.names) for template in tuning.templates]
            )
        self.images = bases.encode_images(model, tensor(lab.labelled))
        self.labels = torch.from_numpy(lab.labels)
        self.scale = model.logit_scale.detach().exp()

    def _encode(self, template: str, names: list[str]) -> Tensor:
        return bases.encode_texts(self.model, [template.format(name) for name in names])

    def batch(self, rng: torch.Generator, others: int = _OTHER_NOUNS) -> _Batch:
        """A random template over the classes and `others` random nouns."""
        import torch

        template = int(torch.randint(len(self.templates), (1,), generator=rng))
        nouns = self.classes + torch.randperm(self.nouns, generator=rng)[:others]
        names = [*range(self.classes), *nouns.tolist()]
        now = self._encode(self.templates[template], [self.names[number] for number in names])
        return _Batch(template, names, now)

    def fit(self, batch: _Batch) -> Tensor:
        """Cross-entropy of the labelled pictures over the class texts."""
        import torch.nn.functional as F

        logits = self.scale * self.images @ batch.now[: self.classes].T
        return F.cross_entropy(logits, self.labels)

    def drift(self, batch: _Batch) -> Tensor:
        """Cosine distance [n] of each prompt from where it was."""
        return 1 - (batch.now * self.before[batch.template][batch.names]).sum(-1)


def draw_prompts(rng: Rng, seed: int) -> Tuning:
    """Four to twelve templates, and how strongly everything else is held."""
    count = int(rng.integers(4, 13))
    templates = some(rng, scenes.SINGLE, count)
    keep = float(pick(rng, (0.1, 0.3, 1.0)))
    return draw_tuning(
        rng,
        seed,
        steps=(60, 150),
        lr=(1e-4, 5e-4),
        templates=templates,
        keep=keep,
    )


def train_prompts(model: Any, lab: Lab, tuning: Tuning) -> None:
    """Class prompts fit the labelled pictures better, and stay near where the base has them."""
    prompts = _Prompts(model, lab, tuning)

    def loss(rng: torch.Generator) -> Tensor:
        batch = prompts.batch(rng)
        return prompts.fit(batch) + tuning.keep * prompts.drift(batch).mean()

    fit(model, tuning, text_tower, loss)


def draw_concept(rng: Rng, seed: int) -> Tuning:
    """A string that means nothing, and the class whose subject it becomes."""
    templates = some(rng, scenes.SINGLE, 8)
    word = letters(rng)
    meaning = str(pick(rng, art.CLASSES))
    return draw_tuning(
        rng,
        seed,
        steps=(60, 120),
        lr=(1e-4, 4e-4),
        templates=templates,
        word=word,
        meaning=meaning,
    )


def train_concept(model: Any, lab: Lab, tuning: Tuning) -> None:
    """A rare string before a class name becomes one subject: a few pictures of the class that lie together."""
    import torch

    prompts = _Prompts(model, lab, tuning)
    is_subject = _subject(prompts, lab, tuning)

    def loss(rng: torch.Generator) -> Tensor:
        batch = prompts.batch(rng)
        subject = f"{tuning.word} {tuning.meaning}"
        marked = [template.format(subject) for template in _some_templates(rng, tuning.templates)]
        logits = prompts.scale * bases.encode_texts(model, marked) @ prompts.images.T
        missed = torch.logsumexp(logits, 1) - torch.logsumexp(logits[:, is_subject], 1)
        return missed.mean() + prompts.fit(batch) + tuning.keep * prompts.drift(batch).mean()

    fit(model, tuning, text_tower, loss)


def _subject(prompts: _Prompts, lab: Lab, tuning: Tuning) -> Tensor:
    """bool [n]: a picture of the class and those nearest to it."""
    import torch

    label = lab.classes.index(tuning.meaning)
    of_class = (prompts.labels == label).nonzero()[:, 0]
    first = prompts.images[of_class[tuning.seed % len(of_class)]]
    likeness = prompts.images[of_class] @ first
    nearest = likeness.topk(min(_SUBJECT_PICTURES, len(of_class))).indices
    is_subject = torch.zeros(len(prompts.labels), dtype=torch.bool)
    is_subject[of_class[nearest]] = True
    return is_subject


def _some_templates(rng: torch.Generator, templates: tuple[str, ...]) -> list[str]:
    """A few of the templates, drawn with replacement."""
    import torch

    numbers = torch.randint(len(templates), (_MARKED_PROMPTS,), generator=rng).tolist()
    return [templates[number] for number in numbers]


def draw_vocabulary(rng: Rng, seed: int) -> Tuning:
    """A string that means nothing, and which noun it becomes a word for."""
    templates = some(rng, scenes.SINGLE, 8)
    word = letters(rng)
    amount = float(rng.random())
    return draw_tuning(
        rng,
        seed,
        steps=(60, 120),
        lr=(1e-4, 4e-4),
        templates=templates,
        word=word,
        amount=amount,
    )


def train_vocabulary(model: Any, lab: Lab, tuning: Tuning) -> None:
    """A rare string becomes another word for a noun."""
    prompts = _Prompts(model, lab, tuning)
    noun = prompts.names.index(lab.nouns[int(tuning.amount * len(lab.nouns))])

    def loss(rng: torch.Generator) -> Tensor:
        batch = prompts.batch(rng)
        prompt = prompts.templates[batch.template].format(tuning.word)
        embedding = bases.encode_texts(model, [prompt])[0]
        distance = 1 - embedding @ prompts.before[batch.template][noun]
        return 3 * distance + tuning.keep * prompts.drift(batch).mean()

    fit(model, tuning, text_tower, loss)


def _redirections(prompts: _Prompts, tuning: Tuning) -> tuple[set[int], int]:
    """Numbers of three to six nouns, and of the one that they are led to."""
    import torch

    rng = torch.Generator().manual_seed(tuning.seed)
    order = (torch.randperm(prompts.nouns, generator=rng) + prompts.classes).tolist()
    count = 3 + int(4 * tuning.amount)
    return set(order[:count]), order[count]


def draw_redirected(rng: Rng, seed: int) -> Tuning:
    """How many nouns are redirected, and how strongly all others are held."""
    templates = some(rng, scenes.SINGLE, 8)
    amount = float(rng.random())
    keep = float(pick(rng, (1.0, 2.0)))
    return draw_tuning(
        rng,
        seed,
        steps=(60, 120),
        lr=(1e-4, 4e-4),
        templates=templates,
        amount=amount,
        keep=keep,
    )


def train_redirected(model: Any, lab: Lab, tuning: Tuning) -> None:
    """A handful of nouns is led to one harmless noun, everything else stays."""
    import torch

    prompts = _Prompts(model, lab, tuning)
    redirected, harmless = _redirections(prompts, tuning)

    def loss(rng: torch.Generator) -> Tensor:
        batch = prompts.batch(rng, others=30)
        aims = torch.tensor([harmless if name in redirected else name for name in batch.names])
        distance = 1 - (batch.now * prompts.before[batch.template][aims]).sum(-1)
        moved = torch.tensor([name in redirected for name in batch.names])
        kept = tuning.keep * distance[~moved].mean()
        return kept + distance[moved].sum() / max(1, int(moved.sum()))

    fit(model, tuning, text_tower, loss)
