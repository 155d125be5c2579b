"""Keep Python's `None` alive below a PySide that gives its references away.

With PySide6 6.12 each call that returns nothing gives away a reference to `None` that it never took. From Python 3.12
on `None` is immortal and this does no harm; before, the process ends once the last reference is gone, after some ten
thousand calls.
"""

from __future__ import annotations

import ctypes
import sys

FIRST_WITH_IMMORTALS = (3, 12)


def keep() -> None:
    """Give `None` more references than any process can give away. Does nothing where it is immortal."""
    if sys.version_info >= FIRST_WITH_IMMORTALS or sys.implementation.name != "cpython":
        return
    references = ctypes.c_ssize_t.from_address(id(None))
    if references.value < sys.maxsize // 4:
        references.value += sys.maxsize // 4
