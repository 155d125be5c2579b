"""docs/extending.md is what a researcher follows: its interface is registered from one file and audited with here."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from dife_scanner.audit import pipeline
from dife_scanner.audit.interfaces import cards, extend, registry
from dife_scanner.core.cards import CARDS
from dife_scanner.errors import UsageError
from dife_scanner.records import Cell, EntryType, NotEvaluable, Trigger, TriggerKind

DOCUMENT = (Path(__file__).parents[2] / "docs" / "extending.md").read_text().split("## An interface")[1]
NAME = "nearest-neighbour tagging"
CORNER = Trigger("corner", TriggerKind.PATCH, size=3 / 32, x=27 / 32, y=27 / 32, target="airplane")
XBTD = Trigger("xbtd", TriggerKind.TEXT, text="xbtd", source="automobile", target="airplane")


@pytest.fixture(autouse=True)
def _interfaces_as_before():
    yield
    for card in cards():
        if card not in CARDS:
            registry.forget(card.interface)


@pytest.fixture
def example(tmp_path):
    file = tmp_path / "tagging.py"
    file.write_text(re.search(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)[1])
    return file


def test_the_documented_interface_is_measured_and_predicted(example, colour_encoder, request_for):
    added = extend(example)
    assert (added.kinds, added.interfaces) == ((), (NAME,))
    assert extend(example).interfaces == (), "it was imported before"

    suspect = colour_encoder(image_tower="bad", visual=True)
    audit = pipeline.audit(suspect, colour_encoder(), request_for(signatures=(CORNER,))).audit
    assert [entry.interface for entry in audit.profile] == [*(card.interface for card in CARDS), NAME]
    cell = audit.profile[-1]
    assert isinstance(cell, Cell) and cell.entry is EntryType.EXPOSED
    assert cell.details["ts_without_target"] == 1.0
    assert NAME in audit.diagnosis.predicted
    assert cell.population in {file.sha256 for file in audit.evidence if file.role == "pool-manifest"}


def test_its_card_alone_decides_whether_the_question_is_well_formed(example, colour_encoder, request_for):
    extend(example)
    suspect = colour_encoder(text_tower="bad", textual=True)
    audit = pipeline.audit(suspect, colour_encoder(), request_for(signatures=(XBTD,))).audit
    assert isinstance(audit.profile[-1], NotEvaluable)
    assert NAME not in audit.diagnosis.predicted


def test_a_file_that_fails_leaves_nothing_behind(example):
    example.write_text(example.read_text() + "\nraise RuntimeError('half way')\n")
    with pytest.raises(UsageError, match=r"tagging\.py.*half way"):
        extend(example)
    assert cards() == CARDS


def test_a_name_that_is_taken_is_an_error_that_names_it(example):
    example.write_text(example.read_text().replace(NAME, "text reranking"))
    with pytest.raises(UsageError, match=r"`text reranking` is already measured"):
        extend(example)
    assert cards() == CARDS


def test_the_file_is_part_of_the_identity(example, request_for):
    request = request_for()
    one, other = replace(request.plan, extensions=(example,)), request.plan
    first = pipeline.identity("w", "c", None, one)
    assert first != pipeline.identity("w", "c", None, other)
    example.write_text(example.read_text() + "\n# changed\n")
    assert first != pipeline.identity("w", "c", None, one)
