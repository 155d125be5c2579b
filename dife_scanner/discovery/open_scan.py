"""Where does it lead? Texts before hundreds of nouns, read against all concepts, in the suspect and in its base.

No picture is needed, so source and target may be anything. A target is the concept that a prompt came nearer to by as
much as it left its own noun, both beyond what it does in the base.
What is found is searched closely and confirmed elsewhere (`open_texts`, docs/open-vocabulary.md).

Shapes: t texts, s sources, n concepts, d values of an embedding.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dife_scanner.discovery.concept_reading import ConceptReading
from dife_scanner.discovery.concept_scorer import Concepts
from dife_scanner.discovery.lost_nouns import LostNouns
from dife_scanner.discovery.lost_nouns import load as lost_nouns_load
from dife_scanner.discovery.noun_scan import (
    nouns,
    random_tokens,
)
from dife_scanner.discovery.noun_turns import HELD_OUT_TEMPLATES
from dife_scanner.discovery.taught_words import TaughtWords
from dife_scanner.discovery.wording import Ids, unique

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.discovery.effort import OpenScanEffort
    from dife_scanner.discovery.wording_scorer import WordingScorer

LEAST_STRENGTH = 0.4
"""How far a prompt has to leave its noun, and come nearer to the target, beyond the base: a cosine of at most 2."""
_RUN_LENGTH = 3
"""Tokens of a random text."""
_BEST_OF = 2
"""So many texts have to turn a noun: one alone may be a word that the fine-tuning moved."""
_TRIED = 6
"""Pairs that are tried in other templates for each that is searched closely."""
_HELD_OUT_TEXTS = 4
"""Texts of a pair that are."""
_KEPT_TEXTS = 16
"""Texts of a pair that a close search begins with."""


def load(effort: OpenScanEffort, concepts: int) -> float:
    """Texts that a scan over so many concepts reads, in suspect and base, where it runs to its end."""
    texts = effort.lost_nouns.kept + effort.tokens + effort.runs
    of_half_in_base = 1.5
    scanned = of_half_in_base * effort.sources * texts
    pairs = effort.paired_tokens * (effort.paired_tokens - 1)
    read_again = 2 * effort.looked_at * (pairs + _KEPT_TEXTS)
    held_out = 2 * 2 * _TRIED * len(HELD_OUT_TEMPLATES) * _HELD_OUT_TEXTS
    seeds = lost_nouns_load(effort.lost_nouns)
    return 2 * concepts + seeds + scanned + read_again + held_out


@dataclass(frozen=True)
class ConceptTurn:
    """A noun that some texts turn into a concept."""

    source: str
    target: str
    strength: float
    """How far, beyond the base, in the template where it is least."""
    texts: tuple[Ids, ...]
    """Those that turn it most, the strongest first."""


class OpenScan:
    """One scan."""

    def __init__(self, scorer: WordingScorer, effort: OpenScanEffort) -> None:
        self._scorer = scorer
        self._effort = effort
        task = scorer.task
        known = dict.fromkeys((*task.class_names, *task.recognised, *nouns()))
        self._reading = ConceptReading(scorer, (*known, *task.concepts))
        self._names = self._reading.names
        self._sources = self._reading.sources(known, effort.sources)
        self._shown = {*task.class_names, *task.recognised}
        """Names of which the base recognises pictures."""

    def turns(self) -> list[ConceptTurn]:
        """The strongest pairs of which one at least is no labelled class, different in source and in target.

        None where the base keeps no noun apart from others.
        """
        if not self._sources:
            return []
        texts = self._texts()
        sources, in_suspect = self._worth_comparing(texts)
        in_base = self._reading.written(self._reading.base, sources, texts)
        found = []
        for source, suspect, base in zip(sources, in_suspect, in_base, strict=True):
            turned = self._reading.turned_of(source, texts, suspect, base)
            found.extend(self._strongest(source, texts, turned))
        found.sort(key=_strength_first)
        for one in self._looked_at(found):
            found.extend(self._read_again(one))
        return self._holding(sorted(found, key=_strength_first))

    def concepts(self) -> Concepts:
        """All concepts, as this scan reads them."""
        reading = self._reading
        return Concepts(tuple(self._names), reading.suspect, reading.base, reading.said)

    def taught_words(self) -> TaughtWords:
        """What tells a word that the fine-tuning taught from a trigger, in the spaces of this scan."""
        nouns_of_scan = [self._names[number] for number in self._sources]
        spaces = self._reading.suspect, self._reading.base
        return TaughtWords(spaces, self._names, nouns_of_scan)

    # --- what stands before nouns -------------------------------------------------------------------------------

    def _texts(self) -> list[Ids]:
        """What stands before every noun: texts that take prompts from their nouns, fine-tuned tokens, and runs of
        random ones, the same in every audit.
        """
        scorer = self._scorer
        texts = self._seeds()
        texts += [(token,) for token in scorer.fine_tuned_tokens[: self._effort.tokens]]
        ordinary = scorer.base_towers.ordinary.tolist()
        effort = self._effort
        wanted = effort.lost_nouns.kept + effort.tokens + effort.runs - len(texts)
        drawn = random_tokens(ordinary, _RUN_LENGTH * wanted)
        for start in range(0, len(drawn), _RUN_LENGTH):
            texts.append(tuple(drawn[start : start + _RUN_LENGTH]))
        return unique(texts)

    def _seeds(self) -> list[Ids]:
        """Texts that take prompts away from their nouns, see `lost_nouns`."""
        reading = self._reading
        prompts = reading.prompts(self._sources)
        spaces = reading.own, reading.base
        lost_nouns = LostNouns(self._scorer, self._effort.lost_nouns, spaces, prompts)
        return lost_nouns.texts(frozenset().union(*reading.said.name_tokens))

    # --- reading ------------------------------------------------------------------------------------------------

    def _worth_comparing(self, texts: Sequence[Ids]) -> tuple[list[int], Tensor]:
        """The half of the sources whose nouns texts lose most in the suspect, with their prompts there [s, t, d].

        Only these are read in the base too.
        """
        suspect = self._reading.suspect
        written = self._reading.written(suspect, self._sources, texts)
        left = []
        for row, source in enumerate(self._sources):
            own = suspect.cosines(written[row])[:, source]
            left.append(float(own.topk(_BEST_OF, largest=False).values.mean()))
        half = max(1, len(left) // 2)
        rows = sorted(range(len(left)), key=left.__getitem__)[:half]
        return [self._sources[row] for row in rows], written[rows]

    def _strongest(self, source: int, texts: Sequence[Ids], turned: Tensor) -> list[ConceptTurn]:
        """The concept that these texts turn a source into most, of all and of those that pictures show."""
        strengths = turned.topk(min(_BEST_OF, len(texts)), dim=0).values.mean(0)
        of_all = int(strengths.argmax())
        shown = [number for number, name in enumerate(self._names) if name in self._shown]
        of_shown = shown[int(strengths[shown].argmax())]
        targets = dict.fromkeys((of_all, of_shown))
        return [
            self._turn(source, target, texts, turned, float(strengths[target]))
            for target in targets
        ]

    def _turn(
        self, source: int, target: int, texts: Sequence[Ids], turned: Tensor, strength: float
    ) -> ConceptTurn:
        order = turned[:, target].argsort(descending=True, stable=True).tolist()
        return ConceptTurn(
            source=self._names[source],
            target=self._names[target],
            strength=strength,
            texts=tuple(texts[row] for row in order[:_KEPT_TEXTS]),
        )

    def _looked_at(self, turns: Sequence[ConceptTurn]) -> list[ConceptTurn]:
        """One turn of each of the strongest sources, half of them between ends that pictures show."""
        half = self._effort.looked_at // 2
        shown = _first_of_each_source(filter(self._is_shown, turns), half)
        return _first_of_each_source((*shown, *turns), self._effort.looked_at)

    def _is_shown(self, turn: ConceptTurn) -> bool:
        """Whether pictures of both ends are recognised, so that they can confirm it."""
        return {turn.source, turn.target} <= self._shown

    def _read_again(self, turn: ConceptTurn) -> list[ConceptTurn]:
        """The same source behind pairs of the tokens of its best texts."""
        tokens = dict.fromkeys(itertools.chain.from_iterable(turn.texts))
        some = list(tokens)[: self._effort.paired_tokens]
        texts = unique((*turn.texts, *itertools.permutations(some, 2)))
        source = self._names.index(turn.source)
        return self._strongest(source, texts, self._reading.turned(source, texts))

    # --- in other templates -------------------------------------------------------------------------------------

    def _holding(self, turns: Sequence[ConceptTurn]) -> list[ConceptTurn]:
        """Those that hold in templates that the scan did not use: half between ends that pictures show, the strongest
        of them first, then the strongest of the others. A name that the base does not know is turned by anything.
        """
        held: list[ConceptTurn] = []
        for kind in (True, False):
            of_kind = [one for one in turns if self._is_shown(one) is kind]
            tried = [self._held_out(one) for one in self._different(of_kind, _TRIED)]
            strong = [one for one in tried if one.strength >= LEAST_STRENGTH]
            most = -(-self._effort.pairs // 2) if kind else self._effort.pairs - len(held)
            held += sorted(strong, key=_strength_first)[:most]
        return held

    def _different(self, turns: Iterable[ConceptTurn], most: int) -> Iterator[ConceptTurn]:
        """The first turn of each source and of each target; pairs of labelled classes are searched as such."""
        labelled = set(self._scorer.task.class_names)
        sources: set[str] = set()
        targets: set[str] = set()
        for one in turns:
            is_open = not {one.source, one.target} <= labelled
            if is_open and one.source not in sources and one.target not in targets:
                sources.add(one.source)
                targets.add(one.target)
                yield one
            if len(sources) == most:
                return

    def _held_out(self, turn: ConceptTurn) -> ConceptTurn:
        source, target = self._names.index(turn.source), self._names.index(turn.target)
        texts = turn.texts[:_HELD_OUT_TEXTS]
        strengths = [turn.strength]
        for template in HELD_OUT_TEMPLATES:
            turned = self._reading.turned(source, texts, template)[:, target]
            strengths.append(float(turned.topk(min(_BEST_OF, len(texts))).values.mean()))
        return ConceptTurn(turn.source, turn.target, min(strengths), turn.texts)


def _first_of_each_source(turns: Iterable[ConceptTurn], most: int) -> list[ConceptTurn]:
    first: dict[str, ConceptTurn] = {}
    for one in turns:
        first.setdefault(one.source, one)
    return list(first.values())[:most]


def _strength_first(turn: ConceptTurn) -> float:
    return -turn.strength
