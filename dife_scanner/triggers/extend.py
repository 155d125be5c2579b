"""Kinds of your own: a Python file that you wrote is imported and registers them. Never a file from a hub."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import ModuleType

from dife_scanner.errors import UsageError
from dife_scanner.triggers.kinds import base

log = logging.getLogger(__name__)


def extend(path: Path) -> tuple[str, ...]:
    """Import the researcher's own `path`; the trigger kinds it registered, none where it was imported before.

    The file runs with all rights of this process, so it has to be one's own. Raises `UsageError` where it is missing,
    is not Python or fails; then nothing it registered stays.
    """
    path = path.resolve()
    name = _module_name(path)
    if name in sys.modules:
        return ()
    before = base.names()
    module, run = _prepared(path, name)
    sys.modules[name] = module
    try:
        run(module)
    except Exception as error:
        del sys.modules[name]
        base.keep_only(before)
        log.debug("the extension %s failed", path, exc_info=True)
        raise UsageError(
            f"the extension {path} cannot be used: {type(error).__name__}: {error}",
            "see docs/extending.md",
        ) from error
    return base.names()[len(before) :]


def _prepared(path: Path, name: str) -> tuple[ModuleType, Callable[[ModuleType], None]]:
    """An empty module, and what fills it."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(
            f"{path} is not a Python file",
            "an extension is a file that ends in .py (docs/extending.md)",
        )
    return importlib.util.module_from_spec(spec), spec.loader.exec_module


def _module_name(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"the extension {path} cannot be read: {error.strerror}", "check the path") from error
    return f"dife_extension_{sha256(str(path).encode() + b'|' + content).hexdigest()[:16]}"
