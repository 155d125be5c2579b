"""Deployment profiles: every version of each, appended and never changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dife_scanner.durable.clock import now
from dife_scanner.errors import NotFound, Overtaken, UsageError
from dife_scanner.records import Deployment, DeploymentProfile
from dife_scanner.store import query
from dife_scanner.store.codec import from_json, to_json
from dife_scanner.store.db import Store
from dife_scanner.store.standings import profile_digest

_NEWEST = (
    "SELECT d.* FROM deployments AS d"
    " WHERE d.version = (SELECT max(v.version) FROM deployments AS v WHERE v.name = d.name)"
)


def deployments(store: Store) -> list[Deployment]:
    """Those that there are, as they are now, by name."""
    rows = store.read(f"{_NEWEST} AND NOT d.removed ORDER BY d.name")
    return [_to_deployment(row) for row in rows]


def deployment(store: Store, name: str) -> Deployment:
    """The deployment of this name as it is now. Raises `NotFound`."""
    found = _newest(store, name)
    if found is None or found.removed:
        raise NotFound(
            f"there is no deployment {query.shown(name)}", "`dife deployments list` names them"
        )
    return found


def history(store: Store, name: str) -> list[Deployment]:
    """Every version of a deployment, oldest first; also of one that was removed."""
    rows = store.read("SELECT * FROM deployments WHERE name = ? ORDER BY version", (name,))
    return [_to_deployment(row) for row in rows]


def add(store: Store, profile: DeploymentProfile, actor: str) -> Deployment:
    """Keep a new deployment. Raises `UsageError` where there is one of this name."""
    with store.atomic("deployments.keep"):
        before = _newest(store, profile.name)
        if before is not None and not before.removed:
            raise UsageError(
                f"there is a deployment {query.shown(profile.name)} already",
                "`dife deployments edit` changes it",
            )
        return _append(store, profile, actor, before)


def edit(
    store: Store, profile: DeploymentProfile, actor: str, *, seen: int | None = None
) -> Deployment:
    """Keep a new version; one that says the same is none. Raises `NotFound`.

    `seen` is the version that somebody had before them: `Overtaken` where another one was kept since.
    """
    with store.atomic("deployments.keep"):
        before = deployment(store, profile.name)
        if seen is not None and before.version != seen:
            raise Overtaken(
                f"{before.actor} edited {query.shown(profile.name)} meanwhile: version {before.version}",
                "look at it, and edit it again",
            )
        if before.profile == profile:
            return before
        return _append(store, profile, actor, before)


def planned(store: Store, profile: DeploymentProfile, actor: str) -> Deployment:
    """The version that keeping this profile would make; nothing is kept."""
    return _next(profile, actor, _newest(store, profile.name))


def remove(store: Store, name: str, actor: str) -> Deployment:
    """Say that it is used no longer; its versions and the decisions stay. Raises `NotFound`."""
    with store.atomic("deployments.keep"):
        before = deployment(store, name)
        return _append(store, before.profile, actor, before, removed=True)


def _newest(store: Store, name: str) -> Deployment | None:
    rows = store.read(f"{_NEWEST} AND d.name = ?", (name,))
    return _to_deployment(rows[0]) if rows else None


def _append(
    store: Store,
    profile: DeploymentProfile,
    actor: str,
    before: Deployment | None,
    *,
    removed: bool = False,
) -> Deployment:
    made = replace(_next(profile, actor, before), removed=removed)
    store.write(
        "INSERT INTO deployments (name, version, digest, profile, actor, at, removed)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (profile.name, made.version, made.digest, to_json(profile), actor, made.at, int(removed)),
    )
    return made


def _next(profile: DeploymentProfile, actor: str, before: Deployment | None) -> Deployment:
    version = before.version + 1 if before else 1
    return Deployment(profile, version, profile_digest(profile), actor, now())


def _to_deployment(row: dict[str, Any]) -> Deployment:
    return Deployment(
        profile=from_json(DeploymentProfile, row["profile"]),
        version=row["version"],
        digest=row["digest"],
        actor=row["actor"],
        at=row["at"],
        removed=bool(row["removed"]),
    )
