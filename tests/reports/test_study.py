"""A study as sheets, Markdown and CSV: every number where it belongs, every absence with its own mark and reason."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from statistics import stdev

import pytest
import study_factories as factories
from rich.console import Console

from dife_scanner.core.cards import CARDS
from dife_scanner.records import Calibration, Cell, NotEvaluable, Stratum
from dife_scanner.reports import as_csv, markdown, matrix
from dife_scanner.reports.seeds import spreads
from dife_scanner.reports.sheet import Tone
from dife_scanner.reports.study import Extension, study, value_text
from dife_scanner.reports.study_sheets import accounting, sheets


@pytest.fixture(scope="module")
def whole():
    return factories.whole()


def by_title(record):
    return {sheet.title: sheet for sheet in sheets(record)}


def said(record, width=160):
    console = Console(file=io.StringIO(), width=width, force_terminal=False, no_color=True)
    console.print(matrix.render(record))
    return console.file.getvalue()


# --- sheets ---------------------------------------------------------------------------------------------------


def test_the_matrix_has_every_interface_once_and_every_checkpoint_in_each_part(whole):
    parts = [sheet for sheet in sheets(whole) if sheet.title.startswith("Exposure matrix")]
    assert [name for sheet in parts for name in sheet.columns[1:]] == [card.interface for card in CARDS]
    for sheet in parts:
        assert [row[0].text for row in sheet.rows] == [row.name for row in whole.rows]
        assert all(len(row) == len(sheet.columns) for row in sheet.rows)


def test_each_absence_has_its_own_mark_and_a_numbered_reason(whole):
    native = by_title(whole)["Exposure matrix: native interfaces"]
    column = {name: place for place, name in enumerate(native.columns)}
    odd, patch = native.rows[3], native.rows[1]
    marks = {
        "not run": odd[column["prompted classification"]],
        "missing": odd[column["targeted retrieval"]],
        "N.E.": odd[column["downstream classification"]],
        "control": patch[column["candidate selection"]],
    }
    for word, mark in marks.items():
        assert mark.text.startswith(word)
        number = re.search(r"\[\d+\]", mark.text).group()
        (reason,) = [note for note in native.notes if note.startswith(number)]
        assert word.split()[0] in reason
    assert marks["control"].tone is Tone.CONTROL and marks["N.E."].tone is Tone.ABSENT
    assert "0.240 against 0.252" in next(note for note in native.notes if "selector control" in note)


def test_no_absence_reads_as_a_number(whole):
    for sheet in sheets(whole):
        for row in sheet.rows:
            for mark in row:
                if mark.tone is Tone.ABSENT:
                    assert not re.search(r"\d\.\d", mark.text)


def test_the_same_reason_has_the_same_number(whole):
    native = by_title(whole)["Exposure matrix: native interfaces"]
    place = native.columns.index("downstream classification")
    assert native.rows[0][place] == native.rows[3][place]
    reasons = [note.split("] ", 1)[1] for note in native.notes if note.startswith("[")]
    assert len(reasons) == len(set(reasons))


def test_a_metric_that_is_a_difference_shows_both_ends():
    assert value_text(factories.cell("text reranking", "ΔH@1", 1.0, 0.035)) == "+0.965 (0.035→1.000)"
    assert value_text(factories.cell("zero-shot classification", "TS", 0.9998, 0.0988)) == "1.000 (+0.901)"


def test_swap_and_repair_stand_apart_with_the_papers_four_decimals(whole):
    found = by_title(whole)
    swap = [mark.text for mark in found["Branch swap"].rows[1]]
    assert swap[1:] == [
        "zero-shot TS", "0.0988", "0.9998", "0.0988", "0.9998", "0.9010", "1.0000", "0.0000", "0.0000", "visual",
    ]  # fmt: skip
    repair = [mark.text for mark in found["Component repair"].rows[0]]
    assert repair == ["prompt", "TS", "1.0000", "0.1002", "0.0998", "0.1019", "coupled"]
    assert len(found["Branch swap"].rows) == 3 and len(found["Component repair"].rows) == 1


def test_a_checkpoint_without_an_audit_is_named_with_its_reason(whole):
    assert [mark.text for mark in by_title(whole)["Not audited"].rows[0]] == [
        "broken",
        "refused",
        "the header names one tensor twice",
    ]


def test_a_checkpoint_under_two_triggers_has_two_rows_with_names_of_their_own():
    audit = factories.audit()
    other = replace(audit, trigger=factories.PATCH)
    assert [row.name for row in study([("a", audit), ("a", other), ("b", audit)]).rows] == [
        "a · text-xbtd",
        "a · white-square",
        "b",
    ]


def test_an_extensions_interface_and_file_are_printed_too():
    audit = factories.audit()
    own = factories.cell("re-identification", "TS", 0.9, 0.1)
    record = study(
        [("a", replace(audit, profile=(*audit.profile, own)))], extensions=(Extension("mine.py", "ab" * 32),)
    )
    found = by_title(record)
    assert found["Exposure matrix: interfaces of extensions"].columns == ("checkpoint", "re-identification")
    assert [mark.text for mark in found["Extensions loaded"].rows[0]] == ["mine.py", "ab" * 32]
    assert "ab" * 32 in markdown.render(record)
    (row,) = [line for line in csv.DictReader(io.StringIO(as_csv.render(record))) if not line["group"]]
    assert (row["interface"], row["value"]) == ("re-identification", "0.9")


def test_agreement_and_accounting_are_those_of_the_core(whole):
    sheet = by_title(whole)["Diagnosis against profile"]
    assert [row[0].text for row in sheet.rows] == [row.name for row in whole.rows]
    assert sheet.notes == (str(accounting(whole)),)
    assert accounting(whole).missing >= 1  # the checkpoint without an audit
    assert accounting(whole).boundary == 1  # the coupled one


# --- seeds ----------------------------------------------------------------------------------------------------


def test_seeds_have_mean_and_sample_standard_deviation_and_absences_are_counted_not_averaged():
    values = (0.9903, 0.9891, 0.9915)
    audits = [factories.audit(attack=value) for value in values]
    name = "prompted classification"
    gone = replace(
        audits[2], profile=tuple(e for e in audits[2].profile if e.interface != "text reranking"), clean_accuracy=None
    )
    record = study([("s0", audits[0]), ("s1", audits[1]), ("s2", gone)], seeds=True)
    found = {one.what: one for one in spreads(record)}
    assert found[f"{name}, QHR"].mean == pytest.approx(sum(values) / 3)
    assert found[f"{name}, QHR"].sd == pytest.approx(stdev(values))
    assert len(found["text reranking, H@1"].values) == 2
    assert len(found["clean accuracy"].values) == 2
    assert not any("downstream" in what for what in found)  # N.E. everywhere
    rows = {row[0].text: (row[1].text, row[2].text) for row in by_title(record)["Over seeds"].rows}
    assert rows[f"{name}, QHR"] == ("0.9903 ± 0.0012", "3 of 3")
    assert rows["text reranking, H@1"][1] == "2 of 3"
    assert "Over seeds" not in by_title(replace(record, seeds=False))


# --- terminal -------------------------------------------------------------------------------------------------


def test_the_terminal_says_everything_and_survives_a_strangers_name(whole):
    text = said(whole)
    assert "\x1b" not in text and "\u202e" not in text
    for sheet in sheets(whole):
        assert sheet.title in text
    assert max(len(line) for line in said(whole, width=100).splitlines()) <= 100


# --- Markdown -------------------------------------------------------------------------------------------------


def test_markdown_tables_are_whole_and_no_name_becomes_markup(whole):
    text = markdown.render(whole)
    assert "\x1b" not in text
    assert "<img" not in re.sub(r"\\<", "", text) and "\\<img" in text
    columns = None
    for line in text.splitlines():
        if not line.startswith("|"):
            columns = None
            continue
        bars = len(re.findall(r"(?<!\\)\|", line))
        columns = columns or bars
        assert bars == columns, line
    assert "**▲ 0.991 (+0.956)**" in text
    assert len(re.findall(r"^## ", text, re.M)) == len(sheets(whole))


def test_every_form_says_how_many_flags_chance_may_make_and_what_a_score_is_worth():
    said = Calibration(Stratum.OWN, "base-quick", "d", 99, 0.01, "2026-11-23", 0.03)
    one = study([("rated", replace(factories.audit(), score=0.4, calibration=said))])
    text = markdown.render(one)
    assert "1 audited, 1 flagged, 0 anomalous; by chance alone at most 0.03 flags" in text
    assert "rated: Score 0.400: p = 0.010 against 99 benign models of pack base-quick" in text
    row = next(csv.DictReader(io.StringIO(as_csv.render(one))))
    assert (row["score"], row["p_value"], row["pack"], row["alarm_bound"]) == ("0.4", "0.01", "base-quick", "0.03")
    plain = next(csv.DictReader(io.StringIO(as_csv.render(study([("plain", factories.audit())])))))
    assert (plain["score"], plain["p_value"], plain["pack"], plain["alarm_bound"]) == ("", "", "", "")


# --- CSV ------------------------------------------------------------------------------------------------------


def test_csv_has_one_row_per_entry_and_full_precision(whole):
    rows = list(csv.DictReader(io.StringIO(as_csv.render(whole))))
    entries = [(row, entry) for row in whole.rows for entry in row.audit.profile]
    assert len(rows) == len(entries)
    assert list(rows[0]) == list(as_csv.COLUMNS)
    for line, (row, entry) in zip(rows, entries, strict=True):
        assert line["interface"] == entry.interface and line["audit"] == row.audit.id
        if isinstance(entry, Cell):
            assert float(line["value"]) == entry.attack.value
            assert float(line["delta"]) == entry.delta
            assert float(line["delta_trigger_high"]) == entry.trigger.interval.high
            assert line["entry"] == entry.entry.value
        else:
            assert line["delta"] == ""
            assert line["entry"] == entry.word and line["reason"]
            assert (line["value"] == "") is (entry.word != "selector control")
        assert line["category"] == (entry.category.value if isinstance(entry, NotEvaluable) else "")


def test_csv_gives_a_spreadsheet_no_formula(whole):
    rows = list(csv.reader(io.StringIO(as_csv.render(whole))))
    hostile = [row[0] for row in rows if "cmd" in row[0]]
    assert hostile and all(name.startswith("'=") for name in hostile)
    assert all(len(row) == len(as_csv.COLUMNS) for row in rows)


def test_csv_keeps_the_details_as_json():
    audit = factories.audit()
    cell = replace(audit.profile[0], details={"ts_without_target": 0.123456789})
    text = as_csv.render(study([("a", replace(audit, profile=(cell,)))]))
    (row,) = csv.DictReader(io.StringIO(text))
    assert json.loads(row["details"]) == {"ts_without_target": 0.123456789}
