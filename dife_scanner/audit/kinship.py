"""Whether a checkpoint whose weights resemble no reference's answers as one does all the same.

Weights can be written in another order or in another basis without a change of any embedding. Whoever hides a trigger
could do so to have it compared with nothing; so before a base is called unknown, both are asked.
"""

from __future__ import annotations

from dataclasses import dataclass

from dife_scanner.audit.sides import Pair, Side
from dife_scanner.core import metrics
from dife_scanner.models.likeness import Likeness

ALIKE = 0.9
"""`metrics.relation` from which a tower answers as the reference's does. On the bundled bases, the lab's attacks and
benign fine-tunes leave .92 and more to one tower at least; an untrained model of the same architecture has .6 at most,
and the residual network that taught the ViT .7 on pictures. Low answers decide nothing where weights are a copy's."""


FEWEST = 5
"""Pictures and prompts below which answers say nothing: then the audit goes on against the reference."""


@dataclass(frozen=True)
class Kinship:
    """What a checkpoint whose weights are a stranger's has in common with its reference."""

    unknown: tuple[bool, bool]
    """Whether the (image, text) tower came from that reference by no sign at all."""
    told: str
    """The numbers behind it; empty where the weights of both towers resemble the reference's."""


def kinship(likeness: Likeness, train: Pair[Side]) -> Kinship:
    """Look at the answers to clean *train* pictures and prompts where the weights do not resemble the reference's."""
    if not any(likeness.unrelated):
        return Kinship((False, False), "")
    suspect, reference = train
    answers = (
        metrics.relation(suspect.images, reference.images),
        metrics.relation(suspect.queries, reference.queries),
    )
    enough = min(len(suspect.images), len(suspect.queries)) >= FEWEST
    strange = [enough and away and answer < ALIKE for away, answer in zip(likeness.unrelated, answers, strict=True)]
    told = ", ".join(
        f"{tower} tower: weights {weights or 0.0:.2f}, answers {answer:.2f}"
        for tower, weights, answer in zip(("image", "text"), (likeness.image, likeness.text), answers, strict=True)
    )
    return Kinship((strange[0], strange[1]), f"correlations of the {told}")


def words(found: Kinship, reference: str, *, named: bool) -> str:
    """What is told of a checkpoint with a tower whose weights do not resemble the reference's."""
    strangers = [tower for tower, unknown in zip(("image", "text"), found.unknown, strict=True) if unknown]
    if not strangers:
        said = f"its weights are not in {reference}'s order, but it answers as {reference} does: compared with it"
    elif len(strangers) == 1:
        said = f"the {strangers[0]} tower is of an unknown base: it does not come from {reference}'s"
    elif named:
        said = f"neither tower comes from {reference}: compared with it only because that was asked for"
    else:
        said = f"{reference} has the same architecture and is not its base"
    return f"{said} ({found.told})"
