"""What tables in the terminal have in common: their frame, headings, and text that a stranger may have written."""

from __future__ import annotations

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dife_scanner.plain import plain
from dife_scanner.records import CheckOutcome, EntryType, JobState, Verdict
from dife_scanner.sentences.audits import VERDICT_LABEL

VERDICT_STYLE = {
    Verdict.FLAGGED: "bold red",
    Verdict.INHERITED: "yellow",
    Verdict.IDENTICAL: "cyan",
    Verdict.NOTHING_FOUND: "default",
    Verdict.INCONCLUSIVE: "yellow",
}
STATE_STYLE = {JobState.REFUSED: "bold red", JobState.QUARANTINED: "red", JobState.FAILED: "red"}
ENTRY_STYLE = {
    EntryType.EXPOSED: "bold red",
    EntryType.NEGATIVE: "blue",
    EntryType.N_TOO_SMALL: "yellow",
}
CHECK_STYLE = {
    CheckOutcome.FAILED: "bold yellow",
    CheckOutcome.NOT_RUN: "yellow",
    CheckOutcome.NOT_APPLICABLE: "dim",
}
"""Red is for what is flagged: a check that failed speaks against a trigger, not against the checkpoint."""


def columns(*titles: str | Text) -> Table:
    """An empty table without lines, with these column titles; long cells are folded."""
    table = Table(header_style="bold", box=None, padding=(0, 1), pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def bars() -> Table:
    """An empty table without titles."""
    return Table(box=None, show_header=False, padding=(0, 1))


def heading(text: str, *, first: bool = False) -> RenderableType:
    """A title with an empty line before it; `first`: without that line."""
    above = 0 if first else 1
    return Padding(Text(text, "bold underline"), (above, 0, 0, 0))


def safe(value: str, limit: int = 80, style: str = "") -> Text:
    """A string that a stranger may have written, on one harmless line of at most `limit` characters."""
    return Text(plain(value, limit), style)


def verdict_mark(verdict: Verdict | None) -> Text:
    """The verdict in its colour; a dash where there is none."""
    if verdict is None:
        return Text("—", "dim")
    return Text(VERDICT_LABEL[verdict], VERDICT_STYLE[verdict])


def state_mark(state: JobState) -> Text:
    """The state of a job in its colour."""
    return Text(state.value, STATE_STYLE.get(state, "default"))
