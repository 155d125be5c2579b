"""How far texts take prompts of nouns from them and towards other concepts, in the suspect beyond its base.

Shapes: t texts, s sources, n concepts, d values of an embedding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from dife_scanner.core.directions import SAME_MEANING
from dife_scanner.discovery.concept_space import TEMPLATE, ConceptSpace
from dife_scanner.discovery.embedding_cache import embedded_texts
from dife_scanner.discovery.noun_scan import MOST_NAMELESS, NO_CHOICE
from dife_scanner.discovery.noun_turns import HELD_OUT_TEMPLATES
from dife_scanner.discovery.said_concepts import SaidConcepts
from dife_scanner.discovery.wording import Ids

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.discovery.wording_scorer import WordingScorer

_SPARE_TOKENS = 6
"""Places for start, end and a text of four tokens."""


class ConceptReading:
    """All concepts of one audit, and how prompts of them are read in suspect and base."""

    def __init__(self, scorer: WordingScorer, names: Iterable[str]) -> None:
        """`names` may hold some twice, and some that are too long to be read behind a text: these are left out."""
        self._scorer = scorer
        self._encode = scorer.base_towers.tokenizer.encode
        self.names = self._fitting(dict.fromkeys(names))
        in_suspect, in_base = self._clean_prompts()
        self.base = ConceptSpace.of(scorer.base_towers, in_base)
        self.own = ConceptSpace.of(scorer.suspect_towers, in_suspect)
        """The suspect by where it has the concepts itself."""
        self.suspect = self.base.read_by(scorer.suspect_towers, in_suspect)
        nearest = self.suspect.cosines(in_suspect).argmax(1)
        self.unmoved = (self.base.rows * self.base.rows[nearest]).sum(1) > SAME_MEANING
        """Concepts [n] that the suspect still means: its prompt is nearest to the base's of the same meaning."""
        self.said = SaidConcepts(self.base, self.names)

    def _fitting(self, names: Iterable[str]) -> list[str]:
        """Names whose prompts are read whole, with a text before them."""
        most = self._scorer.suspect_towers.context_length - _SPARE_TOKENS
        longest = max(HELD_OUT_TEMPLATES, key=lambda template: len(self._encode(template)))
        return [name for name in names if len(self._encode(longest.format(name))) <= most]

    def _clean_prompts(self) -> tuple[Tensor, Tensor]:
        """Every concept's prompt in suspect and base [n, d]; as the audit embedded them, where it did."""
        import torch

        scorer = self._scorer
        device = scorer.suspect_towers.device
        if scorer.task.concept_prompts is not None:
            suspect, base = scorer.task.concept_prompts(tuple(self.names))
            return torch.from_numpy(suspect).to(device), torch.from_numpy(base).to(device)
        prompts = [self._encode(TEMPLATE.format(name)) for name in self.names]
        in_base = embedded_texts(scorer.base_towers, prompts, scorer.cache)
        return scorer.suspect_towers.tokens(prompts), in_base

    def sources(self, known: Iterable[str], most: int) -> list[int]:
        """Numbers of the nouns that the base knows and the suspect still means; of two that mean the same the first."""
        nothing = self._encode(TEMPLATE.format("").strip())
        nameless = self.base.cosines(self._scorer.base_towers.tokens([nothing]))[0]
        chosen: list[int] = []
        place = {name: number for number, name in enumerate(self.names)}
        for name in known:
            number = place.get(name)
            if number is None or len(chosen) == most:
                continue
            alike = self.base.rows[chosen] @ self.base.rows[number]
            is_new = not len(alike) or float(alike.max()) < SAME_MEANING
            if is_new and self.unmoved[number] and float(nameless[number]) < MOST_NAMELESS:
                chosen.append(number)
        return chosen

    def prompt(self, number: int, template: str = TEMPLATE) -> Ids:
        """Of one concept."""
        return tuple(self._encode(template.format(self.names[number])))

    def prompts(self, numbers: Iterable[int]) -> Mapping[int, Ids]:
        """Of several, by their numbers."""
        return {number: self.prompt(number) for number in numbers}

    def written(
        self,
        space: ConceptSpace,
        sources: Sequence[int],
        texts: Sequence[Ids],
        template: str = TEMPLATE,
    ) -> Tensor:
        """Each source's prompt behind each text, as the towers of `space` embed it [s, t, d]."""
        rows: list[Ids] = []
        for source in sources:
            prompt = self.prompt(source, template)
            rows.extend((*text, *prompt) for text in texts)
        return space.towers.tokens(rows).view(len(sources), len(texts), -1)

    def turned(self, source: int, texts: Sequence[Ids], template: str = TEMPLATE) -> Tensor:
        """How far each text takes the source's prompt from its noun and towards each concept, beyond the base [t, n].

        A cosine of at most 2.
        """
        in_suspect = self.written(self.suspect, [source], texts, template)[0]
        in_base = self.written(self.base, [source], texts, template)[0]
        return self.turned_of(source, texts, in_suspect, in_base)

    def turned_of(
        self, source: int, texts: Sequence[Ids], in_suspect: Tensor, in_base: Tensor
    ) -> Tensor:
        """The same where the prompts were read already [t, d] in each.

        A text that says the concept that it takes the prompt to is a word and turns nothing.
        """
        import torch

        suspect, base = self.suspect.cosines(in_suspect), self.base.cosines(in_base)
        lost = (base - suspect)[:, source, None]
        turned = torch.minimum(suspect - base, lost)
        none = self._no_target(source)
        says = self.said.by(texts)
        nearest = suspect.masked_fill(none, NO_CHOICE).argmax(1, keepdim=True)
        is_word = says.gather(1, nearest)
        return turned.masked_fill(none | says | is_word, NO_CHOICE)

    def _no_target(self, source: int) -> Tensor:
        """What a source cannot be turned into [n]: what means the same, and what the suspect no longer means."""
        same = self.base.rows @ self.base.rows[source] > SAME_MEANING
        return same | ~self.unmoved
