"""Two audits side by side in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType

from dife_scanner.records import Audit
from dife_scanner.reports.layout import columns, safe
from dife_scanner.sentences.compare import HOW, compare

_MARK = "≠"


def render(left: Audit, right: Audit) -> RenderableType:
    """One line for each thing that both can say; what differs is marked."""
    table = columns("", "", safe(str(left.ref), 60), safe(str(right.ref), 60))
    for line in compare(left, right):
        style = "bold" if line.differs else ""
        table.add_row(
            _MARK if line.differs else "",
            safe(line.what),
            safe(line.left, 120, style),
            safe(line.right, 120, style),
        )
    return Group(table, safe(HOW, 400, "dim"))
