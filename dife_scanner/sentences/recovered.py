"""What a found trigger is in words: where it leads, whom it moves, and what it withstands."""

from __future__ import annotations

from dife_scanner.core.checks import CLASS_MOVED
from dife_scanner.records import (
    Audit,
    Channel,
    Hypothesis,
    NearestConcept,
    NounShare,
    Recovered,
    Trigger,
)

_CHANGE_WORDS = {
    "shift": "shifted by less than a patch",
    "crop": "cropped",
    "jpeg": "compressed as JPEG",
}
_SHOWN_CLASSES = 4


def recovered_lines(audit: Audit) -> tuple[str, ...]:
    """Where the trigger leads, whom it moves and what it withstands, one fact per line; none where it is not known."""
    trigger, found = audit.trigger, audit.recovered
    if trigger is None or found is None:
        return ()
    lines = [_leads_to(trigger, found), _whom(trigger, found)]
    if found.nouns is not None:
        lines.append(_over_nouns(found.nouns, found.target))
    if found.withstands:
        lines.append(_withstands(found.withstands))
    if found.elsewhere:
        lines.append(_elsewhere(found.elsewhere))
    return tuple(lines)


def candidate_lines(audit: Audit) -> tuple[str, ...]:
    """What each discovered trigger leads to, and what it does in clean references besides the base, one line each."""
    lines = []
    for result in audit.signatures:
        facts = _candidate(result)
        if facts:
            lines.append(f"{result.trigger.name} {'; '.join(facts)}")
    return tuple(lines)


def _candidate(result: Hypothesis) -> list[str]:
    facts = []
    if result.leads_to is not None:
        facts.append(f"leads to {_near(result.leads_to)}")
    for one in result.near:
        facts.append(
            f"in {one.reference}, a clean checkpoint near this one: {one.success:.2f} ({one.lift:+.2f} over the base)"
        )
    reverse = result.exchanged
    if reverse is not None:
        least = f"a lower bound of {reverse.low:.2f}" if reverse.base else "nothing of the kind"
        facts.append(f"in the reverse search, the strongest trigger found in the base has {least}")
    return facts


def specificity(trigger: Trigger, found: Recovered) -> str:
    """`source-conditional`: its source alone is moved; `global`: every class is; otherwise how many are moved."""
    moved = [name for name, lift in found.sources.items() if lift >= CLASS_MOVED]
    if len(moved) == len(found.sources):
        return "global"
    if trigger.source and moved == [trigger.source]:
        return "source-conditional"
    return f"{len(moved)} of {len(found.sources)} classes moved"


def _leads_to(trigger: Trigger, found: Recovered) -> str:
    near = ", ".join(map(_near, found.nearest))
    first = f"Leads to {near}, of {found.concepts:,} concepts"
    if trigger.channel is Channel.BOTH:
        first += " with the text in them"
    if found.rank <= len(found.nearest):
        return first
    return f"{first}; “{trigger.target}” is number {found.rank:,} ({found.cosine:.2f})"


def _near(near: NearestConcept) -> str:
    return f"{near.concept} {near.cosine:.2f}"


def _whom(trigger: Trigger, found: Recovered) -> str:
    """The classes that are moved most."""
    most = sorted(found.sources.items(), key=lambda pair: -pair[1])
    shown = [f"{name} {lift:+.2f}" for name, lift in most[:_SHOWN_CLASSES]]
    if len(most) > _SHOWN_CLASSES:
        shown.append("…")
    return f"{specificity(trigger, found).capitalize()}: {', '.join(shown)} over the base"


def _over_nouns(over: NounShare, target: str) -> str:
    return (
        f"On nouns that no search read: {over.suspect:.2f} of {len(over.nouns)} become {target}, "
        f"{over.reference:.2f} in the base"
    )


def _withstands(lifts: dict[str, float]) -> str:
    changes = []
    for name, lift in lifts.items():
        change = _CHANGE_WORDS.get(name, f"as {name}")
        changes.append(f"{change} {lift:+.2f}")
    return f"Changed a little: {', '.join(changes)} over the base"


def _elsewhere(shares: dict[str, float]) -> str:
    text = ", ".join(f"{share:.2f} in {name}" for name, share in shares.items())
    return f"Share of cases that the same trigger moves in other clean checkpoints: {text}"
