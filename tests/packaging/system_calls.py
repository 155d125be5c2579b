"""A filter of system calls as systemd sets one, for a process that then becomes the one to be tried."""

from __future__ import annotations

import ctypes
import ctypes.util
import errno

_ALLOW, _ERROR = 0x7FFF0000, 0x00050000


def allow_only(names: list[str]) -> None:
    """Let this process make these system calls only, as systemd does: another one fails with EPERM."""
    library = ctypes.CDLL(ctypes.util.find_library("seccomp"))
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ERROR | errno.EPERM)))
    for name in names:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:
            library.seccomp_rule_add(context, ctypes.c_uint32(_ALLOW), number, 0)
    assert library.seccomp_load(context) == 0
