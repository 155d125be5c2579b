"""How a checkpoint relates to its reference: the same towers, a fine-tune of it, or a stranger.

Weights can be written in another order or in another basis without a change of any embedding. Whoever hides a trigger
could do so to have the checkpoint compared with nothing. So before a base is called unknown, the embeddings are
compared as well as the weights. A hidden trigger is in no clean input, so embeddings that agree prove nothing: such a
copy is audited as any other, and what it is stands in a note.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dife_scanner.audit import probes, prompt_learner
from dife_scanner.audit.cache import CachedEncoder, Memory
from dife_scanner.audit.interfaces import named
from dife_scanner.audit.own_classes import check_names
from dife_scanner.audit.prompt_learner import AccompanyingLearner
from dife_scanner.audit.request import Request
from dife_scanner.audit.sides import Pair, Side
from dife_scanner.audit.stages import Splits, check_varied, labelled
from dife_scanner.core import metrics
from dife_scanner.core.cards import ZERO_SHOT
from dife_scanner.models.interface import Encoder
from dife_scanner.models.likeness import UNTOLD, Likeness
from dife_scanner.records import CastTowers, Reference, SettingsOf

ALIKE = 0.9
"""`metrics.relation` from which a tower answers as the reference's does. On the bundled bases, the lab's attacks and
benign fine-tunes leave .92 and more to one tower at least; an untrained model of the same architecture has .6 at most,
and the residual network that taught the ViT .7 on pictures. Low answers decide nothing where weights are a copy's."""
FEWEST = 5
"""Pictures and prompts below which answers say nothing: then the audit goes on against the reference."""

FLOAT_PRECISION = 1e-5
"""Difference of embeddings up to which they are one, computed in another order: what two libraries differ by at most.
A copy that was rounded to fp16 after it was rewritten differs by 1e-3, as a short fine-tune may."""


@dataclass(frozen=True)
class Twin:
    """A known base both of whose towers and all of whose settings a checkpoint has."""

    reference: Reference
    cast: str = ""
    """The shorter type in which it has them; empty where values are the base's own."""


@dataclass(frozen=True)
class Relation:
    """What a checkpoint is to the references that are known here."""

    request: Request
    """Without its reference where neither tower comes from it and nobody named it, and with a note on what was seen."""
    unknown: tuple[bool, bool]
    """Whether the (image, text) tower comes from no reference."""
    twin: Twin | None
    """The known base that the checkpoint is."""
    learner: AccompanyingLearner
    """The prompt learner that came along."""


def relate(
    suspect: Encoder, reference: Encoder | None, request: Request, memory: Memory
) -> Relation:
    """Compare the checkpoint with its reference, and find what else is known of it."""
    twin = _twin(suspect, request)
    request, unknown = _compared(suspect, reference, request, memory, twin)
    return Relation(
        request, unknown, twin, prompt_learner.find(request.folder, suspect, request.unread)
    )


# --- a known base ---------------------------------------------------------------------------------------------


def with_casts(
    known: tuple[Reference, ...], base: Reference, casts: Callable[[], tuple[CastTowers, ...]]
) -> tuple[Reference, ...]:
    """The same references, the base among them with the hashes of its copies in shorter types, made where it lacks
    them.
    """
    if base.cast_towers:
        return known
    whole = replace(base, cast_towers=casts())
    return tuple(whole if one == base else one for one in known)


def _twin(suspect: Encoder, request: Request) -> Twin | None:
    """The first known base that this is value for value, else the first that it is after a cast."""
    if request.settings is not SettingsOf.SUSPECT or request.deviations:
        return None
    twins = []
    for known in request.known:
        cast = _cast(suspect, known)
        if cast is not None:
            twins.append(Twin(known, cast))
    return min(twins, key=lambda twin: bool(twin.cast), default=None)


def _cast(suspect: Encoder, known: Reference) -> str | None:
    """What the towers of `known` were cast to; empty where they were not, `None` where these are not its towers.

    A cast is a function of the base's values alone: whoever publishes it has chosen nothing that could hide a trigger.
    """
    image = {known.image_tower: ""}
    text = {known.text_tower: ""}
    for cast in known.cast_towers:  # rounding may change nothing
        image.setdefault(cast.image, cast.precision)
        text.setdefault(cast.text, cast.precision)
    if suspect.image_tower not in image or suspect.text_tower not in text:
        return None
    found = (image[suspect.image_tower], text[suspect.text_tower])
    return " and ".join(dict.fromkeys(filter(None, found)))


# --- what embeds as the reference does --------------------------------------------------------------------------


