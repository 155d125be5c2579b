"""Second opinions: other scanners of files, run as programs without network. Evidence beside our own judgement."""

from dife_scanner.models.opinions.ask import SCANNERS, ask, find
from dife_scanner.models.opinions.interface import OpinionLimits, Scanner

__all__ = ["SCANNERS", "OpinionLimits", "Scanner", "ask", "find"]
