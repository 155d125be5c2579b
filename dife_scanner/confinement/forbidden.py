"""The closed list of what can be taken from a process."""

from __future__ import annotations

from enum import StrEnum


class Forbidden(StrEnum):
    """One thing that a process can be kept from doing, with every process and thread that it starts."""

    NETWORK = "network"
    """Sockets other than AF_UNIX: no address on a network, this machine's own included."""
    SOCKETS = "sockets"
    """Sockets of every kind."""
    PROCESSES = "processes"
    """New processes, and signals to others; threads are allowed."""
    PROGRAMS = "programs"
    """Running another program in its own place."""
    WRITES = "writes"
    """Opening files for writing, and making, renaming, removing or changing any; what is open already stays open."""
    WRITES_ELSEWHERE = "writes outside its folder"
    """The same, but for one folder."""
