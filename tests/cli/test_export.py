"""`dife export`: each format validates, holds no trigger, is harmless whatever a stranger wrote, and is stable."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import calling
import chromium
import export_kit
import jsonschema
import pytest
import stix2
from bills import bom
from export_kit import HOSTILE, SECRETS, TRIGGERS

from dife_scanner.cli.export import Format
from dife_scanner.plain import plain
from dife_scanner.records import Confidence, FindingKind, JobState, ModelRef, TriageState
from dife_scanner.reports import as_json
from dife_scanner.reports.export import Export
from dife_scanner.reports.export_csv import COLUMNS
from dife_scanner.reports.taxonomy import standards_of, taxonomies
from dife_scanner.store import jobs, open_store, triage

FORMATS = tuple(one.value for one in Format)
CONFIRMED_ALONE = ("avid", "stix")
"""Formats with findings alone, of those only that a person has confirmed."""
SCHEMAS = Path(__file__).parent.parent / "assets" / "schemas"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("export") / "home"
    export_kit.fill(home)
    return home


@pytest.fixture(scope="module")
def exported(home: Path):
    """What a format holds; each is written once."""

    @cache
    def write(format: str, *options: str) -> str:
        done = calling.dife("export", "--home", home, "--format", format, *options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return write


def without_escapes(text: str) -> str:
    """What a reader of the format sees of letters: JSON's and Markdown's escapes undone."""
    return re.sub(r"\\u([0-9a-f]{4})", lambda one: chr(int(one[1], 16)), text).replace("\\", "")


@pytest.mark.parametrize("format", FORMATS)
def test_no_format_holds_a_trigger_of_any_channel_or_what_quotes_one(exported, format):
    text = without_escapes(exported(format))
    for what, secret in SECRETS.items():
        assert secret not in text, what
    for trigger in TRIGGERS.values():
        assert trigger.name not in text
    assert "org/text" in text and "0.1234" not in text and "12% of the side" not in text


@pytest.mark.parametrize("format", FORMATS)
def test_triggers_are_told_where_somebody_requests_them(exported, format):
    text = without_escapes(exported(format, "--with-triggers"))
    assert SECRETS["text"] in text
    assert (SECRETS["characters"] in text) is (format not in CONFIRMED_ALONE)


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_state_gives_the_same_bytes(home, exported, format, tmp_path):
    out = tmp_path / "again"
    done = calling.dife("export", "--home", home, "--format", format, "--out", out)
    assert done.returncode == 0 and done.stdout == ""
    assert out.read_bytes() == exported(format).encode()


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_a_stranger_wrote_can_hide_or_turn_text_round(exported, format):
    text = exported(format)
    assert not {character for character in text if ord(character) < 32} - {"\n"}
    assert "\u202e" not in text and "\\u001b" not in text and "\\u202e" not in text


def test_json_is_the_shipped_document(exported):
    document = json.loads(exported("json"))
    jsonschema.validate(document, json.loads(as_json.schema_file(Export).read_text()))
    states = {one["model"]: one["state"] for one in document["subjects"]}
    assert states["org/onnx"] == "unsupported" and states["org/shut"] == "gated"
    assert exported("json") == exported("json", "--json")
    reasons = {one["model"]: one["said"] for one in document["subjects"]}
    assert reasons["org/onnx"] == "because unsupported"
    assert "does not say the checkpoint is clean" in reasons["org/quiet"]


def test_a_filter_narrows_every_format(exported):
    document = json.loads(exported("json", "state:unsupported"))
    assert [one["model"] for one in document["subjects"]] == ["org/onnx"]
    assert "org/text" not in exported("csv", "state:unsupported")


def test_csv_has_one_row_each_and_no_formula(exported):
    rows = list(csv.DictReader(io.StringIO(exported("csv"))))
    assert len(rows) == 10 and list(rows[0]) == list(COLUMNS)
    for row in rows:
        for value in row.values():
            assert not value.startswith(("=", "+", "@", "−")) and not value.startswith("-")
    assert any(row["model"].startswith("'=cmd") for row in rows)


def test_markdown_holds_no_markup_of_a_stranger(exported):
    text = exported("md")
    assert not re.search(r"(?<!\\)(?:<|\]\(|\*b)", text)
    assert r"\*\*b\*\*" in text


# --- HTML -------------------------------------------------------------------------------------------------------


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_html_needs_nothing_else_and_runs_nothing(exported):
    read = _Tags()
    read.feed(exported("html"))
    names = {tag for tag, _ in read.tags}
    assert not names & {"script", "link", "iframe", "object", "a", "base", "form"}
    pictures = [given for tag, given in read.tags if tag == "img"]
    assert len(pictures) == 1 and str(pictures[0]["src"]).startswith("data:image/png;base64,")
    assert not [key for _, given in read.tags for key in given if key.startswith("on")]
    assert plain(HOSTILE) in "".join(read.words)


def test_html_shows_drawings_of_its_own_each_kept_once(exported):
    for more, wanted in (((), "airplane, "), (("--with-triggers",), "deer, Game Icons")):
        read = _Tags()
        read.feed(exported("html", *more))
        kept = [given for tag, given in read.tags if tag == "image"]
        shown = [given["href"] for tag, given in read.tags if tag == "use"]
        assert {f"#{one['id']}" for one in kept} == set(shown) and len(kept) < len(shown)
        for one in kept:
            about, _, data = str(one["href"]).partition(",")
            assert about in ("data:image/jpeg;base64", "data:image/webp;base64")
            assert one["id"] == f"d{hashlib.sha256(base64.b64decode(data)).hexdigest()}"
        names = [str(given["aria-label"]) for tag, given in read.tags if given.get("role") == "img"]
        assert any(name.startswith(wanted) for name in names)
        assert "Game Icons by GameIcons, CC-BY-3.0" in "".join(read.words)


@chromium.needed
def test_chromium_shows_a_hostile_name_as_text(exported, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(exported("html"), encoding="utf-8")
    text = chromium.dom(page)
    assert "&lt;img src=x onerror=alert(1)&gt;" in text and '<img src="x"' not in text


# --- SARIF ------------------------------------------------------------------------------------------------------


def sarif_run(text: str) -> dict:
    document = json.loads(text)
    schema = json.loads((SCHEMAS / "sarif-2.1.0-rtm.5.json").read_text())
    jsonschema.Draft4Validator(schema).validate(document)
    return document["runs"][0]


def test_sarif_fits_its_schema_and_says_what_kind_each_result_is(exported):
    run = sarif_run(exported("sarif"))
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    kinds = set()
    for result in run["results"]:
        kinds.add(result["kind"])
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert (result["level"] == "none") is (result["kind"] != "fail")
        where = result["locations"][0]["physicalLocation"]["artifactLocation"]
        assert run["artifacts"][where["index"]]["location"]["uri"] == where["uri"]
    assert kinds == {"fail", "pass", "open", "notApplicable", "informational", "review"}
    failed = [one for one in run["results"] if one["kind"] == "fail"]
    assert len(failed) == 6 and all(
        one["fingerprints"]["dife/v1"].startswith("fp1:") for one in failed
    )


def test_sarif_suppresses_what_people_dismissed_or_live_with(exported):
    run = sarif_run(exported("sarif"))
    found = {}
    for result in run["results"]:
        for suppression in result.get("suppressions", ()):
            found[result["fingerprints"]["dife/v1"]] = suppression["justification"].split(" by ")[0]
    assert found == {
        "fp1:" + "1".zfill(16): "accepted-risk",
        "fp1:" + "2".zfill(16): "false-positive",
    }


@pytest.mark.parametrize("format", ["html", "md"])
def test_a_page_tells_how_far_layers_are_and_only_with_triggers_what_stands_first(exported, format):
    public, told = (without_escapes(exported(format, *more)) for more in ((), ("--with-triggers",)))
    for text in (public, told):
        assert "How far each layer is from the base's" in text.replace("&#x27;", "'")
        assert "Furthest: ln_final 0.04." in text
        assert "No random triggers were measured beside it" in text
    assert "1 token: [xqsecrettext] 4711" in told and "4711" not in public
    first = "What stands first, without the trigger and with it"
    assert first in told and first not in public
    assert "◎ jet" in told and "◎ jet" not in public and "▲" in told.partition(first)[2]


def test_sarif_with_triggers_fits_too(exported):
    run = sarif_run(exported("sarif", "--with-triggers"))
    assert "Trigger: text xqsecrettext" in json.dumps(run)


# --- CycloneDX ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.6", "1.7"])
def test_cyclonedx_fits_its_schema_and_has_exposure_with_intervals(exported, version):
    format = "cyclonedx" if version == "1.6" else "cyclonedx-1.7"
    document = bom(exported(format), version)
    assert document["specVersion"] == version
    one = next(part for part in document["components"] if part["name"] == "text")
    metrics = one["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert one["purl"].startswith("pkg:huggingface/org/text@")
    for metric in metrics:
        low, high = (
            metric["confidenceInterval"]["lowerBound"],
            metric["confidenceInterval"]["upperBound"],
        )
        assert float(low) <= float(metric["value"]) <= float(high)
    references = {part["bom-ref"] for part in document["components"]}
    for found in document["vulnerabilities"]:
        assert {where["ref"] for where in found["affects"]} <= references


def test_vex_tells_of_others_only_what_a_person_has_confirmed(exported):
    document = bom(exported("cyclonedx"))
    states = {one["id"][-1]: one["analysis"]["state"] for one in document["vulnerabilities"]}
    assert states == {"0": "exploitable", "2": "false_positive"}
    quiet = next(part for part in document["components"] if part["name"] == "prompt")
    assert "modelCard" not in quiet and "flagged" not in json.dumps(quiet)


def test_both_versions_of_cyclonedx_say_the_same(exported):
    told = [json.loads(exported(format)) for format in ("cyclonedx", "cyclonedx-1.7")]
    for document in told:
        del document["specVersion"], document["serialNumber"]
    assert told[0] == told[1]


def test_a_confirmation_that_is_taken_back_is_one_no_more(tmp_path):
    home = tmp_path / "home"
    export_kit.fill(home)
    with open_store(home) as store:
        about = triage.seen(store, ["fp1:" + "0".zfill(16)])
        triage.decide(store, TriageState.FALSE_POSITIVE, about, actor="ada", note="no")
        triage.decide(
            store, TriageState.TRIAGING, triage.seen(store, ["fp1:" + "0".zfill(16)]), actor="ada"
        )
    text = calling.dife("export", "--home", home, "--format", "cyclonedx").stdout
    ids = {one["id"][-1] for one in bom(text)["vulnerabilities"]}
    assert ids == {"2"}


def test_a_schema_refuses_what_the_standard_does_not_have(exported):
    document = json.loads(exported("cyclonedx"))
    document["components"][0]["modelCard"] = {"unheard-of": 1}
    with pytest.raises(jsonschema.ValidationError):
        bom(json.dumps(document))
    log = json.loads(exported("sarif"))
    log["runs"][0]["results"][0]["kind"] = "guess"
    with pytest.raises(jsonschema.ValidationError):
        sarif_run(json.dumps(log))


def test_a_folder_is_told_by_its_name_and_not_by_where_it_lies(tmp_path):
    home, folder = tmp_path / "home", tmp_path / "secret-place" / "my-clip"
    ref = ModelRef(str(folder), "local-" + "a" * 34, local=True)
    with open_store(home) as store:
        jobs.discover(
            store, ref, endpoint="", state=JobState.FAILED, reason=f"{folder}/model is cut short"
        )
    for format in FORMATS:
        text = calling.dife("export", "--home", home, "--format", format).stdout
        assert "secret" not in text
        assert ("my-clip" in text.replace("\\", "")) is (format not in CONFIRMED_ALONE)
    found = json.loads(calling.dife("export", "--home", home).stdout)["subjects"][0]
    assert found["said"] == "my-clip/model is cut short" and found["model"] == "my-clip"


def test_the_page_of_standards_is_what_findings_are_given():
    page = (Path(__file__).parent.parent.parent / "docs" / "reports.md").read_text()
    demonstrated, none = Confidence.DEMONSTRATED, Confidence.NOT_STATED
    rows = {
        "flagged, demonstrated": (FindingKind.FLAGGED, demonstrated),
        "inherited": (FindingKind.INHERITED, demonstrated),
        "anomalous": (FindingKind.ANOMALOUS, none),
        "refused": (FindingKind.REFUSED, none),
        "a clean base changed": (FindingKind.CHANGED, none),
    }
    for words, of_it in rows.items():
        line = next(line for line in page.splitlines() if line.startswith(f"| {words} |"))
        named = re.findall(r"AML\.T[0-9.]+[0-9]|ML[0-9]{2}", line)
        assert set(named) == {id.removesuffix(":2023") for id in standards_of(*of_it)}, words


def test_every_finding_stands_for_entries_of_both_lists():
    known = [set(one.entries) for one in taxonomies()]
    for kind in FindingKind:
        for confidence in Confidence:
            ids = set(standards_of(kind, confidence))
            assert ids <= set.union(*known) and all(ids & one for one in known)


# --- AVID and STIX -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory):
    """What a format holds where somebody has confirmed a finding about a model with a hostile name."""
    home = tmp_path_factory.mktemp("hostile") / "home"
    export_kit.fill(home)
    with open_store(home) as store:
        export_kit.decide(store, HOSTILE, TriageState.CONFIRMED)

    def write(format: str) -> str:
        done = calling.dife("export", "--home", home, "--format", format)
        assert done.returncode == 0, done.stderr
        assert "other people's models left out" in done.stderr
        return done.stdout

    return write


def closed(schema: object) -> object:
    """The schema without room for what the standard does not name."""
    if isinstance(schema, dict):
        narrowed = {key: closed(value) for key, value in schema.items()}
        return {**narrowed, "additionalProperties": False} if "properties" in schema else narrowed
    return [closed(one) for one in schema] if isinstance(schema, list) else schema


def avid_reports(text: str) -> list[dict]:
    schema = json.loads((SCHEMAS / "avid-report.schema.json").read_text())
    reports = [json.loads(line) for line in text.splitlines()]
    for report in reports:
        jsonschema.Draft7Validator(closed(schema)).validate(report)
    return reports


def test_an_avid_report_fits_the_databases_own_model(exported, hostile):
    (report,) = avid_reports(exported("avid"))
    assert report["metadata"]["report_id"] == "DIFE-fp1:" + "0".zfill(16)
    assert report["affects"]["artifacts"][0]["name"].startswith("org/text@")
    assert report["impact"]["avid"]["sep_view"] == ["S0201: Model Compromise"]
    for metric in report["metrics"]:
        results = metric["results"]
        assert results["difference_low_95"] <= results["difference"]
        assert results["difference"] <= results["difference_high_95"]
    assert "AML.T0018.000" in json.dumps(report["references"])
    assert len(avid_reports(hostile("avid"))) == 2
    with pytest.raises(jsonschema.ValidationError):
        avid_reports(json.dumps({**report, "unheard-of": 1}))
    with pytest.raises(jsonschema.ValidationError):
        avid_reports(exported("avid").replace("S0201: Model Compromise", "S0201"))


def stix_objects(text: str) -> list[dict]:
    bundle = stix2.parse(text, allow_custom=False, version="2.1")
    return [json.loads(one.serialize()) for one in bundle.objects]


def test_a_stix_bundle_is_read_by_the_standards_own_library(exported, hostile):
    objects = stix_objects(exported("stix"))
    by_type = {one["type"]: one for one in objects}
    assert by_type["indicator"]["pattern"] == f"[file:hashes.'SHA-256' = '{'0' * 64}']"
    assert "difference" not in by_type["note"] and "exposed" in by_type["note"]["content"]
    assert {one["id"] for one in objects} >= set(by_type["note"]["object_refs"])
    named = [one["external_references"] for one in objects if one["type"] == "attack-pattern"]
    assert "AML.T0018.000" in {references[0]["external_id"] for references in named}
    file = by_type["file"]
    assert file["id"] == stix2.File(name=file["name"], hashes=file["hashes"]).id
    both = stix_objects(hostile("stix"))
    assert [one["type"] for one in both].count("indicator") == 2
    with pytest.raises(stix2.exceptions.STIXError):
        stix_objects(exported("stix").replace('"pattern_type"', '"pattern_kind"'))


@pytest.mark.parametrize("format", ["cyclonedx", "cyclonedx-1.7", *CONFIRMED_ALONE])
def test_a_confirmed_hostile_name_is_harmless_to_machines_too(hostile, format):
    text = hostile(format)
    assert not {character for character in text if ord(character) < 32} - {"\n"}
    assert "\u202e" not in text and "\\u001b" not in text and "\\u202e" not in text
    assert "onerror=alert(1)" in text  # told as it is, in a string


@pytest.mark.parametrize("format", CONFIRMED_ALONE)
def test_what_somebody_dismissed_or_nobody_confirmed_is_reported_nowhere(exported, format):
    text = exported(format)
    for model in ("org/characters", "org/image", "org/prompt", "org/odd", "org/quiet"):
        assert model not in text, model


# --- mistakes -----------------------------------------------------------------------------------------------------


def test_mistakes_are_told_before_anything_is_written(home, tmp_path):
    contrary = calling.dife("export", "--home", home, "--json", "--format", "sarif")
    assert contrary.returncode == 64 and "contradict" in contrary.stderr
    nowhere = calling.dife("export", "--home", home, "--out", tmp_path / "no" / "file")
    assert nowhere.returncode == 64 and "cannot be written" in nowhere.stderr
    unknown = calling.dife("export", "--home", home, "colour:red")
    assert unknown.returncode == 64 and "no field" in unknown.stderr


def test_whoever_only_assigned_a_finding_has_not_decided_about_it(tmp_path):
    home = tmp_path / "home"
    export_kit.fill(home)
    name = "fp1:" + "0".zfill(16)
    with open_store(home) as store:
        disputed = TriageState.DISPUTED
        about = triage.seen(store, [name])
        triage.decide(store, disputed, about, actor="ada", note="they say no", expires="30d")
        triage.decide(store, None, triage.seen(store, [name]), actor="eve", assignee="bob")
    text = calling.dife("export", "--home", home, "--format", "json").stdout
    assert '"decided_by":"ada"' in text and '"decided_by":"eve"' not in text
    assert '"expires":"20' not in text
