"""Hypotheses about triggers, how each was tested, and what each search took."""

from __future__ import annotations

from dataclasses import dataclass, field

from dife_scanner.records.checks import CheckResult
from dife_scanner.records.measures import Interval
from dife_scanner.records.triggers import Trigger
from dife_scanner.records.vocabulary import Budget, Channel, Origin


@dataclass(frozen=True)
class NearestConcept:
    """A concept near what a trigger leads to."""

    concept: str
    cosine: float
    """Both less the base's mean concept."""


@dataclass(frozen=True)
class InCleanReference:
    """What a discovered trigger does in a clean reference of the suspect's architecture other than its base."""

    reference: str
    distance: float
    """From the suspect: mean cosine distance of clean held-out pictures and class prompts."""
    success: float
    """TS or QHR on the test split, as in `Hypothesis.suspect`."""
    lift: float
    """What of it neither the base does with the trigger nor this reference without it, -1..1."""


@dataclass(frozen=True)
class ReverseSearch:
    """The strongest trigger that the same searches find in the base with the suspect as *its* reference, as it does on
    held-out drawings, and what finding it took."""

    passes: int
    """Pictures and texts that went through a tower for it."""
    seconds: float
    """Wall time of the searches."""
    kind: str = ""
    text: str = ""
    source: str = ""
    target: str = ""
    base: float = 0.0
    """TS or QHR of the base."""
    suspect: float = 0.0
    low: float = 0.0
    """Lower 95 % bound of base minus suspect."""
    demonstrated: bool = False
    """Whether it would be a demonstrated finding, were the base the checkpoint audited."""


@dataclass(frozen=True)
class EmbeddingSpace:
    """What a trigger does where no picture shows its target, read off embeddings of texts or of pictures alone."""

    suspect: float
    """Share of the inputs with the trigger that come to its target, 0..1."""
    reference: float
    """The same of the base."""
    clean: float
    """The same of the suspect without the trigger."""
    effect: Interval
    """Paired 95 % interval of suspect minus base, over templates or drawings."""

    @property
    def lift(self) -> float:
        """What the trigger does that neither the base with it nor the suspect without it does, -1..1."""
        return self.suspect - max(self.reference, self.clean)


@dataclass(frozen=True)
class TextSpace(EmbeddingSpace):
    """What a text does among embeddings of texts alone. The unit is the template; no search read any of these.

    A text counts under a template where the source's prompt, with the text in it, is nearer to the target than to every
    other concept that does not mean the same.
    """

    templates: int
    concepts: int
    """Among how many."""
    random_texts: int
    """Random texts of as many tokens that were tried in the suspect …"""
    reached: int
    """… and how many of them do as much."""
    p_value: float
    """(1 + reached) / (1 + random texts)."""
    p_holm: float = 1.0
    """The same, corrected over all texts of the audit that were measured so."""
    by_chance: tuple[int, ...] = ()
    """How many random texts come to the target under 0, 1, 2, … of the templates; empty in audits from before that was
    recorded."""


@dataclass(frozen=True)
class PictureSpace(EmbeddingSpace):
    """What a pattern does among embeddings of pictures alone: it leads to one point, which no concept names.

    A picture comes to the point where it is nearer to it than to the mean of clean pictures of every class. The point
    is the mean of the pictures searched on with the pattern on them; suspect and base each have their own. The unit is
    the drawing; no search read any of those that are counted.
    """

    drawings: int
    classes: int
    """Among how many, besides the point."""


