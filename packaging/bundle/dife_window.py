"""The program of the bundle: the window alone, on a home that an installed `dife` keeps (`make bundle`)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dife_gui.app import main
from dife_gui.links import finding_of

from dife_scanner import settings
from dife_scanner.errors import DifeError
from dife_scanner.store.db import open_store


def run() -> int:
    """Show the window until it is closed; returns the exit code, which is `dife`'s where something is wrong."""
    parser = argparse.ArgumentParser(prog="dife-window", description=__doc__)
    parser.add_argument("link", nargs="?", default="", help="a finding to show, dife://finding/ID")
    parser.add_argument("--home", type=Path, help="directory that holds all state (DIFE_HOME)")
    parser.add_argument(
        "--screenshot", type=Path, help="draw the window into this PNG file and end"
    )
    given = parser.parse_args()
    try:
        if given.link:
            finding_of(given.link)
        home = settings.load(given.home).home
        open_store(home).close()  # makes the home, or says why it cannot
    except DifeError as error:
        print(f"{error.what}; {error.advice}", file=sys.stderr)
        return error.exit_code
    return main(home, screenshot=given.screenshot, link=given.link)


if __name__ == "__main__":
    raise SystemExit(run())
