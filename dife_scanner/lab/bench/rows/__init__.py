"""One row per model: what it is, what can be seen of it, what the blind audit reported."""

from dife_scanner.lab.bench.rows.files import RowsDamaged, append, folder_of, made, read, today
from dife_scanner.lab.bench.rows.records import (
    AUDITED,
    FAILED,
    TWIN,
    Code,
    Encoded,
    Found,
    Outcome,
    Row,
    Rows,
    TrueTarget,
    Truth,
    VisibleTraits,
    Vocabulary,
)

__all__ = [
    "AUDITED",
    "FAILED",
    "TWIN",
    "Code",
    "Encoded",
    "Found",
    "Outcome",
    "Row",
    "Rows",
    "RowsDamaged",
    "TrueTarget",
    "Truth",
    "VisibleTraits",
    "Vocabulary",
    "append",
    "folder_of",
    "made",
    "read",
    "today",
]
