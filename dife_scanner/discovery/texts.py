"""The detector `texts`: strings that turn one class's prompt into another's in the suspect and not in the base.

A sensitivity scan shows which (place, source, target) arbitrary tokens move a little. There a beam search grows
sequences of one to four tokens, from the best single tokens, from token rows that the fine-tuning touched, from slot
inversion, and from gradients over the whole vocabulary. What it measures is QHR (paper §4) on the pictures searched on.
See docs/detectors.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dife_scanner.discovery import noun_scan, open_scan, sensitivity_scan
from dife_scanner.discovery.close_search import EXPANDED, CloseSearch
from dife_scanner.discovery.effort import (
    NOUN_SCAN_EFFORTS,
    OPEN_SCAN_EFFORTS,
    TEXT_EFFORTS,
    OpenScanEffort,
    TextEffort,
)
from dife_scanner.discovery.interface import Candidate, Load, SearchResult, Task
from dife_scanner.discovery.noun_scan import NounScan
from dife_scanner.discovery.noun_turns import NounTurns
from dife_scanner.discovery.open_scan import OpenScan
from dife_scanner.discovery.open_texts import OpenTexts
from dife_scanner.discovery.sensitivity_scan import (
    Focus,
    SensitivityScan,
)
from dife_scanner.discovery.slot_seeds import SlotInversionSeeds
from dife_scanner.discovery.text_candidates import TextCandidates
from dife_scanner.discovery.wording import (
    LONGEST_TRIGGER,
    too_long_prompts,
)
from dife_scanner.discovery.wording_scorer import (
    ScoredWording,
    WordingScorer,
)
from dife_scanner.records import TAUGHT_WORDS, Budget, Channel, NounLead

FOUND = 0.8
"""Effect of a text between labelled classes from which none is searched beyond them."""
_SHARE_READ_BY_BASE = 0.3
"""Share of what is tried in the suspect that is tried in the base as well: only what gains a margin is."""


@dataclass(frozen=True)
class TextSearch:
    """The detector of text triggers."""

    name: str = "texts"
    channel: Channel = Channel.TEXT
    kinds: tuple[str, ...] = (
        "one to four tokens before a prompt, before its class name or after it, for one source or for all",
    )
    has_base: bool = True
    """Whether the reference is a base to compare with; otherwise the suspect alone is looked at."""

    def alone(self) -> TextSearch:
        return replace(self, has_base=False)

    def applies(self, task: Task) -> bool:
        """Whether either tower moved: pictures of a moved image tower can respond to a text as well."""
        return _moved(task) and not self.lacks(task)

    def lacks(self, task: Task) -> str:
        return too_long_prompts(task) if _moved(task) else ""

    def load(self, task: Task) -> Load:
        """The scan, inversions, the close searches and the nouns, in texts."""
        effort = TEXT_EFFORTS[task.budget]
        classes = len(task.class_names)
        both_towers = 1 + _SHARE_READ_BY_BASE
        texts = both_towers * sensitivity_scan.scanned_texts(effort, classes)
        pairs = min(effort.inverted_pairs, classes * (classes - 1))
        texts += SlotInversionSeeds.load(pairs, effort.inversion_steps)
        texts += both_towers * _close_search_texts(effort)
        if task.text_moved:
            texts += noun_scan.load(NOUN_SCAN_EFFORTS[task.budget])
        if task.text_moved and task.concepts:
            texts += _load_beyond_classes(effort, OPEN_SCAN_EFFORTS[task.budget], task)
        return Load(0, round(texts))

    def search(self, task: Task) -> SearchResult:
        """Search by passes, not by the clock, so that the same task comes to the same end."""
        effort = TEXT_EFFORTS[task.budget]
        return TextSearchRun(task, effort, self.scorer(task)).run()

    def scorer(self, task: Task) -> WordingScorer:
        """What decides which texts gain and which are no triggers; a variant of this search overrides it."""
        return WordingScorer(task, has_base=self.has_base)


def scanned_texts(budget: Budget, classes: int) -> int:
    """Texts that the wide scan reads first, in the suspect."""
    return sensitivity_scan.scanned_texts(TEXT_EFFORTS[budget], classes)


def _close_search_texts(effort: TextEffort) -> int:
    """Texts that the close searches try in the suspect."""
    changes = LONGEST_TRIGGER + 1  # each token replaced, and one added
    neighbours = EXPANDED * changes * effort.branching
    one_focus = effort.single_tokens + effort.rounds * neighbours
    return effort.all_foci * one_focus


def _load_beyond_classes(effort: TextEffort, beyond: OpenScanEffort, task: Task) -> float:
    """The scan over all concepts, and the close search of each pair that it keeps."""
    closely = replace(
        effort,
        foci=beyond.pairs,
        slot_foci=0,
        around_foci=0,
        single_tokens=beyond.single_tokens,
        rounds=beyond.rounds,
    )
    texts = open_scan.load(beyond, len(task.concepts))
    return texts + (1 + _SHARE_READ_BY_BASE) * _close_search_texts(closely)


def _moved(task: Task) -> bool:
    return task.text_moved or task.image_moved


class TextSearchRun:
    """One run of the detector."""

    def __init__(self, task: Task, effort: TextEffort, scorer: WordingScorer) -> None:
        self._task = task
        self._effort = effort
        self._scorer = scorer
        self._stage = ""
        self._done = 0

    def run(self) -> SearchResult:
        """Scan, search each focus closely, scan nouns, and measure candidates."""
        self._begin("scanning for fragile prompts", 0)
        self._scorer.read()
        foci, signals = self._foci()
        beams = self._search_closely(foci)
        self._begin("reading nouns", 1 + self._effort.all_foci)
        nouns = self._scan_nouns()
        signals |= nouns.signals
        leads: tuple[NounLead, ...] = ()
        if nouns.turns is not None:
            turns = NounTurns(nouns.turns, self._scorer.suspect, self._scorer.base)
            beams |= self._search_class_turns(turns, foci)
            leads = turns.leads()
        candidates = TextCandidates(self._scorer, self._effort).chosen(beams)
        beyond = self._beyond_classes(candidates)
        candidates = (*candidates, *beyond.candidates)
        signals |= beyond.signals
        gains = [beam[0].gain for beam in beams.values() if beam]
        signals["text-margin"] = max(gains, default=-1.0)
        self._begin("reading nouns", 2 + self._effort.all_foci)
        return SearchResult(candidates, self._scorer.passes + beyond.passes, signals, leads)

    def _beyond_classes(self, candidates: Sequence[Candidate]) -> SearchResult:
        """Texts from or to what no labelled class is, unless one between classes is as good as found, with the passes
        of their close searches. An unmoved text tower leads nowhere that its base does not.
        """
        best = max((one.effect for one in candidates), default=0.0)
        reads_alike = not self._task.text_moved or not self._scorer.has_base
        if best >= FOUND or reads_alike or not self._task.concepts:
            return SearchResult((), 0)
        effort = OPEN_SCAN_EFFORTS[self._task.budget]
        scan = OpenScan(self._scorer, effort)
        search = OpenTexts(self._task, scan.concepts(), self._effort, effort, self._report_progress)
        found = search.candidates(scan.turns(), scan.taught_words())
        words = {TAUGHT_WORDS: float(search.words)} if search.words else {}
        return SearchResult(found, search.passes, words)

    def _search_closely(self, foci: Sequence[Focus]) -> dict[Focus, list[ScoredWording]]:
        """What grows at each focus, best first."""
        search = CloseSearch(self._scorer, self._effort, self._report_progress)
        beams: dict[Focus, list[ScoredWording]] = {}
        for number, focus in enumerate(foci):
            self._begin(self._stage_of(focus), 1 + number)
            beams[focus] = search.grow(focus)
        return beams

    def _search_class_turns(
        self, turns: NounTurns, foci: Sequence[Focus]
    ) -> dict[Focus, list[ScoredWording]]:
        """What grows where the nouns of labelled classes turned into each other, besides the foci searched so far."""
        scan = SensitivityScan(self._scorer, self._effort)
        search = CloseSearch(self._scorer, self._effort, self._report_progress)
        beams: dict[Focus, list[ScoredWording]] = {}
        for focus in scan.foci_of_class_turns(turns.class_turns(), foci):
            self._begin(self._stage_of(focus), 1 + self._effort.all_foci)
            beams[focus] = search.grow(focus)
        return beams

    def _begin(self, stage: str, done: int) -> None:
        self._stage = stage
        self._done = done
        self._report_progress()

    def _report_progress(self) -> None:
        """Report again where the search is: it may be cancelled there."""
        total = self._effort.all_foci + 2
        self._task.progress(self._stage, self._done, total)

    def _stage_of(self, focus: Focus) -> str:
        source = self._task.class_names[focus.source]
        target = self._task.class_names[focus.target]
        return f"trying {focus.position} texts that turn {source} into {target}"

    def _foci(self) -> tuple[list[Focus], dict[str, float]]:
        """The most sensitive (place, source, target), and how sensitive the first is under every template; then where
        slots and repeated texts lead, at budgets that pay for them."""
        scan = SensitivityScan(self._scorer, self._effort)
        found: list[Focus] = []
        for foci in scan.foci():
            found.extend(foci)
            self._report_progress()
        shortlist = scan.shortlist(found)
        chosen = scan.chosen(shortlist)
        highest = shortlist[0].sensitivity if shortlist else -1.0
        signals = {"text-scan": highest}
        if self._effort.inverted_pairs:
            seeds = self._invert_slots(found)
            further = seeds.further_foci(chosen)
            chosen = [*map(seeds.seeded, chosen), *further]
            signals["slot-margin"] = seeds.best_gain
        return [*chosen, *scan.around_foci(shortlist)], signals

    def _invert_slots(self, foci: Sequence[Focus]) -> SlotInversionSeeds:
        return SlotInversionSeeds(
            self._scorer,
            self._effort,
            foci,
            self._report_progress,
        )

    def _scan_nouns(self) -> NounScan:
        """The scan over nouns beyond the classes; an unmoved text tower reads none of them otherwise than the base."""
        scorer = self._scorer
        if not self._task.text_moved or not scorer.has_base:
            return NounScan()
        return noun_scan.scan(
            scorer.suspect_towers,
            self._task.reference,
            scorer.base_towers,
            first=self._task.class_names,
            budget=self._task.budget,
            cache=scorer.cache,
        )


TEXTS = TextSearch()
