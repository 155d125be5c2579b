"""`dife` as a test calls it: by its real entry point in this process, or, where that is the point, as a process."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from unittest import mock

ENVIRONMENT = {"NO_PROXY": "127.0.0.1", "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}


def dife(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """What `main()` prints and exits with; an exception that it lets through fails the test that called."""
    from dife_scanner.cli import main

    out, err, command = io.StringIO(), io.StringIO(), ["dife", *map(str, arguments)]
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", command),
        mock.patch.dict(os.environ, {**ENVIRONMENT, **environment}),
        _own_log(),
    ):
        try:
            main()
        except SystemExit as stop:
            code = stop.code
    return _checked(
        subprocess.CompletedProcess(
            command, code if isinstance(code, int) else 0, out.getvalue(), err.getvalue()
        )
    )


def process(
    *arguments: object, timeout: float = 120, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The same as a program of its own."""
    return _checked(
        subprocess.run(
            [sys.executable, "-m", "dife_scanner", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, **ENVIRONMENT, **environment},
        )
    )


def _checked(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    return done


@contextlib.contextmanager
def _own_log() -> Iterator[None]:
    """The command's log goes to the standard error of this call, and to no later one's."""
    ours = logging.getLogger("dife_scanner")
    before, level, ours.handlers = ours.handlers, ours.level, []
    try:
        yield
    finally:
        ours.handlers = before
        ours.setLevel(level)
