"""`--home`, `--json`, `--quiet`, `--no-color` and `-v` stand before a command's name or after it, alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import calling
import pytest
import typer

from dife_scanner.cli.session import Session, add_group, command, takes_common_options

PLAIN = Session(home=None, as_json=False, quiet=False, no_color=False, verbose=False)
COMMANDS = [["findings"], ["reference", "list"]]
OPTIONS = {
    "--json": {"as_json": True},
    "--quiet": {"quiet": True},
    "-q": {"quiet": True},
    "--no-color": {"no_color": True},
    "-v": {"verbose": True},
    "--verbose": {"verbose": True},
    "--home": {"home": Path("here")},
}


@pytest.fixture
def heard(monkeypatch):
    """The session that a line of arguments comes to, in an app with a plain command and a nested one."""
    monkeypatch.delenv("DIFE_HOME", raising=False)
    monkeypatch.setattr("dife_scanner.cli.session._log", lambda session: None)
    app = typer.Typer()
    takes_common_options(app)
    sessions = []
    command(app, "findings")(lambda session: sessions.append(session))
    command(add_group(app, "reference", "References."), "list")(
        lambda session: sessions.append(session)
    )

    def run(arguments):
        app(args=[*arguments], standalone_mode=False)
        return sessions.pop()

    return run


def places(names, written):
    """The line with `written` before, between and after the names of a command."""
    return [[*names[:at], *written, *names[at:]] for at in range(len(names) + 1)]


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_says_the_same_in_every_place(heard, names, option):
    written = [option, "here"] if option == "--home" else [option]
    wanted = {**vars(PLAIN), **OPTIONS[option]}
    assert heard(names) == PLAIN
    for line in places(names, written):
        assert heard(line) == Session(**wanted), line


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_of_two_homes_the_inner_one_holds(heard, names):
    lines = places(names, ["--home", "inner"])
    for outer, line in enumerate(lines[1:]):
        both = [*line[:outer], "--home", "outer", *line[outer:]]
        assert heard(both).home == Path("inner"), both
    twice = [*names, "--home", "first", "--home", "second"]
    assert heard(twice).home == Path("second")


def test_options_in_several_places_add_up(heard):
    session = heard(["--json", "reference", "--quiet", "list", "-v"])
    assert session == Session(home=None, as_json=True, quiet=True, no_color=False, verbose=True)


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_what_was_typed_outdoes_the_environment_wherever_it_stands(heard, monkeypatch, names):
    monkeypatch.setenv("DIFE_HOME", "from-environment")
    assert heard(names).home == Path("from-environment")
    for line in places(names, ["--home", "typed"]):
        assert heard(line).home == Path("typed"), line


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_the_program_answers_alike_and_in_the_home_that_was_named(tmp_path, names):
    answers = set()
    for number, line in enumerate(places(names, ["--json", "--home", tmp_path / "home"])):
        done = calling.dife(*line, DIFE_HOME=str(tmp_path / f"elsewhere-{number}"))
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["format"].startswith("dife/")
        answers.add(done.stdout)
    assert len(answers) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json"],
        ["--nosuch", "findings"],
        ["--json", "nosuch"],
        ["reference", "--quiet"],
        ["--home"],
        [],
    ],
    ids=" ".join,
)
def test_wrong_usage_stays_wrong_usage(arguments):
    done = calling.dife(*arguments)
    assert done.returncode == 64 and done.stdout == ""


def test_a_shell_can_complete_commands():
    """As bash asks for it: the words so far in the environment, the answers on stdout, and exit code 0."""
    asked = {"_DIFE_COMPLETE": "complete_bash", "COMP_WORDS": "dife sca", "COMP_CWORD": "1"}
    code = "import sys, dife_scanner.cli as c; sys.argv = ['dife']; sys.exit(c.main())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["scan"], "")
