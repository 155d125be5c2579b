"""Text made fit for the place where it is shown."""

from __future__ import annotations

import html

from dife_scanner.errors import DifeError
from dife_scanner.reports import plain


def explained(error: DifeError) -> str:
    """What happened and what to do, as sentences."""
    parts = (part.strip().rstrip(".") for part in (error.what, error.advice))
    return " ".join(f"{part[:1].upper()}{part[1:]}." for part in parts if part)


def tooltip(text: str) -> str:
    """A tooltip becomes rich text as soon as it looks like it: escape it, and let it wrap."""
    return f"<p>{html.escape(plain(text, limit=2000))}</p>"
