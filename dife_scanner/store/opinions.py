"""What other scanners said of the files of each job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dife_scanner.durable.clock import now
from dife_scanner.records import ModelRef, Opinion
from dife_scanner.store.codec import from_json, to_json
from dife_scanner.store.db import Store


@dataclass(frozen=True)
class _Kept:
    """As one JSON document in one column."""

    opinions: tuple[Opinion, ...]


def keep(store: Store, job_id: int, opinions: Sequence[Opinion]) -> None:
    """Keep these in place of what was said of the same job before."""
    with store.atomic("opinions.keep"):
        store.write(
            "INSERT INTO opinions (job_id, at, opinions) VALUES (?, ?, ?)"
            " ON CONFLICT (job_id) DO UPDATE SET at = excluded.at, opinions = excluded.opinions",
            (job_id, now(), to_json(_Kept(tuple(opinions)))),
        )


def opinions(store: Store, ref: ModelRef) -> tuple[Opinion, ...]:
    """The latest about one revision; empty where nobody was asked."""
    rows = store.read(
        "SELECT o.opinions FROM opinions AS o JOIN jobs AS j ON j.id = o.job_id"
        " WHERE j.repo_id = ? AND j.revision = ? ORDER BY o.at DESC LIMIT 1",
        (ref.repo_id, ref.revision),
    )
    if not rows:
        return ()
    return from_json(_Kept, rows[0]["opinions"]).opinions
