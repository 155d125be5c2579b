"""One layout in one form, the way of an audit, beside what its own library makes of the same files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from layout_forms import FORMS
from layout_kit import TEXTS, loaded, pictures
from layout_models import BASES, MODELS

from dife_scanner.checkpoints import complete, local_files, prepare
from dife_scanner.hub.manifest import local_manifest
from dife_scanner.models.clip import ClipEncoder
from dife_scanner.models.load import default_limits
from dife_scanner.records import JobState, Reference


@torch.no_grad()
def largest_differences(
    layout: str, form: str, folder: Path, base: Reference | None = None
) -> tuple[float, float]:
    """How far values of embeddings of pictures and of texts are apart at most, in the new files below `folder`.

    A part of a checkpoint needs its `base`. Raises what an audit's intake raises.
    """
    small, how = MODELS[layout], FORMS[form]
    model = how.cast(small.make())
    saved = folder / "saved"
    small.save(model, saved)
    theirs = None if how.is_read else small.load(saved)
    how.apply(saved, small)
    if how.is_read:
        theirs = small.load(saved)
    ours = embedded_here(saved, folder / "ours", base)
    pixels = pictures(ours.image_size)
    images, texts = small.ask(theirs, pixels, TEXTS, ours)
    return (
        _apart(ours.encode_images(pixels), images),
        _apart(ours.encode_texts(TEXTS), texts),
    )


def embedded_here(folder: Path, to: Path, base: Reference | None = None) -> ClipEncoder:
    """A checkpoint as an audit gets it: told by its names, copied, rewritten, completed, loaded."""
    found = local_manifest(folder)
    assert found.state is JobState.QUEUED, found.reason
    limits = default_limits()
    known = () if base is None else (base,)
    ready = prepare(local_files(found), to, limits, known)
    if base is not None:
        ready = complete(ready, base, limits)
    return loaded(ready.folder)


def made_base(name: str, folder: Path) -> Reference:
    """The base that parts need, in its canonical form, as a reference."""
    small = BASES[name]
    saved = folder.with_name(f"{folder.name}-saved")
    small.save(small.make(), saved)
    ours = embedded_here(saved, folder)
    return Reference(
        name=name,
        path=str(folder),
        image_tower=ours.image_tower,
        text_tower=ours.text_tower,
        weights_sha256=ours.weights_sha256,
        architecture=ours.architecture,
        added_at="2026-01-01T00:00:00+00:00",
    )


def _apart(ours: np.ndarray, theirs: torch.Tensor) -> float:
    units = torch.nn.functional.normalize(theirs.float(), dim=-1).numpy()
    return float(np.abs(ours - units).max())
