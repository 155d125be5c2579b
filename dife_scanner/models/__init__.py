"""From files of unknown origin to an encoder: staging, checking in a limited child, loading.

Importing this room loads neither torch nor pydantic; the limited child relies on it.
"""

from dife_scanner.models.interface import Encoder

__all__ = ["Encoder"]
