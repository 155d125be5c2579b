"""The efforts of all detectors by budget, `quick`, `default` and `deep`.

Efforts are counts (texts, tokens, steps, rounds), never seconds: the same task comes to the same end on every machine.
What they cost in passes and seconds is measured in docs/detectors.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from dife_scanner.records import Budget


@dataclass(frozen=True)
class TextEffort:
    """What a budget buys in the search for text triggers.

    A focus is a (place, source, target) that is searched closely.
    """

    scan_texts: int
    """Texts of the wide scan, all places and sources together."""
    foci: int
    """Foci chosen because arbitrary tokens move them."""
    single_tokens: int
    """Random tokens tried alone in each focus."""
    rounds: int
    """Most rounds of each beam search."""
    branching: int
    """Tokens that a sequence is grown with, on either side, and tokens put in place of each of its own."""
    scan_doubled_tokens: bool = False
    """Whether the wide scan tries each token twice in a row as well."""
    inverted_pairs: int = 0
    """Most (source, target) that slots are inverted for, the most sensitive first; 0: no slot inversion."""
    inversion_steps: int = 0
    """Steps of each slot inversion."""
    slot_foci: int = 0
    """Further foci, chosen because of what slot inversion found."""
    around_foci: int = 0
    """Further foci for texts before and behind the prompt; seeds of the other foci are then doubled too."""
    noun_must_be_lost: bool = False
    """Whether a text has to lose its source noun on pictures where both towers moved."""

    @property
    def all_foci(self) -> int:
        """Number of foci searched closely, however they were chosen."""
        return self.foci + self.slot_foci + self.around_foci


@dataclass(frozen=True)
class NounScanEffort:
    """What a budget buys in the scan over nouns."""

    tokens: int
    """Random tokens put before each noun."""
    nouns: int
    """Most nouns wanted, of the 502 in the list; each bundled base keeps more than 200 of them."""


@dataclass(frozen=True)
class LostNounEffort:
    """What a budget buys in the search for texts that take prompts away from their own nouns."""

    nouns: int
    """Nouns that they are taken from, on average …"""
    contexts: int
    """… and random texts before each, whose tokens would be replaced."""
    tokens: int
    """Tokens that every source is put behind, those that the gradient ranks first."""
    grown: int
    """The first of them that get a second token on either side, by the gradient on …"""
    grown_nouns: int
    """… so many nouns."""

    @property
    def kept(self) -> int:
        """Most texts that every source is put behind: the tokens, and two pairs of each that is grown."""
        return self.tokens + 2 * self.grown


@dataclass(frozen=True)
class OpenScanEffort:
    """What a budget buys in the search for texts from and to what no labelled class is."""

    lost_nouns: LostNounEffort
    """What finds the texts that are put before nouns first."""
    sources: int
    """Most nouns that texts are put before."""
    tokens: int
    """Fine-tuned tokens put before each; where the fine-tuning touched fewer, further random texts …"""
    runs: int
    """… besides these."""
    looked_at: int
    """Sources that pairs of tokens are put before as well …"""
    paired_tokens: int
    """… every ordered pair of so many."""
    pairs: int
    """Most (source, target) that are searched closely …"""
    single_tokens: int
    """… random tokens tried alone in each …"""
    rounds: int
    """… and most rounds of its beam search."""


class Rung(NamedTuple):
    """Where a start that collapse does not come out of is given up."""

    step: int
    """Steps after which that is decided."""
    reached: float
    """What the objective has to have reached by then, in any step, for the start to go on; 0..1."""


@dataclass(frozen=True)
class InversionEffort:
    """What a budget buys in a search that inverts image triggers by gradient."""

    restarts: int
    """Most inversions of each pattern family."""
    steps: int
    """Gradient steps of each inversion."""
    pictures: int = 24
    """Pictures in each step."""
    pictures_apart: int = 0
    """The same where a patch moves suspect and base apart, which every picture shows by itself. 0: as many."""
    target_classes: int = 1
    """Classes aimed at one after the other: by `patch` where the image tower did not move, by `prompt learner` the best
    of its screening."""
    report_smallest: bool = True
    """Whether a search reports the smallest size at which success on the held-out half still holds."""
    rungs: tuple[Rung, ...] = ()
    """Where starts that bring no pictures together end."""


@dataclass(frozen=True)
class JointEffort(InversionEffort):
    """What a budget buys in the search for a patch and a string that act only together."""

    tokens: int = 0
    """Tokens tried at each place in each start, and half as many runs of several."""
    foci: int = 1
    """Classes, or (place, target) with a patch, searched closely in each start."""
    rounds: int = 0
    """Most rounds of each beam search."""
    branching: int = 16
    """Tokens that a string is grown with, and put in place of each of its own; strings that a class begins with."""
    paired_tokens: int = 16
    """Fine-tuned tokens of which every ordered pair is tried before there is a patch."""


@dataclass(frozen=True)
class LearnerEffort(InversionEffort):
    """What a budget buys in the search of a prompt learner: all classes are screened, the best searched in full."""

    screening_steps: int = 0
    """Gradient steps of the inversion that screens one class."""


TEXT_EFFORTS = {
    Budget.QUICK: TextEffort(
        scan_texts=9_000,
        foci=4,
        single_tokens=600,
        rounds=4,
        branching=16,
    ),
    Budget.DEFAULT: TextEffort(
        scan_texts=60_000,
        foci=8,
        single_tokens=8_000,
        rounds=6,
        branching=48,
        inverted_pairs=100,
        inversion_steps=20,
        slot_foci=2,
        around_foci=2,
        noun_must_be_lost=True,
    ),
    Budget.DEEP: TextEffort(
        scan_texts=120_000,
        foci=12,
        single_tokens=30_000,
        rounds=8,
        branching=96,
        scan_doubled_tokens=True,
        inverted_pairs=300,
        inversion_steps=40,
        slot_foci=4,
        around_foci=4,
        noun_must_be_lost=True,
    ),
}
"""Of the detector `texts`. At `quick` nouns need not be lost: scores of that budget were calibrated without that."""

NOUN_SCAN_EFFORTS = {
    Budget.QUICK: NounScanEffort(tokens=12, nouns=280),
    Budget.DEFAULT: NounScanEffort(tokens=64, nouns=502),
    Budget.DEEP: NounScanEffort(tokens=160, nouns=502),
}
"""Of the noun scan that `texts` ends with."""

OPEN_SCAN_EFFORTS = {
    Budget.QUICK: OpenScanEffort(
        LostNounEffort(nouns=48, contexts=8, tokens=12, grown=3, grown_nouns=8),
        sources=320,
        tokens=2,
        runs=1,
        looked_at=16,
        paired_tokens=8,
        pairs=2,
        single_tokens=100,
        rounds=2,
    ),
    Budget.DEFAULT: OpenScanEffort(
        LostNounEffort(nouns=96, contexts=16, tokens=24, grown=8, grown_nouns=16),
        sources=480,
        tokens=24,
        runs=24,
        looked_at=48,
        paired_tokens=16,
        pairs=4,
        single_tokens=2_000,
        rounds=6,
    ),
    Budget.DEEP: OpenScanEffort(
        LostNounEffort(nouns=192, contexts=32, tokens=48, grown=16, grown_nouns=24),
        sources=480,
        tokens=64,
        runs=96,
        looked_at=96,
        paired_tokens=24,
        pairs=6,
        single_tokens=8_000,
        rounds=8,
    ),
}
"""Of the search beyond the labelled classes, with which `texts` ends."""

PATCH_EFFORTS = {
    Budget.QUICK: InversionEffort(
        restarts=1,
        steps=120,
        pictures_apart=12,
        report_smallest=False,
        rungs=(Rung(50, 0.6),),
    ),
    Budget.DEFAULT: InversionEffort(restarts=2, steps=240, target_classes=2),
    Budget.DEEP: InversionEffort(restarts=4, steps=600, target_classes=3),
}
"""Of the detector `patch`."""

FAINT_EFFORTS = {
    Budget.QUICK: InversionEffort(
        restarts=1,
        steps=50,
        report_smallest=False,
        rungs=(Rung(20, 0.5),),
    ),
    Budget.DEFAULT: InversionEffort(restarts=2, steps=100),
    Budget.DEEP: InversionEffort(restarts=4, steps=250),
}
"""Of the detector `faint`, for each of its two pattern families."""

WARP_AND_COLOUR_EFFORTS = {
    Budget.QUICK: InversionEffort(
        restarts=1,
        steps=30,
        report_smallest=False,
        rungs=(Rung(15, 0.4),),
    ),
    Budget.DEFAULT: InversionEffort(restarts=2, steps=60),
    Budget.DEEP: InversionEffort(restarts=4, steps=150),
}
"""Of the detector `warp and colour`, for each of its two pattern families."""

JOINT_EFFORTS = {
    Budget.DEFAULT: JointEffort(
        restarts=2,
        steps=160,
        tokens=240,
        foci=2,
        rounds=3,
        branching=12,
    ),
    Budget.DEEP: JointEffort(
        restarts=4,
        steps=400,
        tokens=1200,
        foci=4,
        rounds=6,
        branching=32,
        paired_tokens=32,
    ),
}
"""Of the detector `joint`, which does not run at `quick`."""

LEARNER_EFFORTS = {
    Budget.QUICK: LearnerEffort(
        restarts=1,
        steps=40,
        pictures=12,
        target_classes=2,
        report_smallest=False,
        screening_steps=15,
    ),
    Budget.DEFAULT: LearnerEffort(
        restarts=1,
        steps=120,
        pictures=16,
        target_classes=3,
        screening_steps=40,
    ),
    Budget.DEEP: LearnerEffort(
        restarts=1,
        steps=300,
        pictures=24,
        target_classes=4,
        screening_steps=100,
    ),
}
"""Of the detector `prompt learner`."""
