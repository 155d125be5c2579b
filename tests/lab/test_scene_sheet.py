"""The bundled scene sheet is what its manifest says, and holds held-out drawings only."""

import hashlib
import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from dife_scanner.lab.pictures import art, drawing_sets, probes

FOLDER = probes.probe_folder()


@pytest.fixture(scope="module")
def sheet() -> dict:
    return json.loads((FOLDER / "scenes.json").read_text())


def tiles(sheet):
    pixels = np.asarray(Image.open(FOLDER / sheet["file"]))
    side, columns = sheet["tile"], sheet["columns"]
    for i in range(len(sheet["drawings"])):
        top, left = i // columns * side, i % columns * side
        yield pixels[top : top + side, left : left + side]


def test_the_picture_is_the_manifests_and_small(sheet):
    raw = (FOLDER / sheet["file"]).read_bytes()
    assert hashlib.sha256(raw).hexdigest() == sheet["sha256"]
    assert len(raw) + (FOLDER / "scenes.json").stat().st_size <= 4_000_000


def test_class_drawings_are_the_test_splits(sheet):
    rows = json.loads((FOLDER / "probes.json").read_text())["images"]
    test = {row["drawing"]: row["label"] for row in rows if row["split"] == "test"}
    assert {row["drawing"]: row["class"] for row in sheet["drawings"] if row["class"]} == test


def test_enough_other_concepts_from_held_out_colour_sets(sheet):
    others = [row for row in sheet["drawings"] if row["class"] is None]
    assert len(others) >= 100
    assert {row["drawing"].split(":")[0] for row in others} == {"emojione", "fluent-emoji", "noto-v1"}
    assert not {row["term"] for row in others} & set(art.CLASSES)


def test_every_drawing_is_held_out_and_freely_licensed(sheet):
    stated = {terms["set"]: terms["spdx"] for terms in sheet["licences"]}
    for row in sheet["drawings"]:
        name = row["drawing"].split(":")[0]
        assert drawing_sets.SETS[name].held_out
        assert row["licence"] == stated[name] and "-SA" not in row["licence"]


def test_no_drawing_stands_twice_and_none_is_blank(sheet):
    assert max(Counter(row["drawing"] for row in sheet["drawings"]).values()) == 1
    for row, tile in zip(sheet["drawings"], tiles(sheet), strict=True):
        assert (tile[..., 3] > 128).mean() > 0.05, row["drawing"]
        if row["mono"]:
            assert not tile[tile[..., 3] > 200][:, :3].any(), row["drawing"]
