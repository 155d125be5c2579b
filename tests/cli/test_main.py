"""The command line: quick to answer, honest in its exit codes, and never a traceback."""

import json
import subprocess
import sys

import calling
import jsonschema
import pytest
from store_records import make_audit

from dife_scanner.records import JobState, ModelRef
from dife_scanner.reports import as_json
from dife_scanner.store import audits, jobs
from dife_scanner.store.db import open_store


def dife(*arguments, home=None):
    return calling.dife(*arguments, *(() if home is None else ("--home", home)))


def document(done):
    """The one JSON document on stdout, checked against its shipped schema."""
    (line,) = done.stdout.splitlines()
    read = json.loads(line)
    kind = next(k for k in as_json.DOCUMENTS if as_json.format_of(k) == read["format"])
    jsonschema.validate(read, json.loads(as_json.schema_file(kind).read_text()))
    return read


def test_help_loads_nothing_heavy():
    code = (
        "import sys, dife_scanner.cli as c\n"
        "sys.argv = ['dife', '--help']\n"
        "try: c.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'open_clip', 'PySide6', 'huggingface_hub', 'scipy', 'numpy', 'sqlite3', 'pydantic'}\n"
        "heavy |= {'matplotlib', 'rich.table'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "Find backdoored CLIP checkpoints" in done.stdout


def test_the_device_is_picked_with_torch_alone():
    code = (
        "import sys; from dife_scanner.models.device import pick_device; print(pick_device('cpu'))\n"
        "print(sorted({'open_clip', 'torchvision'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["cpu", "[]"]


def test_help_loads_little_more_than_the_argument_parser():
    """Counted in modules that are not our own: a time would say more of the machine than of the page."""

    def loaded(code):
        count = "import sys, atexit; atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))\n"
        done = subprocess.run(
            [sys.executable, "-c", count + code], capture_output=True, text=True, check=True
        )
        return set(done.stderr.split())

    page = "import dife_scanner.cli as c; sys.argv = ['dife', '--help']; sys.exit(c.main())"
    more = loaded(page) - loaded("import typer")
    foreign = {name for name in more if not name.startswith("dife_scanner")}
    assert len(foreign) < 30, sorted(foreign)
    assert len(more - foreign) < 60


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nosuch"], 64, "No such command"),
        (["scan"], 64, "Missing argument"),
        (["scan", "x", "--budget", "huge"], 64, "huge"),
        (["scan", "x", "--minutes", "0"], 64, "granted 0 minutes"),
        (["scan", "x", "--minutes", "-3"], 64, "granted -3 minutes"),
        (["scan", "x", "--minutes", "nan"], 64, "granted nan minutes"),
        (["scan", "x", "--minutes", "ten"], 64, "valid number"),
        (["scan", "x", "--minutes", "5", "--no-discovery"], 64, "this audit makes none"),
        (["scan", "--more", "feedface"], 3, "there is no audit"),
        (["scan", "x", "--more", "feedface"], 64, "leave the TARGET out"),
        (["scan", "--more", "feedface", "--budget", "deep"], 64, "as it was begun"),
        (["scan", "x", "--fail-on", "rain"], 64, "rain"),
        (["scan", "/no/such/folder"], 64, "/no/such/folder"),
        (["scan", "not a repo id"], 64, "not a repo id"),
        (["show", "feedface"], 3, "there is no audit"),
        (["show", "fp1:00"], 3, "there is no finding"),
        (["show", "7"], 3, "there is no job"),
        (["show", "no/such"], 3, "nothing is kept of"),
        (["triage", "fp1:00", "happy"], 64, "not a triage state"),
        (["retry", "7"], 3, "there is no job"),
        (["findings", "colour:red"], 64, "colour"),
        (["lab", "build", "dragon"], 64, "dragon"),
        (["lab", "grow", "vit", "--out", "/no/such", "--only", "dragon"], 64, "dragon"),
        (["alerts", "test"], 64, "no alert channel"),
        (["reference", "add", "/no/such/folder"], 64, "does not exist"),
        (["scan", "x/y", "--triggers", "/no/such.toml"], 64, "cannot be read"),
        (["cards", "mind reading"], 64, "no interface card `mind reading`"),
    ],
)
def test_wrong_input_has_a_message_and_a_code(tmp_path, arguments, code, words):
    done = dife(*arguments, home=tmp_path / "home")
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nosuch"], 64, "No such command"),
        (["show", "feedface"], 3, "there is no audit"),
        (["status", "--json"], 0, ""),
    ],
)
def test_the_program_itself_exits_with_the_code_and_shows_no_traceback(
    tmp_path, arguments, code, words
):
    done = calling.process(*arguments, "--home", tmp_path / "home")
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert bool(done.stdout) is (code == 0)


