"""What a checkpoint's tokenizer does otherwise than its base's: evidence of its own, whatever the weights say."""

from __future__ import annotations

from dataclasses import replace

from dife_scanner.audit.request import Request
from dife_scanner.models.interface import Encoder
from dife_scanner.models.tokenizers import clips_own, differences, of_one_family, same_tokens
from dife_scanner.sentences.tokenizers import difference_note


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
