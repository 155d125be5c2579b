"""What audits found, measured again for deployments: one for each audit and digest of a profile."""

from __future__ import annotations

from dife_scanner.records import DeploymentMeasurement
from dife_scanner.store.codec import from_json, to_json
from dife_scanner.store.db import Store


def keep(store: Store, found: DeploymentMeasurement) -> None:
    """Keep a measurement; one made again with the same profile takes the place of the former."""
    with store.atomic("measurements.keep"):
        store.write(
            "INSERT OR REPLACE INTO deployment_measurements (audit, profile, deployment, record, at)"
            " VALUES (?, ?, ?, ?, ?)",
            (found.audit, found.profile, found.deployment, to_json(found), found.at),
        )


def of(store: Store, audit: str, profile: str) -> DeploymentMeasurement | None:
    """What was measured with the profile of this digest; `None` where nothing was."""
    rows = store.read(
        "SELECT record FROM deployment_measurements WHERE audit = ? AND profile = ?",
        (audit, profile),
    )
    return from_json(DeploymentMeasurement, rows[0]["record"]) if rows else None
