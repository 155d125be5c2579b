"""What a child process may no longer do, enforced before it reads a byte that a stranger wrote.

Standard library only, so that a child without site-packages can import it.
"""

from dife_scanner.confinement.confine import (
    AUDITING,
    OPINION,
    PARSING,
    Confinement,
    Means,
    confine,
)
from dife_scanner.confinement.forbidden import Forbidden

__all__ = ["AUDITING", "OPINION", "PARSING", "Confinement", "Forbidden", "Means", "confine"]
