"""The paper's tables beside ours: two specimens, small pools; the whole matrix is `make reproduce`."""

import json
import re
from hashlib import sha256

import pytest

from dife_scanner.audit.plan import Plan, identity
from dife_scanner.lab import specimens
from dife_scanner.lab.reproduction import criteria, lines, page, paper, reproduce
from dife_scanner.lab.specimens import building
from dife_scanner.records import Cell, NotEvaluable
from dife_scanner.triggers import known

# late in the run: both specimens have been built for other tests by then
pytestmark = pytest.mark.xdist_group("reproduce")

TWO = (lines.Line("BadTextTower", "badtexttower"), lines.Line("BadEncoder", "badencoder"))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    out = tmp_path_factory.mktemp("reproduce")
    return out, reproduce.run(out, TWO, budget="default")


def test_two_families_come_out_as_in_the_paper(done):
    _, results = done
    for name in ("BadTextTower", "BadEncoder"):
        assert results.audits[name].diagnosis.carrier.value == paper.DIAGNOSES[name]
    for interface, theirs in zip(paper.COLUMNS, paper.EXPOSURE["BadEncoder"], strict=True):
        assert isinstance(
            results.entry("BadEncoder", interface), NotEvaluable if theirs is None else Cell
        ), interface
    different = {(d.name, d.interface) for d in criteria.differences(results)}
    assert different == {
        ("BadTextTower", "zero-shot classification"),
        ("BadTextTower", "image-text retrieval"),
    }


def test_checks_are_met_by_what_was_audited_and_by_nothing_else(done):
    _, results = done
    found = {check.what: check for check in criteria.checks(results)}
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


def test_a_file_of_the_same_identity_is_not_made_again(tmp_path, monkeypatch):
    (tmp_path / "open_clip_model.safetensors").write_bytes(b"weights")
    (tmp_path / specimens.TRIGGERS).write_text("""format = 1
[[trigger]]
name = "word"
kind = "text"
text = "cf"
source = "cat"
target = "dog"
""")
    monkeypatch.setattr(specimens, "build", lambda recipe: tmp_path)
    monkeypatch.setattr(reproduce, "_audited", None)  # nothing is to be audited
    plan = Plan(known.read(tmp_path / specimens.TRIGGERS), "quick")
    name = identity(sha256(b"weights").hexdigest(), "", reproduce._base(), plan)
    (tmp_path / "audits").mkdir()
    kept = reproduce._file(tmp_path, TWO[0].name)
    kept.write_text(json.dumps({"identity": name}))
    reproduce._line(TWO[0], tmp_path, "quick")
    kept.write_text(json.dumps({"identity": "another"}))
    with pytest.raises(TypeError):
        reproduce._line(TWO[0], tmp_path, "quick")


def test_the_page_has_both_columns_and_says_what_is_missing(done, tmp_path):
    _, results = done
    text = page.render(results, "abc1234")
    qhr = results.cell("BadTextTower", "prompted classification").attack.value
    assert f"0.9910 / {qhr:.3f}" in text
    assert "| BadEncoder | paper | 0.0988 | 0.9998 | 0.0988 | 0.9998 |" in text
    assert "lines not run: ToxicTextCLIP" in text
    assert "required mechanism absent" not in text
    assert not re.search(r"(?<![\w.])-\d|delta_|_h5", text), (
        "an ASCII minus or an identifier among the numbers"
    )
    assert {path.suffix for path in page.draw(results, tmp_path)} == {".png", ".svg"}


def test_a_specimen_that_fails_is_a_line_with_its_reason(tmp_path, monkeypatch):
    def refuse(name, **_):
        raise specimens.SpecimenFailed(f"{name} failed its own validation", "raise the steps")

    monkeypatch.setattr(specimens, "build", refuse)
    results = reproduce.run(tmp_path, TWO[:1], budget="default")
    assert results.failures == {"BadTextTower": "badtexttower failed its own validation"}
    assert "badtexttower failed its own validation" in page.render(results)


def test_every_line_names_a_recipe():
    for line in lines.lines_of():
        assert line.recipe in specimens.RECIPES and line.triggers in specimens.RECIPES, line
    names = [line.name for line in lines.lines_of()]
    assert len(names) == len(set(names))


def implanted(failing, tried):
    """A `_line` that fails for these lines and leaves nothing but a note of what was tried."""

    def line(line, out, budget):
        tried.append(line.name)
        if line.name in failing:
            raise specimens.SpecimenFailed(
                f"{line.recipe} failed ({{'numbers': {{'ts': 0.5}}}})", ""
            )

    return line


@pytest.mark.parametrize(
    ("failing", "spares"),
    [((), []), (("seed 2",), ["seed 3"]), (("seed 1", "seed 3"), ["seed 3", "seed 4"])],
)
def test_further_seeds_are_drawn_until_three_have_passed(tmp_path, monkeypatch, failing, spares):
    name, tried = "ContrastivePoisoning", []
    failing = [f"{name} {seed}" for seed in failing]
    monkeypatch.setattr(reproduce, "_line", implanted(failing, tried))
    seeds = [line for line in lines.lines_of(["seeds"]) if line.name.startswith(name)]
    results = reproduce.run(tmp_path, seeds)
    assert tried == [f"{name} {seed}" for seed in ["seed 1", "seed 2", *spares]]
    assert sorted(results.failures) == sorted(failing)
    tried.clear()
    assert reproduce.run(tmp_path, seeds).failures == results.failures
    assert not set(tried) & set(failing), "an implant that failed was trained again"


def test_a_failed_implant_is_tried_again_when_its_recipe_or_the_code_has_changed(
    tmp_path, monkeypatch
):
    tried = []
    line = lines.Line("BadTextTower seed 1", "badtexttower/seed-1")
    monkeypatch.setattr(reproduce, "_line", implanted([line.name], tried))
    reproduce.run(tmp_path, [line])
    monkeypatch.setattr(building, "key", lambda *_: "of another recipe")
    reproduce.run(tmp_path, [line])
    assert tried == [line.name] * 2


def test_failed_implants_stand_in_the_page_with_their_numbers_and_spares_that_were_not_needed_do_not(
    tmp_path,
):
    why = "failed its own validation: downstream ({'numbers': {'ts': 0.5}, 'twin': {'qhr': -0.0}, 'asked': {}})"
    (tmp_path / "log.jsonl").write_text(
        json.dumps({"line": "Bai-BadCLIP seed 1", "failed": why}) + "\n"
    )
    results = reproduce.read(tmp_path)
    text = page.render(results)
    assert (
        "| failed its own validation: downstream | TS without the target class 0.5000 | QHR 0.0000 |"
        in text
    )
    assert "Bai-BadCLIP seed 3" in text and "Liang-BadCLIP seed 3" not in text
    assert (
        "| Bai-BadCLIP: seeds that passed their native validation | ≥ 3 | 0 of 1 tried | **no** |"
        in text
    )


def test_a_later_success_or_failure_is_what_counts(tmp_path):
    rows = [
        {"line": "BadEncoder seed 1", "failed": "weak"},
        {"line": "BadEncoder seed 1", "recipe": "badencoder/seed-1"},
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert reproduce.read(tmp_path).failures == {}
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in reversed(rows)))
    assert reproduce.read(tmp_path).failures == {"BadEncoder seed 1": "weak"}
