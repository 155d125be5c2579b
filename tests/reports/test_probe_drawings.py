"""Drawings of the concept that a trigger leads to come from the package, with their names and licences."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from io import BytesIO

import numpy as np
import pytest
import study_factories as factories
from PIL import Image

from dife_scanner.audit import probes, wide_probes
from dife_scanner.audit.concepts import concept_names
from dife_scanner.figures import drawings
from dife_scanner.figures.drawings import Drawings
from dife_scanner.records import Budget, NearestConcept, Recovered


@pytest.fixture(autouse=True)
def fresh():
    """Nothing read in another test."""
    cached = (drawings._of, drawings._wide, drawings._labelled, drawings.of_item)
    for one in cached:
        one.cache_clear()
    yield
    for one in cached:
        one.cache_clear()


def leads_to(*concepts: str, apart: float = 0.01):
    """An audit whose trigger leads near these concepts, the nearest first, each so much further away than the last."""
    near = tuple(
        NearestConcept(name, round(0.9 - apart * place, 2)) for place, name in enumerate(concepts)
    )
    found = Recovered("owl", 1000, near, 1, 0.9, NearestConcept("cup", 0.1), {}, {})
    return replace(factories.audit("one", factories.TEXT), trigger=factories.TEXT, recovered=found)


def test_the_nearest_concept_is_drawn_by_four_hands_with_their_licences() -> None:
    found = drawings.drawings(leads_to("owl", "cat"))
    assert isinstance(found, Drawings) and len(found.drawings) == drawings.MOST
    wide = wide_probes.load(wide_probes.bundled_folder())
    known = {one.sha256 for one in wide.shown if one.concept == "owl"}
    for one in found.drawings:
        assert sha256(one.content).hexdigest() == one.sha256 and one.sha256 in known
        assert Image.open(BytesIO(one.content)).format == "WEBP"
        assert one.caption.startswith("owl, ")
    assert "“owl” (cosine 0.90)" in found.sentence
    licences = {
        row["spdx"]
        for row in json.loads((wide.folder / "wide-probes.json").read_bytes())["licences"]
    }
    credits = found.credit.removeprefix("Drawings: ").removesuffix(".").split("; ")
    assert all(credit.rpartition(", ")[2] in licences and " by " in credit for credit in credits)


def test_a_class_is_shown_by_its_kinds_and_what_is_not_shown_by_the_next_concept() -> None:
    of_class = drawings.drawings(leads_to("bird"))
    assert isinstance(of_class, Drawings)
    assert {one.caption.partition(",")[0] for one in of_class.drawings} & {
        "owl",
        "duck",
        "baby chick",
    }
    following = drawings.drawings(leads_to("nowhere", "owl"))
    assert isinstance(following, Drawings) and "“owl” (cosine 0.89)" in following.sentence
    other_thing = drawings.drawings(leads_to("nowhere", "owl", apart=0.1))
    assert other_thing == (
        "The probe sets that ship have no drawing of “nowhere” or a concept as near."
    )


def test_a_labelled_class_that_the_wide_set_leaves_out_is_shown_from_its_own() -> None:
    """What both specimens of the demo lead to."""
    found = drawings.drawings(leads_to("airplane"))
    assert isinstance(found, Drawings) and len(found.drawings) == drawings.MOST
    assert len({one.by for one in found.drawings}) == drawings.MOST  # by four hands
    for one in found.drawings:
        assert sha256(one.content).hexdigest() == one.sha256
        assert Image.open(BytesIO(one.content)).format == "JPEG"
        assert one.caption.startswith("airplane, ") and one.by in found.credit


def test_a_ranked_picture_is_the_one_that_was_measured_on() -> None:
    name = "deer (game-icons:deer-head)"
    found = drawings.of_item(name)
    assert found is not None and found.caption == "deer, Game Icons"
    test = probes.load(probes.bundled_folder(), Budget.QUICK).split("test")
    at = list(test.drawings).index("game-icons:deer-head")
    assert np.array_equal(np.asarray(Image.open(BytesIO(found.content))), test.images[at])
    for other in ("a photo of one jet", "deer (noto:nothing)", "ship (game-icons:deer-head)", ""):
        assert drawings.of_item(other) is None


def test_a_damaged_picture_of_an_item_is_left_out(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(drawings, "files", lambda _: tmp_path)
    assert drawings.of_item("deer (game-icons:deer-head)") is None


def test_where_there_is_no_drawing_a_sentence_says_so(monkeypatch, tmp_path) -> None:
    assert "no drawing of “nowhere”" in drawings.drawings(leads_to("nowhere"))
    assert drawings.drawings(replace(leads_to("owl"), trigger=None)) == ""
    without = replace(leads_to("owl"), recovered=None)
    assert drawings.drawings(replace(without, signatures=())) == ""
    monkeypatch.setattr(drawings, "files", lambda _: tmp_path)
    drawings._wide.cache_clear()
    drawings._of.cache_clear()
    assert "The window alone comes without drawings" in drawings.drawings(leads_to("owl"))
    (tmp_path / "assets").mkdir()
    assert "reinstall the package" in drawings.drawings(leads_to("owl"))
    folder = tmp_path / "assets" / "wide-probes"
    folder.mkdir(parents=True)
    (folder / "wide-probes.json").write_text('{"concepts": [')
    assert "reinstall the package" in drawings.drawings(leads_to("owl"))


def test_most_concepts_of_the_set_are_among_those_that_targets_are_looked_for() -> None:
    """Else nothing would ever be drawn."""
    names = wide_probes.load(wide_probes.bundled_folder()).names
    assert len(set(names) & set(concept_names())) > len(names) / 4
