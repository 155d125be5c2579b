"""Rules of the kernel on files (Landlock, Linux 5.13 and later): nothing is written outside one folder.

They pass to every program that is started under them and cannot be taken off again.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from pathlib import Path
from typing import Any

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
"""Numbers of the calls; the same on every machine."""
_ASK_VERSION = 1
_BELOW_PATH = 1
_PR_SET_NO_NEW_PRIVS = 38
_WRITE_FILE = 1 << 1
_WRITES = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))
"""Writing, and making and removing entries of every kind: known since the first version."""
_CAME_LATER = {2: 1 << 13, 3: 1 << 14}
"""Moving to another folder, truncating: known since these versions."""


def write_only_below(folder: Path) -> bool:
    """Let this thread, and what it starts, write below `folder` and to the null device only.

    `False` where the kernel has no such rules.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    version = libc.syscall(_CREATE, None, ctypes.c_size_t(0), _ASK_VERSION)
    if version < 1:
        return False
    rights = _WRITES
    for since, right in _CAME_LATER.items():
        if version >= since:
            rights |= right
    asked = struct.pack("=Q", rights)
    rules = libc.syscall(_CREATE, asked, ctypes.c_size_t(len(asked)), 0)
    if rules < 0:
        return False
    try:
        allowed = _allow(libc, rules, folder, rights) and _allow(
            libc, rules, Path(os.devnull), _WRITE_FILE
        )
        return allowed and _restrict(libc, rules)
    finally:
        os.close(rules)


def _allow(libc: Any, rules: int, path: Path, rights: int) -> bool:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights, place)
        return bool(libc.syscall(_ADD_RULE, rules, _BELOW_PATH, rule, 0) == 0)
    finally:
        os.close(place)


def _restrict(libc: Any, rules: int) -> bool:
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.syscall(_RESTRICT, rules, 0) == 0)
