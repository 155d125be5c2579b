"""A network of its own that has no way out: for Linux where there is no filter of system calls."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_NEW_USER = 0x10000000
_NEW_NET = 0x40000000


def leave_network() -> bool:
    """Move this process, which must have one thread, into an empty network; `False` where that is not allowed."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NET) == 0:
        return True
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_NEW_USER | _NEW_NET) != 0:
        return False
    _stay(user, group)
    return True


def _stay(user: int, group: int) -> None:
    """Be the same user as before inside the new namespace, in name too."""
    own = Path("/proc/self")
    try:
        (own / "setgroups").write_text("deny", encoding="ascii")
        (own / "gid_map").write_text(f"{group} {group} 1", encoding="ascii")
        (own / "uid_map").write_text(f"{user} {user} 1", encoding="ascii")
    except OSError:  # then it has no name, and its files and the network are as they should be
        return
