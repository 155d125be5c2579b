"""The filter of system calls, read as the kernel reads it, on machines that this one is not."""

from __future__ import annotations

import errno
import os
import struct

import pytest

from dife_scanner.confinement import AUDITING, PARSING, seccomp, syscalls

ALLOWED = 0
OWN = 4711
OLD = {
    "chmod", "chown", "creat", "fork", "futimesat", "lchown", "link", "mkdir", "mknod", "open", "rename", "rmdir",
    "symlink", "unlink", "utime", "utimes", "vfork",
}  # fmt: skip
"""Calls that newer machines do not have."""


def outcome(code: bytes, arch: int, number: int, *arguments: int) -> int:
    """What the filter answers to a call: `ALLOWED`, or the error."""
    padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("=IIQ6Q", number, arch, 0, *padded)
    instructions = list(struct.iter_unpack("=HBBI", code))
    loaded = at = 0
    while True:
        kind, yes, no, value = instructions[at]
        at += 1
        if kind == 0x20:
            (loaded,) = struct.unpack_from("=I", data, value)
        elif kind == 0x06:
            return ALLOWED if value == 0x7FFF0000 else value & 0xFFFF
        else:
            holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[kind]
            at += yes if holds else no


@pytest.mark.parametrize("name", sorted(syscalls.MACHINES))
def test_what_the_filter_answers(name: str) -> None:
    machine = syscalls.MACHINES[name]
    numbers = machine.numbers
    parsing = seccomp.program(PARSING, machine, OWN)
    auditing = seccomp.program(AUDITING, machine, OWN)

    def asked(code: bytes, call: str, *arguments: int) -> int:
        return outcome(code, machine.audit_arch, numbers[call], *arguments)

    assert asked(auditing, "socket", 1) == ALLOWED
    assert asked(auditing, "socket", 2) == asked(auditing, "socket", 10) == errno.EPERM
    assert asked(parsing, "socket", 1) == errno.EPERM
    assert asked(parsing, "openat", 0, 0, os.O_RDONLY | os.O_CLOEXEC) == ALLOWED
    assert asked(parsing, "openat", 0, 0, os.O_RDWR) == errno.EPERM
    assert asked(parsing, "openat", 0, 0, os.O_RDONLY | os.O_TRUNC) == errno.EPERM
    assert asked(parsing, "clone", 0x00010F00) == ALLOWED
    assert asked(parsing, "clone", 17) == errno.EPERM
    assert asked(parsing, "clone3") == asked(parsing, "openat2") == errno.ENOSYS
    assert asked(parsing, "tgkill", OWN, OWN, 6) == ALLOWED
    assert asked(parsing, "kill", 1, 9) == errno.EPERM
    assert asked(auditing, "execve") == asked(auditing, "unlinkat") == ALLOWED
    assert asked(auditing, "io_uring_setup") == asked(auditing, "ptrace") == errno.EPERM
    assert outcome(auditing, 0x40000003, numbers["openat"]) == errno.EPERM
    assert outcome(auditing, machine.audit_arch, 0x40000001) == errno.ENOSYS


@pytest.mark.parametrize("name", sorted(syscalls.MACHINES))
def test_every_name_has_a_number_on_every_machine_that_has_the_call(name: str) -> None:
    named = {
        *syscalls.WAYS_AROUND,
        *syscalls.CHANGES_OF_FILES,
        *syscalls.PROGRAMS,
        *syscalls.PROCESSES,
        *syscalls.SIGNALS,
        *syscalls.SOCKETS,
        *("open", "openat", "openat2", "clone", "clone3"),
    }
    numbers = syscalls.MACHINES[name].numbers
    assert named - set(numbers) == (OLD if name == "aarch64" else set())
    assert set(numbers) <= named
    assert len(set(numbers.values())) == len(numbers)
