"""The `dife` command: parse, wire, print, exit."""

from dife_scanner.cli.main import main

__all__ = ["main"]
