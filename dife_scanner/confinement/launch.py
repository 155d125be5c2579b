"""Start another program that can neither reach a network, nor start a process, nor write outside its folder.

This module is the entry of a small child that confines and limits itself and then becomes that program.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dife_scanner.confinement.confine import OPINION, confine

HAS_NETWORK = 97
"""Exit code where nothing in the kernel keeps the program from the network; it is not started then."""
NO_PROGRAM = 98
"""Exit code where there is no such program."""
_ROOT = Path(__file__).resolve().parents[2]
_BOOTSTRAP = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from dife_scanner.confinement.launch import main; main(sys.argv[2:])"
)
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Allowed:
    """What the program may use."""

    folder: str
    """Where it may write; its working folder."""
    seconds: int
    """Of processor time."""
    memory_mib: int
    file_mib: int
    """The largest file that it may write."""


def command(program: Sequence[str], allowed: Allowed) -> list[str]:
    """The command that runs `program`, its absolute path and arguments, within what is `allowed`.

    Started with `HAS_NETWORK` or `NO_PROGRAM` as exit code it has not run.
    """
    words = json.dumps(asdict(allowed))
    return [sys.executable, "-I", "-S", "-c", _BOOTSTRAP, str(_ROOT), words, *program]


def main(arguments: Sequence[str]) -> None:
    """Entry of the child: what is allowed as JSON, then the program and its arguments."""
    allowed = Allowed(**json.loads(arguments[0]))
    program = list(arguments[1:])
    os.chdir(allowed.folder)
    _end_with_parent()
    confinement = confine(OPINION, Path(allowed.folder))
    if not confinement.no_network_for_programs:
        sys.exit(HAS_NETWORK)
    _limit_this_process(allowed)
    try:
        os.execve(program[0], program, dict(os.environ))  # noqa: S606 - a shell is what is not wanted
    except OSError:
        sys.exit(NO_PROGRAM)


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _limit_this_process(allowed: Allowed) -> None:
    if sys.platform == "win32":
        return
    import resource

    memory, file = allowed.memory_mib * 1024**2, allowed.file_mib * 1024**2
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (allowed.seconds, allowed.seconds + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file, file))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
