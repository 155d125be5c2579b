"""Numbers of the system calls that can be forbidden, per kind of machine.

From the Linux kernel's tables: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h (arm64).
"""

from __future__ import annotations

from dataclasses import dataclass

_X86_64 = """
open 2 ptrace 101 mount 165 umount2 166 swapon 167 swapoff 168 reboot 169 init_module 175 delete_module 176
socket 41 socketpair 53 clone 56 fork 57 vfork 58 execve 59 kill 62 truncate 76 rename 82 mkdir 83 rmdir 84 creat 85
link 86 unlink 87 symlink 88 chmod 90 fchmod 91 chown 92 fchown 93 lchown 94 rt_sigqueueinfo 129 utime 132 mknod 133
pivot_root 155 chroot 161 setxattr 188 lsetxattr 189 fsetxattr 190 removexattr 197 lremovexattr 198 fremovexattr 199
tkill 200 tgkill 234 utimes 235 mq_open 240 kexec_load 246 add_key 248 request_key 249 keyctl 250 openat 257
mkdirat 258 mknodat 259 fchownat 260 futimesat 261 unlinkat 263 renameat 264 linkat 265 symlinkat 266 fchmodat 268
unshare 272 utimensat 280 rt_tgsigqueueinfo 297 perf_event_open 298 open_by_handle_at 304 setns 308
process_vm_readv 310 process_vm_writev 311 finit_module 313 renameat2 316 kexec_file_load 320 bpf 321 execveat 322
userfaultfd 323
"""
_ARM64 = """
setxattr 5 lsetxattr 6 fsetxattr 7 removexattr 14 lremovexattr 15 fremovexattr 16 mknodat 33 mkdirat 34 unlinkat 35
symlinkat 36 linkat 37 renameat 38 umount2 39 mount 40 pivot_root 41 truncate 45 chroot 51 fchmod 52 fchmodat 53
fchownat 54 fchown 55 openat 56 utimensat 88 unshare 97 kexec_load 104 init_module 105 delete_module 106 ptrace 117
kill 129 tkill 130 tgkill 131 rt_sigqueueinfo 138 reboot 142 mq_open 180 socket 198 socketpair 199 add_key 217
request_key 218 keyctl 219 clone 220 execve 221 swapon 224 swapoff 225 rt_tgsigqueueinfo 240 perf_event_open 241
open_by_handle_at 265 setns 268 process_vm_readv 270 process_vm_writev 271 finit_module 273 renameat2 276 bpf 280
execveat 281 userfaultfd 282 kexec_file_load 294
"""
_BOTH = """
pidfd_send_signal 424 io_uring_setup 425 io_uring_enter 426 io_uring_register 427 open_tree 428 move_mount 429
fsopen 430 fsconfig 431 fsmount 432 fspick 433 clone3 435 openat2 437 pidfd_getfd 438 mount_setattr 442 fchmodat2 452
setxattrat 463 removexattrat 466
"""


@dataclass(frozen=True)
class Machine:
    """What a filter has to know of a kind of machine."""

    audit_arch: int
    """As the kernel names it in `seccomp_data.arch`."""
    seccomp: int
    """Number of the call that installs a filter."""
    numbers: dict[str, int]
    most: int
    """Calls of another kind of program, which have numbers of their own, begin here."""


def _table(*texts: str) -> dict[str, int]:
    words = " ".join(texts).split()
    return {name: int(number) for name, number in zip(words[::2], words[1::2], strict=True)}


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


MACHINES = {
    "x86_64": Machine(0xC000003E, 317, _table(_X86_64, _BOTH), 0x40000000),
    "aarch64": Machine(0xC00000B7, 277, _table(_ARM64, _BOTH), 0x40000000),
}
"""By `os.uname().machine`. Elsewhere there is no filter."""

WAYS_AROUND = _names(
    "bpf chroot delete_module finit_module fsconfig fsmount fsopen fspick init_module io_uring_enter io_uring_register"
    " io_uring_setup kexec_file_load kexec_load mount mount_setattr move_mount open_by_handle_at open_tree"
    " perf_event_open pidfd_getfd pivot_root process_vm_readv process_vm_writev ptrace reboot setns swapoff swapon"
    " umount2 unshare userfaultfd add_key keyctl request_key"
)
"""Forbidden to every confined process: another process, another namespace or the kernel would act in its place."""
CHANGES_OF_FILES = _names(
    "chmod chown creat fchmod fchmodat fchmodat2 fchown fchownat fremovexattr fsetxattr futimesat lchown link linkat"
    " lremovexattr lsetxattr mkdir mkdirat mknod mknodat mq_open removexattr removexattrat rename renameat renameat2"
    " rmdir setxattr setxattrat symlink symlinkat truncate unlink unlinkat utime utimensat utimes"
)
PROGRAMS = ("execve", "execveat")
PROCESSES = ("fork", "vfork", "pidfd_send_signal", "tkill")
SIGNALS = ("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")
"""The first argument is the process that the signal goes to."""
SOCKETS = ("socket", "socketpair")
