"""Drawings of the concept that a trigger leads to, from the wide probe set that ships with the package.

They are read when somebody looks, and are no evidence: no audit holds them. The nearest concept counts, and those that
are as good as equally near, such as other words for it; the first of them that the set shows, by its name or as a
labelled class that it has kinds of.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from dife_scanner.records import Audit, NearestConcept
from dife_scanner.sentences.numbers import number

MOST = 4
"""Drawings that are shown."""
AS_NEAR = 0.05
"""Cosine that a concept may be further away than the nearest. The picture of another thing would mislead."""
MEDIA_TYPE = "image/webp"
_MANIFEST = "wide-probes.json"
_UNREADABLE = (
    "The drawings of concepts that ship with the package cannot be read; reinstall the package."
)


@dataclass(frozen=True)
class Drawing:
    """One picture of a concept."""

    content: bytes
    """WebP, as its sha256 in the manifest says."""
    sha256: str
    caption: str
    """The concept and the hand: `owl, Noto Emoji (v1)`."""


@dataclass(frozen=True)
class Drawings:
    """Of one concept."""

    sentence: str
    """Which concept they show, and why that one."""
    drawings: tuple[Drawing, ...]
    credit: str
    """Titles, authors and licences of the sets they are from."""


def drawings(audit: Audit) -> Drawings | str:
    """Of what the trigger of an audit leads to; a sentence where there is none, empty where no concept is known."""
    nearest = _nearest(audit)
    as_near = [one for one in nearest if one.cosine >= nearest[0].cosine - AS_NEAR]
    try:
        for near in as_near:
            found = _of(near.concept)
            if found is not None:
                sentence = (
                    f"Probe drawings of “{near.concept}” (cosine {number(near.cosine, 2)}), the nearest concept"
                    " that the probe set shows:"
                )
                return Drawings(sentence, *found)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return _UNREADABLE
    if not nearest:
        return ""
    return (
        f"The probe set that ships has no drawing of “{nearest[0].concept}” or a concept as near."
    )


def _nearest(audit: Audit) -> tuple[NearestConcept, ...]:
    """The nearest first; none where the trigger leads to no concept."""
    if audit.trigger is None:
        return ()
    if audit.recovered is not None:
        return audit.recovered.nearest
    for result in audit.signatures:
        if result.trigger.name == audit.trigger.name and result.leads_to is not None:
            return (result.leads_to,)
    return ()


@lru_cache(maxsize=16)
def _of(concept: str) -> tuple[tuple[Drawing, ...], str] | None:
    """Drawings and credit; `None` where the set does not show the concept."""
    folder = Path(str(files("dife_scanner") / "assets" / "wide-probes"))
    manifest = json.loads((folder / _MANIFEST).read_bytes())
    names = {concept}
    names |= {one["name"] for one in manifest["concepts"] if one["class"] == concept}
    rows = [row for row in manifest["images"] if row["concept"] in names][:MOST]
    if not rows:
        return None
    sets = {one["set"]: one for one in manifest["licences"]}
    shown = tuple(_read(folder, row, sets) for row in rows)
    credits = dict.fromkeys(_credit(sets[row["style"]]) for row in rows)
    return shown, f"Drawings: {'; '.join(credits)}."


def _read(folder: Path, row: dict[str, Any], sets: dict[str, Any]) -> Drawing:
    """Raises `ValueError` for a picture that is not the manifest's."""
    with zipfile.ZipFile(folder / f"{row['split']}.zip") as archive:
        content = archive.read(row["file"])
    digest = sha256(content).hexdigest()
    if digest != row["sha256"]:
        raise ValueError(f"{row['file']} is not the one in the manifest")
    return Drawing(content, digest, f"{row['concept']}, {sets[row['style']]['title']}")


def _credit(of_set: dict[str, Any]) -> str:
    """`Noto Emoji (v1) by Google Inc, Apache-2.0`."""
    return f"{of_set['title']} by {of_set['author']}, {of_set['spdx']}"
