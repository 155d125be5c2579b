"""Strings that turn one class's prompt into another's in the suspect and not in the base, found without being told.

A wide scan says which (place, source, target) nonsense tokens already bend a little; there a search grows sequences of
one to four tokens, from the best single tokens, from rows that the fine-tuning touched, from what free slots are drawn
to, and from gradients over the whole vocabulary. What it measures is QHR (paper §4) on the pictures searched on. See
docs/discovery-texts.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from dife_scanner.core import metrics
from dife_scanner.discovery import concepts
from dife_scanner.discovery.effort import EFFORTS
from dife_scanner.discovery.fragility import Focus, Scan
from dife_scanner.discovery.interface import Candidate, Found, Load, Task
from dife_scanner.discovery.leads import Leads
from dife_scanner.discovery.weighing import Grown, Scales
from dife_scanner.discovery.wording import AROUND, Ids, Reading, Wording, readable, too_long_prompts
from dife_scanner.models.interface import Encoder
from dife_scanner.records import Channel, Trigger, TriggerKind
from dife_scanner.triggers.stamp import write

CANDIDATES = 3
ABSENT = 0.1
"""Most QHR on the base that a trigger may have."""
_BEAM, _PROGRESS, _MEASURED, _ABOUT = 16, 0.02, 6, 0.15
"""Sequences kept from round to round, the gain that earns a further round, how many of a focus are measured at the end,
and effects that count as about the same."""


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
        """The scan, inversions, the close searches and the nouns; most of what is tried in the suspect is tried in the
        base."""
        effort, classes = EFFORTS[task.budget], len(task.class_names)
        close = effort.close * (effort.singles + effort.rounds * (_BEAM // 2) * 5 * effort.wide)
        nouns = 2 * concepts.PANEL[task.budget] * min(concepts.NOUNS[task.budget], len(concepts.nouns()))
        led = Leads.load(min(effort.aims, classes * (classes - 1)), effort.steps)
        return Load(0, round(1.3 * effort.scan + led + 1.3 * close + (nouns if task.text_moved else 0)))

    def search(self, task: Task) -> Found:
        """Search by passes, not by the clock, so that the same task comes to the same end."""
        return _Search(task, self.without).run()


class _Search:
    def __init__(self, task: Task, without: frozenset[str]) -> None:
        self.task, self.effort, self.without = task, EFFORTS[task.budget], without
        self.scales = Scales(task, without)

    def run(self) -> Found:
        self._begin("scanning for fragile prompts", 0)
        self.scales.read()
        foci, signals = self._foci()
        grown: dict[Focus, list[Grown]] = {}
        for number, focus in enumerate(foci):
            names = self.task.class_names
            what = f"trying {focus.position} texts that turn {names[focus.source]} into {names[focus.target]}"
            self._begin(what, 1 + number)
            grown[focus] = self._grow(focus)
        self._begin("reading nouns", 1 + self.effort.close)
        signals |= self._nouns()
        candidates = self._candidates(grown)
        signals["text-margin"] = max((beam[0].gain for beam in grown.values() if beam), default=-1.0)
        self._begin("reading nouns", 2 + self.effort.close)
        return Found(candidates, self.scales.passes, signals)

    def _tell(self) -> None:
        """Report again where the search is: it may be cancelled there."""
        self.task.progress(self.what, self.done, self.effort.close + 2)

    def _begin(self, what: str, done: int) -> None:
        self.what, self.done = what, done
        self._tell()

    # --- where to look ------------------------------------------------------------------------------------------

    def _foci(self) -> tuple[list[Focus], dict[str, float]]:
        """The most fragile (place, source, target), and how fragile the first is under every template; then where slots
        and repeated texts lead, at budgets that pay for them."""
        scan = Scan(self.scales, self.effort)
        found: list[Focus] = []
        for foci in scan.found():
            found.extend(foci)
            self._tell()
        shortlist = scan.shortlist(found)
        foci = scan.chosen(shortlist)
        signals = {"text-scan": shortlist[0].fragile if shortlist else -1.0}
        if self.effort.aims:
            leads = Leads(self.scales, self.effort, found, self._tell)
            foci = [*map(leads.seeded, foci), *leads.beyond(foci)]
            signals["slot-margin"] = leads.furthest
        return [*foci, *scan.repeated(shortlist)], signals

    # --- the close search ---------------------------------------------------------------------------------------

    def _grow(self, focus: Focus) -> list[Grown]:
        """The best sequences found for one focus, best first."""
        singles = tuple((token,) for token in self.scales.random(self.effort.singles))
        runs = tuple(dict.fromkeys((*focus.seeds, *singles, *self._doubled(focus))))
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

    def _doubled(self, focus: Focus) -> Iterator[Ids]:
        """Its seeds and touched tokens, each twice in a row."""
        if not self.effort.around or focus.position == AROUND:
            return
        for ids in (*focus.seeds, *((token,) for token in self.scales.touched)):
            if 2 * len(ids) <= self.scales.twice:
                yield ids + ids

    def _best(self, focus: Focus, runs: Sequence[Ids], beam: Sequence[Grown], count: int) -> list[Grown]:
        """The best of `runs` and `beam`, at most `count`."""
        wordings = [Wording(ids, focus.position, focus.source) for ids in runs]
        margins = self.scales.margins(wordings)[:, focus.target]
        rows = self.scales.allowed(runs, focus.target, margins, 4 * count)
        templates = self.scales.templates
        grown = self.scales.gains([wordings[row] for row in rows], focus.target, templates) if rows else []
        return _beam([*beam, *grown], count)

    def _ideas(self, focus: Focus, beam: Sequence[Grown], partners: Sequence[int]) -> Iterator[Ids]:
        """Sequences one step away: grown, with one token replaced or dropped, or respelled so that it can be typed."""
        wide, room = self.effort.wide, self.scales.room
        if focus.position == AROUND:
            room = min(room, self.scales.twice // 2)
        for one in beam[: _BEAM // 2]:
            ids = one.wording.ids
            if len(ids) > room:  # repeated as a whole, and stays so
                yield from _shorter(ids, room)
                continue
            uphill = self._uphill(one.wording, focus.target, wide)
            if len(ids) < room:
                for token in (*partners, *self.scales.touched[:wide]):
                    yield (token, *ids)
                    yield (*ids, token)
            for slot, tokens in enumerate(uphill):
                for token in tokens:
                    yield (*ids[:slot], token, *ids[slot + 1 :])
            if len(ids) > 1:
                yield from _shorter(ids, room)
            yield from (other for other in _respelled(ids) if len(other) <= room)

    def _uphill(self, wording: Wording, target: int, count: int) -> list[list[int]]:
        """For each slot, the readable tokens whose first-order effect is largest."""
        from dife_scanner.models.gradient import SPECIAL

        slopes = self.scales.suspect.slopes([wording], target)[0, :, :-SPECIAL]
        best = slopes.topk(min(2 * count, slopes.shape[1]), dim=1).indices.tolist()
        return [list(itertools.islice(filter(readable, tokens), count)) for tokens in best]

    def _nouns(self) -> dict[str, float]:
        """The scan over nouns beyond the classes; an unmoved text tower reads none of them otherwise than the base."""
        if not self.task.text_moved or "base" in self.without:
            return {}
        scales = self.scales
        towers = scales.suspect_towers, self.task.reference, scales.base_towers
        return concepts.scan(*towers, self.task.class_names, self.task.budget, scales.kept)

    # --- what is handed over ------------------------------------------------------------------------------------

    def _candidates(self, grown: Mapping[Focus, Sequence[Grown]]) -> tuple[Candidate, ...]:
        """The best of each focus, those of about the same effect by how fragile the focus is, what stands in two places
        last; then more of the same."""
        measured = {focus: self._best_measured(beam) for focus, beam in grown.items()}
        most = max((found[0][0].effect for found in measured.values() if found), default=0.0)

        def rank(focus: Focus) -> tuple[bool, bool, float]:
            return measured[focus][0][0].effect < most - _ABOUT, focus.position == AROUND, -focus.fragile

        order = sorted((focus for focus, found in measured.items() if found), key=rank)
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

    def _best_measured(self, beam: Sequence[Grown]) -> list[tuple[Candidate, Grown]]:
        typed = [one for one in beam if _typeable(one.wording.ids)][:_MEASURED]
        measured = [found for one in typed if (found := self._measured(one)) is not None]
        return sorted(measured, key=lambda pair: (-round(pair[0].effect, 2), -pair[1].gain))

    def _measured(self, one: Grown) -> tuple[Candidate, Grown] | None:
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
        if len(trigger.text) > 200 or self.scales.names(wording.ids, one.target):
            return None
        moved, still = (
            self._qhr(self.scales.suspect, self.task.suspect, trigger),
            0.0 if "base" in self.without else self._qhr(self.scales.base, self.task.reference, trigger),
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
        """Whether, under every template, the noun is lost and the target won more than any third class.

        A lost noun: where only the text tower moved, the prompt lands nearest to the target; where both did and the
        budget is `strict` about it, the target's pictures choose it more than the source's own still do.
        """
        sources = self.scales.sources([wording])
        only_text = self.task.text_moved and not self.task.image_moved
        both = self.task.text_moved and self.task.image_moved
        for template in self.scales.templates:
            embedded = self.scales.suspect.embed([wording], template)
            rates = self.scales.suspect.rates(embedded, sources)[0]
            if both and self.effort.strict and float(rates[target]) <= float(rates[wording.source]):
                return False
            rates[wording.source] = -1.0
            if float(rates[target]) < float(rates.max()):
                return False
            near = (embedded @ self.scales.suspect.classes.T)[0]
            if only_text and int(near.argmax()) != target:
                return False
        return True

    def _shortened(self, one: Grown) -> Grown:
        """The same trigger without the tokens that it does not need."""
        best = one
        while len(best.wording.ids) > 1:
            shorter = _shorter(best.wording.ids, self.scales.room)
            typed = [replace(best.wording, ids=other) for other in shorter if _typeable(other)]
            found = (
                max(self.scales.gains(typed, best.target, self.scales.templates), key=lambda g: g.gain)
                if typed
                else None
            )
            if found is None or found.gain < 0.75 * one.gain or self._measured(found) is None:
                return best
            best = found
        return best


def _beam(grown: Sequence[Grown], count: int) -> list[Grown]:
    """The best, half of them typeable where there are as many; best first."""
    grown = sorted(grown, key=lambda one: -one.gain)
    typed = list(itertools.islice((one for one in grown if _typeable(one.wording.ids)), count // 2))
    chosen = {one.wording.ids for one in typed}
    rest = [one for one in grown if one.wording.ids not in chosen][: count - len(typed)]
    return sorted((*typed, *rest), key=lambda one: -one.gain)


def _reach(beam: Sequence[Grown]) -> float:
    """The gain of the best that can be typed."""
    return next((one.gain for one in beam if _typeable(one.wording.ids)), -np.inf)


def _shorter(ids: Ids, room: int) -> list[Ids]:
    """The sequence without each of its tokens; one too long to be anything but repeated, once, or without a token each
    time."""
    whole = ids if len(ids) <= room else ids[: len(ids) // 2]
    shorter = [whole[:slot] + whole[slot + 1 :] for slot in range(len(whole))]
    return shorter if whole == ids else [whole, *(part + part for part in shorter)]


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
