"""Short-lived processes for what strangers wrote, forked from a small server that has their modules loaded.

A fresh interpreter spends a fifth of a second on imports before it reads anything; a fork of one that has done so takes
milliseconds. The server is `python -I -S`, so it has the standard library and this package and nothing else. It reads
nothing but what this process asks of it, so each child begins as the first one did. What a child may do is the child's
own matter: it confines itself.

One child lives at a time. When this process ends, however it does, the server kills its child and ends as well.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import NoReturn

_ROOT = Path(__file__).resolve().parents[2]
BOOTSTRAP = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from dife_scanner.confinement.fork_server import serve; serve(*sys.argv[2:])"
)
_REQUEST = struct.Struct("!IQ")
"""How many files come with it, and how many bytes of JSON follow."""
_PID = struct.Struct("!Q")
_EXIT_CODE = struct.Struct("!i")
_MOST_FILES_AT_ONCE = 200
"""The kernel passes at most 253 in one message."""
_GRACE_SECONDS = 5.0
_HEARD = b"."
"""The child has been heard out, or killed: wait for it and say how it ended."""

Main = Callable[[Sequence[str], Sequence[int]], None]
"""What a child does: with its arguments, and the numbers of its open files; it answers on stdout."""


class ServerEnded(Exception):
    """The server is gone: it could not start, or somebody ended it."""


class ForkServer:
    """Starts children that run `entry`, `module:function`, a `Main`.

    With arguments to be `prepared` with, the server calls `prepare` of that module once, before the first child.
    """

    def __init__(
        self,
        entry: str,
        environment: Mapping[str, str],
        *,
        prepared: Sequence[str] = (),
        program: str = BOOTSTRAP,
    ) -> None:
        self._entry = (entry, *prepared)
        self._environment = dict(environment)
        self._program = program
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._asked: socket.socket | None = None
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self._stop)  # without the lock: a thread that is left may hold it

    def start(self, arguments: Sequence[str], files: Sequence[int]) -> Child:
        """Start a child with these arguments and open files; it has to be closed before another one starts.

        Raises `ServerEnded` where that fails twice.
        """
        self._lock.acquire()
        try:
            try:
                return self._child(arguments, files)
            except ServerEnded:
                # somebody ended it while nothing was asked of it
                return self._child(arguments, files)
        except BaseException:
            self._lock.release()
            raise

    def close(self) -> None:
        """End the server, where it runs."""
        with self._lock:
            self._stop()

    def _child(self, arguments: Sequence[str], files: Sequence[int]) -> Child:
        asked = self._connection()
        stdout, child_stdout = os.pipe()
        stderr, child_stderr = os.pipe()
        try:
            _send(asked, arguments, (child_stdout, child_stderr, *files))
            (pid,) = _PID.unpack(_received(asked, _PID.size))
        except BaseException as error:
            os.close(stdout)
            os.close(stderr)
            self._stop()  # nobody knows what it has been told
            if isinstance(error, ConnectionError):
                raise ServerEnded(str(error)) from error
            raise
        finally:
            os.close(child_stdout)
            os.close(child_stderr)
        return Child(pid, stdout, stderr, asked, self._lock)

    def _connection(self) -> socket.socket:
        """The socket of the server, which is started where it does not run."""
        if self._asked is None:
            self._asked, theirs = socket.socketpair()
            with theirs:
                number = theirs.fileno()
                given = [str(_ROOT), str(number), *self._entry]
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", self._program, *given],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(number,),
                    env=self._environment,
                    start_new_session=True,  # a Ctrl-C in the terminal is for this process, which then closes it
                )
        return self._asked

    def _stop(self) -> None:
        """The server ends its child and itself as soon as it sees that nobody asks any more."""
        if self._asked is not None:
            self._asked.close()
        if self._process is not None:
            try:
                self._process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._asked = None
        self._process = None

    def _forget(self) -> None:
        """In a fork of this process: the server is the other one's, and so is whatever holds the lock."""
        self._lock = threading.Lock()
        if self._asked is not None:
            self._asked.close()
        if self._process is not None:
            self._process.returncode = 0  # it is not ours to wait for
        self._asked = None
        self._process = None


