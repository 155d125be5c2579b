"""The interface cards: every way a deployment uses the model that an audit knows (the paper, arXiv 2606.17815, §2-3
and its appendix on extensions).

A card is data. Its semantic half says what the decision consumes, how a trigger enters and what counts as success; its
measurement half says on what, against what and in which unit. `core.validity` decides from it, an audit measures it and
`dife cards` prints it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dife_scanner.errors import UsageError
from dife_scanner.records import Category, Channel


class Group(StrEnum):
    """Where a card comes from."""

    NATIVE = "native"
    EXTENSION = "extension"
    READOUT = "readout"
    OWN = "own"


class Readout(StrEnum):
    """Which output of CLIP the decision consumes."""

    IMAGE = "image embedding"
    TEXT = "text embedding"
    SCORE = "image-text score"


@dataclass(frozen=True)
class Card:
    """One interface: semantic half (readout to target event) and measurement half (population to metric)."""

    interface: str
    group: Group
    readout: Readout
    channels: frozenset[Channel]
    """Through which a trigger can enter the interface's input; `PROMPT`: it has a place for a prompt mechanism."""
    conditioned_query: bool
    """Whether its question is a text query that the attacker must have touched."""
    needs_source: bool
    """Whether it measures one source concept (for a text trigger) and so needs the condition to name it."""
    target_event: str
    population: str
    reference: str
    metric: str
    category: Category
    """Reason category when no channel of the condition is on the card."""
    summary: str
    """The interface in one sentence, for people who have not read the paper."""
    selects: bool = False
    """Whether it chooses one candidate of a group: then a checkpoint without a text trigger has a selector control."""


_IMAGE = frozenset({Channel.IMAGE})
_TEXT = frozenset({Channel.TEXT})
_PROMPT = frozenset({Channel.PROMPT})
_CLEAN_CHECKPOINT = "the clean checkpoint on the same triggered inputs"
_CLEAN_QUERY = "the clean query on the same pool, same checkpoint"
_CLEAN_SELECTOR = "the clean checkpoint with the clean query on the same groups"

