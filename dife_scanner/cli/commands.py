"""All commands in one place, and the one `except`.

Nothing heavy is imported here: torch, Qt and huggingface_hub load inside the commands that need them.
"""

from __future__ import annotations

import logging
import sys

import typer

from dife_scanner.cli import (
    again,
    alerts,
    bundle,
    calibration,
    cluster,
    decisions,
    deployments,
    export,
    framework,
    lab,
    manage,
    reference,
    report,
    review,
    scan,
    streams,
    top,
    triage,
    upkeep,
    watch,
)
from dife_scanner.cli.exit_codes import FAILED, INTERRUPTED, USAGE
from dife_scanner.cli.session import error_line, takes_common_options
from dife_scanner.errors import DifeError, unforeseen

app = typer.Typer(
    name="dife",
    help="Find backdoored CLIP checkpoints on model hubs, and show why one is flagged.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
takes_common_options(app)
for room in (
    scan,
    watch,
    cluster,
    review,
    triage,
    top,
    deployments,
    decisions,
    export,
    report,
    bundle,
    again,
    framework,
    alerts,
    manage,
    upkeep,
    reference,
    calibration,
    lab,
):
    room.register(app)


def run(arguments: list[str]) -> int:
    """Run one command line; returns its exit code, whatever is raised."""
    streams.replace_closed()
    try:
        code = app(args=arguments, standalone_mode=False)
        with streams.for_whoever_reads():
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
        streams.say("stopped")
        return INTERRUPTED
    # the argument parser turns a broken pipe into an exit with code 1
    if isinstance(error, (BrokenPipeError, SystemExit)) and streams.reader_is_gone():
        streams.give_up_stdout()
        streams.say("dife: whoever read the output went away before the end")
        return FAILED
    if isinstance(error, SystemExit) and not error.code:  # so ends what completes words for a shell
        return 0
    if isinstance(error, DifeError):
        streams.say(*error_line(error))
        _trace(error)
        return error.exit_code
    if hasattr(error, "format_message"):  # the argument parser's
        streams.say(f"dife: {error.format_message()}", "  try: dife --help")
        return USAGE
    streams.give_up_stdout()
    streams.say(*error_line(unforeseen(error)))
    _trace(error)
    return FAILED


def _trace(error: BaseException) -> None:
    """The traceback, with `-v`."""
    logging.getLogger("dife_scanner").debug("where it happened", exc_info=error)
