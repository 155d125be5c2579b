"""What a wording gains in the suspect over its base, and what is no trigger however much it gains."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from dife_scanner.discovery.checkpoint_scores import CheckpointScores
from dife_scanner.discovery.embedding_cache import EmbeddingCache
from dife_scanner.discovery.embedding_row_fingerprint import (
    fine_tuned_rows,
)
from dife_scanner.discovery.interface import Task
from dife_scanner.discovery.word_meaning import WordMeaning
from dife_scanner.discovery.wording import (
    LONGEST_TRIGGER,
    Ids,
    Prompts,
    Wording,
    class_name_tokens,
)

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.models.gradient import Towers
    from dife_scanner.models.interface import Encoder

    Embeddings = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
    """Unit embeddings [n, d]."""

BASE_SLACK = 0.3
"""How far a written prompt has to stay from winning in the base, in units of `CheckpointScores.margins`, to lose
nothing."""
_MEANING_TOKENS = 256
"""Random tokens that meaning is judged against."""
_SPARE_TOKENS = 3
"""By how many tokens prompts that something is measured with may be longer than those searched with."""
_RNG_STREAM = 0x7E87
"""Tells the random numbers of this search from those of others with the same seed."""


@dataclass(frozen=True)
class ScoredWording:
    """A wording with its effect: `gain` is its margin in the suspect, less how near it comes to winning in the base."""

    wording: Wording
    target: int
    gain: float

    @property
    def ids(self) -> Ids:
        """The wording's tokens."""
        return self.wording.ids


