"""What somebody says in the window of what models are used for; the rules are those of `dife deployments`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dife_scanner.errors import UsageError
from dife_scanner.records import DecisionState, Deployment, DeploymentProfile, OwnData
from dife_scanner.store import decisions, deployments
from dife_scanner.store.codec import from_json
from dife_scanner.store.db import Store
from dife_scanner.store.deciding import PORTION

MOST_BYTES = 1_000_000
"""Of a file with a text on each line."""


@dataclass(frozen=True)
class Wish:
    """A profile that somebody wants to be kept."""

    profile: DeploymentProfile
    seen: int | None
    """The version that it was edited from; `None` for a new one."""


@dataclass(frozen=True)
class Holding:
    """A deployment, and how checkpoints stand for it."""

    deployment: Deployment
    counts: Mapping[DecisionState, int]
    """Of those about which somebody decided for it."""
    undecided: int
    """Checkpoints on record about which nobody did."""


@dataclass(frozen=True)
class Part:
    """Some of the checkpoints that were decided about for a deployment."""

    deployment: Deployment
    artefacts: tuple[str, ...]
    undecided: int


def lines_of(text: str) -> tuple[str, ...]:
    """The texts on the lines of a box, without what surrounds them; lines with nothing on them are none."""
    stripped = (line.strip() for line in text.splitlines())
    return tuple(line for line in stripped if line)


def texts_in(path: Path) -> tuple[str, ...]:
    """The texts on the lines of a file. Raises `UsageError`."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)  # what is no file may have no end
        if len(content) > MOST_BYTES:
            raise UsageError(f"{path} is larger than {MOST_BYTES:,} bytes", "choose another file")
        return lines_of(content.decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "choose another") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text in UTF-8", "choose a file of lines") from error


def keep(store: Store, wish: Wish, actor: str) -> Deployment:
    """Keep a new deployment, or another version of one.

    Raises `Overtaken` where somebody else kept one since, `NotFound` where it was removed, and `UsageError`.
    """
    if wish.seen is None:
        return deployments.add(store, wish.profile, actor)
    return deployments.edit(store, wish.profile, actor, seen=wish.seen)


# --- how checkpoints stand, in parts between which others come to read ----------------------------------------


def parts(store: Store, name: str = "") -> list[Part]:
    """All deployments, or the one of this name, each in parts of at most `PORTION` checkpoints."""
    found: list[Part] = []
    for one in deployments.deployments(store):
        if name in ("", one.profile.name):
            found += _parts_of(store, one)
    return found


def _parts_of(store: Store, one: Deployment) -> list[Part]:
    decided = decisions.decided_about(store, one.profile.name)
    undecided = decisions.undecided(store, one.profile.name)
    starts = range(0, max(1, len(decided)), PORTION)
    return [Part(one, decided[start : start + PORTION], undecided) for start in starts]


def looked_at(store: Store, part: Part) -> Holding:
    """How the checkpoints of a part stand."""
    counts = decisions.tally(store, part.deployment, part.artefacts)
    return Holding(part.deployment, counts, part.undecided)


def joined(found: Sequence[Holding]) -> tuple[Holding, ...]:
    """Each deployment once, with the counts of all its parts."""
    whole: dict[str, Holding] = {}
    for one in found:
        name = one.deployment.profile.name
        before = whole.get(name)
        if before is not None:
            one = replace(one, counts=Counter(before.counts) + Counter(one.counts))
        whole[name] = one
    return tuple(whole.values())


# --- pictures of one's own ------------------------------------------------------------------------------------


def reads_pictures(profile: DeploymentProfile) -> bool:
    """Whether somebody's own pictures belong to it, which the scanner has to read."""
    return profile.pictures is not None or profile.pool is not None


def reading_arguments(profile: DeploymentProfile) -> list[str]:
    """Of `dife`, to have the pictures of a profile read and nothing kept; what else it says was checked here."""
    options = [f"--interface={profile.interfaces[0]}"]
    options += [f"--class={text}" for text in profile.classes[:1]]
    options += [f"--query={text}" for text in profile.queries[:1]]
    if profile.pictures is not None:
        options.append(f"--pictures={profile.pictures.path}")
    if profile.pool is not None:
        options.append(f"--pool={profile.pool.path}")
    return ["--json", "deployments", "add", profile.name, *options, "--plan"]


def with_pictures_read(profile: DeploymentProfile, document: str) -> DeploymentProfile:
    """The same with the digests of its pictures, from what the scanner printed. Raises `UsageError`."""
    try:
        (found,) = json.loads(document)["deployments"]
        read = from_json(DeploymentProfile, json.dumps(found["profile"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            "the scanner's answer cannot be read", "`dife deployments add` says more"
        ) from error
    return replace(profile, pictures=read.pictures, pool=read.pool)


def own_data(path: str) -> OwnData | None:
    """Pictures that were not read yet; an empty path is none."""
    return OwnData(path, "") if path else None
