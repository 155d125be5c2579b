"""Text made fit for the place where it is shown."""

from __future__ import annotations

import html

from dife_scanner.errors import DifeError
from dife_scanner.sentences import plain

MOST_CHARACTERS = 2000
"""Of a tooltip, which cannot be scrolled."""


def explained(error: DifeError) -> str:
    """What happened and what to do, as sentences."""
    sentences: list[str] = []
    for part in (error.what, error.advice):
        words = part.strip().rstrip(".")
        if words:
            sentences.append(f"{words[:1].upper()}{words[1:]}.")
    return " ".join(sentences)


def tooltip(text: str) -> str:
    """`text` as a tooltip that wraps.

    Qt reads a tooltip as markup as soon as it looks like it. So it always gets markup, with a stranger's text escaped.
    """
    return f"<p>{html.escape(plain(text, limit=MOST_CHARACTERS))}</p>"
