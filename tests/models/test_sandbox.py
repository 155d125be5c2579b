"""The parsing child is small, limited, and whatever happens to it becomes an error with words."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from checkpoints import CONFIG, WEIGHTS, with_header, write_config

from dife_scanner.confinement import fork_server
from dife_scanner.confinement.fork_server import ForkServer
from dife_scanner.errors import AuditError, LimitExceeded, Refused, Unreadable
from dife_scanner.models import sandbox
from dife_scanner.models.header import ParseLimits

ENTRY = "dife_scanner.models.sandbox:main"
_PATCHED = """
import sys
sys.path.insert(0, sys.argv[1])
from dife_scanner.models import sandbox
real = sandbox.main
def main(arguments, files):
    {body}
sandbox.main = main
from dife_scanner.confinement.fork_server import serve
serve(*sys.argv[2:])
"""


def server_of(program: str) -> ForkServer:
    """Its children do this, with their `arguments` and `files`; `real` is what they would do."""
    body = "\n    ".join(program.splitlines())
    return ForkServer(ENTRY, {}, program=_PATCHED.format(body=body))


@pytest.fixture
def doing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Has the parsing child do something else."""
    servers: list[ForkServer] = []

    def do(program: str) -> None:
        servers.append(server_of(program))
        monkeypatch.setattr(sandbox, "_server", lambda: servers[-1])

    yield do
    for server in servers:
        server.close()


def inspect(folder: Path, limits: ParseLimits | None = None) -> sandbox.Inspection:
    return sandbox.inspect_files(folder / CONFIG, folder / WEIGHTS, limits or ParseLimits())


def test_a_good_checkpoint_comes_back_whole(tiny_vit: Path) -> None:
    inspection = inspect(tiny_vit)
    assert inspection.config.vision.width == 64
    assert ("visual.proj", "visual.proj") in inspection.names
    assert inspection.parameters == 1_761_409


def test_the_child_has_no_heavy_library_and_cannot_get_one(
    tiny_vit: Path, doing: Callable[[str], None]
) -> None:
    doing("raise ValueError(' '.join(sys.modules))")
    with pytest.raises(RuntimeError) as caught:
        inspect(tiny_vit)
    modules = set(str(caught.value).rpartition("ValueError: ")[2].split())
    assert "dife_scanner.records" not in modules, "half of what its start would take"
    loaded = {name.split(".")[0] for name in modules}
    assert "dife_scanner" in loaded
    assert not loaded & {
        "torch",
        "numpy",
        "pydantic",
        "safetensors",
        "open_clip",
        "PIL",
        "huggingface_hub",
        "site",
    }
    assert loaded <= set(sys.stdlib_module_names) | {"dife_scanner", "__main__"} | set(
        sys.builtin_module_names
    )


OUT_OF_MEMORY = "import os; os.write(2, b'{}\\n'); os.abort()"

TRIED = """
import json, os, socket
def tried(*_):
    import resource
    found = {"open files": len(os.listdir("/proc/self/fd")) - 1}
    for name, attempt in {
        "files": lambda: [os.open("/dev/null", os.O_RDONLY) for _ in range(50)],
        "memory": lambda: bytearray(2 * 1024**3),
        "write": lambda: os.write(os.open(os.devnull.replace("null", "shm/dife-test"), os.O_CREAT | os.O_WRONLY), b"x"),
        "open for writing": lambda: os.open(os.devnull, os.O_WRONLY),
        "reopen its input": lambda: os.open("/proc/self/fd/" + str(files[0]), os.O_RDWR),
        "fork": os.fork,
        "connect": socket.socket,
        "ask its server": lambda: os.kill(os.getppid(), 0),
    }.items():
        try:
            attempt()
            found[name] = "allowed"
        except (OSError, MemoryError) as error:
            found[name] = type(error).__name__
    found["cpu"] = resource.getrlimit(resource.RLIMIT_CPU)[0]
    return {"error": "Refused", "what": json.dumps(found), "advice": ""}
sandbox._answer = tried
real(arguments, files)
"""


