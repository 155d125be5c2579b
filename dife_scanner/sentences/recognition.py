"""What a checkpoint recognises of the labelled pictures, in words."""

from __future__ import annotations

from dife_scanner.core.recognition import lacking, recognised
from dife_scanner.records import Audit, Recognition
from dife_scanner.sentences.numbers import number


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
    shares = ", ".join(f"{name} {number(found.classes[name], 2)}" for name in names)
    return f"{text}; not {shares}"
