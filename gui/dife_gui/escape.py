"""Text for the places where Qt guesses at markup."""

from __future__ import annotations

import html

from dife_scanner.reports import plain


def tooltip(text: str) -> str:
    """A tooltip becomes rich text as soon as it looks like it: escape it, and let it wrap."""
    return f"<p>{html.escape(plain(text, limit=2000))}</p>"
