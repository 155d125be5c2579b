"""What other scanners said of the same files, in words, and where they contradict us."""

from __future__ import annotations

from collections.abc import Sequence

from dife_scanner.records import Opinion, OpinionVerdict

_WORDS = {
    OpinionVerdict.CLEAN: "clean by its rules",
    OpinionVerdict.SUSPICIOUS: "suspicious",
    OpinionVerdict.MALICIOUS: "malicious",
    OpinionVerdict.NOT_RUN: "no opinion",
}
_AGAINST_REFUSAL = (OpinionVerdict.CLEAN,)
_AGAINST_READING = (OpinionVerdict.MALICIOUS, OpinionVerdict.SUSPICIOUS)


def opinion_lines(opinions: Sequence[Opinion], *, refused: bool) -> list[str]:
    """One line for each scanner, then one on where they disagree with us; `refused` is what we made of the files."""
    lines = [_line(opinion) for opinion in opinions]
    disagreement = disagreement_text(opinions, refused=refused)
    if disagreement:
        lines.append(disagreement)
    return lines


def _line(opinion: Opinion) -> str:
    name = f"{opinion.tool} {opinion.version}".rstrip()
    said = "; ".join([part for part in (opinion.why_not, *opinion.details) if part])
    text = f"{name}: {_WORDS[opinion.verdict]}"
    return f"{text} ({said})" if said else text


def disagreement_text(opinions: Sequence[Opinion], *, refused: bool) -> str:
    """Who contradicts us on whether the files try something; empty where nobody does."""
    against = _AGAINST_REFUSAL if refused else _AGAINST_READING
    parts = [
        f"{opinion.tool} says {_WORDS[opinion.verdict]}"
        for opinion in opinions
        if opinion.verdict in against
    ]
    if not parts:
        return ""
    ours = "We refused these files" if refused else "We found nothing hostile in these files"
    return f"{ours}, and {', '.join(parts)}: look at both reasons. Neither changes what the other says."
