"""What a detector is: two checkpoints, pictures and words in; candidate triggers out.

A detector never judges. Its candidates are confirmed on pictures and templates that it did not see, by the audit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dife_scanner.discovery.inversion_states import InversionStates
from dife_scanner.discovery.readings import NOT_KEPT, Readings
from dife_scanner.models.interface import Encoder
from dife_scanner.models.tokenizers import Tokenizer
from dife_scanner.records import Budget, Channel, NounLead, Trigger, TriggerFile


class Cancelled(Exception):
    """The search was asked to stop."""


PromptsOf = Callable[[tuple[str, ...]], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Of names, one prompt each in suspect and base, [n, d] both."""


@dataclass(frozen=True)
class Task:
    """What is searched, on which data, for how long. The same task gives the same candidates on the same device."""

    suspect: Encoder
    reference: Encoder
    """The clean base. Same architecture; either tower may be equal to the suspect's."""
    pixels: NDArray[np.uint8]
    """Prepared pictures to search on, [n, s, s, 3]."""
    labels: NDArray[np.int64]
    """Class of each picture, [n]."""
    class_names: tuple[str, ...]
    templates: tuple[str, ...]
    """Prompts to search with, one `{}` each; never those that candidates are confirmed with."""
    budget: Budget
    """`quick`, `default` or `deep`; `effort` says what each detector does with it."""
    seed: int
    folder: Path
    """Where files that belong to a trigger are written, named by their content."""
    progress: Callable[[str, int, int], None] = lambda what, done, of: None
    """Called with what is going on, how much of how much; may raise `Cancelled`."""
    drawings: tuple[str, ...] = ()
    """Which drawing each picture shows, so that a detector can hold back whole drawings; empty where nobody knows."""
    learner: TriggerFile | None = None
    """The prompt learner that came with the suspect, if one did."""
    embedding_cache: Path | None = None
    """Where embeddings of the base are kept between audits; nowhere if there is no place. Changes no result."""
    inversions: InversionStates | None = None
    """Where inversions stand, for a search that is killed; nowhere if there is no place. Changes no result."""
    readings: Readings = NOT_KEPT
    """What texts were read as, for a search that is killed; kept nowhere if there is no place. Changes no result."""
    alone: bool = False
    """There is no clean base: the suspect stands in its place, and nothing may be read off a comparison with it."""
    concepts: tuple[str, ...] = ()
    """Names that a trigger may lead to, besides the labelled classes and `noun_scan.nouns`."""
    concept_prompts: PromptsOf | None = None
    """What suspect and base make of a prompt of each name, embedded once for all detectors; with `None` a search embeds
    its own."""
    recognised: tuple[str, ...] = ()
    """Those that the base recognises pictures of: the first whose prompts are tried."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Whose token ids a search over texts is made of: the base's, so that both towers read the same ids.

        What is found is a text, and measured as each encoder's own tokenizer cuts it.
        """
        return self.reference.tokenizer

    @property
    def image_moved(self) -> bool:
        """Whether the suspect's image tower differs from the base's, or there is no base."""
        return self.alone or self.suspect.image_tower != self.reference.image_tower

    @property
    def text_moved(self) -> bool:
        """Whether the suspect's text tower differs from the base's, or there is no base."""
        return self.alone or self.suspect.text_tower != self.reference.text_tower


@dataclass(frozen=True)
class Candidate:
    """A trigger with source (where it has one) and target filled in, and its success on the pictures searched on."""

    trigger: Trigger
    suspect: float
    """Target success (TS) without pictures of the target class, or QHR of a text; 0..1."""
    reference: float
    """The same of the base."""
    area: float | None = None
    """Share of the picture that a patch takes the place of, 0..1; `None` for a trigger that is none."""

    @property
    def effect(self) -> float:
        """Success in the suspect less success in the base, -1..1."""
        return self.suspect - self.reference


@dataclass(frozen=True)
class SearchResult:
    """What a search came to."""

    candidates: tuple[Candidate, ...]
    """Best first; at most a handful, each different from the others."""
    passes: int
    """Pictures and texts that went through a tower, of suspect and base."""
    signals: Mapping[str, float] = field(default_factory=dict)
    """Further numbers of the search, by name."""
    leads: tuple[NounLead, ...] = ()
    """What it found and no picture can confirm, the strongest first."""
    not_converged: str = ""
    """In words, which inversions ended before they converged; empty where all did."""


@dataclass(frozen=True)
class Load:
    """About what a search takes, in forward passes of one input; the way back counts as one, as no weight gets a
    gradient."""

    images: int
    texts: int

    def __add__(self, other: Load) -> Load:
        return Load(self.images + other.images, self.texts + other.texts)


class Detector(Protocol):
    """One way of searching. Stateless; equal tasks give equal results."""

    @property
    def name(self) -> str:
        """The name that audits store and show."""

    @property
    def channel(self) -> Channel:
        """Where the triggers enter that it searches for."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of trigger it is made to find, in words a reader of a report understands."""

    def alone(self) -> Detector | None:
        """The same search without a base, for checkpoints that have none; `None` where nothing is left without it."""

    def applies(self, task: Task) -> bool:
        """Whether this task gives it anything to search, and what it needs for that: an unmoved checkpoint does not."""

    def lacks(self, task: Task) -> str:
        """What it needs and this task has too little of, in words, where there would be something to search."""

    def load(self, task: Task) -> Load:
        """Forward passes that `search` would take; it seldom takes more, and less where it ends early."""

    def search(self, task: Task) -> SearchResult:
        """Search within the budget. Raises `Cancelled` from `task.progress`, nothing else of its own."""
