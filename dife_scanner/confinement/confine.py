"""Take from this process what it does not need, by the strongest means that the system has, and say which that was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dife_scanner.confinement import hook, landlock, namespace, seccomp
from dife_scanner.confinement.forbidden import Forbidden

PARSING = frozenset(Forbidden) - {Forbidden.WRITES_ELSEWHERE}
"""Reads files that are open already and answers on its pipes."""
AUDITING = frozenset({Forbidden.NETWORK})
"""Has torch and may have a GPU, writes into its work folder, and starts what they need."""
OPINION = frozenset(
    {
        Forbidden.NETWORK,
        Forbidden.SOCKETS,
        Forbidden.PROCESSES,
        Forbidden.WRITES_ELSEWHERE,
    }
)
"""Another program that reads files. It is started under this, so that programs cannot be forbidden."""


class Means(StrEnum):
    """What enforces that something is forbidden."""

    FILTER = "seccomp"
    """The kernel refuses the call, to native code as well."""
    LANDLOCK = "landlock"
    """The kernel refuses the file, to native code as well."""
    NAMESPACE = "network namespace"
    """The kernel gives it a network that leads nowhere."""
    HOOK = "audit hook"
    """Python refuses it; native code could still do it, and so could a program that is started."""


@dataclass(frozen=True)
class Confinement:
    """What a process was kept from, and by which means; what is missing nothing enforces."""

    means: Mapping[Forbidden, Means]

    @property
    def no_network_for_programs(self) -> bool:
        """Whether a program that this process becomes or starts has no network either."""
        return self.means.get(Forbidden.NETWORK) in (Means.FILTER, Means.NAMESPACE)


def confine(forbidden: Iterable[Forbidden], folder: Path | None = None) -> Confinement:
    """Forbid these things to this process, for good; `folder` is where it may write if only writes elsewhere are.

    Never raises: what holds is in the answer. Call it first of all, while the process has one thread: a second one
    would keep what a namespace or rules on files take.
    """
    wanted = frozenset(forbidden)
    means: dict[Forbidden, Means] = {}
    if folder is not None and _done(lambda: landlock.write_only_below(folder)):
        means[Forbidden.WRITES_ELSEWHERE] = Means.LANDLOCK
    others = wanted - {Forbidden.WRITES_ELSEWHERE}
    if _done(lambda: seccomp.install(others)):
        return Confinement(means | dict.fromkeys(others, Means.FILTER))
    means |= dict.fromkeys(others, Means.HOOK)
    if Forbidden.NETWORK in wanted and _done(namespace.leave_network):
        means[Forbidden.NETWORK] = Means.NAMESPACE
    hook.install(others)
    return Confinement(means)


def _done(attempt: Callable[[], bool]) -> bool:
    try:
        return attempt()
    except (OSError, AttributeError):  # another kernel, or a libc without these functions
        return False
