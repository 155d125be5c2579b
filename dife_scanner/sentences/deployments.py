"""What models are used for, in words: interfaces, what a profile holds, what is wrong with it, what editing it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dife_scanner.core import deployments as rules
from dife_scanner.core.cards import CARDS
from dife_scanner.records import DecisionState, Deployment, DeploymentProfile, OwnData
from dife_scanner.sentences.groups import TITLES
from dife_scanner.sentences.numbers import capital, count
from dife_scanner.sentences.times import time_text

FIELDS = {
    "name": "name",
    "interfaces": "interfaces",
    "classes": "class names",
    "queries": "queries",
    "templates": "templates",
    "k": "K",
    "pictures": "pictures",
    "pool": "pool",
}
"""Of a profile, by their names in the record: as people read them."""
MOST_K = rules.MOST_K
_NAMED = 6
"""Class names or queries that a line names; of more it says how many."""


def interfaces() -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    """Every interface with what it is in a sentence, under the title of its group."""
    for group, title in TITLES.items():
        found = tuple((one.interface, one.summary) for one in CARDS if one.group is group)
        if found:
            yield title, found


def field_problems(profile: DeploymentProfile) -> dict[str, str]:
    """By field, what is wrong with a profile first; the rules are those of `dife deployments`."""
    told: dict[str, str] = {}
    for problem in rules.problems(profile):
        told.setdefault(problem.field, f"{capital(problem.what)}: {problem.advice}.")
    return told


def profile_lines(profile: DeploymentProfile) -> list[str]:
    """What a profile holds, a line for each kind of thing."""
    lines = [
        f"interfaces: {', '.join(profile.interfaces)}",
        _texts("class names", profile.classes),
        _texts("queries", profile.queries),
        _texts("templates", profile.templates) or "templates: those of the audit",
        f"K, how many results of a retrieval are looked at: {profile.k:,}",
        _own("own pictures", profile.pictures),
        _own("own pool", profile.pool),
    ]
    return [line for line in lines if line]


def _texts(what: str, texts: Sequence[str]) -> str:
    if not texts:
        return ""
    named = ", ".join(texts[:_NAMED])
    more = f" and {len(texts) - _NAMED:,} more" if len(texts) > _NAMED else ""
    return f"{what}: {named}{more}"


def _own(what: str, data: OwnData | None) -> str:
    return f"{what}: {data.path}" if data else ""


def version_text(one: Deployment) -> str:
    """`version 2, 2026-12-03 08:20 UTC by ada`."""
    return f"version {one.version}, {time_text(one.at)} by {one.actor}"


def tally_text(counts: Mapping[DecisionState, int], undecided: int) -> str:
    """How checkpoints stand: `2 approved · 1 refused · 40 pending, 39 of them decided about by nobody yet`."""
    pending = counts.get(DecisionState.PENDING, 0) + undecided
    parts = [
        f"{counts.get(DecisionState.APPROVED, 0):,} approved",
        f"{counts.get(DecisionState.REFUSED, 0):,} refused",
        f"{pending:,} pending",
    ]
    if counts.get(DecisionState.CONDITIONS):
        parts.insert(1, f"{counts[DecisionState.CONDITIONS]:,} with conditions")
    text = " · ".join(parts)
    if undecided and undecided < pending:
        text += f", {undecided:,} of them decided about by nobody yet"
    return text


def changed_fields(before: DeploymentProfile, after: DeploymentProfile) -> list[str]:
    """The fields in which two profiles differ, as people read them."""
    return [
        text for field, text in FIELDS.items() if getattr(before, field) != getattr(after, field)
    ]


def edit_text(counts: Mapping[DecisionState, int]) -> str:
    """What keeping another version does to what counts now."""
    parts = []
    for state in (DecisionState.APPROVED, DecisionState.CONDITIONS, DecisionState.REFUSED):
        if counts.get(state):
            parts.append(f"{counts[state]:,} {state}")
    total = sum(number for state, number in counts.items() if state is not DecisionState.PENDING)
    if not total:
        return "Nothing that was decided counts for it now, so nothing becomes pending."
    return (
        f"Keeping this makes {count(total, 'decision')} pending ({', '.join(parts)}): "
        "each was about the profile as it was. Going back to that brings them back."
    )


def overtaken_text(before: Deployment, now: Deployment) -> str:
    """What somebody else kept while a profile was edited."""
    fields = ", ".join(changed_fields(before.profile, now.profile)) or "nothing of what it says"
    return (
        f"{now.actor} kept version {now.version} meanwhile, which changes: {fields}. Nothing is lost: what stands here "
        "is still yours, and theirs stays in the history. Keep it to put yours in its place, or cancel to leave theirs."
    )
