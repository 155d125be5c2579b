"""What random texts do beside a trigger's text: in how many prompts each leads to the target, the trigger marked."""

from __future__ import annotations

from dife_scanner.figures.columns import Column, Columns
from dife_scanner.plain import plain
from dife_scanner.records import Audit, Hypothesis, TextSpace
from dife_scanner.sentences import checks
from dife_scanner.sentences.numbers import count, p_text

TITLE = "Beside random triggers"
NOT_RECORDED = f"What each random text did: {checks.NOT_RECORDED}."
OWN = "Marked with a triangle: this trigger"


def random_texts(audit: Audit) -> Columns | str:
    """The distribution beside the trigger of an audit; where there is none, why, in one sentence; empty without a
    trigger."""
    if audit.trigger is None:
        return ""
    for result in audit.signatures:
        if result.trigger.name == audit.trigger.name:
            return _beside(result)
    return ""


def sentence(audit: Audit) -> str:
    """The same in words."""
    found = random_texts(audit)
    return found if isinstance(found, str) else found.sentence


def _beside(result: Hypothesis) -> Columns | str:
    space = result.text_space
    if space is None:
        return _why_none(result)
    if not space.by_chance:
        return NOT_RECORDED
    return _drawn(space, plain(result.trigger.target, 60))


def _why_none(result: Hypothesis) -> str:
    if result.space is not None:
        return (
            "No random patterns were measured beside it: what it does is held against the base and the clean pictures, "
            "drawing by drawing."
        )
    return (
        f"No random triggers were measured beside it: its p-value ({p_text(result.p_value)} before Holm's correction)"
        f" comes from exchanging suspect and base drawing by drawing, over {count(result.drawings, 'drawing')}."
    )


def _drawn(space: TextSpace, target: str) -> Columns:
    own = round(space.suspect * space.templates)
    most = max(space.by_chance)
    columns = []
    for reached, texts in enumerate(space.by_chance):
        columns.append(Column(str(reached), f"{texts:,}", texts / most, reached == own))
    return Columns(
        title=TITLE,
        columns=tuple(columns),
        top=f"{most:,}",
        across=f"prompts, of {space.templates}, in which a text leads to {target}",
        upwards=f"random texts of as many tokens, of {space.random_texts:,}",
        mark=OWN,
        sentence=(
            f"This trigger leads to {target} in {own} of {count(space.templates, 'prompt')} in the suspect;"
            f" {space.reached:,} of {count(space.random_texts, 'random text')} of as many tokens do as much"
            f" (p {p_text(space.p_value)}). {_spread(space.by_chance)}"
        ),
    )


def _spread(texts: tuple[int, ...]) -> str:
    """`197 texts reach 0, 3 texts reach 1.`"""
    parts = []
    for reached, how_many in enumerate(texts):
        if how_many:
            parts.append(
                f"{count(how_many, 'text')} {'reaches' if how_many == 1 else 'reach'} {reached}"
            )
    return f"{', '.join(parts)}."
