"""What a base that is not here, or not pinned, is worth saying."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dife_scanner.records import Reference, Trust, Verdict
from dife_scanner.sentences import bases

FETCHED = Reference(
    "clip", "/c", "i", "t", "w", "V", "2026-12-02", repository="org/clip", fetched=True,
    trust=Trust.FIRST_USE, trusted_at="2026-12-01T10:00:00",
)  # fmt: skip


@pytest.mark.parametrize("verdict", list(Verdict))
def test_only_verdicts_that_rest_on_an_unpinned_base_say_so(verdict: Verdict) -> None:
    said = bases.unpinned(verdict, FETCHED)
    assert bool(said) == (verdict in (Verdict.IDENTICAL, Verdict.INHERITED))
    assert not said or ("2026-12-01" in said and "`dife reference pin clip`" in said)
    for trust in (Trust.PINNED, Trust.PERSON, Trust.BUNDLED):
        assert bases.unpinned(verdict, replace(FETCHED, trust=trust)) == ""
    assert bases.unpinned(verdict, None) == ""


def test_a_strangers_name_of_a_base_is_shown_escaped() -> None:
    assert "\x1b" not in bases.lacking("org/\x1b[31mbase", "its card", 605_000_000)
    assert "605" in bases.question("org/base", "its card", 605_000_000)
