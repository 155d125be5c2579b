"""Loads open_clip without the libraries that it loads along where they are installed: transformers and timm.

Its parts that need them are not used here. Without them the process that audits are forked from is ready a second
or two sooner, and runs less of other people's code. What needs one of them later imports it as usual.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_LEFT_OUT = ("transformers", "timm")


@contextmanager
def _left_out() -> Iterator[None]:
    """Inside, these libraries are as if they were not installed, unless somebody has loaded them already."""
    hidden = [name for name in _LEFT_OUT if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


with _left_out():
    import open_clip  # noqa: F401
