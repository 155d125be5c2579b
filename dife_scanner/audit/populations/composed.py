"""The pools that come with the program, drawn from composed scenes of held-out drawings.

All kinds of one (source, target, budget, seed) share one set of pictures, so each picture is encoded once.
"""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit.populations import album, scenes, sheet, words
from dife_scanner.audit.populations.errors import PoolTooSmall, SourceNotInPool, TargetNotInPool
from dife_scanner.audit.populations.pool import KINDS, SIZES, Pool, picture_hashes, sealed
from dife_scanner.core import canonical, frozen_repr
from dife_scanner.core.frozen_repr import Forms, RecordForm
from dife_scanner.durable.atomic import whole
from dife_scanner.errors import UsageError
from dife_scanner.records import PoolItem

_log = logging.getLogger(__name__)

ORIGIN = "bundled"
FEWEST_DRAWINGS = 8
"""Distinct drawings of the target a pool needs: the unit of every interval is the drawing."""
_FORMS: Forms = {
    scenes.Scene: RecordForm("Scene", ("placed", "ground", "captions", "plain")),
    scenes.Placed: RecordForm("Placed", ("sprite", "side", "left", "top", "angle", "mirrored", "ink")),
}
"""Scenes as they were when pictures were first kept under what they show. Not to be edited."""


def bundled(
    kind: str,
    source: str,
    target: str,
    budget: str,
    seed: int,
    *,
    class_names: Sequence[str] = (),
    cache: Path | None = None,
) -> Pool:
    """One bundled pool. It depends on the arguments before `cache` and on nothing else.

    `source` and `target` are class names or synonyms of one (`car`); an empty source asks for every class but the
    target. `class_names` (default: the sheet's own) only decide what the labels count into. `cache` is a folder for
    composed pictures. Raises `TargetNotInPool`, `SourceNotInPool`, `PoolTooSmall`, and `UsageError` for an unknown kind
    or budget.
    """
    if kind not in KINDS:
        raise UsageError(f"{kind!r} is no kind of pool", f"choose one of: {', '.join(KINDS)}")
    if budget not in SIZES:
        raise UsageError(f"{budget!r} is no budget", f"choose one of: {', '.join(SIZES)}")
    said, aim = source.strip().lower(), target.strip().lower()
    asked = album.Asked(ORIGIN, kind, said, aim, budget, seed, version())
    _check_classes(asked)
    return album.pool_of(_album(said, aim, budget, seed, tuple(class_names), cache), asked)


def version() -> str:
    """Of the composer and of the drawings it composes."""
    return f"{scenes.VERSION}+{sheet.load().digest[:16]}"


def _check_classes(asked: album.Asked) -> None:
    drawn = sheet.load()
    where = {"card": album.CARDS[asked.kind], "pool": asked.name}
    advice = f"the bundled pools show {', '.join(drawn.class_names)}; give pictures of your own for other classes"
    for role, name, error in (
        ("target", asked.target, TargetNotInPool),
        ("source", asked.source, SourceNotInPool),
    ):
        if name and words.canonical(name) not in drawn.class_names:
            raise error(f"no bundled drawing shows the {role} {name!r}", advice, **where)
    if not asked.target:
        raise TargetNotInPool("the condition names no target", "name one in the trigger file", **where)
    if words.canonical(asked.source) == words.canonical(asked.target):
        raise SourceNotInPool(
            f"source {asked.source!r} and target {asked.target!r} are one class", "name two different ones", **where
        )
    if (count := len(drawn.of_class(words.canonical(asked.target)))) < FEWEST_DRAWINGS:
        raise PoolTooSmall(f"{count} drawings show {asked.target!r}, {FEWEST_DRAWINGS} are needed", advice, **where)


