"""Everything that can be wrong with a target, a hub or a home: a clear message, the right exit code, no traceback."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path

import calling
import numpy as np
import pytest
from checkpoints import (
    CONFIG,
    TINY_VIT,
    WEIGHTS,
    changed_config,
    split,
    with_header,
    write_checkpoint,
)
from filelock import FileLock

from dife_scanner.lab.loopback import LoopbackHub, faults

pytestmark = pytest.mark.usefixtures("audit_server")
BRIEF = {"DIFE_LIMITS__REQUEST_SECONDS": "1"}
dife, process = partial(calling.dife, **BRIEF), partial(calling.process, **BRIEF)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A small checkpoint that loads."""
    return write_checkpoint(tmp_path_factory.mktemp("good"), TINY_VIT)


@pytest.fixture(scope="module")
def hub(tmp_path_factory, good):
    with LoopbackHub(tmp_path_factory.mktemp("hub"), tokens={"hf_valid": []}) as running:
        files = {CONFIG: good / CONFIG, WEIGHTS: good / WEIGHTS}
        running.add_repo("lab/good", files, tags=["clip"], library="open_clip")
        running.add_repo("lab/gated", files, tags=["clip"], library="open_clip", gated=True)
        yield running


@pytest.fixture
def scan(tmp_path, hub):
    def run(target, *more, call=dife, **environment):
        endpoint = () if "--endpoint" in more else ("--endpoint", hub.endpoint)
        home = ("--home", tmp_path / "home")
        return call("scan", target, *home, *endpoint, *more, **environment)

    return run


# --- the hub --------------------------------------------------------------------------------------------------


def test_no_such_repository(scan):
    done = scan("lab/none", call=process)
    assert done.returncode == 3
    assert "lab/none" in done.stderr and "try:" in done.stderr


def test_what_can_be_neither_path_nor_repository(scan):
    """Longer than a path may be, and no name of a repository either."""
    for target, words in (
        ("x" * 5000, "is not the name of a repository"),
        ("/" + "x" * 5000, "too long"),
    ):
        done = scan(target)
        assert done.returncode in (3, 64) and words in done.stderr, done.stderr[-400:]
        assert "unforeseen" not in done.stderr


def test_no_such_revision(scan):
    done = scan("lab/good@" + "0" * 40)
    assert done.returncode == 3
    assert "lab/good" in done.stderr


def test_gated_is_a_state_and_not_a_verdict(scan):
    done = scan("lab/gated", "--json")
    assert done.returncode == 2
    (result,) = json.loads(done.stdout)["targets"]
    assert (result["job"]["state"], result["verdict"]) == ("gated", None)
    assert "asked for" in result["job"]["reason"]


def test_a_wrong_token_is_said_and_not_shown(scan, tmp_path, hub):
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text(f'endpoint = "{hub.endpoint}"\n')
    done = dife("scan", "lab/good", "--home", home, DIFE_HF_TOKEN="hf_wrong_secret")
    assert done.returncode == 3
    assert "token" in done.stderr
    assert "hf_wrong_secret" not in done.stderr + done.stdout


def test_an_endpoint_that_is_down(scan):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = scan("lab/good", "--endpoint", f"http://127.0.0.1:{port}")
    assert done.returncode == 3
    assert f"127.0.0.1:{port}" in done.stderr


def test_an_endpoint_that_hangs(scan, hub):
    hub.inject(faults.hang("lab/good", times=None))
    try:
        done = scan("lab/good")
    finally:
        hub.heal()
    assert done.returncode == 3
    assert "no answer" in done.stderr


def test_an_endpoint_that_limits_the_rate_for_minutes_is_not_waited_for(scan, hub):
    hub.inject(faults.rate_limited("lab/good", 290, times=None))
    try:
        done = scan("lab/good")
    finally:
        hub.heal()
    assert done.returncode == 3
    assert "rate" in done.stderr or "limit" in done.stderr


# --- the files ------------------------------------------------------------------------------------------------


