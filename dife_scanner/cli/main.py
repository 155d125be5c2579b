"""All commands in one place, and the one `except`.

Nothing heavy is imported here: torch, Qt and huggingface_hub load inside the commands that need them.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback

import typer

from dife_scanner.cli import again, calibration, framework, lab, manage, review, scan, watch
from dife_scanner.cli.session import error_line, takes_common_options
from dife_scanner.errors import DifeError

FAILED = 3
USAGE = 64
INTERRUPTED = 130

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


def main() -> None:
    """Entry point. Exit codes: 0, 1 and 2 as each command says, 3 the command failed, 64 wrong usage."""
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    try:
        code = app(args=arguments, standalone_mode=False)
    except typer.Exit as stop:
        return stop.exit_code
    except (typer.Abort, KeyboardInterrupt):
        print("stopped", file=sys.stderr)
        return INTERRUPTED
    except DifeError as error:
        for line in error_line(error):
            print(line, file=sys.stderr)
        logging.getLogger("dife_scanner").debug("where it happened", exc_info=error)
        return error.exit_code
    except BrokenPipeError:  # the reader of our output went away; nothing is left to say to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if not hasattr(error, "format_message"):  # ours, and not the argument parser's
            traceback.print_exc()
            return FAILED  # not the interpreter's own 1, which says that something is flagged or differs
        print(f"dife: {error.format_message()}", file=sys.stderr)
        print("  try: dife --help", file=sys.stderr)
        return USAGE
    if isinstance(code, int):
        return code
    return 0
