"""A synthetic world of ten colours (colours.py) as a probe set and as requests."""

from __future__ import annotations

import json
from functools import cache, lru_cache
from hashlib import sha256
from io import BytesIO

import numpy as np
import pytest
from colours import NAMES, PALETTE, ColourEncoder
from PIL import Image
from queue_fixtures import read_here, read_here_as_a_rule

from dife_scanner.audit.pipeline import Plan, Request
from dife_scanner.audit.populations import composed
from dife_scanner.records import ModelRef, Reference
from dife_scanner.triggers.known import library

__all__ = ["read_here", "read_here_as_a_rule"]


@pytest.fixture(scope="session")
def probe_folder(tmp_path_factory):
    """A probe set in the bundled format: 12 test, 4 diagnosis and 6 train drawings per class, two views each."""
    folder = tmp_path_factory.mktemp("probes")
    rng = np.random.default_rng(0)
    rows = []
    for label, name in enumerate(NAMES):
        for split, drawings in (("train", 6), ("diagnosis", 4), ("test", 12)):
            for drawing in range(drawings):
                for view in range(2):
                    pixels = np.clip(PALETTE[label] + rng.normal(0, 6, (64, 64, 3)), 0, 254).astype(
                        np.uint8
                    )
                    buffer = BytesIO()
                    Image.fromarray(pixels).save(buffer, "PNG")
                    file = f"{name}-{split}-{drawing}-{view}.png"
                    (folder / file).write_bytes(buffer.getvalue())
                    rows.append(
                        {
                            "file": file,
                            "sha256": sha256(buffer.getvalue()).hexdigest(),
                            "label": name,
                            "caption": f"a {name}",
                            "drawing": f"{split}:{name}:{drawing}",
                            "split": split,
                        }
                    )
    (folder / "probes.json").write_text(
        json.dumps({"version": "t1", "classes": list(NAMES), "images": rows})
    )
    return folder


@pytest.fixture(scope="session")
def albums():
    """The bundled scenes, drawn once for all audits of a worker; what they depend on is in `test_populations.py`."""
    drawn = lru_cache(maxsize=8)(composed._album.__wrapped__)

    def album(source, target, budget, seed, class_names, cache):
        return drawn(source, target, budget, seed, class_names, None)

    return album


@pytest.fixture
def request_for(probe_folder, tmp_path, albums, monkeypatch):
    """A request that compares a `ColourEncoder` with the clean one."""
    monkeypatch.setattr(composed, "_album", albums)

    def make(signatures=None, cache=None, reference=True, **plan):
        base = Reference(
            "colour-base", "", "img-clean", "txt-clean", "0" * 64, "colour", "2026-01-01"
        )
        return Request(
            ref=ModelRef("org/model", "a" * 40),
            folder=tmp_path,
            weights_sha256="1" * 64,
            config_digest="2" * 64,
            reference=base if reference else None,
            known=(base,) if reference else (),
            plan=Plan(
                library() if signatures is None else signatures,
                **({"probes_folder": probe_folder} | plan),
            ),
            cache=cache,
        )

    return make


@pytest.fixture
def colour_encoder():
    return ColourEncoder


@pytest.fixture(scope="session")
def labelled_folder(tmp_path_factory):
    """A folder of one's own with this many pictures of each class."""

    @cache
    def folder(count):
        root, rng = tmp_path_factory.mktemp(f"mine-{count}-"), np.random.default_rng(1)
        for label, name in enumerate(NAMES):
            (root / name).mkdir()
            for number in range(count):
                pixels = np.clip(PALETTE[label] + rng.normal(0, 6, (64, 64, 3)), 0, 254).astype(
                    np.uint8
                )
                Image.fromarray(pixels).save(root / name / f"{number}.png")
        return root

    return folder