def _truncated(folder):
    raw = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(raw[: len(raw) // 2])


def _too_long(folder):
    with (folder / WEIGHTS).open("ab") as file:
        file.write(b"\0" * 64)


def _duplicate_key(folder):
    header, data = split((folder / WEIGHTS).read_bytes())
    one, other = sorted(key for key in header if key.endswith("ln_1.bias"))[:2]
    text = json.dumps(header)[:-1] + f", {json.dumps(one)}: {json.dumps(header[other])}}}"
    (folder / WEIGHTS).write_bytes(with_header(text.encode(), data))


def _not_a_number(folder):
    header, data = split((folder / WEIGHTS).read_bytes())
    begin, _ = header["positional_embedding"]["data_offsets"]
    raw = bytearray(data)
    raw[begin : begin + 4] = np.float32("nan").tobytes()
    (folder / WEIGHTS).write_bytes(with_header(header, bytes(raw)))


def _wrong_shape(folder):
    header, data = split((folder / WEIGHTS).read_bytes())
    header["text_projection"]["shape"] = header["text_projection"]["shape"][::-1]
    (folder / WEIGHTS).write_bytes(with_header(header, data))


def _a_million_layers(folder):
    (folder / CONFIG).write_bytes(changed_config(vision={"layers": 10**6}))


@pytest.mark.usefixtures("limited_child")
@pytest.mark.parametrize(
    ("spoil", "state", "code", "words"),
    [
        (_truncated, "failed", 2, WEIGHTS),
        (_too_long, "failed", 2, WEIGHTS),
        (_duplicate_key, "refused", 1, "twice"),
        (_not_a_number, "failed", 2, "positional_embedding"),
        (_wrong_shape, "unsupported", 2, "text_projection"),
        (_a_million_layers, "unsupported", 2, "layers"),
    ],
)
def test_a_spoilt_file_ends_in_its_state(scan, good, tmp_path, spoil, state, code, words):
    folder = tmp_path / "spoilt"
    shutil.copytree(good, folder)
    spoil(folder)
    done = scan(folder, "--json")
    assert done.returncode == code, done.stderr + done.stdout
    (result,) = json.loads(done.stdout)["targets"]
    assert (result["job"]["state"], result["verdict"]) == (state, None)
    assert words in result["job"]["reason"]
    assert (result["finding"] is not None) is (state == "refused")


def test_a_gpu_that_is_asked_for_and_not_there_is_waited_for(scan, good):
    done = scan(good, "--json", DIFE_DEVICE="cuda:99")
    assert done.returncode == 2, done.stderr
    (result,) = json.loads(done.stdout)["targets"]
    assert (result["job"]["state"], result["verdict"]) == ("paused", None)
    assert "the device 'cuda:99' cannot be used here" in result["job"]["reason"]
    again = scan(good, "--json")
    (result,) = json.loads(again.stdout)["targets"]
    assert result["job"]["state"] == "done"


def test_a_folder_without_a_config(scan, good, tmp_path):
    folder = tmp_path / "bare"
    folder.mkdir()
    shutil.copy(good / WEIGHTS, folder)
    done = scan(folder)
    assert done.returncode == 2
    assert "no configuration" in done.stdout


# --- the home -------------------------------------------------------------------------------------------------


def test_a_second_watcher_on_one_home(tmp_path, hub):
    home = tmp_path / "home"
    home.mkdir()
    with FileLock(home / "watch.lock"):
        done = process("watch", "--once", "--home", home, "--endpoint", hub.endpoint)
    assert done.returncode == 3
    assert "another watcher" in done.stderr


def test_a_home_of_a_newer_version(tmp_path):
    home = tmp_path / "home"
    assert dife("findings", "--home", home).returncode == 0
    with sqlite3.connect(home / "dife.db") as database:
        (table,) = [
            row[0]
            for row in database.execute(
                "SELECT name FROM sqlite_master WHERE name LIKE '%migrations'"
            )
        ]
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        last = dict(
            zip(columns, database.execute(f"SELECT * FROM {table} LIMIT 1").fetchone(), strict=True)
        )
        last |= {"name": "m999_from_the_future"} | ({"id": 999} if "id" in last else {})
        marks = ", ".join("?" * len(last))
        database.execute(
            f"INSERT INTO {table} ({', '.join(last)}) VALUES ({marks})", list(last.values())
        )
    done = dife("findings", "--home", home)
    assert done.returncode == 3
    assert "newer" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_a_home_that_another_user_owns(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    code = (
        "import os, sys\n"
        "from dife_scanner.cli.commands import run\n"
        "run(['findings', '--quiet', '--home', sys.argv[2]])\n"  # loads what the other user may not read
        "os.setgid(65534); os.setuid(65534)\n"
        "sys.exit(run(['findings', '--home', sys.argv[1]]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(home), str(tmp_path / "other")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **calling.ENVIRONMENT},
    )
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert "try:" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")
def test_a_full_disk(tmp_path, good):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        home = disk / "home"
        assert dife("findings", "--home", home).returncode == 0
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 65536)
            except OSError:
                pass
        done = process("scan", good, "--home", home)  # leaves nothing open on the disk
        assert done.returncode in (2, 3), done.stdout
        assert "full" in done.stderr + done.stdout
        Path(filler).unlink()
        again = dife("queue", "--home", home)
        assert again.returncode == 0, again.stderr
    finally:
        subprocess.run(["umount", disk], check=True)
