"""Drawings of the concept that a trigger leads to come from the package, with their names and licences."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from io import BytesIO

import pytest
import study_factories as factories
from PIL import Image

from dife_scanner.audit import wide_probes
from dife_scanner.audit.concepts import concept_names
from dife_scanner.figures import drawings
from dife_scanner.figures.drawings import Drawings
from dife_scanner.records import NearestConcept, Recovered


@pytest.fixture(autouse=True)
def fresh():
    """Nothing read in another test."""
    drawings._of.cache_clear()
    yield
    drawings._of.cache_clear()


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
    probes = wide_probes.load(wide_probes.bundled_folder())
    known = {one.sha256 for one in probes.shown if one.concept == "owl"}
    for one in found.drawings:
        assert sha256(one.content).hexdigest() == one.sha256 and one.sha256 in known
        assert Image.open(BytesIO(one.content)).format == "WEBP"
        assert one.caption.startswith("owl, ")
    assert "“owl” (cosine 0.90)" in found.sentence
    licences = {
        row["spdx"]
        for row in json.loads((probes.folder / "wide-probes.json").read_bytes())["licences"]
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
    following = drawings.drawings(leads_to("airplane", "owl"))
    assert isinstance(following, Drawings) and "“owl” (cosine 0.89)" in following.sentence
    other_thing = drawings.drawings(leads_to("airplane", "owl", apart=0.1))
    assert other_thing == (
        "The probe set that ships has no drawing of “airplane” or a concept as near."
    )


def test_where_there_is_no_drawing_a_sentence_says_so(monkeypatch, tmp_path) -> None:
    assert "no drawing of “nowhere”" in drawings.drawings(leads_to("nowhere"))
    assert drawings.drawings(replace(leads_to("owl"), trigger=None)) == ""
    without = replace(leads_to("owl"), recovered=None)
    assert drawings.drawings(replace(without, signatures=())) == ""
    monkeypatch.setattr(drawings, "files", lambda _: tmp_path)
    assert "reinstall the package" in drawings.drawings(leads_to("owl"))
    folder = tmp_path / "assets" / "wide-probes"
    folder.mkdir(parents=True)
    (folder / "wide-probes.json").write_text('{"concepts": [')
    assert "reinstall the package" in drawings.drawings(leads_to("owl"))


def test_most_concepts_of_the_set_are_among_those_that_targets_are_looked_for() -> None:
    """Else nothing would ever be drawn."""
    names = wide_probes.load(wide_probes.bundled_folder()).names
    assert len(set(names) & set(concept_names())) > len(names) / 4
