"""The paper's tables beside ours: two specimens, small pools; the whole matrix is `make reproduce`."""

import json

import pytest

from dife_scanner.lab import paper, reproduce, reproduction, specimens
from dife_scanner.records import Cell, NotEvaluable

# late in the run: both specimens have been built for other tests by then
pytestmark = pytest.mark.xdist_group("reproduce")

TWO = (reproduce.Line("BadTextTower", "badtexttower"), reproduce.Line("BadEncoder", "badencoder"))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    out = tmp_path_factory.mktemp("reproduce")
    return out, reproduce.run(out, TWO, budget="default")


def test_two_families_come_out_as_in_the_paper(done):
    _, results = done
    for name in ("BadTextTower", "BadEncoder"):
        assert results.audits[name].diagnosis.carrier.value == paper.DIAGNOSES[name]
    for interface, theirs in zip(paper.COLUMNS, paper.EXPOSURE["BadEncoder"], strict=True):
        assert isinstance(results.entry("BadEncoder", interface), NotEvaluable if theirs is None else Cell), interface
    different = {(d.name, d.interface) for d in reproduce.differences(results)}
    assert different == {("BadTextTower", "zero-shot classification"), ("BadTextTower", "image-text retrieval")}


def test_checks_are_met_by_what_was_audited_and_by_nothing_else(done):
    _, results = done
    found = {check.what: check for check in reproduce.checks(results)}
    assert found["BadTextTower, prompted classification: QHR"].met
    assert found["BadEncoder, zero-shot classification: TS without the target class"].met
    missing = found["Liang-BadCLIP, zero-shot classification: TS without the target class"]
    assert (missing.found, missing.met) == ("not measured", False)
    assert not found["N.E. pattern against the paper's"].met


def test_a_second_run_audits_nothing_again(done):
    out, results = done
    before = (out / "log.jsonl").read_text()
    again = reproduce.run(out, TWO, budget="default")
    assert (out / "log.jsonl").read_text() == before
    assert again.audits == results.audits
    rows = [json.loads(line) for line in before.splitlines()]
    assert [row["line"] for row in rows] == ["BadTextTower", "BadEncoder"]
    assert all(row["encodes"] == row["distinct"] for row in rows)


def test_the_page_has_both_columns_and_says_what_is_missing(done, tmp_path):
    _, results = done
    text = reproduction.page(results, "abc1234")
    qhr = results.cell("BadTextTower", "prompted classification").attack.value
    assert f"0.9910 / {qhr:.3f}" in text
    assert "| BadEncoder | paper | 0.0988 | 0.9998 | 0.0988 | 0.9998 |" in text
    assert "not run: ToxicTextCLIP" in text
    assert "required mechanism absent" not in text
    assert {path.suffix for path in reproduction.draw(results, tmp_path)} == {".png", ".svg"}


def test_a_specimen_that_fails_is_a_line_with_its_reason(tmp_path, monkeypatch):
    def refuse(name, **_):
        raise specimens.SpecimenFailed(f"{name} failed its own validation", "raise the steps")

    monkeypatch.setattr(specimens, "build", refuse)
    results = reproduce.run(tmp_path, TWO[:1], budget="default")
    assert results.failures == {"BadTextTower": "badtexttower failed its own validation"}
    assert "badtexttower failed its own validation" in reproduction.page(results)


def test_every_line_names_a_recipe():
    for line in reproduce.lines_of():
        assert line.recipe in specimens.RECIPES and line.triggers in specimens.RECIPES, line
    names = [line.name for line in reproduce.lines_of()]
    assert len(names) == len(set(names))