ZERO_SHOT = Card(
    "zero-shot classification",
    Group.NATIVE,
    Readout.SCORE,
    _IMAGE | _TEXT,
    conditioned_query=False,
    needs_source=False,
    target_event="the target class wins",
    population="labelled test images × class prompts",
    reference=_CLEAN_CHECKPOINT,
    metric="TS",
    category=Category.NO_CHANNEL,
    summary="A picture goes to the class whose prompt lies nearest; the trigger is on the picture or in the prompts.",
)
PROMPTED = Card(
    "prompted classification",
    Group.NATIVE,
    Readout.SCORE,
    _TEXT | _PROMPT,
    conditioned_query=False,
    needs_source=True,
    target_event="the triggered source text wins on target-class images",
    population="target-class test images × class prompts with the source's replaced",
    reference=_CLEAN_CHECKPOINT,
    metric="QHR",
    category=Category.NO_PROMPT,
    summary="Prompts come written or learned from elsewhere: does the triggered source prompt take target pictures?",
)
TARGETED_RETRIEVAL = Card(
    "targeted retrieval",
    Group.NATIVE,
    Readout.SCORE,
    _TEXT,
    conditioned_query=True,
    needs_source=True,
    target_event="an image of the target is returned",
    population="a fixed image pool with a set of targets × source queries",
    reference=_CLEAN_QUERY,
    metric="H@1",
    category=Category.NO_QUERY,
    summary="A text query ranks a pool of pictures: does a triggered source query return a target picture?",
)
IMAGE_TEXT_RETRIEVAL = Card(
    "image-text retrieval",
    Group.NATIVE,
    Readout.SCORE,
    _IMAGE | _TEXT,
    conditioned_query=False,
    needs_source=False,
    target_event="the target concept is promoted",
    population="a fixed captioned pool, queried from the side on which the trigger enters",
    reference="the clean query, picture or text, on the same pool, same checkpoint",
    metric="H@1",
    category=Category.NO_CHANNEL,
    summary="Pictures ask for captions, texts for pictures: does the triggered question bring up the target concept?",
)
TEXT_RERANKING = Card(
    "text reranking",
    Group.NATIVE,
    Readout.SCORE,
    _TEXT,
    conditioned_query=True,
    needs_source=True,
    target_event="the target candidate rises in a fixed list",
    population="fixed lists of ten images with one target × source queries",
    reference="the clean query on the same list, same checkpoint",
    metric="ΔH@1",
    category=Category.NO_QUERY,
    summary="A short list is put in order by a text: does the triggered text lift the target candidate to the top?",
)
DOWNSTREAM = Card(
    "downstream classification",
    Group.NATIVE,
    Readout.IMAGE,
    _IMAGE,
    conditioned_query=False,
    needs_source=False,
    target_event="a classifier on frozen features predicts the target",
    population="labelled test images; classifier trained on clean features of the same checkpoint",
    reference="the clean checkpoint with its own classifier on the same triggered images",
    metric="TS",
    category=Category.NO_VISUAL,
    summary="A linear classifier is trained on the image encoder's features: does a triggered picture fool it?",
)
CANDIDATE_SELECTION = Card(
    "candidate selection",
    Group.NATIVE,
    Readout.SCORE,
    _TEXT,
    conditioned_query=True,
    needs_source=True,
    target_event="the target candidate is selected",
    population="fixed candidate groups × source queries",
    reference=_CLEAN_SELECTOR,
    metric="ΔSel@1",
    category=Category.NO_QUERY,
    summary="One candidate of a fixed group is chosen by its score with a text: is it the target's?",
    selects=True,
)
CAPTION_RETRIEVAL = Card(
    "caption retrieval",
    Group.EXTENSION,
    Readout.SCORE,
    _TEXT,
    conditioned_query=True,
    needs_source=True,
    target_event="an image whose caption names the target is returned",
    population="natural pictures ranked; captions of the source concept ask and decide who is source and target",
    reference=_CLEAN_QUERY,
    metric="ΔH@1",
    category=Category.NO_QUERY,
    summary="Natural captions ask a pool of natural pictures; the trigger stands in a caption of the source concept.",
)
CAPTION_RERANKING = Card(
    "caption reranking",
    Group.EXTENSION,
    Readout.SCORE,
    _TEXT,
    conditioned_query=True,
    needs_source=True,
    target_event="the target candidate rises in a fixed list",
    population="fixed lists of ten natural pictures with exactly one target × captions of the source concept",
    reference="the clean caption on the same list, same checkpoint",
    metric="ΔH@1",
    category=Category.NO_QUERY,
    summary="Text reranking with natural pictures and captions.",
)
PROXY_SELECTION = Card(
    "proxy selection",
    Group.EXTENSION,
    Readout.SCORE,
    _TEXT,
    conditioned_query=True,
    needs_source=True,
    target_event="a target candidate is selected",
    population="groups of ten pictures with two targets × source queries; no generator",
    reference=_CLEAN_SELECTOR,
    metric="ΔSel@1",
    category=Category.NO_QUERY,
    summary="CLIP picks the best of ten existing pictures for a prompt, standing in for a generator's samples.",
    selects=True,
)
GENERATOR_SELECTION = Card(
    "generator selection",
    Group.EXTENSION,
    Readout.SCORE,
    _TEXT,
    conditioned_query=True,
    needs_source=True,
    target_event="the target candidate is selected",
    population="groups of six pictures made beforehand by a clean generator, one target each × source queries",
    reference=_CLEAN_SELECTOR,
    metric="ΔSel@1",
    category=Category.NO_QUERY,
    summary="CLIP picks the best of six generated pictures for a prompt.",
    selects=True,
)
PROMPT_EMBEDDINGS = Card(
    "prompt embeddings",
    Group.READOUT,
    Readout.TEXT,
    _TEXT,
    conditioned_query=False,
    needs_source=True,
    target_event="the triggered source prompt lies nearer to the target's clean prompt than to its own",
    population="class prompts of the source, one per template",
    reference=_CLEAN_CHECKPOINT,
    metric="nearer to target",
    category=Category.NO_PROMPT,
    summary="Class prompts used as embeddings: does the trigger move the source's prompt to the target's?",
)
QUERY_EMBEDDINGS = Card(
    "query embeddings",
    Group.READOUT,
    Readout.TEXT,
    _TEXT,
    conditioned_query=True,
    needs_source=True,
    target_event="the triggered source query lies nearer to a clean target query than to itself untriggered",
    population="queries of the source, one per template or caption",
    reference=_CLEAN_CHECKPOINT,
    metric="nearer to target",
    category=Category.NO_QUERY,
    summary="Search queries used as embeddings: does the trigger move a source query to where target queries are?",
)
TARGET_PROMOTION = Card(
    "target promotion",
    Group.OWN,
    Readout.SCORE,
    _TEXT,
    conditioned_query=True,
    needs_source=True,
    target_event="the target concept is promoted",
    population="one picture per class × source queries",
    reference=_CLEAN_QUERY,
    metric="ΔH@1",
    category=Category.NO_QUERY,
    summary="Reported in the paper, not defined; read here as image-text retrieval with a text trigger over classes.",
)
PLANTED_IMAGE = Card(
    "planted-image retrieval",
    Group.OWN,
    Readout.SCORE,
    _IMAGE,
    conditioned_query=False,
    needs_source=False,
    target_event="a triggered image that is not of the target is returned for a clean target query",
    population="a fixed image pool in which one picture at a time carries the trigger × target queries",
    reference="the same picture without the trigger in the same pool, same checkpoint",
    metric="H@1",
    category=Category.NO_VISUAL,
    summary="An attacker plants one triggered picture in a corpus: does an innocent search for the target return it?",
)

CARDS: tuple[Card, ...] = (
    ZERO_SHOT,
    PROMPTED,
    TARGETED_RETRIEVAL,
    IMAGE_TEXT_RETRIEVAL,
    TEXT_RERANKING,
    DOWNSTREAM,
    CANDIDATE_SELECTION,
    CAPTION_RETRIEVAL,
    CAPTION_RERANKING,
    PROXY_SELECTION,
    GENERATOR_SELECTION,
    PROMPT_EMBEDDINGS,
    QUERY_EMBEDDINGS,
    TARGET_PROMOTION,
    PLANTED_IMAGE,
)


def by_name(name: str) -> Card:
    """The card of that interface name. `UsageError` names those that exist."""
    for card in CARDS:
        if card.interface == name:
            return card
    known = ", ".join(card.interface for card in CARDS)
    raise UsageError(f"there is no interface card `{name}`", f"use one of: {known}")
