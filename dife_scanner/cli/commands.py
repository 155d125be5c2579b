"""All commands in one place, and the one `except`.

Nothing heavy is imported here: torch, Qt and huggingface_hub load inside the commands that need them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from pathlib import Path

import typer

from dife_scanner.cli import (
    FAILED,
    INTERRUPTED,
    again,
    calibration,
    framework,
    lab,
    manage,
    review,
    scan,
    watch,
)
from dife_scanner.cli.session import error_line, takes_common_options
from dife_scanner.errors import DifeError, unforeseen

USAGE = 64

app = typer.Typer(
    name="dife",
    help="Find backdoored CLIP checkpoints on model hubs, and show why one is flagged.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
takes_common_options(app)
for room in (scan, watch, review, again, framework, manage, calibration, lab):
    room.register(app)


def run(arguments: list[str]) -> int:
    """Run one command line; returns its exit code, whatever is raised."""
    _replace_closed_streams()
    try:
        code = app(args=arguments, standalone_mode=False)
        sys.stdout.flush()  # here, where what goes wrong is still heard of
    except BaseException as error:  # a native library's panic is no `Exception`
        return _ended_by(error)
    if isinstance(code, int):
        return code
    return 0


def _ended_by(error: BaseException) -> int:
    """Say what ended the command; returns the exit code."""
    if isinstance(error, typer.Exit):
        return error.exit_code
    if isinstance(error, (typer.Abort, KeyboardInterrupt)):
        _say("stopped")
        return INTERRUPTED
    if isinstance(
        error, BrokenPipeError
    ):  # the reader of our output went away; nothing is left to say to it
        _give_up_stdout()
        return 0
    if isinstance(error, DifeError):
        _say(*error_line(error))
        _trace(error)
        return error.exit_code
    if hasattr(error, "format_message"):  # the argument parser's
        _say(f"dife: {error.format_message()}", "  try: dife --help")
        return USAGE
    _give_up_stdout()
    _say(*error_line(unforeseen(error)))
    _trace(error)
    return FAILED


def _trace(error: BaseException) -> None:
    """The traceback, with `-v`."""
    logging.getLogger("dife_scanner").debug("where it happened", exc_info=error)


def _say(*lines: str) -> None:
    """Print to stderr, which may be gone as well."""
    with contextlib.suppress(OSError, ValueError):
        for line in lines:
            print(line, file=sys.stderr)


def _replace_closed_streams() -> None:
    """A program started with a closed output (`>&-`) has none at all: what it prints goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - for as long as we run


def _give_up_stdout() -> None:
    """Drop what is still to be written: the interpreter would try again at its end, and exit with a code of its own."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
