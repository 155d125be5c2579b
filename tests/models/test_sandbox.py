"""The parsing child is small, limited, and whatever happens to it becomes an error with words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from checkpoints import CONFIG, WEIGHTS, with_header, write_config

from dife_scanner.errors import AuditError, LimitExceeded, Refused, Unreadable
from dife_scanner.models import sandbox
from dife_scanner.models.header import ParseLimits

CHILD = [sys.executable, "-I", "-S", "-c"]


def inspect(folder: Path, limits: ParseLimits | None = None) -> sandbox.Inspection:
    return sandbox.inspect_files(folder / CONFIG, folder / WEIGHTS, limits or ParseLimits())


def test_a_good_checkpoint_comes_back_whole(tiny_vit: Path) -> None:
    inspection = inspect(tiny_vit)
    assert inspection.config.vision.width == 64
    assert ("visual.proj", "visual.proj") in inspection.names
    assert inspection.parameters == 1_761_409


def test_the_child_has_no_heavy_library_and_cannot_get_one() -> None:
    program = sandbox._BOOTSTRAP.replace("main(sys.argv[2:])", "print(*sys.modules)")
    done = subprocess.run(
        [*CHILD, program, str(sandbox.ROOT)], capture_output=True, text=True, check=True, env={}
    )
    modules = set(done.stdout.split())
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


def test_the_child_lives_under_hard_limits(tiny_vit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = """
import sys, json, os, socket
sys.path.insert(0, sys.argv[1])
from dife_scanner.models import sandbox
sandbox._answer = lambda *_: {"error": "Refused", "what": json.dumps(tried()), "advice": ""}
def tried():
    import resource
    found = {}
    for name, attempt in {
        "files": lambda: [os.open("/dev/null", os.O_RDONLY) for _ in range(50)],
        "memory": lambda: bytearray(2 * 1024**3),
        "write": lambda: os.write(os.open(os.devnull.replace("null", "shm/dife-test"), os.O_CREAT | os.O_WRONLY), b"x"),
        "open for writing": lambda: os.open(os.devnull, os.O_WRONLY),
        "reopen its input": lambda: os.open(f"/proc/self/fd/{json.loads(sys.argv[2])['files'][0]}", os.O_RDWR),
        "fork": os.fork,
        "connect": socket.socket,
    }.items():
        try:
            attempt()
            found[name] = "allowed"
        except (OSError, MemoryError) as error:
            found[name] = type(error).__name__
    found["cpu"] = resource.getrlimit(resource.RLIMIT_CPU)[0]
    return found
sandbox.main(sys.argv[2:])
"""
    monkeypatch.setattr(sandbox, "_BOOTSTRAP", report)
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
        "cpu": 30,
    }


def test_time_has_a_limit(tiny_vit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_BOOTSTRAP", "import time; time.sleep(60)")
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
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", LimitExceeded, "killed"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", AuditError, "from outside"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", LimitExceeded, "seconds"),
        ("print('x' * 20_000_000)", LimitExceeded, "too long an answer"),
        ("1 / 0", RuntimeError, "ZeroDivisionError"),
    ],
    ids=["crash", "kill", "stopped by a person", "cpu", "flood", "our mistake"],
)
def test_every_end_of_the_child_has_words(
    tiny_vit: Path,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    error: type[Exception],
    words: str,
) -> None:
    monkeypatch.setattr(sandbox, "_BOOTSTRAP", program)
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
