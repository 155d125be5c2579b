"""The models that somebody uses: read from lists, bills of materials, caches of the hub, and source trees.

Everything read here was written by a stranger. Nothing of it is run or imported, sizes and depths are limited, and
what could not be read is counted with its reason.
"""

from dife_scanner.hub.in_use.folders import read
from dife_scanner.hub.in_use.found import Found

__all__ = ["Found", "read"]
