"""The interface cards: how a deployment asks the model, and when an attack condition can enter at all (paper §2-3)."""

from __future__ import annotations

from dataclasses import dataclass

from dife_scanner.records import Absence, Carrier, Channel, Skipped

IMAGE_EMBEDDING = "image embedding"
SCORE = "image-text score"


@dataclass(frozen=True)
class Card:
    """One interface: semantic half (readout, channels, event) and measurement half (population, reference, metric)."""

    interface: str
    readout: str
    channels: frozenset[Channel]
    target_event: str
    population: str
    reference: str
    metric: str
    category: str
    """Reason category when no trigger channel fits."""


ZERO_SHOT = Card(
    "zero-shot classification",
    SCORE,
    frozenset({Channel.IMAGE, Channel.PROMPT, Channel.BOTH}),
    "the target class wins",
    "labelled test images × clean class prompts",
    "the clean checkpoint on the same triggered images",
    "TS",
    "no visual trigger channel",
)
PROMPTED = Card(
    "prompted classification",
    SCORE,
    frozenset({Channel.TEXT, Channel.PROMPT, Channel.BOTH}),
    "the triggered source text wins on target-class images",
    "target-class test images × class prompts with the source's replaced",
    "the clean checkpoint on the same triggered prompts",
    "QHR",
    "no text or prompt channel",
)
TARGETED_RETRIEVAL = Card(
    "targeted retrieval",
    SCORE,
    frozenset({Channel.TEXT, Channel.BOTH}),
    "an image of the target is returned",
    "one target drawing at a time in a fixed pool of all non-target test images × source queries",
    "the clean query on the same pool",
    "H@1",
    "no attack-conditioned query",
)
TEXT_RERANKING = Card(
    "text reranking",
    SCORE,
    frozenset({Channel.TEXT, Channel.BOTH}),
    "the target candidate rises to the top",
    "fixed lists of ten images with one target × source queries",
    "the clean query on the same list",
    "ΔH@1",
    "no attack-conditioned query",
)
DOWNSTREAM = Card(
    "downstream classification",
    IMAGE_EMBEDDING,
    frozenset({Channel.IMAGE, Channel.BOTH}),
    "a classifier on frozen features predicts the target",
    "labelled test images; classifier trained on clean features of the same checkpoint",
    "the clean checkpoint with its own classifier on the same triggered images",
    "TS",
    "no visual trigger channel",
)

CARDS: tuple[Card, ...] = (ZERO_SHOT, PROMPTED, TARGETED_RETRIEVAL, TEXT_RERANKING, DOWNSTREAM)


def admits(card: Card, channel: Channel) -> bool:
    """Whether a trigger of this channel can enter the interface's input."""
    return channel in card.channels


def runs(card: Card, carrier: Carrier) -> bool:
    """Whether the interface consumes the component that carries the exposure."""
    if carrier in (Carrier.VISUAL, Carrier.REDUNDANT):
        return True
    return carrier is Carrier.TEXTUAL and card.readout == SCORE


def not_evaluable(card: Card, channel: Channel) -> Skipped | None:
    """The N.E. record for this card and channel, or `None` when the question is well formed (paper §2)."""
    if admits(card, channel):
        return None
    accepted = " or ".join(sorted(c.value for c in card.channels))
    return Skipped(
        card.interface,
        Absence.NOT_EVALUABLE,
        card.category,
        f"{card.interface} takes a trigger through {accepted}; this one enters through {channel.value}",
    )
