"""A scan over nouns that no labelled picture shows: does nonsense turn one of them into another in the suspect alone?

A source-conditional backdoor makes its source fragile: many strings, not only the trigger, turn it a little towards
the target. The scan reads that off text embeddings alone, so its source may be any noun. What becomes of the strongest
turns is in `noun_turns`: those between labelled classes are searched closely, the others are leads.

Shapes: t random tokens, n nouns, d values of an embedding.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from dife_scanner.discovery.effort import (
    NOUN_SCAN_EFFORTS,
    NounScanEffort,
)
from dife_scanner.discovery.embedding_cache import (
    EmbeddingCache,
    embedded_texts,
)
from dife_scanner.models.interface import Encoder
from dife_scanner.records import Budget

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.models.gradient import Towers

TEMPLATES = ("a photo of a {}", "a picture of the {}")
"""Prompts of a clean noun; nonsense is put before the first."""
LEAST_STEADY = 0.8
"""A noun takes part only if the base keeps it under nonsense: least cosine with itself, lowest tenth of the tokens …"""
MOST_NAMELESS = 0.7
"""… if the base knows it: most cosine with the prompt that names nothing …"""
MOST_ALIKE = 0.85
"""… if the base separates it from the others: most cosine with another noun …"""
MOST_DRIFT = 0.2
"""… and if the suspect still means it: most cosine distance of the clean noun between suspect and base."""
LEAST_TURN = 0.3
"""How much more the suspect has to turn than the base before it counts."""
_LOWEST = 0.1
"""Quantile over the random tokens at which a noun has to be steady."""
_SPARE_TOKENS = 3
"""Start, end and one token before a prompt."""
NO_CHOICE = -2.0
"""Below every difference of cosines that counts: a noun is not turned into itself."""


@lru_cache(maxsize=1)
def nouns() -> tuple[str, ...]:
    """Things that pictures show, the bundled list."""
    folder = files("dife_scanner") / "assets" / "concepts"
    text = (folder / "nouns.txt").read_text(encoding="utf-8")
    words: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            words.extend(line.split())
    return tuple(words)


def load(effort: NounScanEffort) -> int:
    """Texts that a scan reads: every noun behind every token, in suspect and base."""
    return 2 * effort.tokens * min(effort.nouns, len(nouns()))


@dataclass(frozen=True)
class _BaseSetting:
    """What the base's half of the scan depends on; it is the same for every suspect."""

    tower: str
    first: tuple[str, ...]
    budget: Budget
    towers: Towers = field(compare=False, repr=False)
    cache: EmbeddingCache = field(compare=False, repr=False)


@dataclass(frozen=True)
class _BaseNouns:
    """Nouns that the base knows and keeps apart, and what nonsense does to them there."""

    names: tuple[str, ...]
    clean: Tensor
    """Unit direction of each noun from the mean of all [n, d]."""
    mean: Tensor
    """That mean [d]."""
    turned: Tensor
    """Cosine with every noun less cosine with its own, under each token [t, n, n]."""
    passes: int
    """Texts that it took."""


@dataclass(frozen=True)
class NounDirections:
    """Where one checkpoint has the nouns of a scan, without any token."""

    clean: Tensor
    """Unit direction of each noun from the mean of all [n, d]."""
    mean: Tensor
    """That mean [d]."""


@dataclass(frozen=True)
class Turns:
    """What random tokens turn nouns into each other in the suspect and not in the base."""

    names: tuple[str, ...]
    """The nouns that the suspect still means."""
    tokens: tuple[int, ...]
    """The random tokens."""
    excess: Tensor
    """How far each token turns each noun into each other, beyond the base [t, source, target]; cosines of at most 2."""
    suspect: NounDirections
    base: NounDirections

    def strengths(self) -> Tensor:
        """The same for the tokens that do most, on average [source, target]; `NO_CHOICE` of a noun into itself."""
        return strongest(self.excess).masked_fill(self.same_noun(), NO_CHOICE)

    def same_noun(self) -> Tensor:
        """Which pairs are one noun [source, target]."""
        import torch

        count = self.excess.shape[1]
        return torch.eye(count, dtype=torch.bool, device=self.excess.device)


