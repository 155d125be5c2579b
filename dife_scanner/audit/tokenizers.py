"""What a checkpoint's tokenizer does otherwise than its base's, and what it makes of a trigger's text."""

from __future__ import annotations

from dataclasses import replace

from dife_scanner.audit.examine import Examined
from dife_scanner.audit.faults import Gaps
from dife_scanner.audit.request import Request
from dife_scanner.models.interface import Encoder
from dife_scanner.models.tokenizers import (
    Tokenizer,
    clips_own,
    differences,
    of_one_family,
    same_tokens,
)
from dife_scanner.records import Token, Tokens, Trigger
from dife_scanner.sentences.tokenizers import difference_note
from dife_scanner.triggers.stamp import write

MOST_TOKENS = 40
"""Of a trigger's text that are kept: a search writes fewer than ten."""
MOST_CHARACTERS = 40
"""Of one token that are kept; a stranger's vocabulary has no limit of its own."""
MOST_OF_TEXT = 400
"""Characters of the text that are kept."""


def with_tokenizers_compared(
    request: Request, suspect: Encoder, reference: Encoder | None
) -> Request:
    """The request with what differs and a note of it.

    Without a base, a tokenizer of CLIP's family is compared with CLIP's own.
    """
    base = request.reference
    name = base.name if base else "CLIP"
    other = reference.tokenizer if base and reference else clips_own()
    ours = suspect.tokenizer
    if same_tokens(ours, other):
        return request
    if base is None and not of_one_family(ours.document, other.document):
        return request
    found = differences(ours.document, other.document)
    note = difference_note(found, name)
    notes = tuple(dict.fromkeys((*request.notes, note)))
    return replace(request, tokenizer_differences=found, notes=notes)


def with_tokens(examined: Examined, tokenizer: Tokenizer) -> Examined:
    """The same, and what the suspect's tokenizer makes of the trigger's text. It decides nothing."""
    trigger = examined.trigger
    if trigger is None:
        return examined
    gaps = Gaps()
    tokens = gaps.attempt(
        "tokens of the trigger", lambda: tokens_of(text_of(trigger), tokenizer), None
    )
    return replace(examined, tokens=tokens, gaps=(*examined.gaps, *gaps.found))


def text_of(trigger: Trigger) -> str:
    """What a trigger writes into a prompt: its text, or its source with characters replaced; empty for any other."""
    if trigger.pairs and trigger.source:
        return write(trigger.source, trigger, trigger.source)
    return trigger.text


def tokens_of(text: str, tokenizer: Tokenizer) -> Tokens | None:
    """The pieces of a text; `None` for an empty one."""
    if not text:
        return None
    ids = tokenizer.encode(text)
    first = []
    for token in ids[:MOST_TOKENS]:
        first.append(Token(token, tokenizer.decode((token,))[:MOST_CHARACTERS]))
    return Tokens(text[:MOST_OF_TEXT], len(ids), tuple(first))