def _compared(
    suspect: Encoder,
    reference: Encoder | None,
    request: Request,
    memory: Memory,
    twin: Twin | None,
) -> tuple[Request, tuple[bool, bool]]:
    """The request as the embeddings of clean inputs leave it, and whether the (image, text) tower is a stranger's."""
    known = (False, False)
    if reference is None or request.reference is None or request.likeness == UNTOLD:
        return request, known
    unrelated = any(request.likeness.unrelated)
    if not unrelated and (twin is not None or _same_towers(suspect, reference)):
        return request, known
    check_names(request.plan, reference, "its reference")
    splits = Splits(
        CachedEncoder(suspect, memory), CachedEncoder(reference, memory), request.plan.probes()
    )
    if unrelated:
        check_varied(splits.train.suspect, str(request.ref))
        check_varied(splits.train.reference, "its reference")
    with named(ZERO_SHOT, labelled(probes.TRAIN)):
        found = kinship(request.likeness, splits.train)
    note = kinship_note(found, request.reference.name, named=request.named)
    if note:
        request = replace(request, notes=tuple(dict.fromkeys((*request.notes, note))))
    if all(found.unknown) and not request.named:
        request = replace(request, reference=None, turned_down=request.reference)
    return request, found.unknown


def _same_towers(one: Encoder, other: Encoder) -> bool:
    return one.image_tower == other.image_tower and one.text_tower == other.text_tower


@dataclass(frozen=True)
class Copy:
    """A checkpoint of other weights that embeds clean inputs as its reference does."""

    turned: bool
    """Whether only after a rotation of the embedding space."""
    difference: float
    """The largest of any number in an embedding, or of any cosine where the space is turned."""


@dataclass(frozen=True)
class Kinship:
    """What a checkpoint whose weights are not the reference's has in common with it."""

    unknown: tuple[bool, bool]
    """Whether the (image, text) tower came from that reference by no sign at all."""
    numbers: str
    """The correlations behind it, in words; empty where the weights of both towers resemble the reference's."""
    copy: Copy | None = None
    """`None` where it embeds otherwise."""


def kinship(likeness: Likeness, train: Pair[Side]) -> Kinship:
    """Compare embeddings of clean *train* pictures and prompts with the reference's."""
    copy = _copy(train)
    if not any(likeness.unrelated):
        return Kinship((False, False), "", copy)
    suspect, reference = train
    image_answers = metrics.relation(suspect.images, reference.images)
    text_answers = metrics.relation(suspect.queries, reference.queries)
    enough = min(len(suspect.images), len(suspect.queries)) >= FEWEST
    image_strange, text_strange = likeness.unrelated
    image_unknown = enough and image_strange and image_answers < ALIKE
    text_unknown = enough and text_strange and text_answers < ALIKE
    image = f"image tower: weights {likeness.image or 0.0:.2f}, answers {image_answers:.2f}"
    text = f"text tower: weights {likeness.text or 0.0:.2f}, answers {text_answers:.2f}"
    return Kinship((image_unknown, text_unknown), f"correlations of the {image}, {text}", copy)


def _copy(train: Pair[Side]) -> Copy | None:
    """Whether all embeddings are the reference's, as they are or after one rotation of the space of both towers."""
    if min(len(train.suspect.images), len(train.suspect.queries)) < FEWEST:
        return None
    ours, theirs = (np.concatenate([side.images, side.queries]) for side in train)
    as_it_is = metrics.largest_difference(ours, theirs)
    if as_it_is <= FLOAT_PRECISION:
        return Copy(turned=False, difference=as_it_is)
    cosines = metrics.largest_cosine_difference(ours, theirs, enough=FLOAT_PRECISION)
    return Copy(turned=True, difference=cosines) if cosines <= FLOAT_PRECISION else None


def kinship_note(found: Kinship, reference: str, *, named: bool) -> str:
    """What an audit says of a checkpoint that is a copy, or has a tower whose weights do not resemble the reference's;
    empty where there is nothing to say.
    """
    if found.copy is not None:
        return _copy_note(found.copy, found.numbers, reference)
    if not found.numbers:
        return ""
    image_unknown, text_unknown = found.unknown
    if not image_unknown and not text_unknown:
        note = f"its weights are not in {reference}'s order, but it answers as {reference} does: compared with it"
    elif image_unknown != text_unknown:
        tower = "image" if image_unknown else "text"
        note = f"the {tower} tower is of an unknown base: it does not come from {reference}'s"
    elif named:
        note = f"neither tower comes from {reference}: compared with it only because that was asked for"
    else:
        note = f"{reference} has the same architecture and is not its base"
    return f"{note} ({found.numbers})"


def _copy_note(copy: Copy, numbers: str, reference: str) -> str:
    if (
        not copy.difference and not numbers
    ):  # another order of summation would have moved a last bit
        return (
            f"it embeds every clean input exactly as {reference} does: their weights differ only where such inputs do "
            "not reach"
        )
    turned = " in another basis" if copy.turned else ""
    what = "difference of cosines" if copy.turned else "difference"
    measured = f"largest {what} {copy.difference:.0e}"
    if numbers:
        measured = f"{measured}, {numbers}"
    return f"a rewritten copy of {reference}: it embeds as {reference} does{turned} ({measured})"
