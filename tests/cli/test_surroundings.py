"""The machine around the command: what it lacks, holds or closes is one line and never exit code 1."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import calling
import keyring.core
import pytest
from calling import dife, process
from store_records import make_audit, make_finding, make_ref

from dife_scanner import secrets
from dife_scanner.app import info
from dife_scanner.cli import session, watch
from dife_scanner.cli.session import Session
from dife_scanner.durable.clock import now
from dife_scanner.progress import SILENT
from dife_scanner.queue.watch import Event, EventKind
from dife_scanner.records import JobState
from dife_scanner.store import audits, jobs, leases
from dife_scanner.store.db import DATABASE, open_store

# --- what nobody foresaw --------------------------------------------------------------------------------------


class Panic(BaseException):
    """As the panics of native libraries are: no `Exception`."""


@pytest.mark.parametrize(
    "error",
    [ValueError("two\nlines"), RecursionError("deep"), SystemExit(1), Panic("at the disco")],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("arguments", [["findings"], ["scan", "org/name"], ["info"], ["gui"]])
def test_an_unforeseen_error_is_two_lines_and_exit_code_3(tmp_path, monkeypatch, error, arguments):
    def broken(self, **given):
        raise error

    monkeypatch.setattr(Session, "settings", broken)
    done = dife(*arguments, "--home", tmp_path)
    assert done.returncode == 3
    what, advice = done.stderr.splitlines()
    assert type(error).__name__ in what
    assert "-v" in advice
    assert done.stdout == ""


def test_verbose_shows_where_it_happened(tmp_path, monkeypatch, caplog):
    def broken(self, **given):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(Session, "settings", broken)
    monkeypatch.setattr(calling, "_checked", lambda done: done)
    done = dife("findings", "-v", "--home", tmp_path)
    assert "in broken" in done.stderr


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 3)], ids=["Ctrl-C", "pipe"]
)
def test_a_person_may_end_it_and_a_pipe_of_our_own_may_not(tmp_path, monkeypatch, error, code):
    def ended(self, **given):
        raise error

    monkeypatch.setattr(Session, "settings", ended)
    assert dife("findings", "--home", tmp_path).returncode == code


def program(code: str, *arguments: object, shell: str = "") -> subprocess.CompletedProcess[str]:
    """Python that runs `code` before `dife` with these arguments, its output redirected as `shell` says."""
    words = [sys.executable, "-c", f"{code}\nfrom dife_scanner.cli import main\nmain()"]
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {shell}', "sh", *words, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **calling.ENVIRONMENT},
    )


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.modules['typer'] = None", "ModuleNotFoundError"),
        ("import sys, dife_scanner; sys.modules['dife_scanner.errors'] = object()", "ImportError"),
    ],
    ids=["a package is missing", "a module is broken"],
)
def test_a_program_that_cannot_start_exits_with_3(code, words):
    done = program(code, "findings")
    assert done.returncode == 3
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_an_output_that_cannot_be_written_is_said():
    done = program("", "cards", shell=">/dev/full")
    assert done.returncode == 3
    assert "No space left" in done.stderr
    assert "Exception ignored" not in done.stderr


def test_closed_outputs_change_no_exit_code():
    unread = "import os, sys; reader, writer = os.pipe(); os.close(reader); os.dup2(writer, 1)"
    gone = program(unread, "cards")
    assert (gone.returncode, gone.stderr) == (0, "")
    assert program("", "cards", shell=">&-").returncode == 0
    assert program("", "nosuch", shell="2>&-").returncode == 64


# --- secrets --------------------------------------------------------------------------------------------------


@pytest.fixture
def light(monkeypatch):
    """`dife info` without torch, and a keyring that nobody has looked for yet."""
    monkeypatch.setattr(info, "device", lambda read: "cpu")
    monkeypatch.setattr(keyring.core, "_keyring_backend", None)
    secrets._warn.cache_clear()


def test_a_keyring_that_is_not_there_is_a_warning(tmp_path, light):
    named = {"PYTHON_KEYRING_BACKEND": "nosuch.module.Keyring", "DIFE_HF_TOKEN": "hf_abc"}
    done = dife("info", "--home", tmp_path, **named)
    assert done.returncode == 0, done.stderr
    assert "environment DIFE_HF_TOKEN" in done.stdout
    (warned,) = done.stderr.splitlines()
    assert "nosuch" in warned
    assert "hf_abc" not in done.stdout


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (dife, ["info"]),
        (dife, ["scan", "org/name"]),
        # its pass runs in a process whose server has the environment of whoever started it
        (process, ["watch", "--once"]),
        (dife, ["watch", "--plan"]),
    ],
)
def test_a_secret_that_is_none_is_named(tmp_path, light, call, arguments):
    done = call(*arguments, "--home", tmp_path, DIFE_HF_TOKEN="hf_\xe9")
    assert done.returncode == 64, done.stderr
    assert "hf-token" in done.stderr
    assert "DIFE_HF_TOKEN" in done.stderr
    assert "hf_" not in done.stderr


def test_secrets_that_lie_where_this_user_may_not_look_are_told_of(tmp_path, light, monkeypatch):
    def forbidden(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(secrets, "_check_private", forbidden)
    done = dife("info", "--home", tmp_path)
    assert done.returncode == 0
    assert done.stdout.count("Permission denied") == len(secrets.SECRETS)


# --- the database ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [["scan", "{tmp}/model"], ["retry", "1"], ["alerts", "retry"]]
)
def test_a_database_that_another_program_holds(tmp_path, arguments):
    home = tmp_path / "home"
    with open_store(home) as store:
        jobs.discover(store, make_ref(), endpoint="", state=JobState.DONE, reason="")
    (tmp_path / "model").mkdir()
    for name in ("open_clip_config.json", "open_clip_model.safetensors"):
        (tmp_path / "model" / name).write_text("{}")
    words = [word.format(tmp=tmp_path) for word in arguments]
    dife("reference", "list", "--home", home)  # registers what ships with the package
    with closing(sqlite3.connect(home / DATABASE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        done = dife(*words, "--home", home, DIFE_DATABASE_SECONDS="0.3")
        assert dife("queue", "--home", home).returncode == 0
    assert done.returncode == 3, done.stderr
    assert f"{home / DATABASE} is held by another program" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_a_home_that_its_owner_lets_others_read():
    """Everything can be looked at, and what has to write says that it cannot."""
    folder = Path(tempfile.mkdtemp())
    home, own = folder / "home", folder / "own"
    with open_store(home) as store:
        kept(store, "org/clip")
    own.mkdir(mode=0o777)
    own.chmod(0o777)
    subprocess.run(["chmod", "-R", "a+rX,go-w", home], check=True)
    folder.chmod(0o755)
    looking = [["findings"], ["audits"], ["show", "org/clip"], ["queue"], ["status"]]
    writing = [["triage", "fp1:0000000000000001", "confirmed"], ["retry", "1"]]
    code = (
        "import os, sys\n"
        "from dife_scanner.cli.commands import run\n"
        "home, own, looking, writing = eval(sys.argv[1])\n"
        "for words in looking + writing: run([*words, '--home', own])\n"  # loads what the other user may not read
        "print('=====', flush=True)\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "print([run([*words, '--home', home]) for words in looking + writing])\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, repr((str(home), str(own), looking, writing))],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **calling.ENVIRONMENT},
        )
    finally:
        shutil.rmtree(folder)
    _, _, shown = done.stdout.partition("=====\n")
    assert shown.splitlines()[-1] == str([0] * len(looking) + [3] * len(writing)), done.stderr
    assert shown.count("org/clip") >= 4
    assert done.stderr.count(f"{home} cannot be written") == len(writing)


# --- a window that cannot be opened ---------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a display is always there")
@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"DISPLAY": "", "WAYLAND_DISPLAY": "", "QT_QPA_PLATFORM": ""}, "there is no display"),
        ({"DISPLAY": ":987", "WAYLAND_DISPLAY": "", "QT_QPA_PLATFORM": ""}, "DISPLAY=:987"),
        ({"DISPLAY": "", "WAYLAND_DISPLAY": "gone-7", "QT_QPA_PLATFORM": ""}, "gone-7"),
        ({"QT_QPA_PLATFORM": "nonsense"}, "nonsense"),
    ],
    ids=["none", "gone", "wayland", "platform"],
)
def test_a_display_that_is_not_there_is_named(tmp_path, environment, words):
    pytest.importorskip("PySide6")
    done = dife("gui", "--home", tmp_path, **environment)
    assert done.returncode == 3
    assert words in done.stderr


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("ImportError: libEGL.so.1: cannot open shared object file: No such file", "libEGL.so.1"),
        ('failed on "libqxcb.so" : "x: libxcb-icccm.so.4: cannot open shared object file: No such"',
         "libxcb-icccm.so.4"),
        ('qt.qpa.xcb: could not connect to display :9\nCould not load the plugin "xcb"', "DISPLAY=:9"),
        ("Failed to create wl_display (No such file or directory)", "cannot be reached"),
        ("Fatal Python error: Aborted", "Aborted"),
        ("", "without a word"),
    ],
)  # fmt: skip
def test_what_qt_said_before_it_ended_is_put_into_words(said, words):
    from dife_gui.opening import explained

    error = explained(said, {"DISPLAY": ":9"})
    assert words in error.what
    assert error.advice
    assert error.exit_code == 3


# --- events ---------------------------------------------------------------------------------------------------


def test_an_event_in_a_pipe_is_one_line(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    job = jobs_record()
    events = watch.Events(Session(None, False, False, False, False), SILENT)
    long = Event(EventKind.JOB, now(), f"{job.ref}: failed", job)
    for _ in range(2):
        events(long)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("the end")


def test_whatever_is_said_in_a_pipe_is_one_line(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    talk = Session(None, False, False, False, False)
    talk.say("word " * 60)
    with talk.progress() as progress:
        progress("auditing", 1, 2, "word " * 20)
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert session._UNBROKEN_WIDTH > 1000


def jobs_record():
    """A job that failed for a long reason."""
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder)) as store:
        ref = make_ref("some-organisation/" + "x" * 60)
        return jobs.discover(
            store, ref, endpoint="", state=JobState.FAILED, reason="words " * 40 + "the end"
        )


# --- one set of weights, two names ----------------------------------------------------------------------------


def kept(store, name, audit_id=None, revision="a" * 40):
    """A finished job of this name, with a finding of its own."""
    ref = make_ref(name, revision)
    audit = make_audit("aud1", "identity", ref=make_ref("org/clip"), evidence=())
    jobs.discover(store, ref, endpoint="", state=JobState.QUEUED, reason="new", pinned=True)
    job = leases.claim(store, "w", 60)
    finding = make_finding("fp1:0000000000000001" if name == "org/clip" else "fp1:2", ref=ref)
    return leases.finish(store, job.id, "w", JobState.DONE, "", audit=audit, finding=finding)


@pytest.mark.parametrize("more", [[], ["--full"]])
@pytest.mark.parametrize("typed", ["org/copy", "fp1:2"])
def test_equal_weights_are_shown_under_the_name_that_was_asked_for(tmp_path, typed, more):
    with open_store(tmp_path) as store:
        kept(store, "org/clip")
        kept(store, "org/copy")
        assert len(audits.audits(store)) == 1
    shown = dife("show", typed, *more, "--home", tmp_path).stdout.splitlines()
    assert shown[0].startswith("org/copy@")
    assert "Same weights as org/clip@" in shown[1]
    own = dife("show", "org/clip", *more, "--home", tmp_path).stdout
    assert own.startswith("org/clip@")
    assert "Same weights" not in own
