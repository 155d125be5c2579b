"""One row per model: what it is, what can be seen of it, what the blind audit reported."""

from dife_scanner.lab.bench.rows.files import RowsDamaged, append, folder_of, made, read, today
from dife_scanner.lab.bench.rows.records import (
    AUDITED,
    FAILED,
    TWIN,
    Code,
    Found,
    Outcome,
    Row,
    Rows,
    Truth,
    VisibleTraits,
)

__all__ = [
    "AUDITED",
    "FAILED",
    "TWIN",
    "Code",
    "Found",
    "Outcome",
    "Row",
    "Rows",
    "RowsDamaged",
    "Truth",
    "VisibleTraits",
    "append",
    "folder_of",
    "made",
    "read",
    "today",
]
