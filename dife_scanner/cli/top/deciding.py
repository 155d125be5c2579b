"""A decision on its way: what still has to be asked before it can be kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dife_scanner.errors import UsageError
from dife_scanner.records import TriageState
from dife_scanner.sentences.triage import counts_text, findings_text, state_words
from dife_scanner.store.triage import NEEDS_NOTE, SET_BY_HAND, TAKES_DAY


@dataclass
class Decision:
    """What somebody wants, as far as they said; `None` for what was not asked yet."""

    about: Mapping[str, int]
    state: TriageState | None = None
    wants_note: bool = False
    note: str | None = None
    until: str | None = None
    agreed: bool = False

    @property
    def lacks_note(self) -> bool:
        needed = self.state in NEEDS_NOTE or self.wants_note
        return needed and self.note is None

    @property
    def lacks_until(self) -> bool:
        return self.state in TAKES_DAY and self.until is None

    @property
    def lacks_agreement(self) -> bool:
        return len(self.about) > 1 and not self.agreed


def state_of(word: str) -> TriageState:
    """The state that a word begins. Raises `UsageError` for none, and for several."""
    named = sorted(one for one in SET_BY_HAND if one.value.startswith(word.lower()))
    if word and len(named) == 1:
        return named[0]
    raise UsageError(f"`{word}` names no state alone", STATES)


STATES = "one of: " + ", ".join(sorted(one.value for one in SET_BY_HAND))

DAY_ASKED = {
    TriageState.ACCEPTED_RISK: "Until (90d, 2027-01-31; empty: for good)",
    TriageState.DISPUTED: "Answer due by (30d, 2027-01-31; empty: no such day)",
}


def question_of(decision: Decision, counts: Mapping[TriageState, int]) -> str:
    """Asked once before many findings are decided about."""
    assert decision.state is not None
    many = f"{findings_text(len(decision.about))} ({counts_text(counts)})"
    return f"Set {many} to {state_words(decision.state)}? y/n"
