"""Standard output and error as a command finds them: closed, full, or read by nobody any more."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from collections.abc import Iterator
from pathlib import Path


def replace_closed() -> None:
    """A program started with a closed output (`>&-`) has none at all: what it prints goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as we run
            setattr(sys, name, nowhere)


@contextlib.contextmanager
def for_whoever_reads() -> Iterator[None]:
    """Around printing a result: where its reader went away (`| head`), the rest is dropped and the command goes on.

    Its exit code is still that of what it found.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        if not reader_is_gone():
            raise
        give_up_stdout()


def reader_is_gone() -> bool:
    """Whether it is our output that nobody reads any more, and not some pipe within the program that broke."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return bool(poll.poll(0))
    except AttributeError:  # a system without `poll`
        return True
    except (OSError, ValueError):
        return False


def give_up_stdout() -> None:
    """Drop what is still to be written: the interpreter would try again at its end, and exit with a code of its own."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(*lines: str) -> None:
    """Print to stderr, which may be gone as well."""
    with contextlib.suppress(OSError, ValueError):
        for line in lines:
            print(line, file=sys.stderr)
