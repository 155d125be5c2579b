"""What becomes of the nouns that a scan saw turned: pairs of labelled classes to search closely, and leads.

A pair of labelled classes can be confirmed on pictures. Other pairs cannot, so of them only those are kept that a
targeted attack leaves behind: both nouns mean what they meant, and words that the scan did not use turn them as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dife_scanner.discovery.noun_scan import (
    NO_CHOICE,
    NounDirections,
    Turns,
    beyond_base,
    random_tokens,
    strongest,
    unit,
)
from dife_scanner.discovery.wording import Ids
from dife_scanner.records import NounLead

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.discovery.checkpoint_scores import CheckpointScores
    from dife_scanner.models.gradient import Towers

LEAST_LEAD = 0.3
"""How far tokens turn a noun beyond the base before it counts. Benign text towers that learned no word stay below .27
(docs/detectors.md)."""
MOST_LEAD_DRIFT = 0.06
"""Most cosine distance of a lead's clean nouns between suspect and base: what the paper allows an attack (Xiang et al.
2026). Fine-tunes that teach words turn nouns as far, into those that they moved by .09 and more."""
HELD_OUT_TEMPLATES = ("a drawing of a {}", "this is a {}")
"""Prompts that a lead has to hold in; the scan uses none of them."""
MOST_LEADS = 3
LEAST_NEAR = 0.5
"""A noun that is no class stands for the class nearest to it in the base: least cosine with its prompt …"""
LEAST_NEARER = 0.2
"""… and by how much every other class is farther. A taxi is an automobile, a goat is nothing."""
_HELD_OUT_TOKENS = 48
"""Tokens that a lead has to hold behind, none of the scan's."""
_TRIED = 8
"""Most leads that are tried on them: each takes some two hundred texts."""
_TOLD_TOKENS = 3
"""Tokens that a lead names."""


@dataclass(frozen=True)
class ClassTurn:
    """A labelled class that some tokens turn into another."""

    source: int
    target: int
    tokens: tuple[Ids, ...]
    """Those that turn it at all, the strongest first."""


class NounTurns:
    """The strongest turns of one scan."""

    def __init__(
        self,
        turns: Turns,
        suspect: CheckpointScores,
        base: CheckpointScores,
    ) -> None:
        self._turns = turns
        self._suspect = suspect.towers
        self._base = base.towers
        self._tokenizer = base.towers.tokenizer
        self._strengths = turns.strengths()
        self._classes = self._classes_of_nouns(base.class_prompts)
        """Number of the class that each noun stands for, -1 for none [n]."""

    def _classes_of_nouns(self, class_prompts: Tensor) -> Tensor:
        directions = unit(class_prompts - self._turns.base.mean)
        cosines = self._turns.base.clean @ directions.T
        nearest, number = cosines.topk(2, dim=1)
        near = nearest[:, 0] >= LEAST_NEAR
        nearer = nearest[:, 0] - nearest[:, 1] >= LEAST_NEARER
        return number[:, 0].masked_fill(~(near & nearer), -1)

    # --- pairs of labelled classes ------------------------------------------------------------------------------

    def class_turns(self) -> list[ClassTurn]:
        """Every pair of different labelled classes that stands out, the strongest first."""
        labelled = self._classes >= 0
        other_class = self._classes[:, None] != self._classes[None]
        found: dict[tuple[int, int], ClassTurn] = {}
        for source, target in self._strong(labelled[:, None] & labelled[None] & other_class):
            pair = int(self._classes[source]), int(self._classes[target])
            found.setdefault(pair, ClassTurn(*pair, self._tokens(source, target)))
        return list(found.values())

    def _strong(self, allowed: Tensor) -> Iterator[tuple[int, int]]:
        """Source and target rows of the `allowed` pairs [n, n] that stand out, the strongest first."""
        strengths = self._strengths.masked_fill(~allowed, NO_CHOICE).flatten()
        order = strengths.argsort(descending=True, stable=True)
        count = int((strengths >= LEAST_LEAD).sum())
        for place in order[:count].tolist():
            yield divmod(place, len(self._classes))

    def _tokens(self, source: int, target: int) -> tuple[Ids, ...]:
        """The readable tokens that turn a noun into another, the strongest first."""
        excess = self._turns.excess[:, source, target]
        tokens: list[Ids] = []
        for place in excess.argsort(descending=True, stable=True).tolist():
            token = self._turns.tokens[place]
            if excess[place] > 0 and self._tokenizer.readable(token):
                tokens.append((token,))
        return tuple(tokens)

    # --- leads --------------------------------------------------------------------------------------------------

    def leads(self) -> tuple[NounLead, ...]:
        """The strongest pairs that pictures cannot confirm and other words do, one of each source."""
        kept = self._drifts() <= MOST_LEAD_DRIFT
        labelled = self._classes >= 0
        both_labelled = labelled[:, None] & labelled[None]
        best: dict[int, int] = {}
        for source, target in self._strong(kept[:, None] & kept[None] & ~both_labelled):
            best.setdefault(source, target)
        leads = []
        for source, target in list(best.items())[:_TRIED]:
            lead = self._lead(source, target)
            if lead is not None:
                leads.append(lead)
        leads.sort(key=lambda lead: -lead.beyond_base)
        return tuple(leads[:MOST_LEADS])

    def _drifts(self) -> Tensor:
        """Cosine distance of each clean noun between suspect and base [n]."""
        turns = self._turns
        return 1 - (turns.suspect.clean * turns.base.clean).sum(1)

    def _lead(self, source: int, target: int) -> NounLead | None:
        """The pair as a lead, if it holds on words that the scan did not use; else `None`."""
        held_out = self._held_out(source, target)
        weakest = strongest(held_out).min()
        if float(weakest) < LEAST_LEAD:
            return None
        return NounLead(
            source=self._turns.names[source],
            target=self._turns.names[target],
            tokens=self._words(source, target),
            beyond_base=float(weakest),
        )

    def _words(self, source: int, target: int) -> tuple[str, ...]:
        return tuple(map(self._tokenizer.spelled, self._tokens(source, target)[:_TOLD_TOKENS]))

    def _held_out(self, source: int, target: int) -> Tensor:
        """How far each held-out token turns the noun beyond the base in each held-out template [t, templates]."""
        pair = source, target
        in_suspect = self._turned(self._suspect, self._turns.suspect, pair)
        in_base = self._turned(self._base, self._turns.base, pair)
        return beyond_base(in_suspect, in_base)

    def _turned(
        self,
        towers: Towers,
        directions: NounDirections,
        pair: tuple[int, int],
    ) -> Tensor:
        """Cosine with the target less cosine with the source [t, templates]."""
        source, target = pair
        texts = []
        tokens = self._held_out_tokens(towers)
        for token in tokens:
            for template in HELD_OUT_TEMPLATES:
                prompt = self._tokenizer.encode(template.format(self._turns.names[source]))
                texts.append((token, *prompt))
        embedded = unit(towers.tokens(texts) - directions.mean)
        turned = embedded @ (directions.clean[target] - directions.clean[source])
        return turned.view(len(tokens), len(HELD_OUT_TEMPLATES))

    def _held_out_tokens(self, towers: Towers) -> Sequence[int]:
        """Tokens that the scan did not use, the same in every audit."""
        used = self._turns.tokens
        drawn = random_tokens(towers.ordinary.tolist(), len(used) + _HELD_OUT_TOKENS)
        unused = [token for token in drawn if token not in used]
        return unused[:_HELD_OUT_TOKENS]