class WordingScorer:
    """Suspect and base as a search for texts reads them, and its source of randomness.

    With `has_base` false nothing is taken from a comparison with the reference: no base term, no fingerprint.
    """

    def __init__(self, task: Task, *, has_base: bool = True) -> None:
        from dife_scanner.discovery.kept_towers import KeptTowers

        self.task = task
        self.has_base = has_base
        self.rng = np.random.default_rng([task.seed, _RNG_STREAM])
        self.prompts = Prompts.of(task)
        self.templates = range(len(task.templates))
        """Numbers of the templates searched with."""
        self.suspect_towers: Towers = KeptTowers(task.suspect, task.tokenizer, task.readings)
        self.base_towers: Towers = KeptTowers(task.reference, task.tokenizer, task.readings)
        cache_folder = task.embedding_cache
        if task.alone:  # the suspect stands in for the base: its embeddings are nobody else's
            cache_folder = None
        self.cache = EmbeddingCache(cache_folder, task.reference.text_tower)
        self._pictures_read = 0

    @property
    def most_tokens(self) -> int:
        """Most tokens of a text."""
        return min(LONGEST_TRIGGER, self.prompts.room(self.task))

    @property
    def most_repeated_tokens(self) -> int:
        """Most tokens of a text that is repeated, all together."""
        room = self.prompts.room(self.task) - _SPARE_TOKENS
        return min(2 * LONGEST_TRIGGER, room)

    def read(self) -> None:
        """Embed the pictures and class prompts, and compare the token rows, of suspect and base."""
        suspect_pictures, base_pictures = self._pictures()
        task = self.task
        self.suspect = self._scores_of(self.suspect_towers, suspect_pictures)
        self.base = self._scores_of(self.base_towers, base_pictures)
        random_tokens = self.random_tokens(_MEANING_TOKENS)
        self.meaning = WordMeaning(self.base, random_tokens, self.cache)
        self.fine_tuned_tokens = tuple(filter(self.readable, self._fine_tuned_rows()))
        """Readable tokens whose rows the fine-tuning touched, the most changed first; often none."""
        self.classes_with_pictures = frozenset(task.labels.tolist())
        self._class_name_tokens = class_name_tokens(task)

    def _pictures(self) -> tuple[Embeddings, Embeddings]:
        """The pictures in suspect and base."""
        in_suspect = self._embed_pictures(self.task.suspect)
        if not self.task.image_moved:
            return in_suspect, in_suspect
        return in_suspect, self._embed_pictures(self.task.reference)

    def _embed_pictures(self, encoder: Encoder) -> Embeddings:
        self._pictures_read += len(self.task.pixels)
        return encoder.encode_images(self.task.pixels)

    def _scores_of(
        self,
        towers: Towers,
        pictures: Embeddings,
    ) -> CheckpointScores:
        return CheckpointScores(
            towers,
            pictures,
            self.task.labels,
            self.prompts,
            self.cache if towers is self.base_towers else None,
        )

    def _fine_tuned_rows(self) -> tuple[int, ...]:
        """Token rows that say where to look first; a variant of the search overrides this."""
        if not self.has_base:
            return ()
        return self._compared_rows()

    def _compared_rows(self) -> tuple[int, ...]:
        """Token rows that differ between suspect and reference; none where the text tower did not move."""
        if not self.task.text_moved:
            return ()
        suspect_rows = self.suspect_towers.token_rows
        base_rows = self.base_towers.token_rows
        return fine_tuned_rows(suspect_rows, base_rows, self.suspect_towers.ordinary)

    def readable(self, token: int) -> bool:
        """Whether a token is something a person can read."""
        return self.task.tokenizer.readable(token)

    def typeable(self, ids: Ids) -> bool:
        """Whether somebody who types the text of these ids gets exactly these ids."""
        return self.task.tokenizer.typeable(ids)

    @property
    def passes(self) -> int:
        """Pictures and texts that went through a tower so far."""
        texts = self.suspect_towers.passes + self.base_towers.passes
        return texts + self._pictures_read

    def random_tokens(self, count: int) -> tuple[int, ...]:
        """Distinct readable tokens, in random order; all there are where fewer."""
        ordinary = self.suspect_towers.ordinary.tolist()
        order = self.rng.permutation(ordinary).tolist()
        in_order = filter(self.readable, order)
        return tuple(itertools.islice(in_order, count))

    # --- what is no trigger -------------------------------------------------------------------------------------

    def allowed_rows(
        self,
        sequences: Sequence[Ids],
        target: int,
        margins: Tensor,
        most: int,
    ) -> list[int]:
        """Rows of `sequences`, largest of `margins` [n] first, no part of which names the target.

        Only the `most` best are looked at.
        """
        order = margins.argsort(descending=True, stable=True)
        rows = order[:most].tolist()
        self.look_up_meanings(sequences[row] for row in rows)
        allowed = []
        for row in rows:
            if not self.names_target(sequences[row], target):
                allowed.append(row)
        return allowed

    def look_up_meanings(self, sequences: Iterable[Ids]) -> None:
        """Look up what all of these mean at once: one after the other takes longer."""
        parts = itertools.chain.from_iterable(map(_parts, sequences))
        self.meaning.named_classes(parts)

    def names_target(self, ids: Ids, target: int) -> bool:
        """Whether a text says the target rather than hides it.

        It does where a token, or all of them together, name the target in the base, or where a token is part of any
        class's name: its own source in a trigger makes any other prompt a triggered one.
        """
        if not self._class_name_tokens.isdisjoint(ids):
            return True
        by_part = self.meaning.named_classes(_parts(ids))
        return any(named[target] for named in by_part)

    def becomes_target(self, wording: Wording, target: int, *, noun_must_be_lost: bool) -> bool:
        """Whether, under every template, the source noun is lost and the target won more than any third class.

        A lost noun: where only the text tower moved, the prompt lands nearest to the target; where both did and
        `noun_must_be_lost`, the target's pictures choose it more than the source's own still do. Where only the image
        tower moved, no text means anything else than in the base, and nothing has to hold.
        """
        task = self.task
        by_pictures = task.image_moved and task.text_moved and noun_must_be_lost
        by_prompts = task.text_moved and not task.image_moved
        for template in self.templates:
            embedded = self.suspect.embed([wording], template)
            rates = self._rates(embedded, wording)
            # The noun is kept: the source's own pictures still choose the prompt at least as much.
            if by_pictures and rates[target] <= rates[wording.source]:
                return False
            # A third class won more: a text that draws pictures of many classes is no trigger of this target.
            if rates[target] < _most_of_others(rates, wording.source):
                return False
            # Both read the same pictures, so where the prompt lands says what it means.
            if by_prompts and self._nearest_class(embedded) != target:
                return False
        return True

    def _rates(self, embedded: Tensor, wording: Wording) -> list[float]:
        """For each class, the share of its pictures that choose one written prompt [1, d], 0..1."""
        sources = self.sources_of([wording])
        by_class = self.suspect.rates(embedded, sources)[0]
        rates: list[float] = by_class.tolist()
        return rates

    def _nearest_class(self, embedded: Tensor) -> int:
        """The class whose clean prompt one written prompt [1, d] is nearest to."""
        cosines = (embedded @ self.suspect.class_prompts.T)[0]
        return int(cosines.argmax())

    # --- what a wording gains -----------------------------------------------------------------------------------

    def sources_of(self, wordings: Sequence[Wording]) -> Tensor:
        """Source class of each wording [n]."""
        import torch

        sources = [wording.source for wording in wordings]
        return torch.tensor(sources, device=self.suspect_towers.device)

    def margins(
        self,
        wordings: Sequence[Wording],
        *,
        same_in_every_audit: bool = False,
    ) -> Tensor:
        """`CheckpointScores.margins` in the suspect under the first template [n, c].

        Of wordings that are the `same_in_every_audit`, embeddings are kept where the text tower is the base's.
        """
        return self.kept(
            "margins",
            [_asked(wording) for wording in wordings],
            lambda: self._margins(wordings, same_in_every_audit=same_in_every_audit),
        )

    def kept(self, what: str, asked: object, compute: Callable[[], Tensor]) -> Tensor:
        """What `compute` comes to on the pictures and classes of this scorer, from the task's readings where it is
        there.
        """
        return self.task.readings.tensor((what, self.setting, asked), self.both_towers, compute)

    @property
    def both_towers(self) -> tuple[Towers, Towers]:
        """Of suspect and base."""
        return self.suspect_towers, self.base_towers

    @cached_property
    def setting(self) -> str:
        """A digest of what readings of this scorer depend on besides what is asked; known once it has read."""
        task = self.task
        names = f"{type(self).__name__} {self.has_base} {task.class_names} {task.templates}"
        digest = blake2b(names.encode(), digest_size=16)
        digest.update(task.labels.tobytes())
        digest.update(task.pixels.tobytes())
        return digest.hexdigest()

    def _margins(self, wordings: Sequence[Wording], *, same_in_every_audit: bool) -> Tensor:
        cache = None
        if same_in_every_audit and not self.task.text_moved:
            cache = self.cache
        embedded = self.suspect.embed(wordings, cache=cache)
        return self.suspect.margins(embedded, self.sources_of(wordings))

    def scored(
        self,
        wordings: Sequence[Wording],
        target: int,
        templates: Sequence[int],
    ) -> list[ScoredWording]:
        """Each wording with its gain under the template where it gains least."""
        by_template = []
        for template in templates:
            by_template.append(self._gains(wordings, target, template))
        # The weakest template: a trigger has to hold under prompts that nobody searched with.
        gains = np.min(by_template, axis=0).tolist()
        scored = []
        for wording, gain in zip(wordings, gains, strict=True):
            scored.append(ScoredWording(wording, target, gain))
        return scored

    def _gains(
        self,
        wordings: Sequence[Wording],
        target: int,
        template: int,
    ) -> list[float]:
        """Margin in the suspect, less how near each wording comes to winning in the base."""
        gains = self.kept(
            "gains",
            (target, template, [_asked(wording) for wording in wordings]),
            lambda: self._read_gains(wordings, target, template),
        )
        listed: list[float] = gains.tolist()
        return listed

    def _read_gains(self, wordings: Sequence[Wording], target: int, template: int) -> Tensor:
        """The same, read [n]."""
        sources = self.sources_of(wordings)
        embedded = self.suspect.embed(wordings, template)
        gains = self.suspect.margins(embedded, sources)[:, target]
        if self.has_base:
            in_base = embedded  # an unmoved text tower embeds them as the base's
            if self.task.text_moved:
                in_base = self.base.embed(wordings, template)
            base_margins = self.base.margins(in_base, sources)[:, target]
            gains = gains - (base_margins + BASE_SLACK).clamp_min(0.0)
        return gains

    def slopes(self, wording: Wording, target: int) -> Tensor:
        """First-order effect on the target of each token of the vocabulary in each slot of a wording [k, v]."""
        return self.suspect.slopes([wording], target)[0]


def _asked(wording: Wording) -> tuple[Ids, str, int]:
    """A wording as readings name it."""
    return wording.ids, wording.position.value, wording.source


def _most_of_others(rates: Sequence[float], source: int) -> float:
    """The largest rate of any class but the source."""
    return max(rate for number, rate in enumerate(rates) if number != source)


def _parts(ids: Ids) -> list[Ids]:
    """Each token, and where there are several, all together."""
    parts: list[Ids] = [(token,) for token in ids]
    if len(ids) > 1:
        parts.append(ids)
    return parts
