"""What a confined process tries fails, in real processes, with each of the means that a system may have."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dife_scanner.confinement import AUDITING, OPINION, PARSING, Forbidden, Means
from dife_scanner.confinement.launch import HAS_NETWORK, NO_PROGRAM, Allowed, command
from dife_scanner.confinement.probe import KINDS, probe
from dife_scanner.sentences.confinement import confinement_text

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the means are the Linux kernel's")

ROOT = Path(__file__).parents[2]
CHILD = [sys.executable, "-I", "-S", "-c"]
NOT_HERE = 77
EVERYTHING = {
    "connect",
    "listen",
    "unix socket",
    "fork",
    "spawn",
    "run",
    "exec",
    "signal",
    "create",
    "append",
    "rename",
    "remove",
}
PRELUDE = """
import sys
sys.path.insert(0, sys.argv[1])
port, folder, means = int(sys.argv[2]), sys.argv[3], sys.argv[4]
from pathlib import Path
from dife_scanner.confinement import AUDITING, OPINION, PARSING, confine, hook, namespace, seccomp
if means != "seccomp":
    seccomp.install = lambda _: False
if means == "audit hook":
    namespace.leave_network = lambda: False
"""
TRY = """
import json, os, signal, socket, subprocess, threading
def fork():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
def thread():
    started = threading.Thread(target=print, kwargs={"end": ""})
    started.start()
    started.join()
def not_there(attempt):
    try:
        attempt()
    except FileNotFoundError:
        return
found = []
for name, attempt in {
    "connect": lambda: socket.create_connection(("127.0.0.1", port), 5),
    "listen": lambda: socket.create_server(("127.0.0.1", 0)),
    "unix socket": lambda: socket.socket(socket.AF_UNIX),
    "fork": fork,
    "spawn": lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0),
    "run": lambda: subprocess.run(["/bin/true"]),
    "exec": lambda: not_there(lambda: os.execv("/nowhere", ["nowhere"])),
    "signal": lambda: os.kill(os.getppid(), 0),
    "create": lambda: Path(folder, "made").write_text("x"),
    "append": lambda: Path(folder, "there").open("r+b"),
    "rename": lambda: os.rename(folder + "/there", folder + "/there"),
    "remove": lambda: os.remove(folder + "/gone"),
    "read": lambda: Path(folder, "there").read_text(),
    "thread": thread,
    "own signal": lambda: os.kill(os.getpid(), 0),
}.items():
    try:
        attempt()
    except OSError as error:
        found.append(name)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A listener on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def refused(port: int, tmp_path: Path) -> Callable[..., set[str]]:
    """What a real child that confines itself cannot do."""

    def run(how: str, means: Means = Means.FILTER) -> set[str]:
        (tmp_path / "there").write_text("x")
        (tmp_path / "gone").write_text("x")
        done = subprocess.run(
            [*CHILD, PRELUDE + how + TRY, str(ROOT), str(port), str(tmp_path), means.value],
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode == NOT_HERE:
            pytest.skip("this system gives nobody a network of their own")
        assert done.returncode == 0, done.stderr
        return set(json.loads(done.stdout))

    return run


def test_without_confinement_all_of_it_works(refused: Callable[..., set[str]]) -> None:
    assert refused("") == set()


@pytest.mark.parametrize("means", [Means.FILTER, Means.NAMESPACE, Means.HOOK])
def test_a_parsing_child_reads_and_can_do_nothing_else(
    refused: Callable[..., set[str]], means: Means
) -> None:
    expected = EVERYTHING - ({"signal"} if means is not Means.FILTER else set())
    assert refused("confine(PARSING)", means) == expected


@pytest.mark.parametrize("means", [Means.FILTER, Means.NAMESPACE, Means.HOOK])
def test_an_audit_child_has_no_network_and_all_else(
    refused: Callable[..., set[str]], means: Means
) -> None:
    assert refused("confine(AUDITING)", means) == {"connect", "listen"}


def test_a_network_of_its_own_holds_in_native_code(refused: Callable[..., set[str]]) -> None:
    own = f"namespace.leave_network() or sys.exit({NOT_HERE})"
    assert refused(own, Means.NAMESPACE) == {"connect"}


def test_a_filter_holds_for_threads_that_run_already(refused: Callable[..., set[str]]) -> None:
    first = """
import threading, socket
begin, failed = threading.Event(), []
def late():
    begin.wait()
    try:
        socket.create_connection(("127.0.0.1", port), 5)
    except OSError:
        failed.append(1)
running = threading.Thread(target=late)
running.start()
confine(AUDITING)
begin.set()
running.join()
assert failed
"""
    assert refused(first) == {"connect", "listen"}


@pytest.fixture
def launched(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*program: str, memory_mib: int = 512) -> subprocess.CompletedProcess[str]:
        allowed = Allowed(str(tmp_path), seconds=10, memory_mib=memory_mib, file_mib=1)
        return subprocess.run(
            command(program, allowed), capture_output=True, text=True, timeout=60, env={}
        )

    return run


def test_a_program_that_is_asked_writes_in_its_folder_only(
    launched: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    outside = tmp_path.parent / "outside"
    done = launched("/bin/sh", "-c", f"echo in > in; echo out > {outside}; /bin/true")
    assert (tmp_path / "in").read_text() == "in\n"
    assert not outside.exists()
    assert "Permission denied" in done.stderr


def test_a_program_that_is_asked_has_no_network_and_no_processes(
    launched: Callable[..., subprocess.CompletedProcess[str]], port: int
) -> None:
    tries = f"""
import os, socket
for attempt in (lambda: socket.create_connection(("127.0.0.1", {port})), os.fork, lambda: bytearray(1 << 30)):
    try:
        attempt()
    except (OSError, MemoryError) as error:
        print(type(error).__name__)
"""
    done = launched(sys.executable, "-I", "-S", "-c", tries)
    assert done.stdout.split() == ["PermissionError", "PermissionError", "MemoryError"]


def test_a_program_that_is_not_there_has_an_exit_code_of_its_own(
    launched: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    assert launched("/nowhere/at/all").returncode == NO_PROGRAM != HAS_NETWORK


def test_what_holds_here_is_found_out_and_said() -> None:
    found = probe()
    assert set(found) == set(KINDS)
    assert found["audit child"].means == {Forbidden.NETWORK: Means.FILTER}
    assert confinement_text(found["parsing child"], PARSING) == (
        "no network, no sockets, no processes, no programs, no writes (seccomp)"
    )
    assert found["opinion child"].no_network_for_programs
    assert OPINION >= AUDITING


def test_what_nothing_enforces_is_said() -> None:
    found = probe()["audit child"]
    assert confinement_text(found, {Forbidden.NETWORK, Forbidden.WRITES}) == (
        "no network (seccomp); not enforced here: writes"
    )