@lru_cache(maxsize=2)
def _album(
    source: str, target: str, budget: str, seed: int, class_names: tuple[str, ...], cache: Path | None
) -> album.Album:
    drawn = sheet.load()
    cast = scenes.Cast(source, target, SIZES[budget])
    planned = scenes.plan(drawn, cast, seed)
    images, hashes = _pictures(planned, drawn, cache)
    mains = [drawn.sprites[scene.placed[0].sprite] for scene in planned]
    shown = [main.class_name for main in mains]
    aim, said = words.canonical(target), words.canonical(source)
    numbers = {words.canonical(name): i for i, name in enumerate(class_names or drawn.class_names)}
    asked = tuple(name if name and (name == said or (not said and name != aim)) else "" for name in shown)
    return album.Album(
        items=tuple(_item(i, scene, hashes[i], drawn) for i, scene in enumerate(planned)),
        images=images,
        labels=np.array([numbers.get(name, -1) if name else -1 for name in shown], dtype=np.int64),
        units=tuple(main.id for main in mains),
        target=np.array([name == aim for name in shown]),
        asked=tuple(source if name and name == said else name for name in asked),
        tellings=tuple(scene.captions if asked[i] else () for i, scene in enumerate(planned)),
        plain=tuple(scene.plain if asked[i] else () for i, scene in enumerate(planned)),
    )


def _item(number: int, scene: scenes.Scene, digest: str, drawn: sheet.Sheet) -> PoolItem:
    sprites = [drawn.sprites[placed.sprite] for placed in scene.placed]
    return PoolItem(
        id=f"scene-{number:05d}",
        sha256=digest,
        caption=scene.captions[0],
        label=sprites[0].class_name,
        source=f"{scenes.SOURCE}: {' + '.join(sprite.id for sprite in sprites)}",
        licence=" AND ".join(sorted({sprite.licence for sprite in sprites})),
    )


def _pictures(
    planned: Sequence[scenes.Scene], drawn: sheet.Sheet, cache: Path | None
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """The scenes' pictures and their hashes; from the cache where it has exactly these, else composed and kept."""
    if cache is None:
        images = sealed(scenes.draw(planned, drawn))
        return images, picture_hashes(images)
    file = cache / f"{_key(planned, drawn)}.npz"
    if (kept := _read(file)) is not None and len(kept[0]) == len(planned):
        return kept
    images = sealed(scenes.draw(planned, drawn))
    hashes = picture_hashes(images)
    _keep(file, images, hashes)
    return images, hashes


def _keep(file: Path, images: NDArray[np.uint8], hashes: tuple[str, ...]) -> None:
    """Write a cache file as a whole or not at all; a cache that cannot be written is done without."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole(file) as opened:
            np.savez(opened, images=images, hashes=np.array(hashes))
    except OSError as error:
        _log.warning("pictures are not kept in %s: %s", file.parent, error.strerror)


def _key(planned: Sequence[scenes.Scene], drawn: sheet.Sheet) -> str:
    """Of what is drawn, with what: another Pillow may round a pixel differently."""
    import PIL

    shown = [_told(scene) for scene in planned]
    told = json.dumps([scenes.VERSION, drawn.digest, PIL.__version__, shown])
    return sha256(told.encode()).hexdigest()[:40]


def _told(scene: scenes.Scene) -> str:
    """All that a scene holds, in the words of its first form where that form can say it."""
    try:
        return frozen_repr.text(scene, _FORMS)
    except frozen_repr.Newer:
        return canonical.text(scene)


def _read(file: Path) -> tuple[NDArray[np.uint8], tuple[str, ...]] | None:
    """What a cache file holds, if every picture in it has the hash it was kept with."""
    try:
        with np.load(file, allow_pickle=False) as kept:
            images, hashes = kept["images"], tuple(str(text) for text in kept["hashes"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # a cache that cannot be read is a cache miss
        return None
    if images.dtype != np.uint8 or images.ndim != 4 or picture_hashes(images) != hashes:
        return None
    return sealed(images), hashes
