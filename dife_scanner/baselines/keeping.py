"""A checked checkpoint becomes a clean reference: its towers are hashed, and its files stay in the home."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from pathlib import Path

from dife_scanner.checkpoints import Prepared
from dife_scanner.durable.clock import now
from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import AuditError, DifeError, UsageError
from dife_scanner.records import CastTowers, Reference
from dife_scanner.settings import Limits
from dife_scanner.store import Store, references

_NEW = ".new-"
"""How the folder of a reference begins that is not one yet."""


@dataclass(frozen=True)
class Towers:
    """What makes a reference recognisable."""

    image: str
    text: str
    architecture: str
    cast: tuple[CastTowers, ...] = ()
    """Of its copies in shorter types."""


Measure = Callable[[Path, Limits], Towers]
"""Loads a checked checkpoint and hashes its towers. Raises what loading raises."""


@dataclass(frozen=True)
class Origin:
    """Where a reference comes from; the defaults are files that somebody gave."""

    repository: str = ""
    revision: str = ""
    base: str = ""
    """Its name in the registry."""
    fetched: bool = False
    """Whether it was fetched because a checkpoint needed it."""


# --- its place ------------------------------------------------------------------------------------------------


def check_name(name: str) -> str:
    """The name of a new reference, which becomes that of a folder. Raises `UsageError` for one that cannot be had."""
    if Path(name).name != name or name.startswith("."):
        raise UsageError(
            f"`{name}` is not a usable reference name", "use letters, digits and dashes"
        )
    return name


def scratch_folder(home: Path, name: str) -> Path:
    """An empty folder in which a reference is made ready; what a killed process left there is removed."""
    folder = home / "references" / f"{_NEW}{name}"
    shutil.rmtree(folder, ignore_errors=True)
    with disk_errors(home):
        folder.mkdir(mode=0o700, parents=True)
    return folder


def keep(
    store: Store,
    prepared: Prepared,
    name: str,
    origin: Origin,
    limits: Limits,
    measure: Measure,
) -> Reference:
    """Make a reference of a checked copy, whose folder it takes over. Raises what `measure` raises and `UsageError`.

    The caller holds the lock of this name.
    """
    towers = measure(prepared.folder, limits)
    folder = store.home / "references" / name
    digests = file_digests(prepared.folder)
    with disk_errors(store.home):
        shutil.rmtree(folder, ignore_errors=True)
        prepared.folder.rename(folder)
    added = Reference(
        name=name,
        path=str(folder),
        image_tower=towers.image,
        text_tower=towers.text,
        weights_sha256=prepared.weights_sha256,
        architecture=towers.architecture,
        added_at=now(),
        repository=origin.repository,
        revision=origin.revision,
        base=origin.base,
        size=sum(file.stat().st_size for file in folder.iterdir()),
        fetched=origin.fetched,
        cast_towers=towers.cast,
    )
    references.add(store, added, digests)
    return references.reference(store, name)


def file_digests(folder: Path) -> dict[str, str]:
    """The sha256 of each file in a folder by its name. Raises `OSError`."""
    digests = {}
    for file in sorted(folder.iterdir()):
        with file.open("rb") as stream:
            digests[file.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return digests


# --- its towers -----------------------------------------------------------------------------------------------


def towers_here(folder: Path, limits: Limits) -> Towers:
    """Load a checkpoint in this process and hash its towers. Raises what loading raises."""
    from dife_scanner.models.load import load

    encoder = load(folder, device="cpu", limits=limits)
    cast = encoder.cast_towers()
    return Towers(encoder.image_tower, encoder.text_tower, encoder.architecture, cast)


def towers_apart(context: BaseContext) -> Measure:
    """The same in a process of its own, as workers need it: they load no weights themselves."""

    def measure(folder: Path, limits: Limits) -> Towers:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            try:
                answer = pool.submit(_answer, folder, limits).result()
            except BrokenProcessPool as error:
                raise AuditError(
                    "the process that loaded the base was ended", "use a machine with more memory"
                ) from error
        if isinstance(answer, Towers):
            return answer
        kind, what, advice = answer
        raise kind(what, advice)

    return measure


def _answer(folder: Path, limits: Limits) -> Towers | tuple[type[DifeError], str, str]:
    """In that process: the towers, or the error in parts, which a pickle carries."""
    try:
        return towers_here(folder, limits)
    except DifeError as error:
        return type(error), error.what, error.advice
