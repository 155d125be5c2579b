"""A hub on this machine, for demo and tests: repositories with history, the Hub's routes, and its ways of failing."""

from dife_scanner.lab.loopback.faults import Fault
from dife_scanner.lab.loopback.rates import Quotas
from dife_scanner.lab.loopback.repositories import Announced, Repository
from dife_scanner.lab.loopback.server import LoopbackHub, Seen

__all__ = ["Announced", "Fault", "LoopbackHub", "Quotas", "Repository", "Seen"]