def test_the_child_lives_under_hard_limits(tiny_vit: Path, doing: Callable[[str], None]) -> None:
    doing(TRIED.strip())
    with pytest.raises(Refused) as caught:
        inspect(tiny_vit)
    found = json.loads(caught.value.what)
    assert found == {
        "files": "OSError",
        "memory": "MemoryError",
        "write": "PermissionError",
        "open for writing": "PermissionError",
        "reopen its input": "PermissionError",
        "fork": "PermissionError",
        "connect": "PermissionError",
        "ask its server": "PermissionError",
        "cpu": 30,
        "open files": 3 + 2,
    }


LOWERED = """
import resource
from dife_scanner.models import sandbox
resource.setrlimit(resource.RLIMIT_CPU, (7, 7))
sandbox._limit(resource.RLIMIT_CPU, 30, grace=1)
print(resource.getrlimit(resource.RLIMIT_CPU))
"""


def test_a_limit_of_the_machine_below_ours_ends_by_the_signal_that_can_be_explained() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOWERED], capture_output=True, text=True, check=True
    )
    assert done.stdout == "(6, 7)\n"


@pytest.mark.parametrize(
    "program",
    ["import time; time.sleep(60)", "import os, time; os.close(1); os.close(2); time.sleep(60)"],
    ids=["open pipes", "closed pipes"],
)
def test_time_has_a_limit(tiny_vit: Path, doing: Callable[[str], None], program: str) -> None:
    doing(program)
    for _ in range(2):
        with pytest.raises(LimitExceeded, match=r"longer than 0\.2 seconds"):
            inspect(tiny_vit, ParseLimits(seconds=0.2))


def test_memory_has_a_limit(tiny_vit: Path, tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_bytes((tiny_vit / CONFIG).read_bytes())
    (tmp_path / WEIGHTS).write_bytes(with_header(b'{"a":[' + b"[]," * 1_500_000 + b"[]]}", b""))
    with pytest.raises(LimitExceeded, match="100 MiB of memory") as caught:
        inspect(tmp_path, ParseLimits(memory_mib=100))
    assert "raise limits.parse_rss_mib" in caught.value.advice
    with pytest.raises(Unreadable, match="the entry of 'a'"):
        inspect(tmp_path, ParseLimits(memory_mib=1024))


@pytest.mark.parametrize(
    ("program", "error", "words"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", Refused, "crashes the parser"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", AuditError, "from outside"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", AuditError, "from outside"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", LimitExceeded, "seconds"),
        ("print('x' * 20_000_000)", LimitExceeded, "too long an answer"),
        ("1 / 0", RuntimeError, "ZeroDivisionError"),
        ("import os; os.abort()", Refused, "crashes the parser"),
        (OUT_OF_MEMORY.format("memory allocation of 1048576 bytes failed"), LimitExceeded, "MiB"),
        (OUT_OF_MEMORY.format("what():  std::bad_alloc"), LimitExceeded, "MiB of memory allowed"),
    ],
    ids=[
        "crash",
        "kill",
        "stopped by a person",
        "cpu",
        "flood",
        "our mistake",
        "abort",
        "no memory in Rust",
        "no memory in C++",
    ],
)
def test_every_end_of_the_child_has_words(
    tiny_vit: Path,
    doing: Callable[[str], None],
    program: str,
    error: type[Exception],
    words: str,
) -> None:
    doing(program)
    for _ in range(2):  # the server outlives its children
        with pytest.raises(error, match=words):
            inspect(tiny_vit)


def test_what_the_child_cannot_read_arrives_as_that_error(tiny_vit: Path, tmp_path: Path) -> None:
    (tmp_path / WEIGHTS).write_bytes((tiny_vit / WEIGHTS).read_bytes())
    write_config(tmp_path, {"model_cfg": {"embed_dim": 0}})
    with pytest.raises(Unreadable, match="vision_cfg") as caught:
        inspect(tmp_path)
    assert caught.value.advice
    with pytest.raises(Unreadable, match="vision_cfg"):
        sandbox.check_config(tmp_path / CONFIG, ParseLimits())


