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

from dife_scanner.audit.populations import placement, scenes, sheet, words
from dife_scanner.audit.populations.album import Album, PoolRequest, pool_of
from dife_scanner.audit.populations.errors import (
    PoolTooSmall,
    SourceNotInPool,
    TargetNotInPool,
)
from dife_scanner.audit.populations.pool import Pool, picture_hashes, sealed
from dife_scanner.audit.probes import Labels, Pixels
from dife_scanner.core import canonical, frozen_repr
from dife_scanner.core.budgets import KINDS, MEASURING
from dife_scanner.core.frozen_repr import Forms, RecordForm
from dife_scanner.durable.atomic import atomic_write
from dife_scanner.errors import UsageError
from dife_scanner.records import Budget, PoolItem

_log = logging.getLogger(__name__)

ORIGIN = "bundled"
FEWEST_DRAWINGS = 8
"""Distinct drawings of the target a pool needs: the unit of every interval is the drawing."""
_FORMS: Forms = {
    scenes.Scene: RecordForm("Scene", ("placed", "ground", "captions", "plain")),
    placement.Placed: RecordForm(
        "Placed", ("sprite", "side", "left", "top", "angle", "mirrored", "ink")
    ),
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

    `source` and `target` are class names or synonyms of one (`car`); with an empty source, queries name every class
    but the target. `class_names` (default: the sheet's own) only decide what the labels count into. `cache` is a folder
    for composed pictures. Raises `TargetNotInPool`, `SourceNotInPool`, `PoolTooSmall`, and `UsageError` for an unknown
    kind or budget.
    """
    if kind not in KINDS:
        raise UsageError(f"{kind!r} is no kind of pool", f"choose one of: {', '.join(KINDS)}")
    if budget not in MEASURING:
        raise UsageError(f"{budget!r} is no budget", f"choose one of: {', '.join(MEASURING)}")
    request = PoolRequest(
        origin=ORIGIN,
        kind=kind,
        source=source.strip().lower(),
        target=target.strip().lower(),
        budget=Budget(budget),
        seed=seed,
        version=version(),
    )
    _check_classes(request)
    shared = _album(request.source, request.target, request.budget, seed, tuple(class_names), cache)
    return pool_of(shared, request)


def version() -> str:
    """Of the composer and of the drawings it composes."""
    return f"{scenes.VERSION}+{sheet.digest()[:16]}"


def _check_classes(request: PoolRequest) -> None:
    """Check that drawings show target and source, that these are two classes, and that the target has enough."""
    drawn = sheet.load()
    source = words.canonical(request.source)
    target = words.canonical(request.target)
    classes = ", ".join(drawn.class_names)
    advice = f"the bundled pools show {classes}; give pictures of your own for other classes"
    if request.target and target not in drawn.class_names:
        raise TargetNotInPool(
            f"no bundled drawing shows the target {request.target!r}",
            advice,
            **request.place,
        )
    if request.source and source not in drawn.class_names:
        raise SourceNotInPool(
            f"no bundled drawing shows the source {request.source!r}",
            advice,
            **request.place,
        )
    if not request.target:
        raise TargetNotInPool(
            "the condition names no target",
            "name one in the trigger file",
            **request.place,
        )
    if source == target:
        raise SourceNotInPool(
            f"source {request.source!r} and target {request.target!r} are one class",
            "name two different ones",
            **request.place,
        )
    count = len(drawn.of_class(target))
    if count < FEWEST_DRAWINGS:
        raise PoolTooSmall(
            f"{count} drawings show {request.target!r}, {FEWEST_DRAWINGS} are needed",
            advice,
            **request.place,
        )


@lru_cache(maxsize=2)
def _album(
    source: str,
    target: str,
    budget: Budget,
    seed: int,
    class_names: tuple[str, ...],
    cache: Path | None,
) -> Album:
    """The pictures that all kinds of one (source, target, budget, seed) share."""
    drawn = sheet.load()
    planned = scenes.plan(drawn, scenes.Cast(source, target, MEASURING[budget].pools), seed)
    images, hashes = _pictures(planned, drawn, cache)
    items = []
    units = []
    shown = []
    query_classes = []
    query_captions = []
    neutral_captions = []
    for number, scene in enumerate(planned):
        main = drawn.sprites[scene.placed[0].sprite]
        items.append(_item(number, scene, hashes[number], drawn))
        units.append(main.id)
        shown.append(main.class_name)
        name = _query_class(main.class_name, source, target)
        query_classes.append(name)
        query_captions.append(scene.captions if name else ())
        neutral_captions.append(scene.plain if name else ())
    return Album(
        items=tuple(items),
        images=images,
        labels=_labels(shown, class_names or drawn.class_names),
        units=tuple(units),
        target=np.array(shown) == words.canonical(target),
        query_classes=tuple(query_classes),
        query_captions=tuple(query_captions),
        neutral_captions=tuple(neutral_captions),
    )


def _labels(shown: Sequence[str], class_names: Sequence[str]) -> Labels:
    """[n]: position of each picture's class in `class_names`, -1 for none."""
    positions = {words.canonical(name): label for label, name in enumerate(class_names)}
    # Other concepts than the classes.
    positions[""] = -1
    return np.array([positions.get(name, -1) for name in shown], dtype=np.int64)


def _query_class(shown: str, source: str, target: str) -> str:
    """The class that queries from a picture of class `shown` name, as the request writes it; empty for none."""
    if not shown:
        return ""
    if source:
        return source if shown == words.canonical(source) else ""
    return "" if shown == words.canonical(target) else shown


def _item(number: int, scene: scenes.Scene, digest: str, drawn: sheet.Sheet) -> PoolItem:
    sprites = [drawn.sprites[placed.sprite] for placed in scene.placed]
    drawings = " + ".join(sprite.id for sprite in sprites)
    licences = sorted({sprite.licence for sprite in sprites})
    return PoolItem(
        id=f"scene-{number:05d}",
        sha256=digest,
        caption=scene.captions[0],
        label=sprites[0].class_name,
        source=f"{scenes.SOURCE}: {drawings}",
        licence=" AND ".join(licences),
    )


# --- pictures, composed or from the cache ---------------------------------------------------------------------


def _pictures(
    planned: Sequence[scenes.Scene],
    drawn: sheet.Sheet,
    cache: Path | None,
) -> tuple[Pixels, tuple[str, ...]]:
    """The scenes' pictures and their hashes; from the cache where it has exactly these, else composed and kept."""
    if cache is None:
        return _drawn(planned, drawn)
    file = cache / f"{_key(planned, drawn)}.npz"
    kept = _read(file)
    # The key says what was drawn; a file of another length is not it.
    if kept is not None and len(kept[0]) == len(planned):
        return kept
    images, hashes = _drawn(planned, drawn)
    _keep(file, images, hashes)
    return images, hashes


def _drawn(planned: Sequence[scenes.Scene], drawn: sheet.Sheet) -> tuple[Pixels, tuple[str, ...]]:
    images = sealed(scenes.draw(planned, drawn))
    return images, picture_hashes(images)


def _keep(file: Path, images: Pixels, hashes: tuple[str, ...]) -> None:
    """Write a cache file as a whole or not at all; a cache that cannot be written is done without."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as opened:
            np.savez(opened, images=images, hashes=np.array(hashes))
    except OSError as error:
        _log.warning("pictures are not kept in %s: %s", file.parent, error.strerror)


def _key(planned: Sequence[scenes.Scene], drawn: sheet.Sheet) -> str:
    """Of what is drawn, with what: another Pillow may round a pixel differently."""
    import PIL

    shown = [_scene_text(scene) for scene in planned]
    text = json.dumps([scenes.VERSION, drawn.digest, PIL.__version__, shown])
    return sha256(text.encode()).hexdigest()[:40]


def _scene_text(scene: scenes.Scene) -> str:
    """All that a scene holds, in the words of its first form where that form can say it."""
    try:
        return frozen_repr.text(scene, _FORMS)
    except frozen_repr.Newer:
        return canonical.text(scene)


def _read(file: Path) -> tuple[Pixels, tuple[str, ...]] | None:
    """What a cache file holds, if every picture in it has the hash it was kept with."""
    try:
        with np.load(file, allow_pickle=False) as kept:
            images = kept["images"]
            hashes = tuple(map(str, kept["hashes"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        # A cache that cannot be read is a cache miss.
        return None
    if images.dtype != np.uint8 or images.ndim != 4 or picture_hashes(images) != hashes:
        return None
    return sealed(images), hashes
