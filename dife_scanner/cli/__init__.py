"""The `dife` command: parse, wire, print, exit."""

from __future__ import annotations

import sys

from dife_scanner.cli.exit_codes import FAILED, INTERRUPTED


def main() -> None:
    """Entry point. Exit codes: 0, 1 and 2 as each command says, 3 the command failed, 64 wrong usage.

    Nothing else is imported before this runs: whatever happens while the program starts ends with 3 as well, and
    not with the interpreter's own 1, which says that something is flagged or differs.
    """
    try:
        from dife_scanner.cli.commands import run
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BaseException as error:  # a native library's panic is no `Exception`
        if "-v" in sys.argv or "--verbose" in sys.argv:
            sys.excepthook(type(error), error, error.__traceback__)
        print(
            f"dife: the program cannot start ({type(error).__name__}: {error})\n"
            "  try: install it again; with -v the traceback is printed",
            file=sys.stderr,
        )
        sys.exit(FAILED)
    sys.exit(run(sys.argv[1:]))
