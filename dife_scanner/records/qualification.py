"""What a base recognises of the wide probe set."""

from __future__ import annotations

from dataclasses import dataclass

from dife_scanner.records.measures import Recognition


@dataclass(frozen=True)
class Qualification:
    """Which concepts and styles a base recognises, measured once for these towers on these pictures."""

    image_tower: str
    """It covers preprocessing, as `text_tower` covers tokenizer and context."""
    text_tower: str
    probes: str
    """Digest of the pictures."""
    version: str
    """Of the way it is measured."""
    recognition: Recognition
    """Share of the pictures of each concept, and of each style, that are taken for their concept among all."""
    pictures: int
    texts: int
    seconds: float
