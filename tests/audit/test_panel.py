"""A panel brings any concept among the labelled classes, with pictures of its own or of its neighbours."""

from __future__ import annotations

import numpy as np
import pytest
import wide_kit as kit

from dife_scanner.audit import qualification
from dife_scanner.audit.candidate_panels import Panels
from dife_scanner.audit.panel import LEAST, panel
from dife_scanner.audit.probes import DIAGNOSIS, TEST, TRAIN
from dife_scanner.audit.qualification import measure, qualified
from dife_scanner.audit.sides import Side
from dife_scanner.core import metrics
from dife_scanner.core.directions import Directions
from dife_scanner.errors import MeasurementError


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return kit.sets(tmp_path_factory.mktemp("wide"))


@pytest.fixture
def made(sets):
    """The panel of a source and a target for a base."""

    def make(source, target, encoder=None):
        encoder = encoder or kit.KnowingEncoder()
        known = qualified(measure(encoder, sets), sets.wide)
        texts = encoder.encode_texts(qualification.prompts_of(kit.NAMES))
        directions = Directions.of(kit.NAMES, metrics.class_prompts(texts, len(kit.NAMES)))
        return panel(sets.labelled, known, directions, source, target)

    return make


def test_a_concept_is_a_class_like_any_other_and_every_split_shows_it(made) -> None:
    found = made("cat", "banana")
    assert found.probes.class_names == ("bird", "cat", "truck", "banana")
    assert found.replaced == {}
    for name in (TRAIN, DIAGNOSIS, TEST):
        split = found.probes.split(name)
        assert len(split.images) == len(split.labels) == len(split.drawings) == len(split.styles)
        shown = int((split.labels == 3).sum())
        assert shown >= LEAST[name], name


def test_a_side_takes_a_panels_split_as_it_is(made) -> None:
    found = made("", "pizza")
    split = found.probes.split(TEST)
    side = Side(kit.KnowingEncoder(), split, found.probes.class_names, ("a picture of a {}",))
    assert side.recognition.classes["cat"] == 1.0
    own = np.array([":pizza" in drawing for drawing in split.drawings])
    right = metrics.accuracy(side.scores, split.labels)
    assert right[own].all()


def test_neighbours_lend_what_is_lacking_and_have_no_class(made) -> None:
    found = made("", "pizza")
    lenders = found.borrowed["pizza"]
    assert len(lenders) >= 3, "three drawings of its own, twelve needed"
    assert not set(lenders) & set(found.probes.class_names)
    assert "crow" not in lenders, "a kind of a class of the panel is that class's"
    drawings = found.probes.split(TEST).drawings
    lent = [one for one in drawings if one.partition(":")[2] in lenders]
    assert len(lent) == LEAST[TEST] - len(kit.HELD_OUT)


def test_two_concepts_never_lend_from_the_same_neighbour(made) -> None:
    found = made("pizza", "banana")
    assert not set(found.borrowed["pizza"]) & set(found.borrowed["banana"])
    assert {"pizza", "banana"} <= set(found.probes.class_names)


def test_a_concept_takes_the_place_of_the_class_that_means_the_same(made) -> None:
    found = made("cat", "lorry", kit.KnowingEncoder(alike={"lorry": "truck"}))
    assert found.probes.class_names == ("bird", "cat", "lorry")
    assert found.replaced == {"truck": "lorry"}
    assert not any("truck" in drawing for drawing in found.probes.split(TEST).drawings)


def test_a_kind_of_a_class_takes_its_place(made) -> None:
    assert made("cat", "crow").replaced == {"bird": "crow"}


def test_source_and_target_of_one_meaning_have_no_panel(made) -> None:
    with pytest.raises(MeasurementError, match="mean the same"):
        made("bird", "crow")
    with pytest.raises(MeasurementError, match="mean the same"):
        made("lemon", "lime")


def test_a_concept_without_qualified_pictures_is_in_no_panel(made) -> None:
    unknowing = kit.KnowingEncoder(tuple(name for name in kit.NAMES if name != "pizza"))
    with pytest.raises(MeasurementError, match="no picture of `pizza`"):
        made("cat", "pizza", unknowing)
    with pytest.raises(MeasurementError, match="no picture of `gibberish`"):
        made("cat", "gibberish")


def test_labelled_classes_alone_are_the_panel_of_today(made, sets) -> None:
    found = made("cat", "truck")
    assert found.probes.class_names == sets.labelled.class_names
    for name, split in sets.labelled.splits.items():
        assert np.array_equal(found.probes.split(name).images, split.images)


def test_a_collapsed_text_tower_makes_no_two_names_the_same() -> None:
    directions = Directions.of(("a", "b"), np.ones((2, 4)) / 2)
    assert not directions.mean_the_same("a", "b")


def test_what_pictures_of_any_class_come_to_needs_no_pictures(sets) -> None:
    """Its name is a class without any; from one source alone it has no panel, and what means the same makes room."""
    encoder = kit.KnowingEncoder()
    panels = Panels(sets.labelled, None, encoder)
    found = panels.of("", "banana")
    assert found is not None
    assert found.class_names == (*sets.labelled.class_names, "banana")
    for name in (TRAIN, DIAGNOSIS, TEST):
        split, own = found.split(name), sets.labelled.split(name)
        assert split.labels.tolist() == own.labels.tolist()
        assert split.drawings == own.drawings
    assert panels.of("cat", "banana") is None
    side = Side(encoder, found.split(TEST), found.class_names, ("a picture of a {}",))
    assert side.scores.shape == (len(found.split(TEST).images), 4)
