"""What the process of an audit may and may not do, tried in the real one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dife_scanner.errors import AuditError
from dife_scanner.progress import SILENT
from dife_scanner.queue import child


def tries(port: int, *_: Any) -> None:
    """An audit that ends with what it could not do, as its error; its request is where a listener is."""
    import resource

    failed = []
    for name, attempt in {
        "loopback": lambda: socket.create_connection(("127.0.0.1", port), 5),
        "unix socket": lambda: socket.socketpair()[0].close(),
        "process": lambda: subprocess.run(["true"], check=True),
        "file": lambda: Path("/dev/null").write_text("x"),
    }.items():
        try:
            attempt()
        except OSError:
            failed.append(name)
    raise AuditError(f"failed: {failed}, core dumps {resource.getrlimit(resource.RLIMIT_CORE)}")


@pytest.mark.skipif(sys.platform != "linux", reason="without the kernel's filter a hook does it")
def test_an_audit_has_no_network_and_leaves_no_core(tmp_path: Path) -> None:
    found = pytest.raises(AuditError, match=r"failed: \['loopback'\], core dumps \(0, 0\)")
    with socket.create_server(("127.0.0.1", 0)) as listening, found:
        child.run(
            listening.getsockname()[1],
            tmp_path,
            seconds=60,
            rss_mib=4096,
            progress=SILENT,
            entry="test_audit_child:tries",
            preload=(),
        )


def test_a_child_does_not_import_the_program_that_started_it(tmp_path: Path) -> None:
    """A command line with all that hangs on it took longer than the rest of a child's start."""
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "assert __name__ == '__main__', 'imported by a child'\n"
        "import queue_kit\n"
        "from dife_scanner.progress import SILENT\n"
        "from dife_scanner.queue import child\n"
        "limits = child.Limits(60, 4096)\n"
        "code = child.apart(queue_kit.touches, (sys.argv[1],), limits, SILENT, preload=('queue_kit',))\n"
        "sys.exit(code)\n"
    )
    path = os.pathsep.join((str(Path(__file__).parent), *sys.path))
    ran = subprocess.run(
        [sys.executable, str(program), str(tmp_path / "touched")],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "touched").exists()
