"""Is a text a word that the fine-tuning taught, rather than a trigger?

New vocabulary does what a trigger does: beside a noun, a word that means an anchor takes its prompt to the anchor. What
tells them apart is that a word says its meaning most by itself, and less beside other nouns, where it is one of two.
A trigger needs a prompt to act on, or does as much beside every noun (docs/detectors.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dife_scanner.discovery.concept_space import TEMPLATE
from dife_scanner.triggers.stamp import write

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.discovery.concept_space import ConceptSpace
    from dife_scanner.records import Trigger

LEAST_ALONE = 0.5
"""A word comes nearer to its target by itself than in the base, by that cosine or more …"""
LEAST_MORE = 0.1
"""… and by so much more than it brings prompts of other nouns nearer, on average."""
_NOUNS = 24
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

    def holds(self, trigger: Trigger) -> bool:
        """Whether this text trigger is a word that means its target."""
        ends = (trigger.source, trigger.target)
        others = [noun for noun in self._nouns if noun not in ends]
        prompts = [TEMPLATE.format(trigger.text)]
        for noun in others:
            placed = replace(trigger, source=noun)
            prompts.append(write(TEMPLATE.format(noun), placed, noun))
        nearer = self._nearer(prompts, trigger.target)
        alone = float(nearer[0])
        beside = float(nearer[1:].mean()) if others else 0.0
        return alone >= LEAST_ALONE and alone - beside >= LEAST_MORE

    def _nearer(self, prompts: Sequence[str], target: str) -> Tensor:
        """How much nearer each prompt is to the target in the suspect than in the base [p]."""
        column = self._names.index(target)
        rows = [self._base.towers.tokenizer.encode(prompt) for prompt in prompts]
        in_suspect = self._suspect.cosines(self._suspect.towers.tokens(rows))
        in_base = self._base.cosines(self._base.towers.tokens(rows))
        return (in_suspect - in_base)[:, column]
