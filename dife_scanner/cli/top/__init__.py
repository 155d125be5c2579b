"""`dife top`: the desk in a terminal."""

from dife_scanner.cli.top.command import register

__all__ = ["register"]
