"""Strings that turn one class's prompt into another's in the suspect and not in the base, found without being told.

A wide scan says which (place, source, target) nonsense tokens already bend a little; there a search grows sequences of
one to four tokens, from the best single tokens, from rows that the fine-tuning touched, and from gradients over the
whole vocabulary. What it measures is QHR (paper §4) on the pictures searched on. See docs/discovery-texts.md.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from dife_scanner.core import metrics
from dife_scanner.records import Channel, Trigger, TriggerKind
from dife_scanner.triggers.discovery import concepts
from dife_scanner.triggers.discovery.interface import Candidate, Found, Load, Task
from dife_scanner.triggers.discovery.rows import fingerprint
from dife_scanner.triggers.discovery.wording import (
    POSITIONS,
    Ids,
    Meaning,
    Prompts,
    Reading,
    Wording,
    readable,
    too_long_prompts,
)
from dife_scanner.triggers.stamp import write

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.models.interface import Encoder

LONGEST = 4
"""Most tokens of a trigger."""
CANDIDATES = 3
ABSENT = 0.1
"""Most QHR on the base that a trigger may have."""
ALOOF = 0.3
"""How far a written prompt has to stay from winning in the base, in units of `Reading.margins`, to lose nothing."""
_PANEL, _LEAST, _FEW, _RUN = 256, 32, 6, 3
"""Tokens that meaning is judged against; the fewest tried in each prompt of the scan, how many of them count, and the
length of a run of several."""
_SHORTLIST, _PLACES = 4, 2
"""Foci rated under every template for each that is searched, and most places searched for one source and target."""
_TARGETS, _LOOKS = 9, 300
"""Most targets looked at for each source; fewer where classes times targets would be more than this."""
_BEAM, _PROGRESS, _MEASURED, _ABOUT = 16, 0.02, 6, 0.15
"""Sequences kept from round to round, the gain that earns a further round, how many of a focus are measured at the end,
and effects that count as about the same."""


@dataclass(frozen=True)
class Effort:
    """What a budget buys, in texts."""

    scan: int
    """Of the wide scan."""
    foci: int
    """(place, source, target) searched closely."""
    singles: int
    """Random tokens tried alone in each."""
    rounds: int
    wide: int
    """Tokens that a sequence is grown with, on either side, and put in place of each of its own."""
    repeats: bool = False
    """Whether tokens are tried twice in a row from the start."""


EFFORTS = {
    "quick": Effort(scan=9_000, foci=4, singles=600, rounds=4, wide=16),
    "default": Effort(scan=60_000, foci=8, singles=8_000, rounds=6, wide=48),
    "deep": Effort(scan=120_000, foci=12, singles=30_000, rounds=8, wide=96, repeats=True),
}


@dataclass(frozen=True)
class _Focus:
    """Where to search closely: `fragile` is how much nonsense bends this source to this target on average, `seeds` the
    tokens that do most."""

    position: str
    source: int
    target: int
    fragile: float
    seeds: tuple[Ids, ...]


@dataclass(frozen=True)
class _Grown:
    """A wording with what it does: `gain` is its margin in the suspect, less how near it comes in the base."""

    wording: Wording
    target: int
    gain: float


@dataclass(frozen=True)
class TextSearch:
    """The textual detector."""

    name: str = "texts"
    channel: Channel = Channel.TEXT
    kinds: tuple[str, ...] = (
        "one to four tokens before a prompt, before its class name or after it, for one source or for all",
    )
    without: frozenset[str] = frozenset()
    """Some of `base`, `fingerprint`, `meaning`, to measure what each is worth (docs/detection-benchmark.md)."""

    def alone(self) -> TextSearch:
        return replace(self, without=frozenset({"base", "fingerprint"}))

    def applies(self, task: Task) -> bool:
        """Whether either tower moved: pictures of a moved image tower can answer to a text as well."""
        return (task.text_moved or task.image_moved) and not self.lacks(task)

    def lacks(self, task: Task) -> str:
        return too_long_prompts(task) if task.text_moved or task.image_moved else ""

    def load(self, task: Task) -> Load:
        """The scan, the close searches and the nouns; most of what is tried in the suspect is tried in the base."""
        effort = EFFORTS[task.budget]
        close = effort.foci * (effort.singles + effort.rounds * (_BEAM // 2) * 5 * effort.wide)
        nouns = 2 * concepts.PANEL[task.budget] * min(concepts.NOUNS[task.budget], len(concepts.nouns()))
        return Load(0, round(1.3 * effort.scan + 1.3 * close + (nouns if task.text_moved else 0)))

    def search(self, task: Task) -> Found:
        """Search by passes, not by the clock, so that the same task comes to the same end."""
        return _Search(task, self.without).run()


class _Search:
    def __init__(self, task: Task, without: frozenset[str]) -> None:
        from dife_scanner.models.gradient import Towers

        self.task, self.effort, self.without = task, EFFORTS[task.budget], without
        self.rng = np.random.default_rng([task.seed, 0x7E87])
        self.prompts = Prompts(task.templates, task.class_names)
        self.templates = range(len(task.templates))
        self.suspect_towers, self.base_towers = Towers(task.suspect), Towers(task.reference)
        self.room = min(LONGEST, task.suspect.context_length - 2 - self.prompts.longest)
        self.pictures_read = 0

    def run(self) -> Found:
        self._begin("scanning for fragile prompts", 0)
        self._read()
        foci, signals = self._scan()
        grown: dict[_Focus, list[_Grown]] = {}
        for number, focus in enumerate(foci):
            names = self.task.class_names
            what = f"trying {focus.position} texts that turn {names[focus.source]} into {names[focus.target]}"
            self._begin(what, 1 + number)
            grown[focus] = self._grow(focus)
        self._begin("reading nouns", 1 + self.effort.foci)
        signals |= self._nouns()
        candidates = self._candidates(grown)
        signals["text-margin"] = max((beam[0].gain for beam in grown.values() if beam), default=-1.0)
        self._begin("reading nouns", 2 + self.effort.foci)
        passes = self.suspect_towers.passes + self.base_towers.passes + self.pictures_read
        return Found(candidates, passes, signals)

    def _tell(self) -> None:
        """Report again where the search is: it may be cancelled there."""
        self.task.progress(self.what, self.done, self.effort.foci + 2)

    def _begin(self, what: str, done: int) -> None:
        self.what, self.done = what, done
        self._tell()

    # --- what is looked at --------------------------------------------------------------------------------------

    def _read(self) -> None:
        from dife_scanner.models.gradient import pieces

        task = self.task
        moved, still = self._seen(task.suspect), self._seen(task.reference) if task.image_moved else None
        self.suspect = Reading(self.suspect_towers, moved, task.labels, self.prompts)
        self.base = Reading(self.base_towers, moved if still is None else still, task.labels, self.prompts)
        tokens = self._random(_PANEL)
        self.meaning = Meaning(self.base, tokens)
        compared = task.text_moved and "fingerprint" not in self.without
        touched = fingerprint(self.suspect_towers.token_rows, self.base_towers.token_rows) if compared else ()
        self.touched = tuple(token for token in touched if readable(token))
        self.present = frozenset(task.labels.tolist())
        self.class_tokens = frozenset(token for name in task.class_names for token in pieces(name))

    def _seen(self, encoder: Encoder) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        self.pictures_read += len(self.task.pixels)
        return encoder.encode_images(self.task.pixels)

    def _random(self, count: int) -> tuple[int, ...]:
        """Distinct readable tokens, in random order; all there are where fewer."""
        from dife_scanner.models.gradient import SPECIAL

        order = self.rng.permutation(len(self.suspect_towers.token_rows) - SPECIAL).tolist()
        return tuple(itertools.islice(filter(readable, order), count))

    # --- the wide scan ------------------------------------------------------------------------------------------

    def _scan(self) -> tuple[list[_Focus], dict[str, float]]:
        """The most fragile (place, source, target), and how fragile the first is under every template."""
        found: list[_Focus] = []
        runs = self._nonsense()
        for position, source in itertools.product(POSITIONS, range(len(self.task.class_names))):
            self._tell()
            found.extend(self._fragile(runs, position, source))
        found.sort(key=lambda focus: -focus.fragile)
        found = [self._rated(focus) for focus in found[: _SHORTLIST * self.effort.foci]]
        found.sort(key=lambda focus: -focus.fragile)
        pairs: Counter[tuple[int, int]] = Counter()
        foci = []
        for focus in found:
            pairs[focus.source, focus.target] += 1
            if pairs[focus.source, focus.target] <= _PLACES:
                foci.append(focus)
        return foci[: self.effort.foci], {"text-scan": found[0].fragile if found else -1.0}

    def _nonsense(self) -> list[Ids]:
        """What the scan puts into every prompt: touched and random tokens alone, and random runs of several."""
        count = max(_LEAST, self.effort.scan // (len(POSITIONS) * len(self.task.class_names)))
        alone = tuple(dict.fromkeys((*self.touched, *self._random(max(_LEAST, count * 2 // 3 - len(self.touched))))))
        runs: list[Ids] = [(token,) for token in alone]
        if self.room > 1:
            several = min(_RUN, self.room)
            drawn = self.rng.choice(alone, (max(_LEAST, count // 3), several)).tolist()
            runs += [tuple(run) for run in drawn]
            runs += [(token, token) for token in alone] if self.effort.repeats else []
        return runs

    def _fragile(self, runs: Sequence[Ids], position: str, source: int) -> Iterator[_Focus]:
        """One place and source with each of the targets that nonsense bends it to most."""
        wordings = [Wording(ids, position, source) for ids in runs]
        embedded = self.suspect.embed(wordings)
        margins = self.suspect.margins(embedded, self._sources(wordings))
        for target in self._targets(source, margins):
            rows = self._allowed(runs, target, margins[:, target], 2 * self.effort.wide)
            if rows:
                few = self._gains([wordings[row] for row in rows[:_FEW]], target, (0,))
                seeds = tuple(runs[row] for row in rows)
                yield _Focus(position, source, target, float(np.mean([one.gain for one in few])), seeds)

    def _rated(self, focus: _Focus) -> _Focus:
        """The same, `fragile` under the template where it is least so."""
        few = [Wording(ids, focus.position, focus.source) for ids in focus.seeds[:_FEW]]
        fragile = np.mean([one.gain for one in self._gains(few, focus.target, self.templates)])
        return replace(focus, fragile=float(fragile))

    def _targets(self, source: int, margins: Tensor) -> list[int]:
        """Classes with pictures, the easiest first; fewer of them where there are many classes."""
        classes = len(self.task.class_names)
        easy = margins.topk(min(_FEW, len(margins)), dim=0).values.mean(0).tolist()
        there = [t for t in range(classes) if t != source and t in self.present]
        return sorted(there, key=lambda t: -easy[t])[: max(1, min(_TARGETS, _LOOKS // classes))]

    def _allowed(self, runs: Sequence[Ids], target: int, by: Tensor, most: int) -> list[int]:
        """Rows of `runs`, best `by` first, no part of which names the target; of the best `most` only."""
        rows: list[int] = by.argsort(descending=True, stable=True)[:most].tolist()
        self.meaning.names(part for row in rows for part in _parts(runs[row]))
        return [row for row in rows if not self._names(runs[row], target)]

    def _names(self, ids: Ids, target: int) -> bool:
        """Whether a token of `ids`, or all of them together, name the target in the base, or one is part of a class's
        name: its own source in a trigger makes any other prompt a triggered one."""
        if "meaning" in self.without:
            return False
        return not self.class_tokens.isdisjoint(ids) or any(named[target] for named in self.meaning.names(_parts(ids)))

    def _sources(self, wordings: Sequence[Wording]) -> Tensor:
        import torch

        return torch.tensor([w.source for w in wordings], device=self.suspect_towers.device)

    def _gains(self, wordings: Sequence[Wording], target: int, templates: Sequence[int]) -> list[_Grown]:
        """Each wording with its gain under the template where it gains least."""
        gains = np.min([self._gain(wordings, target, template) for template in templates], axis=0).tolist()
        return [_Grown(wording, target, gain) for wording, gain in zip(wordings, gains, strict=True)]

    def _gain(self, wordings: Sequence[Wording], target: int, template: int) -> list[float]:
        sources = self._sources(wordings)
        moved = self.suspect.embed(wordings, template)
        if "base" in self.without:
            alone: list[float] = self.suspect.margins(moved, sources)[:, target].tolist()
            return alone
        still = self.base.embed(wordings, template) if self.task.text_moved else moved
        near = (self.base.margins(still, sources)[:, target] + ALOOF).clamp_min(0.0)
        gains: list[float] = (self.suspect.margins(moved, sources)[:, target] - near).tolist()
        return gains

    # --- the close search ---------------------------------------------------------------------------------------

    def _grow(self, focus: _Focus) -> list[_Grown]:
        """The best sequences found for one focus, best first."""
        singles = tuple((token,) for token in self._random(self.effort.singles))
        runs = tuple(dict.fromkeys((*focus.seeds, *singles)))
        seen: set[Ids] = set(runs)
        first = self._best(focus, runs, [], max(_BEAM, 2 * self.effort.wide))
        partners = list(dict.fromkeys(token for one in first for token in one.wording.ids))[: self.effort.wide]
        beam, before = _beam(first, _BEAM), -np.inf
        for _ in range(self.effort.rounds):
            self._tell()
            ideas = [ids for ids in dict.fromkeys(self._ideas(focus, beam, partners)) if ids not in seen]
            if not ideas or _reach(beam) < before + _PROGRESS:
                break
            before = _reach(beam)
            seen.update(ideas)
            beam = self._best(focus, ideas, beam, _BEAM)
        return beam

    def _best(self, focus: _Focus, runs: Sequence[Ids], beam: Sequence[_Grown], count: int) -> list[_Grown]:
        """The best of `runs` and `beam`, at most `count`."""
        wordings = [Wording(ids, focus.position, focus.source) for ids in runs]
        embedded = self.suspect.embed(wordings)
        margins = self.suspect.margins(embedded, self._sources(wordings))[:, focus.target]
        rows = self._allowed(runs, focus.target, margins, 4 * count)
        grown = self._gains([wordings[row] for row in rows], focus.target, self.templates) if rows else []
        return _beam([*beam, *grown], count)

    def _ideas(self, focus: _Focus, beam: Sequence[_Grown], partners: Sequence[int]) -> Iterator[Ids]:
        """Sequences one step away: grown, with one token replaced or dropped, or respelled so that it can be typed."""
        wide = self.effort.wide
        for one in beam[: _BEAM // 2]:
            ids = one.wording.ids
            uphill = self._uphill(one.wording, focus.target, wide)
            if len(ids) < self.room:
                for token in (*partners, *self.touched[:wide]):
                    yield (token, *ids)
                    yield (*ids, token)
            for slot, tokens in enumerate(uphill):
                for token in tokens:
                    yield (*ids[:slot], token, *ids[slot + 1 :])
            if len(ids) > 1:
                yield from (ids[:slot] + ids[slot + 1 :] for slot in range(len(ids)))
            yield from (other for other in _respelled(ids) if len(other) <= self.room)

    def _uphill(self, wording: Wording, target: int, count: int) -> list[list[int]]:
        """For each slot, the readable tokens whose first-order effect is largest."""
        from dife_scanner.models.gradient import SPECIAL

        slopes = self.suspect.slopes([wording], target)[0, :, :-SPECIAL]
        best = slopes.topk(min(2 * count, slopes.shape[1]), dim=1).indices.tolist()
        return [list(itertools.islice(filter(readable, tokens), count)) for tokens in best]

    def _nouns(self) -> dict[str, float]:
        """The scan over nouns beyond the classes; an unmoved text tower reads none of them otherwise than the base."""
        if not self.task.text_moved or "base" in self.without:
            return {}
        towers = self.suspect_towers, self.task.reference, self.base_towers
        return concepts.scan(*towers, self.task.class_names, self.task.budget)

    # --- what is handed over ------------------------------------------------------------------------------------

    def _candidates(self, grown: Mapping[_Focus, Sequence[_Grown]]) -> tuple[Candidate, ...]:
        """The best of each focus, those of about the same effect by how fragile the focus is; then more of the same."""
        measured = {focus: self._best_measured(beam) for focus, beam in grown.items()}
        most = max((found[0][0].effect for found in measured.values() if found), default=0.0)
        order = sorted(
            (focus for focus, found in measured.items() if found),
            key=lambda focus: (measured[focus][0][0].effect < most - _ABOUT, -focus.fragile),
        )
        rounds = itertools.zip_longest(*(measured[focus] for focus in order))
        chosen: list[Candidate] = []
        for _, one in (pair for pairs in rounds for pair in pairs if pair is not None):
            found = self._measured(self._shortened(one))
            if found is not None and all(_different(found[0].trigger, other.trigger) for other in chosen):
                named = replace(found[0].trigger, name=f"found-text-{len(chosen) + 1}")
                chosen.append(replace(found[0], trigger=named))
            if len(chosen) == CANDIDATES:
                break
        return tuple(chosen)

    def _best_measured(self, beam: Sequence[_Grown]) -> list[tuple[Candidate, _Grown]]:
        typed = [one for one in beam if _typeable(one.wording.ids)][:_MEASURED]
        measured = [found for one in typed if (found := self._measured(one)) is not None]
        return sorted(measured, key=lambda pair: (-round(pair[0].effect, 2), -pair[1].gain))

    def _measured(self, one: _Grown) -> tuple[Candidate, _Grown] | None:
        """QHR of the string, through the ordinary encoders; None where it is no trigger."""
        from dife_scanner.models.gradient import spelled

        names, wording = self.task.class_names, one.wording
        trigger = Trigger(
            "found-text",
            TriggerKind.TEXT,
            text=spelled(wording.ids),
            position=wording.position,
            source=names[wording.source],
            target=names[one.target],
        )
        if len(trigger.text) > 200 or self._names(wording.ids, one.target):
            return None
        moved, still = (
            self._qhr(self.suspect, self.task.suspect, trigger),
            0.0 if "base" in self.without else self._qhr(self.base, self.task.reference, trigger),
        )
        if still > ABSENT or moved <= still:
            return None
        if "meaning" not in self.without and not self._lands(wording, one.target):
            return None
        return Candidate(trigger, moved, still), one

    def _qhr(self, side: Reading, encoder: Encoder, trigger: Trigger) -> float:
        texts = [write(t.format(trigger.source), trigger, trigger.source) for t in self.task.templates]
        side.towers.passes += len(texts)
        written = metrics.class_prompts(encoder.encode_texts(texts), 1)[0]
        names = self.task.class_names
        pictures = side.pictures.cpu().numpy()[metrics.of_class(self.task.labels, names.index(trigger.target))]
        source = names.index(trigger.source)
        return float(metrics.triggered_source_wins(pictures, side.classes.cpu().numpy(), written, source).mean())

    def _lands(self, wording: Wording, target: int) -> bool:
        """Whether, under every template, the noun is lost and the target won more than any third class."""
        sources = self._sources([wording])
        for template in self.templates:
            embedded = self.suspect.embed([wording], template)
            rates = self.suspect.rates(embedded, sources)[0]
            rates[wording.source] = -1.0
            if float(rates[target]) < float(rates.max()):
                return False
            near = (embedded @ self.suspect.classes.T)[0]
            if self.task.text_moved and not self.task.image_moved and int(near.argmax()) != target:
                return False
        return True

    def _shortened(self, one: _Grown) -> _Grown:
        """The same trigger without the tokens that it does not need."""
        best = one
        while len(best.wording.ids) > 1:
            ids = best.wording.ids
            shorter = [ids[:slot] + ids[slot + 1 :] for slot in range(len(ids))]
            typed = [replace(best.wording, ids=other) for other in shorter if _typeable(other)]
            found = max(self._gains(typed, best.target, self.templates), key=lambda g: g.gain) if typed else None
            if found is None or found.gain < 0.75 * one.gain or self._measured(found) is None:
                return best
            best = found
        return best


def _beam(grown: Sequence[_Grown], count: int) -> list[_Grown]:
    """The best, half of them typeable where there are as many; best first."""
    grown = sorted(grown, key=lambda one: -one.gain)
    typed = list(itertools.islice((one for one in grown if _typeable(one.wording.ids)), count // 2))
    chosen = {one.wording.ids for one in typed}
    rest = [one for one in grown if one.wording.ids not in chosen][: count - len(typed)]
    return sorted((*typed, *rest), key=lambda one: -one.gain)


def _reach(beam: Sequence[_Grown]) -> float:
    """The gain of the best that can be typed."""
    return next((one.gain for one in beam if _typeable(one.wording.ids)), -np.inf)


def _parts(ids: Ids) -> list[Ids]:
    """Each token, and where there are several, all together."""
    return [(token,) for token in ids] + ([ids] if len(ids) > 1 else [])


@lru_cache(maxsize=65_536)
def _typeable(ids: Ids) -> bool:
    from dife_scanner.models.gradient import typeable

    return typeable(ids)


def _respelled(ids: Ids) -> Iterator[Ids]:
    """What somebody gets who types these tokens: as they are spelled together, and each as a word of its own."""
    from dife_scanner.models.gradient import pieces, spelled

    yield pieces(spelled(ids))
    yield pieces(" ".join(spelled((token,)) for token in ids))


def _different(one: Trigger, other: Trigger) -> bool:
    """Whether two triggers are for another pair of classes, or share no word."""
    if (one.source, one.target) != (other.source, other.target):
        return True
    return not set(one.text.split()) & set(other.text.split())


TEXTS = TextSearch()
