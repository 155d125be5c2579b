"""What a checkpoint recognises of the labelled pictures, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dife_scanner.core.recognition import lacking, recognised
from dife_scanner.records import Audit, Recognition
from dife_scanner.sentences.numbers import number

MOST_NAMED = 8
"""Classes that a sentence names; of more it says how many."""
WHAT_TO_BRING = (
    "at least two classes named as it was taught them, about 32 of each and in several styles"
)


def shares_words(shares: Mapping[str, float], names: Sequence[str], digits: int) -> str:
    """`frog 0.19, dog 0.48`, `MOST_NAMED` of them at most."""
    words = [f"{name} {number(shares[name], digits)}" for name in names[:MOST_NAMED]]
    if len(names) > MOST_NAMED:
        words.append(f"{len(names) - MOST_NAMED:,} more")
    return ", ".join(words)


def style_words(found: Recognition) -> str:
    """What a claim does not reach where the pictures are not known to be of several styles; else empty."""
    if len(found.styles) > 1:
        return ""
    known = "are all of one style" if found.styles else "come with no word of their styles"
    return f". The pictures {known}: of pictures in other styles nothing is claimed"


def recognition_words(found: Recognition) -> str:
    """`9 of 10 classes and 8 of 9 styles`."""
    words = f"{len(recognised(found.classes))} of {len(found.classes)} classes"
    if found.styles:
        words += f" and {len(recognised(found.styles))} of {len(found.styles)} styles"
    return words


def knowledge_words(found: Recognition) -> str:
    """`412 of 430 concepts, 7 of 8 styles`: what is known of the wide probe set."""
    words = f"{len(recognised(found.classes))} of {len(found.classes)} concepts"
    if found.styles:
        words += f", {len(recognised(found.styles))} of {len(found.styles)} styles"
    return words


def unknown_lines(found: Recognition) -> list[str]:
    """The concepts, and the styles, that are not known, the least known first; a line of each that there are any of."""
    lines = []
    for what, shares in (("concepts", found.classes), ("styles", found.styles)):
        names = lacking(shares)
        if names:
            lines.append(f"{what} that it does not know: {', '.join(names)}")
    return lines


def recognition_text(audit: Audit) -> str:
    """What the base recognises, or the checkpoint itself where there is none; which classes it does not."""
    found = audit.recognition
    if found is None:
        return "Which classes are recognised was not recorded."
    who = audit.reference or "the checkpoint"
    text = f"{who} recognises {recognition_words(found)} of the labelled pictures"
    names = lacking(found.classes)
    if not names:
        return text
    shares = shares_words(found.classes, names, 2)
    return f"{text}; not {shares}"
