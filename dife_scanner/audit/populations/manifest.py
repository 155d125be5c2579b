"""Building a pool again from its stored manifest, and saying what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
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
    items = []
    hashes = picture_hashes(split.images)
    for drawing, digest, label in zip(split.drawings, hashes, split.labels, strict=True):
        item = PoolItem(
            id=drawing,
            sha256=digest,
            label=class_names[label],
            source=source,
            licence=licence,
        )
        items.append(item)
    return PoolManifest(
        name=f"{name} | {split.name}",
        kind=LABELLED,
        seed=seed,
        version=version,
        items=tuple(items),
    )


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
    kind, source, target, budget = _request(manifest, data)
    if data:
        pool = data.pool(
            kind,
            source,
            target,
            budget,
            manifest.seed,
            class_names=class_names,
        )
    else:
        pool = composed.bundled(
            kind,
            source,
            target,
            budget,
            manifest.seed,
            class_names=class_names,
            cache=cache,
        )
    difference = verify(pool, manifest)
    if difference:
        raise ManifestMismatch(
            difference,
            "the manifest or the data was changed, or another Pillow rounds pixels differently",
            pool=manifest.name,
        )
    return pool


def _request(manifest: PoolManifest, data: Captioned | None) -> list[str]:
    """Kind, source, target and budget that a manifest names. Raises `ManifestMismatch` for other data or version."""
    origin, *request = manifest.name.split(" | ")
    expected = data.name if data else composed.ORIGIN
    version = OWN_VERSION if data else composed.version()
    if len(request) != 4 or origin != expected:
        raise ManifestMismatch(
            f"this pool was not drawn from {expected}",
            "give the data that it came from",
            pool=manifest.name,
        )
    if manifest.version != version:
        raise ManifestMismatch(
            f"the pool was drawn by {manifest.version}, this program has {version}",
            "install the version that made the audit",
            pool=manifest.name,
        )
    return request


def verify(pool: Pool, manifest: PoolManifest) -> str:
    """The first difference between a pool and a stored manifest, in words; empty where there is none.

    The pool's pixels are hashed anew: its own manifest is not believed.
    """
    for item, digest in zip(pool.manifest.items, picture_hashes(pool.images), strict=True):
        if item.sha256 != digest:
            return f"the pixels of picture {item.id} are not those of the pool's own manifest"
    name = _first_field(pool.manifest, manifest)
    if not name:
        return ""
    return _difference(name, getattr(pool.manifest, name), getattr(manifest, name))


def _first_field(ours: PoolManifest | PoolItem, theirs: PoolManifest | PoolItem) -> str:
    """Name of the first field in which two records differ; empty for equal ones."""
    for field in fields(ours):
        if getattr(ours, field.name) != getattr(theirs, field.name):
            return field.name
    return ""


def _difference(name: str, ours: Any, theirs: Any) -> str:
    """How a manifest's field differs, in words."""
    if not isinstance(ours, tuple):
        return f"{name}: {ours!r} here, {theirs!r} in the manifest"
    if len(ours) != len(theirs):
        return f"{len(ours)} {name} here, {len(theirs)} in the manifest"
    place = 0
    # They differ and are equally long, so that this ends.
    while ours[place] == theirs[place]:
        place += 1
    one, other = ours[place], theirs[place]
    if not isinstance(one, PoolItem):
        return f"{name} {place}: {one!r} here, {other!r} in the manifest"
    field = _first_field(one, other)
    return f"{field} of picture {one.id}: {getattr(one, field)!r} here, {getattr(other, field)!r} in the manifest"
