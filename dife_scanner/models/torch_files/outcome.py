"""How a torch file ends that is not read: refused, damaged, or beyond a limit, each in words that name the file."""

from __future__ import annotations

from typing import NoReturn

from dife_scanner.errors import LimitExceeded, Refused, Unreadable, Unsupported


def refuse(file: str, why: str) -> NoReturn:
    """Refuse `file`: it tries something."""
    raise Refused(f"{file} is not read: {why}", "do not load it; report it to its author")


def unreadable(file: str, why: str) -> NoReturn:
    """Give `file` up: it is damaged, or was never what its name says."""
    raise Unreadable(f"{file} is not a torch file: {why}", "save it again with torch.save")


def unsupported(file: str, why: str) -> NoReturn:
    """Leave `file`: it is honest, and holds something that this version does not read."""
    raise Unsupported(f"{file} cannot be read: {why}", "save its state dict alone, as safetensors")


def beyond(file: str, what: str, setting: str) -> NoReturn:
    """Stop at `file`: it meets the bound that `limits.SETTING` states."""
    raise LimitExceeded(f"{file} {what}", f"raise limits.{setting} if you expect such a file")
