"""Policy files: what counts, written down so that a machine without the store can ask."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from dife_scanner.app import signing
from dife_scanner.durable import clock
from dife_scanner.durable.clock import now
from dife_scanner.errors import NotTrusted, UsageError
from dife_scanner.models import strict_json
from dife_scanner.plain import plain
from dife_scanner.records import DecisionState, Standing
from dife_scanner.sentences.decisions import why_text
from dife_scanner.store import Store, decisions, deployments, expiry

MOST_ENTRIES = 100_000
LONGEST_TEXT = 8_000
"""Characters of a reason in words; it may hold that of a decision and its conditions."""
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_CLOCKS_APART = timedelta(minutes=10)
"""What is this much ahead is not from the future."""

Text = Annotated[str, StringConstraints(max_length=LONGEST_TEXT)]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
ArtefactId = Annotated[str, StringConstraints(pattern=r"^art1:[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PolicyEntry(_Part):
    """What counts about one artefact for one deployment."""

    artefact: ArtefactId
    deployment: Text
    state: DecisionState
    reason: Text
    conditions: Text = ""
    owner: Text = ""
    expires: Text = ""
    audited_at: Text = ""
    model: Text = ""


class PolicyDeployment(_Part):
    """One deployment as it was."""

    name: Text
    version: int
    digest: Hash


class Policy(_Part):
    """A policy file."""

    format: Literal["dife/policy-1"] = "dife/policy-1"
    desk: Text
    made_at: Text
    deployments: tuple[PolicyDeployment, ...]
    entries: Annotated[tuple[PolicyEntry, ...], Field(max_length=MOST_ENTRIES)]

    def entry(self, artefact: str, deployment: str) -> PolicyEntry | None:
        """What counts about an artefact for a deployment; `None` where nothing was decided."""
        for one in self.entries:
            if (one.artefact, one.deployment) == (artefact, deployment):
                return one
        return None


# --- making -----------------------------------------------------------------------------------------------------


def made(store: Store, desk: str, wanted: tuple[str, ...] = ()) -> Policy:
    """The policy of these deployments, of all where none is named. Raises `NotFound`."""
    known = [deployments.deployment(store, name) for name in wanted]
    known = known or deployments.deployments(store)
    names = {one.profile.name for one in known}
    entries = [_entry(one) for one in decisions.standings(store) if one.deployment in names]
    return Policy(
        desk=desk,
        made_at=now(),
        deployments=tuple(
            PolicyDeployment(name=one.profile.name, version=one.version, digest=one.digest)
            for one in known
        ),
        entries=tuple(sorted(entries, key=lambda one: (one.deployment, one.artefact))),
    )


def _entry(standing: Standing) -> PolicyEntry:
    decision = standing.decision
    grounds = standing.grounds
    return PolicyEntry(
        artefact=standing.artefact,
        deployment=standing.deployment,
        state=standing.state,
        reason=plain(why_text(standing), LONGEST_TEXT),
        conditions=decision.conditions if decision else "",
        owner=decision.owner if decision else "",
        expires=decision.expires if decision else "",
        audited_at=grounds.at if grounds else "",
        model=standing.model,
    )


def write(policy: Policy, path: Path, key: Path | None) -> str:
    """Write a policy, and with a private key its signature beside it; gives the digest. Raises `UsageError`."""
    text = json.dumps(policy.model_dump(mode="json"), indent=1, sort_keys=True)
    content = (text + "\n").encode("ascii")
    signing.write(content, path, key)
    return _digest(content)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


# --- reading ----------------------------------------------------------------------------------------------------


def read(path: Path, digest: str, key: Path | None) -> tuple[Policy, str]:
    """A policy that is what its digest says, or that is signed by the owner of a key; and its digest.

    Raises `UsageError` without either proof, `NotTrusted` for another file or one that is no policy.
    """
    if not (digest or key):
        raise UsageError(
            "a policy needs a proof of where it is from",
            "give --digest sha256:…, as it was printed when the policy was written, or --key with the public key",
        )
    content = signing.read(path)
    found = _digest(content)
    if digest:
        _compare(found, digest, path)
    if key:
        signing.check(content, signing.signature_file(path), key)
    return _parsed(content, path), found


def _compare(found: str, digest: str, path: Path) -> None:
    if not _DIGEST.fullmatch(digest.strip().lower()):
        raise UsageError(
            f"`{plain(digest, 80)}` is no digest", "it is sha256: and 64 digits of 0-9 and a-f"
        )
    if found != digest.strip().lower():
        raise NotTrusted(f"{path} has the digest {found}", "get it again, and ask whoever wrote it")


def _parsed(content: bytes, path: Path) -> Policy:
    try:
        # an entry is an object, and so is the file
        return Policy.model_validate(strict_json.read(content, 2 * MOST_ENTRIES))
    except ValidationError as error:
        first = error.errors()[0]
        where = plain(".".join(str(part) for part in first["loc"]), 80)
        raise NotTrusted(f"{path} is no policy: {where}: {first['msg']}", "write it anew") from None
    except ValueError as error:  # not strict JSON, or too much of it
        raise NotTrusted(
            f"{path} is no policy: {plain(str(error), 200)}", "write it anew"
        ) from None


def stale(made_at: str, most_days: float) -> str:
    """Why what was made at that moment is too old, or from the future; empty where it is neither."""
    try:
        moment = datetime.fromisoformat(made_at)
        age = clock.moment() - moment
    except (ValueError, TypeError):  # `TypeError`: a moment without a time zone
        return "it does not say when it was made"
    if age < -_CLOCKS_APART:
        return f"it was made on {made_at[:10]}, which is still to come by this machine's clock"
    if age > timedelta(days=most_days):
        return f"it was made on {made_at[:10]}, more than {most_days:g} days ago"
    return ""


def is_expired(entry: PolicyEntry) -> bool:
    """Whether what an entry says counts no longer today."""
    return expiry.is_past(entry.expires, now())
