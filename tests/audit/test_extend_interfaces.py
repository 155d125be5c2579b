"""docs/extending.md is what a researcher follows: its interface is registered from one file and audited with here."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from dife_scanner.audit import pipeline
from dife_scanner.audit.interfaces import cards, extend, registry
from dife_scanner.core.cards import CARDS
from dife_scanner.errors import UsageError
from dife_scanner.records import Cell, EntryType, NotEvaluable, Trigger, TriggerKind
from dife_scanner.reports import in_full
from dife_scanner.triggers import known
from dife_scanner.triggers.kinds import base

KINDS, DOCUMENT = (
    (Path(__file__).parents[2] / "docs" / "extending.md").read_text().split("## An interface")
)
NAME = "nearest-neighbour tagging"
CORNER = Trigger("corner", TriggerKind.PATCH, size=3 / 32, x=27 / 32, y=27 / 32, target="airplane")
XBTD = Trigger("xbtd", TriggerKind.TEXT, text="xbtd", source="automobile", target="airplane")


@pytest.fixture(autouse=True)
def _as_before():
    before = base.names()
    yield
    for card in cards():
        if card not in CARDS:
            registry.forget(card.interface)
    base.keep_only(before)


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
    assert [entry.interface for entry in audit.profile] == [
        *(card.interface for card in CARDS),
        NAME,
    ]
    cell = audit.profile[-1]
    assert isinstance(cell, Cell) and cell.entry is EntryType.EXPOSED
    assert cell.details["ts_without_target"] == 1.0
    assert NAME in audit.diagnosis.predicted
    assert cell.population in {
        file.sha256 for file in audit.evidence if file.role == "pool-manifest"
    }


def test_the_documented_trigger_kind_is_shown_by_name_and_kind(
    tmp_path, colour_encoder, request_for
):
    code, entry = (
        re.search(rf"```{tongue}\n(.*?)```", KINDS, re.DOTALL)[1] for tongue in ("python", "toml")
    )
    for name, text in (("frame.py", code), ("triggers.toml", entry)):
        (tmp_path / name).write_text(text)
    assert extend(tmp_path / "frame.py").kinds == ("frame",)
    suspect = colour_encoder(image_tower="bad", visual=True)
    request = request_for(signatures=known.read(tmp_path / "triggers.toml"))
    audit = pipeline.audit(suspect, colour_encoder(), request).audit
    shown = io.StringIO()
    Console(file=shown, width=200).print(in_full.render(audit, None, tmp_path))
    assert "red-frame: frame (red 255, width 0.05); any → airplane" in shown.getvalue()
    assert "trigger: red-frame: frame — " in shown.getvalue()


def test_its_card_alone_decides_whether_the_question_is_well_formed(
    example, colour_encoder, request_for
):
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
