"""What an adapter may be merged onto: the base that it names and nothing else. A shape proves nothing of a base."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from dife_scanner.baselines.registry import Registry
from dife_scanner.models.layouts.peft_lora import CONFIG_FILE
from dife_scanner.plain import plain
from dife_scanner.records import BaseClaim, Layout, Manifest, Reference


def is_adapter(manifest: Manifest) -> bool:
    """Whether a checkpoint holds changes of another one's weights."""
    return manifest.layout is Layout.PEFT


def stated(manifest: Manifest) -> tuple[BaseClaim, ...]:
    """The bases that a checkpoint names; of an adapter those in its own configuration, which PEFT reads, where it has
    any.
    """
    claims = manifest.base_claims
    if not is_adapter(manifest):
        return claims
    own = [claim for claim in claims if PurePosixPath(claim.source).name == CONFIG_FILE]
    return tuple(own) or claims


def usable(manifest: Manifest, known: Sequence[Reference], bases: Registry) -> list[Reference]:
    """The references that a checkpoint may be compared with, or put together with."""
    if not is_adapter(manifest):
        return list(known)
    claims = stated(manifest)
    return [one for one in known if any(_is_named(one, claim, bases) for claim in claims)]


def _is_named(reference: Reference, claim: BaseClaim, bases: Registry) -> bool:
    """Whether a claim means this reference: by the registry, by where it is from, or by what somebody called it."""
    base = bases.resolve(claim.name)
    if reference.base:
        return base is not None and base.name == reference.base
    name = claim.name.lower()
    if reference.repository:
        return name == reference.repository.lower()
    called = reference.name.lower()
    return called in (name, name.rpartition("/")[2]) or (
        base is not None and called == base.short.lower()
    )


def named(manifest: Manifest) -> str:
    """The bases that it names, in words."""
    return ", ".join(plain(claim.name, 100) for claim in stated(manifest))
