"""A part of a checkpoint that a person adds as a reference: a tower alone or an adapter, completed with a base here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from dife_scanner import checkpoints
from dife_scanner.baselines import adapters, likely, references
from dife_scanner.baselines.registry import registry
from dife_scanner.checkpoints import Files, Prepared
from dife_scanner.errors import NeedsBase
from dife_scanner.progress import Progress
from dife_scanner.records import Manifest, Reference
from dife_scanner.settings import Settings
from dife_scanner.store import Store
from dife_scanner.store import references as kept_references

Done = TypeVar("Done")


def prepared_whole(
    store: Store,
    settings: Settings,
    manifest: Manifest,
    files: Files,
    folder: Path,
    progress: Progress,
) -> Prepared:
    """A checked copy below the existing folder `folder`; a part is put together with the nearest reference that fits.

    Raises what `checkpoints.prepare` does, and `NeedsBase` where none that is here has what is missing.
    """
    limits = settings.limits

    def prepare(known: Sequence[Reference]) -> Prepared:
        name = "whole" if known else "checkpoint"
        return checkpoints.prepare(files, folder / name, limits, known)

    prepared = with_bases(store, settings, manifest, prepare)
    if prepared.parts is None:
        return prepared
    bases = registry(settings.references.registry)
    choice = references.choose(
        adapters.usable(manifest, kept_references.references(store), bases),
        references.fits(prepared, limits),
        likely.expanded(bases, adapters.stated(manifest)),
        measure=partial(references.likeness, prepared.weights, limits=limits),
    )
    if choice.reference is None:
        raise NeedsBase(
            "no clean base that is here fits what it holds",
            "add its base with `dife reference add` first",
        )
    progress("completing", note=f"with {choice.reference.name}")
    return checkpoints.complete(prepared, choice.reference, limits)


def with_bases(
    store: Store,
    settings: Settings,
    manifest: Manifest,
    step: Callable[[Sequence[Reference]], Done],
) -> Done:
    """Do what may need a base: first without any, as nothing stands in for a reference's own configuration.

    Raises what `step` raises.
    """
    try:
        return step(())
    except NeedsBase:
        known = kept_references.references(store)
        usable = adapters.usable(manifest, known, registry(settings.references.registry))
        if not usable:
            raise
        return step(usable)
