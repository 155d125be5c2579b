"""Known-trigger audits from the command line: one base on disk, one on a hub, and every form of the result."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from pathlib import Path

import calling
import jsonschema
import pytest

from dife_scanner.baselines.home import bases_folder
from dife_scanner.core.cards import CARDS
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.reports import as_csv, as_json

TRIGGERS = """
format = 1
[[trigger]]
name = "text-xbtd"
kind = "text"
text = "xbtd"
source = "automobile"
target = "airplane"
"""
NAMES = ["vit", "lab/rn"]

pytestmark = pytest.mark.xdist_group("known-triggers")


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with LoopbackHub(tmp_path_factory.mktemp("hub"), tokens={}) as running:
        rn = bases_folder() / "rn"
        files = {
            name: rn / name for name in ("open_clip_config.json", "open_clip_model.safetensors")
        }
        running.add_repo("lab/rn", files, tags=["clip"], library="open_clip")
        yield running


@pytest.fixture(scope="module")
def room(tmp_path_factory, hub, audit_server):
    """A home with both bases audited under one text trigger: the only two audits made here, but for the rerun's."""
    folder = tmp_path_factory.mktemp("known")
    (folder / "home").mkdir()
    (folder / "home" / "config.toml").write_text(f'endpoint = "{hub.endpoint}"\n')
    (folder / "known.toml").write_text(TRIGGERS)
    first = dife(
        folder,
        *scan(folder),
        "--format",
        "csv",
        "--output",
        folder / "cells.csv",
        "--figures",
        folder / "figs",
    )
    assert first.returncode == 0, first.stderr
    assert first.stdout == ""
    return folder


def scan(folder: Path, *more: object) -> list[object]:
    return [
        "scan",
        bases_folder() / "vit",
        "lab/rn",
        "--triggers",
        folder / "known.toml",
        "--budget",
        "quick",
        *more,
    ]


def dife(folder: Path, *arguments: object, call=calling.dife) -> subprocess.CompletedProcess[str]:
    return call(*arguments, "--home", folder / "home", "--quiet")


def document(done):
    read = json.loads(done.stdout)
    kind = next(k for k in as_json.DOCUMENTS if as_json.format_of(k) == read["format"])
    jsonschema.validate(read, json.loads(as_json.schema_file(kind).read_text()))
    return read


def test_the_csv_has_a_row_per_checkpoint_and_interface(room):
    rows = list(csv.DictReader(io.StringIO((room / "cells.csv").read_text())))
    assert [(row["checkpoint"], row["interface"]) for row in rows] == [
        (name, card.interface) for name in NAMES for card in CARDS
    ]
    assert set(rows[0]) == set(as_csv.COLUMNS)
    absent = {row["interface"] for row in rows if row["entry"] == "N.E."}
    assert absent == {"downstream classification", "planted-image retrieval"}
    for row in rows:
        assert (row["value"] == "") is (row["entry"] == "N.E.")
        if row["value"]:
            assert float(row["delta_drift"]) == 0.0  # checkpoint and reference are the same weights
            low, value, high = (float(row[name]) for name in ("value_low", "value", "value_high"))
            assert -1e-12 <= low <= value + 1e-12 and value - 1e-12 <= high <= 1 + 1e-12


def test_the_figures_are_drawn(room):
    names = {path.name for path in (room / "figs").iterdir()}
    wanted = ("exposure-matrix", "branch-swap", "trigger-and-drift")
    assert names == {f"{name}.{kind}" for name in wanted for kind in ("png", "svg")}


def test_the_table_is_the_papers_matrix_and_audits_nothing_anew(room):
    before = sorted((room / "home" / "evidence").rglob("*.json"))
    done = dife(room, *scan(room), call=calling.process)
    assert done.returncode == 0
    for title in ("Exposure matrix: native interfaces", "Branch swap", "Diagnosis against profile"):
        assert title in done.stdout
    assert "N.E. [1]" in done.stdout and "[1] N.E., no visual trigger channel" in done.stdout
    assert "0/0 simple cases matched, 0 boundary, 2 ambiguous, 0 missing" in done.stdout
    assert sorted((room / "home" / "evidence").rglob("*.json")) == before


def test_json_has_the_whole_audits_names_and_accounting(room):
    read = document(dife(room, *scan(room, "--json")))
    assert read["known"]["rows"] == NAMES
    assert read["known"]["accounting"] == {
        "simple": 0,
        "matched": 0,
        "boundary": 0,
        "ambiguous": 2,
        "missing": 0,
    }
    assert [len(target["audit"]["profile"]) for target in read["targets"]] == [15, 15]
    assert [target["audit"]["reference"] for target in read["targets"]] == [
        "dife-base-vit",
        "dife-base-rn",
    ]


def test_markdown_and_seeds(room):
    done = dife(room, *scan(room, "--format", "markdown", "--as-seeds"))
    assert done.returncode == 0
    assert "## Over seeds" in done.stdout
    assert "| clean accuracy | 0." in done.stdout and " ± 0." in done.stdout
    spreads = document(dife(room, *scan(room, "--json", "--as-seeds")))["known"]["over_seeds"]
    clean = next(one for one in spreads if one["number"] == "clean accuracy")
    assert clean["seeds"] == 2 and clean["sd"] > 0


def test_a_rerun_fetches_the_same_commit_finds_every_value_again_and_stores_nothing(room):
    audits = document(dife(room, "audits", "--json"))["audits"]
    stored = next(audit for audit in audits if audit["reference"] == "dife-base-rn")
    files = sorted(
        path
        for path in (room / "home").rglob("*")
        if path.is_file() and path.suffix in (".json", ".png")
    )
    done = dife(room, "rerun", stored["id"][:10], "--json")
    assert done.returncode == 0, done.stdout
    read = document(done)
    assert read["identical"] is True and read["differences"] == [] and read["compared"] > 300
    assert read["audit"] == stored["id"]
    after = sorted(
        path
        for path in (room / "home").rglob("*")
        if path.is_file() and path.suffix in (".json", ".png")
    )
    assert after == files
    assert document(dife(room, "audits", "--json"))["audits"] == audits
