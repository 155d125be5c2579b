"""A filter of system calls in the kernel (seccomp): what it forbids fails with EPERM, in native code as well.

A filter cannot be taken off again, holds for every thread, and passes to every process that is started under it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Iterable

from dife_scanner.confinement import syscalls
from dife_scanner.confinement.forbidden import Forbidden

_SET_MODE_FILTER = 1
_EVERY_THREAD = 1
_PR_SET_NO_NEW_PRIVS = 38
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16
"""Offsets in the kernel's `seccomp_data`; arguments have 8 bytes each, of which the lower 4 come first."""
_CLONE_THREAD = 0x00010000
_AF_UNIX = 1
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def install(forbidden: Iterable[Forbidden]) -> bool:
    """Forbid this to every thread of this process for good; `False` where the system has no such filter."""
    machine = _machine()
    if machine is None:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    code = program(forbidden, machine, os.getpid())
    filled = _Program(len(code) // 8, code)
    done = libc.syscall(machine.seccomp, _SET_MODE_FILTER, _EVERY_THREAD, ctypes.byref(filled))
    return bool(done == 0)


def _machine() -> syscalls.Machine | None:
    if sys.platform != "linux" or sys.byteorder != "little":
        return None
    return syscalls.MACHINES.get(os.uname().machine)


# --- the filter -----------------------------------------------------------------------------------------------


def program(forbidden: Iterable[Forbidden], machine: syscalls.Machine, pid: int) -> bytes:
    """The filter as the kernel reads it, 8 bytes an instruction; `pid` is the process that signals may go to."""
    rules = _Rules(machine)
    rules.any_call(syscalls.WAYS_AROUND)
    wanted = frozenset(forbidden)
    if Forbidden.SOCKETS in wanted:
        rules.any_call(syscalls.SOCKETS)
    elif Forbidden.NETWORK in wanted:
        for name in syscalls.SOCKETS:
            rules.unless_equal(name, 0, _AF_UNIX)
    if Forbidden.PROCESSES in wanted:
        _no_processes(rules, pid)
    if Forbidden.PROGRAMS in wanted:
        rules.any_call(syscalls.PROGRAMS)
    if Forbidden.WRITES in wanted:
        _no_writes(rules)
    return rules.finished()


def _no_processes(rules: _Rules, pid: int) -> None:
    rules.any_call(syscalls.PROCESSES)
    rules.unless_bit("clone", 0, _CLONE_THREAD)
    # its flags lie in memory, where no filter can look; libraries fall back to the call above
    rules.any_call(("clone3",), errno.ENOSYS)
    for name in syscalls.SIGNALS:
        rules.unless_equal(name, 0, pid)


def _no_writes(rules: _Rules) -> None:
    rules.any_call(syscalls.CHANGES_OF_FILES)
    rules.if_bit("open", 1, _WRITING)
    rules.if_bit("openat", 2, _WRITING)
    rules.any_call(("openat2",), errno.ENOSYS)


class _Rules:
    """Instructions of a filter, collected rule by rule; names that a machine does not have are passed over."""

    def __init__(self, machine: syscalls.Machine) -> None:
        self._numbers = machine.numbers
        self._code = [
            _instruction(_LOAD, _MACHINE_AT),
            _instruction(_EQUAL, machine.audit_arch, yes=1),
            _refuse(errno.EPERM),
            _instruction(_LOAD, _NUMBER_AT),
            _instruction(_AT_LEAST, machine.most, no=1),
            _refuse(errno.ENOSYS),
        ]

    def any_call(self, names: Iterable[str], error: int = errno.EPERM) -> None:
        for name in names:
            if name in self._numbers:
                number = self._numbers[name]
                self._code += [_instruction(_EQUAL, number, no=1), _refuse(error)]

    def unless_equal(self, name: str, argument: int, value: int) -> None:
        """Forbid a call unless this argument has this value."""
        self._by_argument(name, argument, _instruction(_EQUAL, value, yes=1))

    def unless_bit(self, name: str, argument: int, bits: int) -> None:
        """Forbid a call unless this argument has one of these bits."""
        self._by_argument(name, argument, _instruction(_ANY_BIT, bits, yes=1))

    def if_bit(self, name: str, argument: int, bits: int) -> None:
        """Forbid a call where this argument has one of these bits."""
        self._by_argument(name, argument, _instruction(_ANY_BIT, bits, no=1))

    def _by_argument(self, name: str, argument: int, test: bytes) -> None:
        """Forbid a call where `test` does not step over the next instruction."""
        if name not in self._numbers:
            return
        self._code += [
            _instruction(_EQUAL, self._numbers[name], no=4),
            _instruction(_LOAD, _ARGUMENTS_AT + 8 * argument),
            test,
            _refuse(errno.EPERM),
            _instruction(_RETURN, _ALLOW),
        ]

    def finished(self) -> bytes:
        return b"".join([*self._code, _instruction(_RETURN, _ALLOW)])


def _refuse(error: int) -> bytes:
    return _instruction(_RETURN, _ERROR | error)


def _instruction(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    """One instruction; `yes` and `no` are how many of the next ones a test steps over."""
    return struct.pack("=HBBI", code, yes, no, value)
