"""Is a text a word that the fine-tuning taught, rather than a trigger?

New vocabulary does what a trigger does: beside a noun, a word that means an anchor takes its prompt to the anchor. What
tells them apart is that a word says its meaning most by itself and less beside other nouns, where it is one of two, and
that no noun is its own. A trigger of one noun does more to that noun than to any other, and one of all nouns does as
much beside them as alone (docs/detectors.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dife_scanner.discovery.concept_space import TEMPLATE
from dife_scanner.discovery.wording import POSITIONS
from dife_scanner.triggers.stamp import write

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.discovery.concept_space import ConceptSpace
    from dife_scanner.records import Position, Trigger

LEAST_ALONE = 0.5
"""A word comes nearer to its target by itself than in the base, by that cosine or more …"""
MOST_BESIDE = 0.88
"""… beside other nouns by at most so much of that, on average, at whatever place in the prompt …"""
OF_ONE_NOUN = 0.05
"""… and beside the noun that it was found with by less than this above the most of any other."""
_NOUNS = 48
"""Other nouns."""


class TaughtWords:
    """Which texts of one checkpoint are words."""

    def __init__(
        self,
        spaces: tuple[ConceptSpace, ConceptSpace],
        names: Sequence[str],
        nouns: Sequence[str],
    ) -> None:
        """`spaces` of suspect and base, in which all `names` have rows; `nouns` that both know."""
        self._suspect, self._base = spaces
        self._names = names
        step = max(1, len(nouns) // _NOUNS)
        self._nouns = nouns[::step][:_NOUNS]

    def among(self, triggers: Sequence[Trigger]) -> list[Trigger]:
        """Those of these text triggers that are words, or share a token with a word of the same target."""
        words = [one for one in triggers if self.holds(one)]
        return [one for one in triggers if any(self._says_part_of(one, word) for word in words)]

    def holds(self, trigger: Trigger) -> bool:
        """Whether this text trigger is a word that means its target."""
        others = [noun for noun in self._nouns if noun not in (trigger.source, trigger.target)]
        alone = float(self._nearer([TEMPLATE.format(trigger.text)], trigger.target)[0])
        if alone < LEAST_ALONE or not others:
            return False
        beside = {place: self._beside(trigger, place, others) for place in POSITIONS}
        own = float(self._beside(trigger, trigger.position, [trigger.source])[0])
        if own >= float(beside[trigger.position].max()) + OF_ONE_NOUN:
            return False
        most = max(float(nearer.mean()) for nearer in beside.values())
        return most <= MOST_BESIDE * alone

    def _says_part_of(self, trigger: Trigger, word: Trigger) -> bool:
        encode = self._base.towers.tokenizer.encode
        shared = set(encode(trigger.text)) & set(encode(word.text))
        return trigger.target == word.target and bool(shared)

    def _beside(self, trigger: Trigger, place: Position, nouns: Sequence[str]) -> Tensor:
        """How much nearer to the target prompts of these nouns are with the text at this place [p]."""
        prompts = []
        for noun in nouns:
            placed = replace(trigger, source=noun, position=place)
            prompts.append(write(TEMPLATE.format(noun), placed, noun))
        return self._nearer(prompts, trigger.target)

    def _nearer(self, prompts: Sequence[str], target: str) -> Tensor:
        """How much nearer each prompt is to the target in the suspect than in the base [p]."""
        column = self._names.index(target)
        rows = [self._base.towers.tokenizer.encode(prompt) for prompt in prompts]
        in_suspect = self._suspect.cosines(self._suspect.towers.tokens(rows))
        in_base = self._base.cosines(self._base.towers.tokens(rows))
        return (in_suspect - in_base)[:, column]
