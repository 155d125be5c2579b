"""The bundle of the window: its list of requirements is what the window imports, and its program shows a home."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "packaging" / "bundle" / "dife_window.py"
LISTED = [
    line
    for line in (PROGRAM.parent / "requirements.txt").read_text().splitlines()
    if not line.startswith("#")
]
IMPORTED = """
import importlib, pkgutil, runpy, sys
from importlib.metadata import packages_distributions
import dife_gui
for module in pkgutil.walk_packages(dife_gui.__path__, "dife_gui."):
    importlib.import_module(module.name)
runpy.run_path(sys.argv[1])
of = packages_distributions()
for name in {name.partition(".")[0] for name in sys.modules} & set(of):
    print(*of[name], sep="\\n")
"""
OF_THE_TREE = {"dife-scanner", "setuptools"}
"""Ourselves, and what an editable installation may import when Python starts."""


def name_of(requirement: str) -> str:
    """A distribution's name as indexes compare it."""
    written = re.match(r"[\w.-]+", requirement)
    assert written
    return re.sub(r"[-_.]+", "-", written[0]).lower()


def with_their_own(names: set[str]) -> set[str]:
    """These distributions, and all that they require without an extra."""
    waiting, found = list(names), set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            needed = [line for line in requires(name) or () if "extra ==" not in line]
            waiting += [name_of(line) for line in needed if "sys_platform" not in line]
    return found


def test_the_list_is_what_the_window_imports():
    places = os.pathsep.join((str(ROOT), str(ROOT / "gui")))
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, str(PROGRAM)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": places},
    )
    imported = {name_of(line) for line in done.stdout.split()} - OF_THE_TREE
    listed = {name_of(line) for line in LISTED}
    assert listed <= imported, "listed, and not imported"
    assert imported <= with_their_own(listed), "imported, and not listed"
    assert not imported & {"torch", "open-clip-torch", "huggingface-hub"}


def test_the_list_asks_for_the_versions_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ours = {*project["dependencies"], *project["optional-dependencies"]["gui"]}
    assert set(LISTED) <= ours


def test_the_program_shows_a_home_and_says_what_is_wrong_with_one(tmp_path):
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "gui")))}
    surroundings["QT_QPA_PLATFORM"] = "offscreen"

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(PROGRAM), *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env=surroundings
        )

    shot = tmp_path / "shot.png"
    done = run("--home", tmp_path / "home", "--screenshot", shot)
    assert done.returncode == 0, done.stderr
    assert shot.read_bytes().startswith(b"\x89PNG")
    settings = tmp_path / "home" / "config.toml"
    settings.write_text("workers = -1\n")
    done = run("--home", tmp_path / "home", "--screenshot", shot)
    assert done.returncode == 64 and "workers" in done.stderr
    done = run("dife://elsewhere/1", "--home", tmp_path / "home")
    assert done.returncode == 64 and "no link to a finding" in done.stderr
