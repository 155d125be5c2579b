"""Building a pool again from its stored manifest, and saying what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from itertools import zip_longest
from pathlib import Path
from typing import Any

from dife_scanner.audit.populations import composed
from dife_scanner.audit.populations.captioned import VERSION as OWN_VERSION
from dife_scanner.audit.populations.captioned import Captioned
from dife_scanner.audit.populations.errors import ManifestMismatch
from dife_scanner.audit.populations.pool import Pool, picture_hashes
from dife_scanner.audit.probes import Split
from dife_scanner.records import PoolItem, PoolManifest

LABELLED = "labelled"
"""Kind of the manifest of a class-labelled split."""


def of_split(
    name: str,
    split: Split,
    class_names: Sequence[str],
    *,
    version: str,
    seed: int = 0,
    source: str = "",
    licence: str = "",
) -> PoolManifest:
    """The manifest of a class-labelled split: one item per picture, its drawing as id."""
    hashes = picture_hashes(split.images)
    items = tuple(
        PoolItem(drawing, digest, "", class_names[label], source, licence)
        for drawing, digest, label in zip(split.drawings, hashes, split.labels, strict=True)
    )
    return PoolManifest(name=f"{name} | {split.name}", kind=LABELLED, seed=seed, version=version, items=items)


def rebuild(
    manifest: PoolManifest,
    *,
    class_names: Sequence[str] = (),
    cache: Path | None = None,
    data: Captioned | None = None,
) -> Pool:
    """The pool that a manifest describes, drawn again and checked against it.

    A bundled pool needs nothing else; a pool of somebody's own data is drawn from `data`, read again. Raises
    `ManifestMismatch` where the manifest is of another version or of other data, or where the pool that comes out is
    not the same; the message names the first difference.
    """
    parts = manifest.name.split(" | ")
    origin, version = (data.name, OWN_VERSION) if data else (composed.ORIGIN, composed.version())
    if len(parts) != 5 or parts[0] != origin:
        raise ManifestMismatch(
            f"this pool was not drawn from {origin}", "give the data that it came from", pool=manifest.name
        )
    if manifest.version != version:
        raise ManifestMismatch(
            f"the pool was drawn by {manifest.version}, this program has {version}",
            "install the version that made the audit",
            pool=manifest.name,
        )
    _, kind, source, target, budget = parts
    if data:
        pool = data.pool(kind, source, target, budget, manifest.seed, class_names=class_names)
    else:
        pool = composed.bundled(kind, source, target, budget, manifest.seed, class_names=class_names, cache=cache)
    if difference := verify(pool, manifest):
        raise ManifestMismatch(
            difference,
            "the manifest or the data was changed, or another Pillow rounds pixels differently",
            pool=manifest.name,
        )
    return pool


def verify(pool: Pool, manifest: PoolManifest) -> str:
    """The first difference between a pool and a stored manifest, in words; empty where there is none.

    The pool's pixels are hashed anew: its own manifest is not believed.
    """
    for item, digest in zip(pool.manifest.items, picture_hashes(pool.images), strict=True):
        if item.sha256 != digest:
            return f"the pixels of picture {item.id} are not those of the pool's own manifest"
    for field in fields(PoolManifest):
        ours, theirs = getattr(pool.manifest, field.name), getattr(manifest, field.name)
        if ours != theirs:
            return _difference(field.name, ours, theirs)
    return ""


def _difference(name: str, ours: Any, theirs: Any) -> str:
    if not isinstance(ours, tuple):
        return f"{name}: {ours!r} here, {theirs!r} in the manifest"
    if len(ours) != len(theirs):
        return f"{len(ours)} {name} here, {len(theirs)} in the manifest"
    at = next(i for i, (one, other) in enumerate(zip_longest(ours, theirs)) if one != other)
    if not isinstance(ours[at], PoolItem):
        return f"{name} {at}: {ours[at]!r} here, {theirs[at]!r} in the manifest"
    field = next(f.name for f in fields(PoolItem) if getattr(ours[at], f.name) != getattr(theirs[at], f.name))
    one, other = getattr(ours[at], field), getattr(theirs[at], field)
    return f"{field} of picture {ours[at].id}: {one!r} here, {other!r} in the manifest"
