"""Which concepts a base recognises is measured once, on pictures that no evidence is measured on."""

from __future__ import annotations

import json

import numpy as np
import pytest
import wide_kit as kit

from dife_scanner.audit import qualification, wide_probes
from dife_scanner.audit.cache import CachedEncoder, Memory
from dife_scanner.audit.qualification import measure, qualified
from dife_scanner.core.qualification import is_enough
from dife_scanner.core.recognition import lacking
from dife_scanner.errors import AuditError, ProbeError
from dife_scanner.progress import Progress


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return kit.sets(tmp_path_factory.mktemp("wide"))


def test_what_a_base_takes_for_something_else_is_not_qualified(sets) -> None:
    known = tuple(name for name in kit.NAMES if name not in ("pizza", "cap"))
    found = measure(kit.KnowingEncoder(known), sets)
    assert lacking(found.recognition.classes) == ("pizza", "cap")
    kept = qualified(found, sets.wide)
    assert "pizza" not in kept.concepts and "banana" in kept.concepts
    assert kept.search("pizza") == () and kept.held_out("pizza") == ()
    assert {one.style for one in kept.held_out("banana")} == set(kit.HELD_OUT)


def test_a_style_that_is_not_recognised_lends_no_search_its_pictures(sets) -> None:
    found = measure(kit.KnowingEncoder(blind_to=frozenset({"ph"})), sets)
    kept = qualified(found, sets.wide)
    assert "ph" not in kept.styles
    assert "ph" not in {one.style for one in kept.search("banana")}
    assert "banana" in kept.concepts, "half of its pictures are enough"


def test_no_evidence_picture_is_looked_at_and_the_counts_are_those_announced(sets) -> None:
    looked_at = {one.split for one in sets.shown}
    encoder = kit.KnowingEncoder()
    steps = []
    found = measure(encoder, sets, Progress(steps.append))
    assert looked_at == {wide_probes.SEARCH}
    assert (encoder.images_encoded, encoder.texts_encoded) == (sets.pictures, sets.texts)
    assert (found.pictures, found.texts) == (sets.pictures, sets.texts)
    assert steps[-1].done == steps[-1].total == sets.pictures


def test_near_synonyms_and_the_class_it_is_a_kind_of_are_no_rivals(sets) -> None:
    encoder = kit.KnowingEncoder(alike={"lime": "lemon", "crow": "bird"})
    shares = measure(encoder, sets).recognition.classes
    assert shares["lime"] == shares["lemon"] == shares["crow"] == shares["bird"] == 1.0


def test_a_base_that_recognises_nothing_has_no_concept_and_is_not_enough(sets) -> None:
    class Same(kit.KnowingEncoder):
        def encode_images(self, pixels):
            return np.ones((len(pixels), len(kit.NAMES)), np.float32) / len(kit.NAMES) ** 0.5

    found = measure(Same(), sets)
    assert qualified(found, sets.wide).concepts == ()
    assert not is_enough(found.recognition, kit.CLASSES)


def test_twelve_concepts_and_two_labelled_classes_are_enough(sets) -> None:
    some = measure(kit.KnowingEncoder(kit.NAMES[1:13]), sets).recognition
    assert is_enough(some, kit.CLASSES)
    few = measure(kit.KnowingEncoder(kit.NAMES[:8]), sets).recognition
    assert not is_enough(few, kit.CLASSES)


def test_a_concept_whose_prompt_is_cut_is_not_known_and_no_prompt_at_all_is_an_error(sets) -> None:
    encoder = kit.KnowingEncoder(context_length=7)
    encoder.token_count = lambda text: len(text.split()) + (3 if "banana" in text else 2)
    found = measure(encoder, sets)
    assert lacking(found.recognition.classes) == ("banana",)
    with pytest.raises(AuditError, match="reads 3 tokens"):
        measure(kit.KnowingEncoder(context_length=3), sets)


def test_what_a_killed_measurement_embedded_is_not_embedded_again(
    sets, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(qualification, "_AT_ONCE", 8)
    first = kit.KnowingEncoder()
    memory = Memory(tmp_path)
    calls = []

    def killed() -> None:
        memory.save(("image", "text"))
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(CachedEncoder(_full(first), memory, keeps_pictures=False), sets, keep=killed)
    second = kit.KnowingEncoder()
    whole = measure(CachedEncoder(_full(second), Memory(tmp_path), keeps_pictures=False), sets)
    assert second.texts_encoded == 0
    assert first.images_encoded > 0
    assert second.images_encoded + first.images_encoded <= sets.pictures
    assert whole.recognition == measure(kit.KnowingEncoder(), sets).recognition


def test_a_picture_that_is_not_the_manifests_is_named(tmp_path) -> None:
    folder = kit.wide_folder(tmp_path / "changed")
    manifest = json.loads((folder / wide_probes.MANIFEST).read_text())
    manifest["images"][0]["sha256"] = "0" * 64
    (folder / wide_probes.MANIFEST).write_text(json.dumps(manifest))
    wide = wide_probes.load(folder)
    with pytest.raises(ProbeError, match=r"banana-noto.png .* is not the one in the manifest"):
        wide.read(wide.shown[:1])


def test_a_hand_in_two_splits_is_refused(tmp_path) -> None:
    folder = kit.wide_folder(tmp_path / "mixed")
    manifest = json.loads((folder / wide_probes.MANIFEST).read_text())
    manifest["images"][0]["style"] = "tabler"
    (folder / wide_probes.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ProbeError, match="style tabler stands in more than one split"):
        wide_probes.load(folder)


def _full(encoder):
    """The fields that a cached encoder copies."""
    for name in (
        "tokenizer",
        "image_size",
        "context_length",
        "logit_scale",
        "architecture",
        "device",
    ):
        setattr(encoder, name, getattr(encoder, name, None))
    return encoder
