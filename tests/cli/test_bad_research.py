"""Everything that can be wrong with a researcher's request: a message, advice, the right exit code, no traceback."""

from __future__ import annotations

import shutil
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path

import pytest

from dife_scanner.baselines.home import bases_folder
from dife_scanner.cli.commands import run
from dife_scanner.errors import AuditError, NotFound, UsageError
from dife_scanner.records import Audit, Budget, ModelRef, Verdict
from dife_scanner.store import audits
from dife_scanner.store.db import open_store
from dife_scanner.triggers.kinds import base

BASE = bases_folder() / "rn"
KNOWN = '[[trigger]]\nname = "t"\nkind = "text"\ntext = "xbtd"\nsource = "automobile"\ntarget = "airplane"\n'


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def dife(tmp_path, monkeypatch, capsys):
    """The command in this process: what it would return and print; an exception that is not ours fails the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")

    def call(*arguments):
        code = run([*map(str, arguments), "--home", str(tmp_path / "home")])
        said = capsys.readouterr()
        assert said.out == "" and "Traceback" not in said.err, said.err
        return Done(code, said.out, said.err)

    return call


@pytest.fixture
def file(tmp_path):
    def write(name, text):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (KNOWN.replace('"text"', '"laser"'), ["laser", "patch", "prompt"]),
        (KNOWN.replace("airplane", "zebra"), ["zebra", "airplane", "card: ", "pool: bundled"]),
        (KNOWN.replace('source = "automobile"\n', ""), ["source"]),
        (KNOWN.replace('text = "xbtd"\n', ""), ["text"]),
        ("", ["trigger"]),
    ],
    ids=[
        "unknown kind",
        "target not in the pool",
        "text without source",
        "text without text",
        "empty file",
    ],
)
def test_a_trigger_that_cannot_be_measured(dife, file, entry, words):
    done = dife(
        "scan", BASE, "--triggers", file("t.toml", "format = 1\n" + entry), "--budget", "quick"
    )
    assert done.returncode == 64
    assert all(word in done.stderr for word in words), done.stderr
    assert "try:" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--own-triggers"], ["no triggers.toml", "--triggers FILE"]),
        (["--as-seeds"], ["known triggers"]),
        (["--format", "csv", "--json"], ["contradict"]),
        (["--format", "pdf"], ["pdf"]),
        (["--figures", "taken/below"], ["figures cannot be written", "--figures"]),
        (["--output", "nosuch/folder/out.csv"], ["cannot be written", "--output"]),
        (["--output", "."], ["cannot be written"]),
        (["--extend", "nosuch.py"], ["nosuch.py", "check the path"]),
        (["--extend", "broken.py"], ["broken.py", "ZeroDivisionError", "docs/extending.md"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_request_that_cannot_be_carried_out(dife, file, tmp_path, arguments, words):
    file("taken", "")
    file("broken.py", "1 / 0\n")
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    done = dife("scan", checkpoint, *arguments)
    assert done.returncode == 64, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert not (tmp_path / "home" / "dife.db").exists()  # said before anything was begun


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--reference", "nobody"], ["nobody", "dife reference list"]),
        (["--reference", "./checkpoint"], ["./checkpoint", "dife reference add ./checkpoint"]),
        (["--pictures", "nosuch/pictures/here"], ["nosuch/pictures/here"]),
    ],
    ids=["unknown reference", "a folder as reference", "pictures that are not there"],
)
def test_something_that_is_not_there(dife, file, tmp_path, arguments, words):
    (tmp_path / "checkpoint").mkdir()
    done = dife("scan", BASE, "--triggers", file("t.toml", "format = 1\n" + KNOWN), *arguments)
    assert done.returncode == 3, done.stderr
    assert all(word in done.stderr for word in words), done.stderr


def test_an_extension_is_there_before_trigger_files_are_read(dife, file):
    kind = (
        "from dife_scanner.triggers.kinds import Fields, Kind, register\n"
        'register(Kind("upside-down", Fields, stamp=lambda pixels, trigger: pixels[:, ::-1].copy()))\n'
    )
    triggers = file(
        "t.toml", 'format = 1\n[[trigger]]\nname = "u"\nkind = "upside-down"\ntarget = "airplane"\n'
    )
    without = dife("scan", "/no/such/checkpoint", "--triggers", triggers)
    assert without.returncode == 64 and "upside-down" in without.stderr
    before = base.names()
    try:
        with_it = dife(
            "scan", "/no/such/checkpoint", "--triggers", triggers, "--extend", file("kind.py", kind)
        )
    finally:
        base.keep_only(before)
    assert (
        with_it.returncode == 64
        and "upside-down" not in with_it.stderr
        and "/no/such/checkpoint" in with_it.stderr
    )


# --- rerun ----------------------------------------------------------------------------------------------------


def _has_no_default(field):
    return field.default is MISSING and field.default_factory is MISSING


@pytest.fixture
def stored(tmp_path):
    """An audit of a checkpoint that is gone since."""
    required = [field.name for field in fields(Audit) if _has_no_default(field)]
    empty = dict.fromkeys(required, "")
    values = {
        **empty,
        "signatures": (),
        "searches": (),
        "not_searched": (),
        "score": None,
        "calibration": None,
        "power": None,
        "recovered": None,
        "profile": (),
        "evidence": (),
        "versions": {},
        "verdict": Verdict.NOTHING_FOUND,
    }
    values |= dict.fromkeys(
        ("trigger", "branch_swap", "diagnosis", "condition", "repair", "plan", "decision")
    )
    values |= dict.fromkeys(
        ("clean_accuracy", "reference_accuracy", "prompt_drift", "picture_drift", "score")
    )
    values |= {
        "seed": 0,
        "encodes": 0,
        "distinct_inputs": 0,
        "seconds": 0.0,
        "image_tower_same": True,
    }
    values |= {
        "text_tower_same": False,
        "image_tower_unknown": False,
        "text_tower_unknown": False,
        "notes": (),
        "gaps": (),
        "budget": Budget.QUICK,
        "id": "feed" * 4,
        "identity": "beef" * 16,
    }
    values |= {"ref": ModelRef(str(tmp_path / "gone"), "local-" + "0" * 34, local=True)}

    def keep(**given):
        audit = replace(Audit(**values), **given)
        with open_store(tmp_path / "home") as store:
            record = audits.keep_record(store, audit)
            with store.atomic("test"):
                audits.insert_audit(store, audit, record)
        return audit

    return keep


def test_a_rerun_of_an_audit_that_is_not_there(dife):
    done = dife("rerun", "feedface")
    assert done.returncode == 3 and "there is no audit" in done.stderr


def test_a_rerun_without_the_weights(dife, stored):
    audit = stored(reference="dife-base-rn")
    done = dife("rerun", audit.id[:8])
    assert done.returncode == 3
    assert (
        "no longer at" in done.stderr and audit.ref.repo_id in done.stderr and "try:" in done.stderr
    )


def test_a_rerun_without_the_reference(dife, stored):
    done = dife("rerun", stored(reference="long-lost").id)
    assert done.returncode == 3
    assert "long-lost" in done.stderr and "dife reference add" in done.stderr


@pytest.fixture
def made_again(monkeypatch):
    """What making the audit again comes to, without making it."""

    def become(result):
        def again(store, settings, stored, data, progress):
            if isinstance(result, Exception):
                raise result
            return replace(stored, **result)

        monkeypatch.setattr("dife_scanner.app.rerun.rerun_audit", again)

    return become


@pytest.mark.parametrize(
    ("result", "code"),
    [
        ({}, 0),
        ({"clean_accuracy": 0.5}, 1),
        ({"verdict": Verdict.FLAGGED}, 1),
        (AuditError("the embeddings are not finite"), 3),
        (UsageError("the pictures are not those of the audit"), 3),
        (NotFound("the reference is gone"), 3),
    ],
    ids=[
        "equal",
        "another value",
        "another verdict",
        "failed",
        "other pictures",
        "something is missing",
    ],
)
def test_a_rerun_tells_equal_from_different_from_failed_by_its_exit_code(
    tmp_path, stored, made_again, capsys, result, code
):
    made_again(result)
    assert run(["rerun", stored().id, "--home", str(tmp_path / "home")]) == code
    said = capsys.readouterr()
    assert bool(said.out) is (code < 3) and "Traceback" not in said.err


def test_a_fault_of_our_own_is_no_difference(tmp_path, stored, made_again, capsys):
    made_again(RuntimeError("a fault"))
    assert run(["rerun", stored().id, "--home", str(tmp_path / "home")]) == 3
    assert "RuntimeError: a fault" in capsys.readouterr().err


def test_a_rerun_of_other_weights_in_the_same_place(dife, stored, tmp_path):
    audit = stored(reference="dife-base-rn")
    shutil.copytree(BASE, Path(audit.ref.repo_id))
    done = dife("rerun", audit.id)
    assert done.returncode == 3
    assert "not the checkpoint" in done.stderr
