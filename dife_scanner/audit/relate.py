"""How a checkpoint relates to its reference: the same towers, a fine-tune of it, or a stranger.

Weights can be written in another order or in another basis without a change of any embedding. Whoever hides a trigger
could do so to have the checkpoint compared with nothing. So before a base is called unknown, the embeddings are
compared as well as the weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dife_scanner.audit import prompt_learner
from dife_scanner.audit.cache import CachedEncoder, Memory
from dife_scanner.audit.prompt_learner import AccompanyingLearner
from dife_scanner.audit.request import Request
from dife_scanner.audit.sides import Pair, Side
from dife_scanner.audit.stages import Splits, check_varied
from dife_scanner.core import metrics
from dife_scanner.models.interface import Encoder
from dife_scanner.models.likeness import Likeness
from dife_scanner.records import Reference, SettingsOf

ALIKE = 0.9
"""`metrics.relation` from which a tower answers as the reference's does. On the bundled bases, the lab's attacks and
benign fine-tunes leave .92 and more to one tower at least; an untrained model of the same architecture has .6 at most,
and the residual network that taught the ViT .7 on pictures. Low answers decide nothing where weights are a copy's."""
FEWEST = 5
"""Pictures and prompts below which answers say nothing: then the audit goes on against the reference."""


@dataclass(frozen=True)
class Relation:
    """What a checkpoint is to the references that are known here."""

    request: Request
    """Without its reference where neither tower comes from it and nobody named it, and with a note on what was seen."""
    unknown: tuple[bool, bool]
    """Whether the (image, text) tower comes from no reference."""
    twin: Reference | None
    """The known base both of whose towers and all of whose settings the checkpoint has."""
    learner: AccompanyingLearner
    """The prompt learner that came along."""


def relate(
    suspect: Encoder, reference: Encoder | None, request: Request, memory: Memory
) -> Relation:
    """Compare the checkpoint with its reference, and find what else is known of it."""
    request, unknown = _without_a_strange_reference(suspect, reference, request, memory)
    twin = None
    if request.settings is SettingsOf.SUSPECT and not request.deviations:
        twin = next((known for known in request.known if _same_towers(suspect, known)), None)
    return Relation(
        request, unknown, twin, prompt_learner.find(request.folder, suspect, request.unread)
    )


def _without_a_strange_reference(
    suspect: Encoder, reference: Encoder | None, request: Request, memory: Memory
) -> tuple[Request, tuple[bool, bool]]:
    if reference is None or request.reference is None or not any(request.likeness.unrelated):
        return request, (False, False)
    splits = Splits(
        CachedEncoder(suspect, memory), CachedEncoder(reference, memory), request.plan.probes()
    )
    check_varied(splits.train.suspect, str(request.ref))
    check_varied(splits.train.reference, "its reference")
    found = kinship(request.likeness, splits.train)
    note = kinship_note(found, request.reference.name, named=request.named)
    request = replace(request, notes=tuple(dict.fromkeys((*request.notes, note))))
    if all(found.unknown) and not request.named:
        request = replace(request, reference=None, turned_down=request.reference)
    return request, found.unknown


def _same_towers(encoder: Encoder, known: Reference) -> bool:
    return encoder.image_tower == known.image_tower and encoder.text_tower == known.text_tower


# --- weights of a stranger ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kinship:
    """What a checkpoint whose weights are a stranger's has in common with its reference."""

    unknown: tuple[bool, bool]
    """Whether the (image, text) tower came from that reference by no sign at all."""
    numbers: str
    """The correlations behind it, in words; empty where the weights of both towers resemble the reference's."""


def kinship(likeness: Likeness, train: Pair[Side]) -> Kinship:
    """Compare embeddings of clean *train* pictures and prompts where the weights do not resemble the reference's."""
    if not any(likeness.unrelated):
        return Kinship((False, False), "")
    suspect, reference = train
    image_answers = metrics.relation(suspect.images, reference.images)
    text_answers = metrics.relation(suspect.queries, reference.queries)
    enough = min(len(suspect.images), len(suspect.queries)) >= FEWEST
    image_strange, text_strange = likeness.unrelated
    image_unknown = enough and image_strange and image_answers < ALIKE
    text_unknown = enough and text_strange and text_answers < ALIKE
    image = f"image tower: weights {likeness.image or 0.0:.2f}, answers {image_answers:.2f}"
    text = f"text tower: weights {likeness.text or 0.0:.2f}, answers {text_answers:.2f}"
    return Kinship((image_unknown, text_unknown), f"correlations of the {image}, {text}")


def kinship_note(found: Kinship, reference: str, *, named: bool) -> str:
    """What an audit says of a checkpoint with a tower whose weights do not resemble the reference's."""
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