class Child:
    """One child, from its start until it has ended; a context manager that leaves none behind."""

    def __init__(
        self,
        pid: int,
        stdout: int,
        stderr: int,
        asked: socket.socket,
        lock: threading.Lock,
    ) -> None:
        self.stdout = stdout
        """Number of the pipe that its answer comes from."""
        self.stderr = stderr
        self._pid = pid
        self._asked = asked
        self._lock = lock
        self._is_heard = False
        self._ended = False

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if not self._ended:
                # the server has not waited for it, so nobody else has its number
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._pid, signal.SIGKILL)
                with contextlib.suppress(ServerEnded):
                    self.wait()
        finally:
            os.close(self.stdout)
            os.close(self.stderr)
            self._lock.release()

    def wait(self, seconds: float | None = None) -> int:
        """Return its exit code, negative for a signal. Raises `TimeoutError`, and `ServerEnded`."""
        self._asked.settimeout(seconds)
        try:
            if not self._is_heard:
                self._is_heard = True
                self._asked.sendall(_HEARD)
            (code,) = _EXIT_CODE.unpack(_received(self._asked, _EXIT_CODE.size))
        except ConnectionError as error:
            raise ServerEnded(str(error)) from error
        finally:
            self._asked.settimeout(None)
        self._ended = True
        return int(code)


def _send(asked: socket.socket, arguments: Sequence[str], files: Sequence[int]) -> None:
    body = json.dumps(list(arguments)).encode()
    first, rest = files[:_MOST_FILES_AT_ONCE], files[_MOST_FILES_AT_ONCE:]
    socket.send_fds(asked, [_REQUEST.pack(len(files), len(body))], first)
    while rest:
        socket.send_fds(asked, [_HEARD], rest[:_MOST_FILES_AT_ONCE])
        rest = rest[_MOST_FILES_AT_ONCE:]
    asked.sendall(body)


def _received(connection: socket.socket, size: int) -> bytes:
    """Exactly so many bytes. Raises `ServerEnded` where the other end is gone."""
    heard = b""
    while len(heard) < size:
        chunk = connection.recv(size - len(heard))
        if not chunk:
            raise ServerEnded("the other end of the connection is gone")
        heard += chunk
    return heard


# --- in the server ----------------------------------------------------------------------------------------------


def serve(number: str, entry: str, *prepared: str) -> None:
    """Entry of the server: the number of its socket, and what its children do. Ends with the process that asks."""
    name, function = entry.split(":")
    module = import_module(name)
    if prepared:
        module.prepare(*prepared)
    main: Main = getattr(module, function)
    gc.freeze()  # a collection in a child would copy every page that holds an object
    with socket.socket(fileno=int(number)) as asked, contextlib.suppress(ServerEnded):
        while True:
            _serve_one(asked, main)


def _serve_one(asked: socket.socket, main: Main) -> None:
    """Wait for a request, and for the end of its child. Raises `ServerEnded` where nobody asks any more."""
    arguments, files = _requested(asked)
    pid = os.fork()
    if pid == 0:
        asked.close()
        _be(main, arguments, files)
    for file in files:
        os.close(file)
    try:
        asked.sendall(_PID.pack(pid))
        _received(asked, len(_HEARD))
    except (OSError, ServerEnded):
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        _, status = os.waitpid(pid, 0)
    asked.sendall(_EXIT_CODE.pack(os.waitstatus_to_exitcode(status)))


def _requested(asked: socket.socket) -> tuple[list[str], list[int]]:
    """The arguments and files of the next child."""
    start, files, _, _ = socket.recv_fds(asked, _REQUEST.size, _MOST_FILES_AT_ONCE)
    count, size = _REQUEST.unpack(start + _received(asked, _REQUEST.size - len(start)))
    while len(files) < count:
        _, more, _, _ = socket.recv_fds(asked, len(_HEARD), _MOST_FILES_AT_ONCE)
        files += more
    arguments: list[str] = json.loads(_received(asked, size))
    return arguments, files


def _be(main: Main, arguments: Sequence[str], files: Sequence[int]) -> NoReturn:
    """Be the child: its own stdout and stderr, then `main`."""
    code = 1
    try:
        for number, file in zip((1, 2), files, strict=False):
            os.dup2(file, number)
            os.close(file)
        main(arguments, files[2:])
        sys.stdout.flush()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)
