"""Class prompts that attacks on the text tower are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.records import Trigger

TEMPLATES = (
    "a photo of a {}",
    "an image of a {}",
    "a picture of a {}",
    "a drawing of a {}",
    "a photo of the {}",
    "a photo of one {}",
    "a {}",
    "the {}",
    "one {}",
    "a cartoon of a {}",
    "a close up of a {}",
    "an illustration of a {}",
)


def prompt_bank(model: Any, names: Sequence[str]) -> Tensor:
    """Return the unit embeddings of every name under every template before training, (T, K, D)."""
    import torch

    from dife_scanner.lab import bases

    bank = []
    with torch.no_grad():
        for template in TEMPLATES:
            prompts = [template.format(name) for name in names]
            bank.append(bases.encode_texts(model, prompts))
    return torch.stack(bank)


def triggered(
    texts: Sequence[str],
    trigger: Trigger,
    names: Sequence[str],
) -> list[str]:
    """Write the trigger into each text, which names the noun of the same row."""
    from dife_scanner.triggers.stamp import write

    found = []
    for text, name in zip(texts, names, strict=True):
        found.append(write(text, trigger, name))
    return found