@pytest.mark.parametrize(
    "arguments",
    [
        ["findings"],
        ["audits"],
        ["queue"],
        ["status"],
        ["reference", "list"],
        ["alerts", "list"],
        ["info"],
    ],
)
def test_listings_of_a_new_home_are_documents_with_a_schema(tmp_path, arguments):
    done = dife(*arguments, "--json", home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert document(done)["format"].startswith("dife/")
    shown = dife(*arguments, home=tmp_path / "home")
    assert shown.returncode == 0 and shown.stdout.strip()


def test_cards_are_a_document_with_a_schema_and_one_is_found_however_it_is_written():
    every = document(dife("cards", "--json"))["cards"]
    assert len(every) == 15 and len({card["interface"] for card in every}) == 15
    for written in (["text", "reranking"], ["Text reranking"], ["text-reranking"]):
        (card,) = document(dife("cards", *written, "--json"))["cards"]
        assert card == next(one for one in every if one["interface"] == "text reranking")
    assert "ΔH@1" in dife("cards", "text reranking").stdout


@pytest.fixture
def kept(tmp_path):
    """A home with two audits of one repository, of a folder, and a gated repository."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    refs = {
        "feed01": ModelRef("org/clip", "a1" * 20),
        "feed02": ModelRef("org/clip", "a2" * 20),
        "beef01": ModelRef(str(folder), "local-" + "0" * 34, local=True),
    }
    with open_store(tmp_path / "home") as store:
        for audit_id, ref in refs.items():
            audit = make_audit(audit_id, f"identity of {audit_id}", ref=ref, evidence=())
            record = audits.keep_record(store, audit)
            with store.atomic("test"):
                audits.insert_audit(store, audit, record)
        jobs.discover(
            store,
            ModelRef("org/gated", "b" * 40),
            endpoint="",
            state=JobState.GATED,
            reason="asks first",
        )
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "audit"),
    [("feed01", "feed01"), ("b", "beef01"), ("org/clip@a2", "feed02"), ("./checkpoint", "beef01")],
)
def test_show_takes_what_a_person_types(kept, monkeypatch, typed, audit):
    monkeypatch.chdir(kept)
    assert document(dife("show", typed, "--json", home=kept / "home"))["audit"]["id"] == audit
    assert audit in dife("show", typed, home=kept / "home").stdout


def test_show_of_a_repository_that_was_not_audited_says_why(kept):
    shown = document(dife("show", "org/gated", "--json", home=kept / "home"))
    assert shown["audit"] is None and shown["job"]["state"] == "gated"


@pytest.mark.parametrize("typed", ["org/clip", "feed", "org/clip@a"])
def test_show_of_what_fits_several_lists_the_choices(kept, typed):
    done = dife("show", typed, home=kept / "home")
    assert done.returncode == 64 and done.stdout == ""
    for choice in ("feed01", "feed02"):
        assert f"audit {choice} of org/clip@" in done.stderr
        assert f"`dife show {choice}`" in done.stderr


def test_committed_schemas_are_those_of_the_code():
    for kind in as_json.DOCUMENTS:
        assert json.loads(as_json.schema_file(kind).read_text()) == as_json.schema(kind), (
            kind.__name__
        )


def test_config_init_writes_what_config_check_accepts(tmp_path):
    home = tmp_path / "home"
    assert dife("config", "init", home=home).returncode == 0
    assert dife("config", "check", home=home).returncode == 0
    assert dife("config", "init", home=home).returncode == 64
    (home / "config.toml").write_text("interval_seconds = -1\n")
    bad = dife("config", "check", home=home)
    assert bad.returncode == 64 and "interval_seconds" in bad.stderr
