"""A checkpoint's base in words: which it is, that it is not here, and how far it is trusted."""

from __future__ import annotations

from collections.abc import Sequence

from dife_scanner.plain import plain
from dife_scanner.records import Reference, Trust, TrustRecord, Verdict
from dife_scanner.sentences.numbers import bytes_text

_LONGEST = 120


def question(base: str, by: str, size: int) -> str:
    """What a person is asked before a base is fetched."""
    return f"Its base is {plain(base, _LONGEST)}, going by {by}. Fetch it{_size(size)}?"


def lacking(base: str, by: str, size: int) -> str:
    """That a base is known and not here, with the command that fetches it."""
    name = plain(base, _LONGEST)
    return f"its base {name}, going by {by}, is not here: `dife reference add {name}` fetches it{_size(size)}"


def fetched(base: str, by: str) -> str:
    """That a base was fetched for this checkpoint."""
    return f"its base {plain(base, _LONGEST)}, going by {by}, was fetched for it"


def other_base(used: str, named: str) -> str:
    """That somebody had an adapter put onto another base than its own configuration names."""
    return f"put onto {plain(used, _LONGEST)}, as asked for, though it is an adapter of {named}"


def guess(base: str) -> str:
    """Which base most checkpoints of this architecture are made from."""
    name = plain(base, _LONGEST)
    return f"nothing names its base; most of its architecture are made from {name} (`dife reference add {name}`)"


def not_looked_for(why: str) -> str:
    """Why nobody could look which base it is."""
    return f"which base it was made from could not be looked up: {why}"


def unpinned(verdict: Verdict, reference: Reference | None) -> str:
    """What a verdict that rests on a base owes to one that nobody pinned; empty for every other verdict and base."""
    if verdict not in (Verdict.IDENTICAL, Verdict.INHERITED) or reference is None:
        return ""
    if reference.trust is not Trust.FIRST_USE:
        return ""
    return (
        f"{reference.name} is not pinned: it is what {reference.repository} held at its first fetch on "
        f"{reference.trusted_at[:10]}, taken for the base since (`dife reference pin {reference.name}`)"
    )


def changed(repository: str, revision: str, what: str) -> str:
    """What the repository of a clean base holds in place of what is trusted."""
    return f"{plain(repository, _LONGEST)} at commit {plain(revision[:12])}: {plain(what, 200)}"


def trusted_since(record: TrustRecord) -> str:
    """Since when, and how far, what it held before is trusted."""
    text = f"it is not the base that was trusted since {record.first_at[:10] or 'it was pinned'}"
    facts = []
    if record.revision:
        facts.append(f"commit {record.revision[:12]}")
    if record.first_at and record.pinned_at:
        facts.append(f"pinned on {record.pinned_at[:10]}")
    return f"{text} ({', '.join(facts)})" if facts else text


def advice_on_change(repository: str, names: Sequence[str]) -> str:
    """What to do about it; `names`: what the references fetched from there are called."""
    name = plain(repository, _LONGEST)
    again = f"dife reference verify {names[0]}" if names else f"dife reference add {name}"
    return (
        f"find out why; `{again}` looks again, "
        f"`dife reference pin {name} --revision COMMIT` settles which one is right"
    )


def _size(size: int) -> str:
    return f" ({bytes_text(size)})" if size else ""
