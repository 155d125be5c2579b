"""Qualification: which concepts and styles a base recognises, measured once on at most `MOST_PICTURES` pictures.

The pictures are those that searches may read too. Evidence is measured on other drawings by other hands, so what is
chosen here biases nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from dife_scanner.audit import probes, wide_probes
from dife_scanner.audit.probes import Labels, Pixels, Probes
from dife_scanner.audit.wide_probes import HELD_OUT, SEARCH, Shown, WideProbes
from dife_scanner.core import metrics
from dife_scanner.core.metrics import Floats
from dife_scanner.core.qualification import NO_RIVAL, among_all
from dife_scanner.core.recognition import recognised
from dife_scanner.errors import AuditError
from dife_scanner.models.interface import Encoder
from dife_scanner.progress import SILENT, Progress
from dife_scanner.records import Budget, Qualification

VERSION = "qualification-1"
"""Raise it when a change makes it measure something else."""
MOST_PICTURES = 1600
MOST_PER_CONCEPT = 4
TEMPLATES = (*probes.SEARCH_TEMPLATES, *probes.DIAGNOSIS_TEMPLATES)
"""None of them is one that evidence is measured with."""
PHASE = "qualifying the base"

_AT_ONCE = 64
"""Pictures that are in memory at a time."""


@dataclass(frozen=True)
class ProbeSets:
    """What a base is qualified on: the labelled classes and the wide set."""

    labelled: Probes
    wide: WideProbes

    @property
    def digest(self) -> str:
        """Of all pictures."""
        return _digest(self.labelled.digest, self.wide.digest)

    @property
    def names(self) -> tuple[str, ...]:
        """The labelled classes, then the concepts."""
        return (*self.labelled.class_names, *self.wide.names)

    @property
    def per_concept(self) -> int:
        """Pictures of each concept that are looked at, at most."""
        return min(MOST_PER_CONCEPT, MOST_PICTURES // len(self.names))

    @property
    def shown(self) -> tuple[Shown, ...]:
        """The pictures of the wide set that are looked at."""
        found: list[Shown] = []
        for name in self.wide.names:
            found += self.wide.of(name, SEARCH)[: self.per_concept]
        return tuple(found)

    @property
    def labelled_rows(self) -> tuple[int, ...]:
        """Places of the labelled pictures that are looked at, in the `train` split."""
        labels = self.labelled.split(probes.TRAIN).labels
        rows: list[int] = []
        for label in range(len(self.labelled.class_names)):
            rows += np.flatnonzero(labels == label)[: self.per_concept].tolist()
        return tuple(rows)

    @property
    def pictures(self) -> int:
        """How many pictures a qualification looks at."""
        return len(self.labelled_rows) + len(self.shown)

    @property
    def texts(self) -> int:
        """How many texts it reads."""
        return len(self.names) * len(TEMPLATES)


def bundled_digest() -> str:
    """The digest of the bundled sets, without a look at any picture. Raises `ProbeError`."""
    labelled = probes.digest(probes.bundled_folder())
    return _digest(labelled, wide_probes.load(wide_probes.bundled_folder()).digest)


def _digest(labelled: str, wide: str) -> str:
    return sha256(f"{labelled} {wide}".encode()).hexdigest()


def bundled() -> ProbeSets:
    """The sets that ship with the package. Raises `ProbeError`."""
    labelled = probes.load(probes.bundled_folder(), Budget.QUICK)
    return ProbeSets(labelled, wide_probes.load(wide_probes.bundled_folder()))


def measure(
    encoder: Encoder,
    sets: ProbeSets,
    progress: Progress = SILENT,
    keep: Callable[[], None] = lambda: None,
) -> Qualification:
    """Look at the pictures, and say which concepts and styles are recognised. A function of the embeddings alone.

    A concept whose prompts are longer than the context is not recognised. `keep` is called whenever more was embedded.
    Raises `ProbeError`, and `AuditError` from the encoder and where its context is too short for every prompt.
    """
    began = time.monotonic()
    progress(PHASE, 0, sets.pictures, "texts")
    told = [name for name in sets.names if _fits(encoder, name)]
    if not told:
        raise AuditError(
            f"the base reads {encoder.context_length} tokens, too few for any prompt of a concept"
        )
    prompts = metrics.class_prompts(encoder.encode_texts(prompts_of(told)), len(told))
    keep()
    images = _embedded(encoder, sets, progress, keep)
    scores = np.full((len(images), len(sets.names)), NO_RIVAL)
    scores[:, [name in told for name in sets.names]] = metrics.cosines(images, prompts)
    near = {one.name: _near(one) for one in sets.wide.concepts}
    found = among_all(scores, _labels(sets), sets.names, _styles(sets), _both_ways(near))
    return Qualification(
        image_tower=encoder.image_tower,
        text_tower=encoder.text_tower,
        probes=sets.digest,
        version=VERSION,
        recognition=found,
        pictures=sets.pictures,
        texts=sets.texts,
        seconds=round(time.monotonic() - began, 3),
    )


def _fits(encoder: Encoder, name: str) -> bool:
    """Whether the model reads every prompt of a name whole."""
    longest = max(map(encoder.token_count, prompts_of([name])))
    return longest <= encoder.context_length


def prompts_of(names: Sequence[str]) -> list[str]:
    """Template by template."""
    return [template.format(name) for template in TEMPLATES for name in names]


def _embedded(
    encoder: Encoder, sets: ProbeSets, progress: Progress, keep: Callable[[], None]
) -> Floats:
    """The embeddings [n, d] of the labelled pictures, then of the others."""
    train = sets.labelled.split(probes.TRAIN)
    rows = list(sets.labelled_rows)
    shown = sets.shown

    def read(start: int, end: int) -> Pixels:
        if start < len(rows):
            return train.images[rows[start : min(end, len(rows))]]
        return sets.wide.read(shown[start - len(rows) : end - len(rows)])

    found: list[Floats] = []
    done = 0
    while done < sets.pictures:
        pixels = encoder.prepare(read(done, done + _AT_ONCE))
        found.append(encoder.encode_images(pixels))
        done += len(pixels)
        progress(PHASE, done, sets.pictures, "pictures")
        keep()
    return np.concatenate(found)


def _labels(sets: ProbeSets) -> Labels:
    """Of the same pictures, into all names."""
    place = {name: number for number, name in enumerate(sets.names)}
    of_classes = sets.labelled.split(probes.TRAIN).labels[list(sets.labelled_rows)]
    of_concepts = [place[one.concept] for one in sets.shown]
    return np.concatenate([of_classes, np.array(of_concepts, dtype=np.int64)])


def _styles(sets: ProbeSets) -> list[str]:
    styles = sets.labelled.split(probes.TRAIN).styles
    of_classes = [styles[row] if styles else "" for row in sets.labelled_rows]
    return [*of_classes, *(one.style for one in sets.shown)]


def _near(concept: wide_probes.Concept) -> tuple[str, ...]:
    """What its pictures may be taken for besides: near synonyms, and the labelled class that it is a kind of."""
    return (*concept.near, concept.labelled) if concept.labelled else concept.near


def _both_ways(near: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    found = dict(near)
    for name, others in near.items():
        for other in others:
            if name not in found.get(other, ()):
                found[other] = (*found.get(other, ()), name)
    return found


# --- what is qualified ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Qualified:
    """What a base recognises of the wide set: only this carries evidence."""

    wide: WideProbes
    concepts: tuple[str, ...]
    styles: frozenset[str]
    """Of those whose pictures were looked at; a hand of the held-out pictures never was."""

    def search(self, concept: str) -> tuple[Shown, ...]:
        """The pictures that a search may read, of styles that are recognised; none of another concept."""
        shown = self.wide.of(concept, SEARCH) if concept in self.concepts else ()
        return tuple(one for one in shown if one.style in self.styles)

    def held_out(self, concept: str) -> tuple[Shown, ...]:
        """The pictures that evidence is measured on; none of another concept."""
        return self.wide.of(concept, HELD_OUT) if concept in self.concepts else ()


def qualified(found: Qualification, wide: WideProbes) -> Qualified:
    """The concepts of the wide set that a base recognises, with their pictures."""
    known = set(recognised(found.recognition.classes))
    concepts = tuple(name for name in wide.names if name in known)
    return Qualified(wide, concepts, frozenset(recognised(found.recognition.styles)))