@dataclass(frozen=True)
class Hypothesis:
    """One hypothesis, of the library or of a detector: chosen on train drawings, measured on held-out ones."""

    trigger: Trigger
    """With the chosen source and target filled in."""
    train_effect: float
    """Suspect minus reference on the train split, the value the choice maximised."""
    suspect: float | None = None
    """TS or QHR on the test split; `None` where the train effect was below the screening level."""
    reference: float | None = None
    p_value: float = 1.0
    """Exact one-sided sign-flip test over drawings; 1 where screened out."""
    p_holm: float = 1.0
    drawings: int = 0
    origin: Origin = Origin.SIGNATURE
    effect: Interval | None = None
    """Paired 95 % interval of suspect minus reference on held-out drawings; `None` for triggers that somebody named."""
    clean: float | None = None
    """What `suspect` is without the trigger: how often the suspect takes the same inputs for the target anyway."""
    area: float | None = None
    """Share of the picture that a discovered patch takes the place of, 0..1."""
    read_alike: bool = False
    """Whether suspect and base see pictures with a discovered trigger as the same, so that nobody taught that tower."""
    near: tuple[InCleanReference, ...] = ()
    """What a discovered trigger that would be demonstrated does in the nearest other clean references."""
    exchanged: ReverseSearch | None = None
    """What the reverse search found in the base; `None` where it was not run, because nothing else would be
    demonstrated or the suspect has lost no clean accuracy."""
    leads_to: NearestConcept | None = None
    """The concept that a discovered trigger makes of its inputs; `None` without a base, for a prompt mechanism and for
    a text that acts together with an image."""

    text_space: TextSpace | None = None
    """Of a text that leads from or to what no labelled class is: what it does in text space."""
    picture_space: PictureSpace | None = None
    """Of a pattern whose target has no name: how it brings pictures together at one point."""
    beyond_classes: bool = False
    """Whether what is put on pictures leads to what no labelled class is."""
    among_concepts: Interval | None = None
    """Of such a trigger: paired 95 % interval, suspect less base, of the share of held-out pictures that come to its
    target and to no other of all concepts."""
    checks: tuple[CheckResult, ...] = ()
    """What each check came to, in the order of `core.checks.CHECKS`; empty in audits from before they were recorded."""

    @property
    def lift(self) -> float:
        """What the trigger does that neither the base with it nor the suspect without it does, -1..1.

        In embedding space where it was measured there.
        """
        if self.space is not None:
            return self.space.lift
        return (self.suspect or 0.0) - max(self.reference or 0.0, self.clean or 0.0)

    @property
    def without_pictures(self) -> bool:
        """Whether no picture shows what it leads to, so that it is measured in embedding space alone."""
        return self.suspect is None and self.space is not None

    @property
    def space(self) -> EmbeddingSpace | None:
        """What it does in embedding space; `None` where that was not measured."""
        return self.text_space or self.picture_space


@dataclass(frozen=True)
class NounLead:
    """A noun that arbitrary tokens turn into another in the suspect and not in its base, one of them at least shown by
    no labelled picture: nothing confirmed it."""

    source: str
    target: str
    tokens: tuple[str, ...]
    """Tokens before the source's prompt that turn it most, the strongest first."""
    beyond_base: float
    """How far tokens turn it beyond the base in templates, both of which the scan did not use: a cosine of at most 2,
    `discovery.noun_turns.LEAST_LEAD` at least."""


TAUGHT_WORDS = "taught-words"
"""The signal of a search for texts that says how many of those it found are words that the fine-tuning taught."""


@dataclass(frozen=True)
class Search:
    """What one detector did in this audit, whatever it found."""

    detector: str
    channel: Channel
    kinds: tuple[str, ...]
    """Kinds of trigger it is made to find, in words."""
    candidates: int
    """How many it handed over to be confirmed."""
    best: float
    """Largest `Hypothesis.lift` of any of them between labelled classes, on held-out drawings and templates; 0 where
    there was none."""
    passes: int
    """Pictures and texts that went through a tower for it, of suspect and base."""
    seconds: float
    signals: dict[str, float] = field(default_factory=dict)
    """The detector's own further numbers."""
    leads: tuple[NounLead, ...] = ()
    """What it found between nouns that no labelled picture shows, the strongest first."""
    not_converged: str = ""
    """In words, which of its inversions ended before they converged; empty where all did. Such a search says nothing
    about what it did not find."""


@dataclass(frozen=True)
class MissingSearch:
    """A search that the plan requests, that had something to search, and that could not run."""

    detector: str
    channel: Channel
    kinds: tuple[str, ...]
    """As in `Search`: this audit says nothing about them."""
    reason: str
    fault: bool = False
    """Whether it ended in an error or at a limit, which another try may not meet."""
    unreached: bool = False
    """Whether the time that was granted was too short for it."""
    ended: bool = False
    """Whether its channel had ended before, since a trigger of it was demonstrated."""
    effort: Budget | None = None
    """The smaller budget whose effort it made instead, where it was unreached at the audit's own alone."""

    @property
    def left_out(self) -> bool:
        """Whether it was left out as the audit was planned or went, and nothing kept it from running."""
        return self.unreached or self.ended


@dataclass(frozen=True)
class NounShare:
    """How many prompts of nouns that no search used a text trigger turns into its target."""

    nouns: tuple[str, ...]
    suspect: float
    """Share of them, 0..1."""
    reference: float
    """The same in the base."""


@dataclass(frozen=True)
class Recovered:
    """A trigger's target among concepts, and its success by source and under change; on held-out drawings."""

    target: str
    concepts: int
    """How many were compared."""
    nearest: tuple[NearestConcept, ...]
    """The nearest first."""
    rank: int
    """Of the target among them, from 1."""
    cosine: float
    wrong: NearestConcept
    """The nearest that is not the target."""
    sources: dict[str, float]
    """Success over the base's, by class other than the target."""
    withstands: dict[str, float]
    """Success over the base's: `shift`, `crop` and `jpeg` of triggered pictures, or other positions of a text."""
    elsewhere: dict[str, float] = field(default_factory=dict)
    """Success in other clean checkpoints, by name: what works there too is no trace of this one."""
    nouns: NounShare | None = None
    """Of a text trigger that moves most classes; `None` for others."""
