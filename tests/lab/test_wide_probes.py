"""The wide probe set that ships: what it promises of concepts, hands, licences and size."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from dife_scanner.audit import probes, qualification, wide_probes
from dife_scanner.audit.wide_probes import HELD_OUT, SEARCH
from dife_scanner.baselines.home import bundled_references, qualified_folder
from dife_scanner.core import metrics
from dife_scanner.core.qualification import is_enough
from dife_scanner.core.recognition import recognised
from dife_scanner.lab.pictures import art, world
from dife_scanner.records import Budget, Qualification, Reference
from dife_scanner.store.codec import from_json

MOST_BYTES = 20_000_000


@pytest.fixture(scope="module")
def wide():
    return wide_probes.load(wide_probes.bundled_folder())


def test_four_hundred_concepts_have_four_drawings_by_different_hands_and_others_held_out(
    wide,
) -> None:
    assert len(wide.concepts) >= 400
    for name in wide.names:
        search, held_out = wide.of(name, SEARCH), wide.of(name, HELD_OUT)
        hands = [art.SETS[one.style].family for one in (*search, *held_out)]
        assert len(search) >= 4 and len(held_out) >= 3, name
        assert len(set(hands)) == len(hands), f"{name}: one drawing of each hand"


def test_no_hand_and_no_drawing_stands_in_two_splits(wide) -> None:
    families = {split: set() for split in (SEARCH, HELD_OUT)}
    for one in wide.shown:
        families[one.split].add(art.SETS[one.style].family)
    assert not families[SEARCH] & families[HELD_OUT]
    assert max(Counter(one.drawing for one in wide.shown).values()) == 1
    labelled = probes.load(probes.bundled_folder(), Budget.QUICK)
    searched = {one.drawing for one in wide.shown if one.split == SEARCH}
    held_out = {one.drawing for one in wide.shown if one.split == HELD_OUT}
    assert not searched & set(labelled.split(probes.TEST).drawings)
    assert not held_out & set(labelled.split(probes.TRAIN).drawings)


def test_no_base_of_the_world_trains_on_a_held_out_hand(wide) -> None:
    trained = {*world.PARTS[world.WIDE], *world.PARTS[world.SEALED]}
    assert not trained & {one.style for one in wide.shown if one.split == HELD_OUT}


def test_its_concepts_are_those_of_the_list_and_no_labelled_class(wide) -> None:
    listed = {one.name: one for one in world.concepts()}
    assert not set(wide.names) & set(art.CLASSES)
    for concept in wide.concepts:
        row = listed[concept.name]
        assert (concept.kept_out, concept.labelled) == (row.kept_out, row.cls or "")
        for other in concept.near:
            assert concept.name in wide.concept(other).near
    assert sum(one.kept_out for one in wide.concepts) >= 80
    for one in wide.shown:
        assert one.drawing == f"{one.style}:{listed[one.concept].drawings[one.style]}"


def test_every_hand_is_credited(wide) -> None:
    manifest = json.loads((wide.folder / wide_probes.MANIFEST).read_text())
    credited = {row["set"]: row["spdx"] for row in manifest["licences"]}
    page = (wide.folder.parent / "LICENSES.md").read_text()
    rows = {
        line.split("`")[1]: line
        for line in page.splitlines()
        if line.startswith("| ") and "`" in line
    }
    for one in wide.shown:
        assert credited[one.style] == one.licence != ""
        assert "wide probes" in rows[one.style], one.style


def test_it_is_small_and_its_pictures_are_the_manifests(wide) -> None:
    files = [path for path in wide.folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES
    size = probes.load(probes.bundled_folder(), Budget.QUICK).split(probes.TRAIN).images.shape[1:]
    assert wide.read(wide.shown[::97]).shape[1:] == size


def test_qualification_looks_at_no_more_pictures_than_announced() -> None:
    sets = qualification.bundled()
    assert 1000 < sets.pictures <= qualification.MOST_PICTURES
    assert sets.per_concept >= 3


@pytest.mark.parametrize("base", bundled_references(), ids=lambda base: base.name)
def test_what_a_bundled_base_knows_was_measured_of_it_on_this_set(base) -> None:
    shipped = shipped_for(base)
    assert (shipped.image_tower, shipped.text_tower) == (base.image_tower, base.text_tower)
    assert shipped.probes == qualification.bundled_digest() == qualification.bundled().digest
    assert shipped.version == qualification.VERSION
    assert is_enough(shipped.recognition, art.CLASSES)


def test_a_measurement_comes_out_again_as_it_ships(wide) -> None:
    """For the first concepts: those that are known are taken for themselves, and the others for something else."""
    from dife_scanner.models.load import load

    base = next(one for one in bundled_references() if one.name == "dife-base-vit")
    sets = qualification.bundled()
    encoder = load(Path(base.path))
    shown = sets.shown[: 8 * sets.per_concept]
    images = encoder.encode_images(encoder.prepare(wide.read(shown)))
    texts = encoder.encode_texts(qualification.prompts_of(sets.names))
    scores = metrics.cosines(images, metrics.class_prompts(texts, len(sets.names)))
    best = np.array(sets.names)[scores.argmax(axis=1)].reshape(8, sets.per_concept)
    known = recognised(shipped_for(base).recognition.classes)
    for name, taken in zip(wide.names[:8], best.tolist(), strict=True):
        right = sum(one == name or one in wide.concept(name).near for one in taken)
        assert (2 * right >= len(taken)) == (name in known), name


def shipped_for(base: Reference) -> Qualification:
    return from_json(Qualification, (qualified_folder() / f"{base.name}.json").read_bytes())
