"""Somebody's own labelled pictures before an audit: whether they can be audited on, and what that takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.records import Budget
from dife_scanner.settings import Settings

if TYPE_CHECKING:
    from dife_scanner.reports.as_json import PlannedPictures


def is_to_be_fetched(what: str) -> bool:
    """Whether `what` is the id of a data set on the hub and nothing on this machine."""
    from dife_scanner import checkpoints
    from dife_scanner.audit.populations import dataset

    return bool(what) and not checkpoints.is_local(what) and dataset.is_id(what)


def planned(
    settings: Settings, what: str, budget: Budget, seed: int, *, blind: bool
) -> PlannedPictures | None:
    """What each audit would read of them; `None` where there are none, or none here. One picture is decoded.

    Raises what an audit would be refused with.
    """
    from dife_scanner.audit import populations
    from dife_scanner.discovery import scanned_texts
    from dife_scanner.reports.as_json import PlannedPictures

    if not what or is_to_be_fetched(what):
        return None
    own = populations.read(Path(what).expanduser().resolve(), "labelled")
    own.check_classes(settings.limits.picture_classes)
    rows = own.rows(budget, seed)
    classes = len(own.class_names)
    return PlannedPictures(
        classes=classes,
        pictures=sum(map(len, rows.values())),
        bytes=own.bytes_of(rows),
        texts=scanned_texts(budget, classes) if blind else 0,
    )
