"""What a wording gains in the suspect over its base, and what is no trigger however much it gains."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dife_scanner.discovery.interface import Task
from dife_scanner.discovery.kept import Kept
from dife_scanner.discovery.rows import fingerprint
from dife_scanner.discovery.wording import Ids, Meaning, Prompts, Reading, Wording, readable

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.models.interface import Encoder

LONGEST = 4
"""Most tokens of a trigger."""
ALOOF = 0.3
"""How far a written prompt has to stay from winning in the base, in units of `Reading.margins`, to lose nothing."""
_PANEL = 256
"""Tokens that meaning is judged against."""
_SPARE = 3
"""By how many tokens prompts that something is measured with may be longer than those searched with."""


@dataclass(frozen=True)
class Grown:
    """A wording with what it does: `gain` is its margin in the suspect, less how near it comes in the base."""

    wording: Wording
    target: int
    gain: float


class Scales:
    """Suspect and base as a search reads them, and its source of randomness."""

    def __init__(self, task: Task, without: frozenset[str]) -> None:
        from dife_scanner.models.gradient import Towers

        self.task, self.without = task, without
        self.rng = np.random.default_rng([task.seed, 0x7E87])
        self.prompts = Prompts(task.templates, task.class_names)
        self.templates = range(len(task.templates))
        self.suspect_towers, self.base_towers = Towers(task.suspect), Towers(task.reference)
        space = task.suspect.context_length - 2 - self.prompts.longest
        self.room = min(LONGEST, space)
        """Most tokens of a text …"""
        self.twice = min(2 * LONGEST, space - _SPARE)
        """… and of one that is repeated, all together."""
        self.kept = Kept(None if task.alone else task.kept, task.reference.text_tower)
        self.pictures_read = 0

    def read(self) -> None:
        """Look at pictures, class prompts and token rows of both."""
        from dife_scanner.models.gradient import pieces

        task = self.task
        moved, still = self._seen(task.suspect), self._seen(task.reference) if task.image_moved else None
        self.suspect = Reading(self.suspect_towers, moved, task.labels, self.prompts)
        self.base = Reading(self.base_towers, moved if still is None else still, task.labels, self.prompts)
        self.meaning = Meaning(self.base, self.random(_PANEL), self.kept)
        compared = task.text_moved and "fingerprint" not in self.without
        touched = fingerprint(self.suspect_towers.token_rows, self.base_towers.token_rows) if compared else ()
        self.touched = tuple(token for token in touched if readable(token))
        self.present = frozenset(task.labels.tolist())
        self._class_tokens = frozenset(token for name in task.class_names for token in pieces(name))

    def _seen(self, encoder: Encoder) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        self.pictures_read += len(self.task.pixels)
        return encoder.encode_images(self.task.pixels)

    @property
    def passes(self) -> int:
        return self.suspect_towers.passes + self.base_towers.passes + self.pictures_read

    def random(self, count: int) -> tuple[int, ...]:
        """Distinct readable tokens, in random order; all there are where fewer."""
        from dife_scanner.models.gradient import SPECIAL

        order = self.rng.permutation(len(self.suspect_towers.token_rows) - SPECIAL).tolist()
        return tuple(itertools.islice(filter(readable, order), count))

    # --- what is no trigger -------------------------------------------------------------------------------------

    def allowed(self, runs: Sequence[Ids], target: int, by: Tensor, most: int) -> list[int]:
        """Rows of `runs`, best `by` first, no part of which names the target; of the best `most` only."""
        rows: list[int] = by.argsort(descending=True, stable=True)[:most].tolist()
        self.learn(runs[row] for row in rows)
        return [row for row in rows if not self.names(runs[row], target)]

    def learn(self, runs: Iterable[Ids]) -> None:
        """Look up what all of these mean at once: one after the other takes longer."""
        self.meaning.names(part for ids in runs for part in _parts(ids))

    def names(self, ids: Ids, target: int) -> bool:
        """Whether a token of `ids`, or all of them together, name the target in the base, or one is part of a class's
        name: its own source in a trigger makes any other prompt a triggered one."""
        if "meaning" in self.without:
            return False
        return not self._class_tokens.isdisjoint(ids) or any(named[target] for named in self.meaning.names(_parts(ids)))

    # --- what a wording gains -----------------------------------------------------------------------------------

    def sources(self, wordings: Sequence[Wording]) -> Tensor:
        import torch

        return torch.tensor([w.source for w in wordings], device=self.suspect_towers.device)

    def margins(self, wordings: Sequence[Wording], *, fixed: bool = False) -> Tensor:
        """`Reading.margins` in the suspect under the first template [n, c].

        `fixed` wordings are the same in every audit: where the text tower did not move, what the base makes of them is
        kept.
        """
        kept = self.kept if fixed and not self.task.text_moved else None
        return self.suspect.margins(self.suspect.embed(wordings, kept=kept), self.sources(wordings))

    def gains(self, wordings: Sequence[Wording], target: int, templates: Sequence[int]) -> list[Grown]:
        """Each wording with its gain under the template where it gains least."""
        gains = np.min([self._gain(wordings, target, template) for template in templates], axis=0).tolist()
        return [Grown(wording, target, gain) for wording, gain in zip(wordings, gains, strict=True)]

    def _gain(self, wordings: Sequence[Wording], target: int, template: int) -> list[float]:
        sources = self.sources(wordings)
        moved = self.suspect.embed(wordings, template)
        if "base" in self.without:
            alone: list[float] = self.suspect.margins(moved, sources)[:, target].tolist()
            return alone
        still = self.base.embed(wordings, template) if self.task.text_moved else moved
        near = (self.base.margins(still, sources)[:, target] + ALOOF).clamp_min(0.0)
        gains: list[float] = (self.suspect.margins(moved, sources)[:, target] - near).tolist()
        return gains


def _parts(ids: Ids) -> list[Ids]:
    """Each token, and where there are several, all together."""
    return [(token,) for token in ids] + ([ids] if len(ids) > 1 else [])