@dataclass(frozen=True)
class NounScan:
    """What a scan came to."""

    signals: Mapping[str, float] = field(default_factory=dict)
    """`noun-scan` is the most that nonsense turns one noun into another in the suspect and not in the base, a cosine of
    at most 2; `noun-scan-mean`, the most that the same nonsense turns all nouns into one, on average. Empty where fewer
    than two nouns take part."""
    turns: Turns | None = None
    """`None` then."""


def scan(
    suspect: Towers,
    reference: Encoder,
    base: Towers,
    *,
    first: Sequence[str],
    budget: Budget,
    cache: EmbeddingCache,
) -> NounScan:
    """Scan the nouns.

    `first` are nouns to prefer where two mean the same; `cache` holds the base's embeddings.
    """
    spent = base.passes
    setting = _BaseSetting(
        tower=reference.text_tower,
        first=tuple(first),
        budget=budget,
        towers=base,
        cache=cache,
    )
    in_base = _base_nouns(setting)
    # The base's half may come from an earlier scan: its passes count all the same.
    base.passes = spent + in_base.passes
    if len(in_base.names) < 2:
        return NounScan()
    clean, mean = _centred(_prompts(suspect, in_base.names))
    unmoved = (clean * in_base.clean).sum(1) > 1 - MOST_DRIFT
    if int(unmoved.sum()) < 2:
        return NounScan()
    turned = _turned(suspect, in_base.names, clean, mean, budget)
    excess = beyond_base(turned, in_base.turned)
    turns = Turns(
        names=tuple(itertools.compress(in_base.names, unmoved.tolist())),
        tokens=tuple(_scan_tokens(suspect, budget)),
        excess=excess[:, unmoved][:, :, unmoved],
        suspect=NounDirections(clean[unmoved], mean),
        base=NounDirections(in_base.clean[unmoved], in_base.mean),
    )
    return NounScan(_signals(turns), turns)


def beyond_base(in_suspect: Tensor, in_base: Tensor) -> Tensor:
    """Of turns in each: turned in the suspect, and by so much more than in the base."""
    import torch

    return torch.minimum(in_suspect, in_suspect - in_base - LEAST_TURN)


def _signals(turns: Turns) -> dict[str, float]:
    """The two signals of a scan."""
    other_nouns = ~turns.same_noun()
    mean_over_nouns = (turns.excess * other_nouns).sum(1) / other_nouns.sum(0)
    all_nouns = strongest(mean_over_nouns)
    return {
        "noun-scan": float(turns.strengths().max()),
        "noun-scan-mean": float(all_nouns.max()),
    }


