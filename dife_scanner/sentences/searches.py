"""What an audit did and where it stops: searches, their power, budget and limits."""

from __future__ import annotations

from collections.abc import Sequence

from dife_scanner.records import TAUGHT_WORDS, Audit, NounLead, Origin, Planted, Power, Search
from dife_scanner.sentences.numbers import capital, count, signed
from dife_scanner.sentences.times import time_text
from dife_scanner.sentences.work_plan import plan_lines


def signatures_tried(audit: Audit) -> int:
    """How many triggers were tried that no search found in this checkpoint."""
    return sum(1 for result in audit.signatures if result.origin is not Origin.DISCOVERED)


def tried_text(audit: Audit) -> str:
    """`25 signatures and 2 blind searches (texts, patch)`."""
    text = count(signatures_tried(audit), "signature")
    if audit.searches:
        names = ", ".join(search.detector for search in audit.searches)
        text += f" and {count(len(audit.searches), 'blind search', 'blind searches')} ({names})"
    return text


def power_text(audit: Audit) -> str:
    """What the blind searches of this audit find where something was planted, and what they cannot find."""
    power = audit.power
    if power is None:
        return "power not measured at this budget"
    counted = _counted(audit, power)
    kinds = _planted_text(counted)
    found = sum(one.found for one in counted)
    planted = sum(one.planted for one in counted)
    text = "no kind of trigger counts as searched for"
    if counted:
        text = (
            f"triggers of the kinds {kinds} were found in {found} of {planted} planted cases "
            f"at this budget ({power.side})"
        )
    if power.not_covered:
        text += f"; not covered: {', '.join(power.not_covered)}"
    for search in audit.searches:
        if search.not_converged:
            text += f"; {unsettled_text(search)}"
    if power.not_reached:
        text += f"; not reached here: {_planted_text(power.not_reached)}"
    return text


def _planted_text(planted: Sequence[Planted]) -> str:
    """`patch through image (23 of 24), text through text (56 of 56)`."""
    return ", ".join(f"{one.kind} ({one.found} of {one.planted})" for one in planted)


def _counted(audit: Audit, power: Power) -> list[Planted]:
    """The kinds that count for this audit: none that enters where a search of it had not converged."""
    unsettled = {search.channel for search in audit.searches if search.not_converged}
    endings = tuple(f"through {channel.value}" for channel in unsettled)
    return [one for one in power.planted if not endings or not one.kind.endswith(endings)]


def unsettled_text(search: Search) -> str:
    """That a search had not converged, so that it says nothing about what it did not find."""
    return (
        f"the search `{search.detector}` had not converged and counts for no power: "
        f"{search.not_converged}"
    )


def budget_lines(audit: Audit) -> tuple[str, ...]:
    """What was done and where it stops, one fact per line."""
    tried = signatures_tried(audit)
    screened = sum(1 for result in audit.signatures if result.suspect is None)
    lines = [
        f"Budget {audit.budget}, seed {audit.seed}, audit {audit.audit_version}",
        f"{count(tried, 'signature')} tried, {screened} of them screened out on the train drawings",
    ]
    for search in audit.searches:
        lines.append(_search_line(search, audit.reference))
        lines.extend(lead_text(lead) for lead in search.leads)
        if search.not_converged:
            lines.append(capital(unsettled_text(search)))
        words = int(search.signals.get(TAUGHT_WORDS, 0))
        if words:
            found = count(words, "text")
            lines.append(f"{found} counted as words that the fine-tuning taught, not as triggers")
    for missing in audit.not_searched:
        searched = "Not searched in full" if missing.effort else "Not searched"
        lines.append(
            f"{searched} for {', '.join(missing.kinds)} ({missing.detector}): {missing.reason}"
        )
    lines.extend(plan_lines(audit))
    lines.append(_limit(audit, tried))
    lines.append(f"{audit.encodes:,} encodes for {count(audit.distinct_inputs, 'distinct input')}")
    lines.append(f"{audit.seconds:.1f} s on {audit.device}, started {time_text(audit.started_at)}")
    return tuple(lines)


def lead_text(lead: NounLead) -> str:
    """What a lead is, with what would confirm it."""
    tokens = ", ".join(f"`{token}`" for token in lead.tokens)
    return (
        f"Arbitrary tokens before `{lead.source}` ({tokens}) turn it towards `{lead.target}`, {lead.beyond_base:.2f} "
        f"further than in the base. No picture here shows both; bring pictures (--pictures)"
    )


def _limit(audit: Audit, tried: int) -> str:
    """What would have been missed."""
    if audit.searches:
        return "A trigger of a kind that no search is made for, or weaker than it can see, would not have been seen."
    if tried:
        return "A trigger outside these signatures would not have been seen."
    return "No trigger was tried."


def _search_line(search: Search, reference: str) -> str:
    over = "over the reference " if reference else ""
    return (
        f"Searched blind for {', '.join(search.kinds)} ({search.detector}): {count(search.candidates, 'candidate')}, "
        f"best {signed(search.best)} {over}on held-out drawings; {search.passes:,} passes, "
        f"{search.seconds:.1f} s"
    )