def test_the_beginning_of_the_weights_is_judged_as_the_whole(
    tiny_vit: Path, tmp_path: Path
) -> None:
    whole = (tiny_vit / WEIGHTS).read_bytes()
    start = tmp_path / WEIGHTS
    start.write_bytes(whole[:20_000])
    seen = sandbox.inspect_files(tiny_vit / CONFIG, start, ParseLimits(), total=len(whole))
    assert seen == inspect(tiny_vit)
    with pytest.raises(Unreadable, match="truncated"):
        sandbox.inspect_files(tiny_vit / CONFIG, start, ParseLimits())


# --- the server -------------------------------------------------------------------------------------------------


def test_a_child_begins_as_the_one_before_it_did(
    tiny_vit: Path, doing: Callable[[str], None]
) -> None:
    doing("assert not hasattr(sys, 'seen')\nsys.seen = True\nreal(arguments, files)")
    assert inspect(tiny_vit) == inspect(tiny_vit)


def test_a_question_costs_a_fraction_of_a_fresh_interpreter(tiny_vit: Path) -> None:
    """The first starts the server; a quarter would be enough of a reason for it."""

    def seconds(times: int) -> float:
        began = time.perf_counter()
        for _ in range(times):
            inspect(tiny_vit)
        return (time.perf_counter() - began) / times

    sandbox._server().close()
    fresh = seconds(1)
    assert min(seconds(5) for _ in range(3)) < fresh / 4


def test_a_server_that_somebody_ended_is_started_again(tiny_vit: Path) -> None:
    whole = inspect(tiny_vit)
    server = sandbox._server()
    assert server._process is not None
    ended = server._process
    ended.kill()
    assert inspect(tiny_vit) == whole
    assert server._process is not ended


def test_a_server_that_ends_with_its_child_is_an_end_from_outside(
    tiny_vit: Path, doing: Callable[[str], None]
) -> None:
    doing("import os, signal; os.kill(os.getppid(), signal.SIGKILL)")
    with pytest.raises(AuditError, match="from outside"):
        inspect(tiny_vit)


def test_what_interrupts_a_request_leaves_no_half_of_it(
    tiny_vit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between the request and its answer."""
    whole = inspect(tiny_vit)
    receive = fork_server._received

    def interrupted(connection: socket.socket, size: int) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(fork_server, "_received", interrupted)
    with pytest.raises(KeyboardInterrupt):
        inspect(tiny_vit)
    monkeypatch.setattr(fork_server, "_received", receive)
    assert inspect(tiny_vit) == whole


def test_a_server_that_cannot_start_is_our_mistake(
    tiny_vit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ForkServer(ENTRY, {}, program="1 / 0")
    monkeypatch.setattr(sandbox, "_server", lambda: server)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="the server of limited children ended"):
            inspect(tiny_vit)


def test_a_fork_of_this_process_has_a_server_of_its_own(tiny_vit: Path) -> None:
    whole = inspect(tiny_vit)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if inspect(tiny_vit) == whole else 1)
    assert inspect(tiny_vit) == whole
    _, status = os.waitpid(pid, 0)
    assert status == 0
    assert inspect(tiny_vit) == whole


def test_a_child_is_given_more_files_than_one_message_carries(tiny_vit: Path) -> None:
    """A checkpoint may have as many shards."""
    server = server_of("print(len(files), arguments)")
    with (tiny_vit / CONFIG).open() as file:
        answer = b""
        with server.start(["a", "b" * 300_000], [file.fileno()] * 500) as child:
            while chunk := os.read(child.stdout, 65_536):
                answer += chunk
            assert child.wait() == 0
    server.close()
    assert answer.decode() == f"500 ['a', '{'b' * 300_000}']\n"


ASKING = """
import os, time
from test_sandbox import server_of
program = "import os, time; print(os.getpid(), os.getppid(), flush=True); time.sleep(600)"
child = server_of(program).start([], [])
print(os.read(child.stdout, 100).decode(), flush=True)
time.sleep(600)
"""


def test_nothing_outlives_the_process_that_asked() -> None:
    """It is killed while its child parses; the child and the server end as well."""
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", ASKING], stdout=subprocess.PIPE, env=surroundings
    ) as process:
        assert process.stdout is not None
        numbers = [int(word) for word in process.stdout.readline().split()]
        process.kill()
    assert len(numbers) == 2
    end = time.monotonic() + 20
    while any(_lives(number) for number in numbers):
        assert time.monotonic() < end
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
