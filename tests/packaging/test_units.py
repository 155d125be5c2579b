"""The service units: systemd accepts them, and children are confined under them as they are without."""

from __future__ import annotations

import configparser
import ctypes.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dife_scanner.confinement import Means
from dife_scanner.confinement.probe import probe
from dife_scanner.queue.stopping import GRACE_SECONDS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "packaging" / "systemd"
UNITS = [FOLDER / "dife-watch.service", FOLDER / "user" / "dife-watch.service"]
CALLS = """
import sys
sys.path[:0] = sys.argv[1:3]
from system_calls import allow_only
allow_only(sys.argv[3].split())
from dife_scanner.confinement.probe import main
main(sys.argv[4:])
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")
with_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="the program systemd-analyze is not installed"
)
with_filters = pytest.mark.skipif(
    not ctypes.util.find_library("seccomp"), reason="the library libseccomp is not installed"
)
each_unit = pytest.mark.parametrize("unit", UNITS, ids=["machine", "person"])


def values(unit: Path, key: str) -> list[str]:
    """What a unit says of a key, in the order of its lines."""
    lines = [line.partition("=") for line in unit.read_text().splitlines()]
    return [value for name, _, value in lines if name == key]


def analyze(unit: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`systemd-analyze` about a unit, of which only the program is another: ours is not where the unit expects it."""
    ours = values(unit, "ExecStart")[0]
    copy = folder / unit.name
    copy.write_text(unit.read_text().replace(ours, f"{shutil.which('true')} watch"))
    manager = ["--user"] if unit.parent.name == "user" else []
    return subprocess.run(
        ["systemd-analyze", *manager, *words, str(copy)],
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_RUNTIME_DIR": str(folder)},
        check=False,
    )


def calls_of(word: str) -> set[str]:
    """The system calls of a set that systemd knows by name, or the one that `word` is."""
    if not word.startswith("@"):
        return {word}
    shown = subprocess.run(
        ["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True
    )
    lines = [line.strip() for line in shown.stdout.splitlines()[1:]]
    members = [line for line in lines if line and not line.startswith("#")]
    return set().union(*(calls_of(member) for member in members))


def allowed_by(unit: Path) -> set[str]:
    """The system calls that a unit allows."""
    allowed: set[str] = set()
    for words in values(unit, "SystemCallFilter"):
        named = set().union(*(calls_of(word) for word in words.removeprefix("~").split()))
        allowed = allowed - named if words.startswith("~") else allowed | named
    return allowed


def probed_under(unit: Path, folder: Path, without: set[str]) -> dict[str, dict[str, str]]:
    """What each kind of child achieves where only the calls of a unit are allowed, and not those in `without`."""
    names = " ".join(sorted(allowed_by(unit) - without))
    tests = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", CALLS, str(ROOT), tests, names, str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.fixture
def quiet(tmp_path: Path) -> None:
    """Where systemd has something to say of a unit that says next to nothing, it is about this machine."""
    least = tmp_path / "least" / "least.service"
    least.parent.mkdir()
    least.write_text("[Unit]\nDescription=Least\n[Service]\nExecStart=/bin/true\n")
    done = analyze(least, tmp_path, "verify", "--man=no", "--recursive-errors=no")
    if done.returncode or done.stderr:
        pytest.skip(f"systemd cannot check units here: {done.stderr[:200]}")


@with_systemd
@each_unit
@pytest.mark.usefixtures("quiet")
def test_systemd_accepts_the_unit_without_a_word(unit, tmp_path):
    done = analyze(unit, tmp_path, "verify", "--man=no", "--recursive-errors=no")
    assert (done.returncode, done.stderr) == (0, "")


@with_systemd
def test_a_wrong_unit_is_seen(tmp_path):
    wrong = tmp_path / "wrong" / UNITS[0].name
    wrong.parent.mkdir()
    wrong.write_text(UNITS[0].read_text().replace("ProtectSystem=strict", "ProtectSystem=much"))
    done = analyze(wrong, tmp_path, "verify", "--man=no", "--recursive-errors=no")
    assert f"{UNITS[0].name}:" in done.stderr


@with_systemd
def test_the_unit_of_the_machine_exposes_as_little_as_its_page_says(tmp_path):
    done = analyze(UNITS[0], tmp_path, "security", "--offline=true", "--threshold=15")
    assert done.returncode == 0, done.stdout[-300:]


@pytest.fixture(scope="module")
def outside() -> dict[str, dict[str, str]]:
    """What each kind of child achieves without a unit."""
    found = {kind: dict(confinement.means) for kind, confinement in probe().items()}
    if Means.FILTER not in found["parsing child"].values():
        pytest.skip("the kernel filters no system calls here")
    return found


@with_systemd
@with_filters
def test_children_are_confined_under_the_unit_as_without_it(outside, tmp_path):
    assert probed_under(UNITS[0], tmp_path, without=set()) == outside


@with_systemd
@with_filters
def test_without_the_calls_that_the_unit_adds_they_are_not(outside, tmp_path):
    added = set(values(UNITS[0], "SystemCallFilter")[1].split())
    inside = probed_under(UNITS[0], tmp_path, without=added)
    assert set(inside) == set(outside)
    assert Means.FILTER not in inside["parsing child"].values()


@each_unit
def test_a_service_has_time_for_a_clean_end(unit):
    assert int(values(unit, "TimeoutStopSec")[0]) >= 3 * GRACE_SECONDS


@each_unit
def test_no_key_is_said_twice_but_filters(unit):
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read(unit)
    for section in parser.sections():
        for key in parser[section]:
            assert len(values(unit, key)) == 1 or key == "SystemCallFilter", key


def test_both_units_filter_the_same_calls():
    first, second = (values(unit, "SystemCallFilter") for unit in UNITS)
    assert first == second and first