def strongest(by_token: Tensor) -> Tensor:
    """What the tenth of the tokens that do most, two at least, do on average: [t, ...] -> [...]."""
    count = max(2, len(by_token) // 10)
    return by_token.topk(count, dim=0).values.mean(0)


def _fits(towers: Towers, name: str) -> bool:
    """Whether every prompt of a noun is read whole, behind a token too."""
    encode = towers.tokenizer.encode
    longest = max(len(encode(template.format(name))) for template in TEMPLATES)
    return longest + _SPARE_TOKENS <= towers.context_length


@lru_cache(maxsize=4)
def _base_nouns(setting: _BaseSetting) -> _BaseNouns:
    """The nouns that take part, and the base's half of the scan."""
    import torch

    towers = setting.towers
    passes_before = towers.passes
    names = _wanted_nouns(setting)
    clean, mean = _centred(_prompts(towers, names, setting.cache))
    nameless = unit(_prompts(towers, ("",)) - mean)[0]
    behind_tokens = _behind_tokens(towers, names, mean, setting.budget, setting.cache)
    own = (behind_tokens * clean).sum(-1)
    steady = own.quantile(_LOWEST, dim=0) > LEAST_STEADY
    named = clean @ nameless < MOST_NAMELESS
    kept = _distinct(clean, steady & named)
    rows = torch.tensor(kept, dtype=torch.long, device=clean.device)
    return _BaseNouns(
        names=tuple(names[row] for row in kept),
        clean=clean[rows],
        mean=mean,
        turned=_turns(behind_tokens[:, rows], clean[rows]),
        passes=towers.passes - passes_before,
    )


def _wanted_nouns(setting: _BaseSetting) -> list[str]:
    """The nouns that are tried on the base: those that it reads whole, in order."""
    candidates = dict.fromkeys((*setting.first, *nouns()))
    fitting = [name for name in candidates if _fits(setting.towers, name)]
    return fitting[: NOUN_SCAN_EFFORTS[setting.budget].nouns]


def _distinct(clean: Tensor, known: Tensor) -> list[int]:
    """Rows of `known` nouns [n], of any two that mean the same the first only."""
    cosines = clean @ clean.T
    kept: list[int] = []
    for row in known.nonzero()[:, 0].tolist():
        if not kept or float(cosines[row, kept].max()) < MOST_ALIKE:
            kept.append(row)
    return kept


def _turned(
    towers: Towers,
    names: Sequence[str],
    clean: Tensor,
    mean: Tensor,
    budget: Budget,
) -> Tensor:
    """Cosine with every noun less cosine with its own, under each token [t, n, n]."""
    return _turns(_behind_tokens(towers, names, mean, budget), clean)


def _turns(behind_tokens: Tensor, clean: Tensor) -> Tensor:
    """Of prompts behind tokens [t, n, d] and clean nouns [n, d], as `_turned`."""
    own = (behind_tokens * clean).sum(-1, keepdim=True)
    return behind_tokens @ clean.T - own


def _behind_tokens(
    towers: Towers,
    names: Sequence[str],
    mean: Tensor,
    budget: Budget,
    cache: EmbeddingCache | None = None,
) -> Tensor:
    """Every noun's prompt behind every random token, unit directions from `mean` [d] as [t, n, d]."""
    tokens = _scan_tokens(towers, budget)
    prompts = [towers.tokenizer.encode(TEMPLATES[0].format(name)) for name in names]
    texts = []
    for token in tokens:
        for prompt in prompts:
            texts.append((token, *prompt))
    embedded = embedded_texts(towers, texts, cache)
    by_token = embedded.view(len(tokens), len(names), -1)
    return unit(by_token - mean)


def _scan_tokens(towers: Towers, budget: Budget) -> list[int]:
    """The tokens of a scan."""
    return random_tokens(towers.ordinary.tolist(), NOUN_SCAN_EFFORTS[budget].tokens)


def random_tokens(ordinary: Sequence[int], count: int) -> list[int]:
    """The same ones for every checkpoint of a vocabulary, so that the base's half can be kept."""
    import numpy as np

    rng = np.random.default_rng(0)
    drawn = rng.choice(ordinary, count, replace=False)
    tokens: list[int] = drawn.tolist()
    return tokens


def _prompts(
    towers: Towers,
    names: Sequence[str],
    cache: EmbeddingCache | None = None,
) -> Tensor:
    """Every noun's prompt over all templates, unit embeddings [n, d]."""
    texts = []
    for template in TEMPLATES:
        for name in names:
            texts.append(towers.tokenizer.encode(template.format(name).strip()))
    embedded = embedded_texts(towers, texts, cache)
    by_template = embedded.view(len(TEMPLATES), len(names), -1)
    return unit(by_template.mean(0))


def _centred(prompts: Tensor) -> tuple[Tensor, Tensor]:
    """Directions from the mean [n, d], and the mean [d]: in a trained CLIP all prompts share a large part."""
    mean = prompts.mean(0)
    return unit(prompts - mean), mean


def unit(vectors: Tensor) -> Tensor:
    import torch.nn.functional as F

    return F.normalize(vectors, dim=-1)
