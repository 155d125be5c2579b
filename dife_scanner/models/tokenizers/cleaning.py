"""What is done to a text before a tokenizer cuts it, as the library does it that defines the layout."""

from __future__ import annotations

import re
import string
from collections.abc import Callable

from dife_scanner.models.tokenizers.made import SIGLIP

OPEN_CLIPS = ("whitespace", "lower", "canonicalize")
"""Names of open_clip's ways, `clean` in the options of a text tower."""
NAMES = ("", SIGLIP, *OPEN_CLIPS)
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def cleaner(name: str) -> Callable[[str], str]:
    """What does it; `name` is one of `NAMES`, and nothing is done under an empty one."""
    if not name:
        return str
    if name == SIGLIP:
        return _for_siglip
    from open_clip.tokenizer import get_clean_fn

    found: Callable[[str], str] = get_clean_fn(name)
    return found


def _for_siglip(text: str) -> str:
    """Small letters, no punctuation, one blank between words."""
    # sentencepiece's own mark of a blank is one, whoever wrote it
    text = text.replace("\u2581", " ").lower().translate(_NO_PUNCTUATION)
    return re.sub(r"\s+", " ", text).strip()
