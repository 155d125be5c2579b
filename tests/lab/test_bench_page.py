"""The page of the benchmark prints what was found, what failed and what was not run."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from bench_rows import CODE, row
from typer.testing import CliRunner

from dife_scanner.audit.plan import DISCOVERY_VERSIONS
from dife_scanner.baselines import calibration
from dife_scanner.cli.commands import app
from dife_scanner.errors import UsageError
from dife_scanner.lab.bench import adaptive, make, packs, results, rows, runner, zoo
from dife_scanner.lab.bench.page import demands, writing
from dife_scanner.lab.bench.page import document as page
from dife_scanner.lab.bench.rows import Vocabulary
from dife_scanner.lab.bench.zoo import Role
from dife_scanner.lab.rivals import entries, tuning
from dife_scanner.records import Basis, Carrier, Verdict


def test_the_page_prints_what_was_found_what_failed_and_what_was_not_run(fabricated):
    text = page.page(fabricated, packs.pack_of(fabricated, make.base_reference(), CODE))
    lines = {}
    for line in text[text.index("### Test side") :].splitlines():
        lines.setdefault(line.split(" | ")[0].strip("| "), line)
    assert "| 4 | 1 | 2 of 3 (0.09 – 0.99) | 0.67 |" in lines["badtexttower"]
    assert "| worse than any of 1392, 0.50, 0.60 (1 of 3) |" in lines["badtexttower"]
    assert "not run" in lines["global-text"]
    (told,) = [line for line in text.splitlines() if "liang-badclip" in line]
    assert "1 of them sealed" in text and told.startswith(
        "- `liang-badclip`, a sealed family: no number"
    )
    assert "| image tower | 0 | 1 | 1 | 1 | 1.00 | 0.85 |" in text
    assert "False alarms on the test side: 1 of 4" in text
    assert "`xx` (prefix) on cat → dog" in text
    assert "| fp32 copy | not run |" in text
    assert "| image tower | 2 | 1 | 0 of 2 | 0 of 2 | 0.85 |" in text
    assert "| 0.90 to 1.00 | not run |" in text, "no row says its native success"
    assert "| AMDET-like |  | not run |" in text
    assert page.page(fabricated, None) != text and "not run" in page.page([], None)


def test_the_page_does_not_change_with_what_newer_rows_say_besides(fabricated):
    newer = []
    for one in fabricated:
        fuller = replace(one, base="dife-base-vit", vocabulary=Vocabulary.LABELLED, commit="abc123")
        if one.outcome is not None:
            told = tuple(replace(found, decides=True) for found in one.outcome.found)
            encoded = rows.Encoded(1, 2, 3)
            fuller = replace(
                fuller,
                outcome=replace(one.outcome, found=told, basis=Basis.NOTHING, encoded=encoded),
            )
        newer.append(fuller)
    assert newer != fabricated and page.page(newer, None) == page.page(fabricated, None)


def test_a_text_attack_s_stealth_is_its_drift_and_what_it_costs_beside_its_own_twin():
    attacks = [row("badtexttower", n, 0.9, role=Role.ATTACK, flagged=True) for n in range(3)]
    twin = row("badtexttower", 1, 0.0, role=Role.TWIN)
    attacks[1] = replace(attacks[1], native={"clean_accuracy": 0.7})
    (line,) = results.stealth([*attacks, replace(twin, native={"clean_accuracy": 0.72})])
    assert (line.n, line.drift, line.furthest, line.pairs) == (3, 0.02, 0.03, 1)
    assert line.loss == line.worst == pytest.approx(0.02)
    assert results.stealth(attacks)[0].loss is None


def test_rows_of_the_second_base_are_a_table_of_their_own(tmp_path, fabricated):
    assert rows.folder_of(tmp_path, make.VIT) != rows.folder_of(tmp_path, make.RN)
    text = page.page([], None, second=fabricated)
    assert "| badtexttower | 4 | 1 | 2 of 3 (0.09 – 0.99) | 0.67 | 2 of 3 |" in text
    assert "False alarms: 1 of 4" in text and "highest benign score is 0.85 (image tower)" in text
    assert make.base_reference(make.RN).image_tower != make.base_reference().image_tower


def test_a_benign_model_that_could_not_be_decided_is_named_and_no_alarm(fabricated):
    torn = row("image tower", 7, 0.9)
    torn = replace(torn, outcome=replace(torn.outcome, verdict=Verdict.INCONCLUSIVE))
    text = page.page([], None, second=[*fabricated, torn])
    assert "False alarms: 1 of 5" in text
    listed = text[text.index("Ended `inconclusive`") :]
    assert "| image-tower-007 | test | 0.90 |" in listed
    assert "Ended `inconclusive`" not in page.page([], None, second=fabricated)


def test_models_of_another_budget_stand_beside_what_this_one_said(fabricated):
    longer = replace(CODE, budget="default")
    attack = replace(fabricated[0], code=longer)
    other = replace(row("image tower", 9, 0.4), code=longer)
    text = page.page(fabricated, None, larger=[attack, other])
    assert (
        "| default | discovery-1 | badtexttower | attack | 1 | 0 | 1 of 1 (0.03 – 1.00) | 1 of 1 | 1 of 1 |"
        in text
    )
    assert (
        "| default | discovery-1 | image tower | benign | 1 | 0 | 0 of 1 (0.00 – 0.97) | – | – | 0.40 | not run | 10 |"
        in text
    )
    assert (
        "At default, discovery-1: AUROC 1.00 of 1 attacks against 1 benign models of any side."
        in text
    )


def test_a_family_searched_at_no_smaller_budget_is_asked_for_there_over_rows_of_today(fabricated):
    today = replace(CODE, budget="default", discovery=DISCOVERY_VERSIONS["default"])
    two_keys = replace(row("dual-key", 0, 0.9, role=Role.ATTACK, flagged=True), code=today)
    two_keys = replace(two_keys, truth=replace(two_keys.truth, carrier=Carrier.COUPLED))
    quiet, before = (
        replace(row("image tower", 9, 0.4), code=today),
        replace(two_keys, model="dual-key-001"),
    )
    before = replace(
        before,
        code=replace(today, discovery="discovery-0"),
        outcome=replace(before.outcome, found=()),
    )
    first, *lines, copies = demands.longer([two_keys, quiet, before])
    assert (
        first.what == "dual-key at `default`: working implants per family drawn, at least 12"
        and first.met is False
    )
    assert {line.n for line in lines} == {1}, "the row of other searches is in none of them"
    assert "copies" in copies.what and copies.met is None
    found = next(line for line in lines if ": found," in line.what)
    assert found.met and {
        line.met for line in demands.longer([replace(two_keys, outcome=None)])[1:]
    } == {None}
    assert not demands.longer([replace(fabricated[0], code=today)]) and not demands.longer(
        [before, quiet]
    )
    assert "| dual-key at `default`: found, at least .9 |" in page.page(
        fabricated, None, larger=[two_keys, quiet]
    )


def test_a_family_that_was_given_up_is_counted_and_no_more_of_it_are_drawn():
    gone = row("contrastivepoisoning", 0, 0.0, role=Role.ATTACK, status=rows.FAILED)
    line = next(
        line
        for line in demands.demands([gone, row("badencoder", 0, 0.9, role=Role.ATTACK)])
        if "drawn" in line.what
    )
    assert line.measured == "fewest 1 (badencoder); given up: contrastivepoisoning"
    assert not list(zoo.plan(("contrastivepoisoning",)))


def test_a_report_writes_the_page_and_every_new_look_is_written_down(
    tmp_path, monkeypatch, fabricated
):
    for one in fabricated:
        rows.append(tmp_path / "rows", one)
        if one.role is Role.BENIGN:
            rows.append(tmp_path / "rows-rn", one)
    sealed = row("liang-badclip", 7, 0.9, role=Role.ATTACK, flagged=True)
    rows.append(tmp_path / "rows-rn", sealed)
    longer = replace(row("image tower", 30, 0.4), code=replace(CODE, budget="default"))
    rows.append(tmp_path / "rows", longer)
    monkeypatch.setattr(writing, "code_of", lambda budget: CODE)
    docs, into = tmp_path / "docs", tmp_path / "packs"
    for _ in range(2):
        written = writing.report(tmp_path, docs, budget="quick", into=into)
    pack, power = (
        calibration.read(Path(written[what]))[0]
        for what in ("pack of dife-base-vit", "power over dife-base-vit")
    )
    assert (pack.n, power.planted[0].planted) == (2, 3)
    second = calibration.read(Path(written["pack of dife-base-rn"]))[0]
    assert (second.base, second.n) == ("dife-base-rn", pack.n) and second.searched != pack.searched
    assert {path.name for path in into.iterdir()} == {
        "dife-base-vit-quick.json", "dife-base-vit-quick-power.json", "dife-base-rn-quick.json"
    }  # fmt: skip
    ledger = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    assert [(line["test_rows"], line["unsealed"]) for line in ledger] == [(9, False)], (
        "of every budget and base"
    )
    for picture in (writing.PLOT, writing.CURVES):
        assert picture in (docs / writing.PAGE).read_text() and (docs / picture).exists()
    writing.report(tmp_path, docs, budget="quick", unsealed=True, into=into)
    assert "liang-badclip" in (docs / writing.PAGE).read_text()
    assert len((tmp_path / "ledger.jsonl").read_text().splitlines()) == 2
    assert (into / "dife-base-rn-quick-power.json").exists(), (
        "the sealed row of the second base is open now"
    )


def test_the_command_prints_the_plan_and_refuses_an_unknown_kind(tmp_path):
    called = CliRunner().invoke(
        app, ["lab", "bench", "plan", "--only", "concept token", "--data", str(tmp_path)]
    )
    assert called.exit_code == 0
    assert "0 of 100 made" in called.output and "core hours" in called.output
    assert "benign to calibrate: 0 of 299 made, 299 left" in called.output
    refused = CliRunner().invoke(
        app, ["lab", "bench", "rows", "--only", "nonsense", "--data", str(tmp_path)]
    )
    assert isinstance(refused.exception, UsageError)


OPTIONS = {
    "rows": {
        "--only",
        "--limit",
        "--minutes",
        "--budget",
        "--base",
        "--any-concept",
        "--development",
        "--renew",
        "--data",
        "--work",
    },
    "plan": {"--only", "--budget", "--base", "--any-concept", "--development", "--renew", "--data"},
    "report": {"--budget", "--unseal", "--data", "--docs"},
    "zoos": {"--development", "--unseal", "--data", "--docs"},
    "rivals": {"--only", "--limit", "--minutes", "--data", "--work"},
    "tune": {"--data", "--work"},
    "adaptive": {"--limit", "--minutes", "--data", "--work"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_each_command_takes_the_options_that_it_uses(name):
    every = set().union(*OPTIONS.values())
    said = CliRunner().invoke(app, ["lab", "bench", name, "--help"]).output
    assert {option for option in every if f"{option} " in said} == OPTIONS[name]


def test_the_commands_print_one_document_each(tmp_path, monkeypatch):
    def details(*arguments):
        called = CliRunner().invoke(
            app, ["lab", "bench", *arguments, "--data", str(tmp_path), "--json", "--quiet"]
        )
        assert called.exit_code == 0, called.output
        document = json.loads(called.stdout)
        assert document["done"] == "benchmarked"
        return document["details"]

    asked = {}
    monkeypatch.setattr(
        runner,
        "run",
        lambda folder, room, asked_for, **more: asked.setdefault("rows", asked_for) and 3,
    )
    monkeypatch.setattr(entries, "run", lambda *given: asked.setdefault("rivals", given[-1]) and 4)
    monkeypatch.setattr(tuning, "run", lambda data, room, say: 5)
    monkeypatch.setattr(adaptive, "run", lambda data, room, limit, minutes, say: limit)
    monkeypatch.setattr(
        writing, "report", lambda data, docs, **more: {"page": str(docs), "more": str(more)}
    )
    assert details("rows", "--only", "copy", "--limit", "2", "--base", "rn") == {"rows": "3"}
    assert asked["rows"] == runner.RunOptions(only=("copy",), limit=2, base="rn")
    assert details("plan", "--only", "copy")["left"].startswith("all: 5 models")
    assert details("report", "--unseal") == {
        "page": "docs",
        "more": "{'budget': 'quick', 'unsealed': True}",
    }
    assert details("rivals", "--only", "twin") == {"entries": "4"} and asked["rivals"] == ("twin",)
    assert details("tune") == {"efforts tried": "5"}
    assert details("adaptive", "--limit", "6") == {"changed models": "6"}
