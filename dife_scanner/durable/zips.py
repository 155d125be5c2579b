"""Zip files that somebody else may have made: what a member of ours is like, and what reading a broken one raises."""

from __future__ import annotations

import stat
import zipfile
import zlib

BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)
"""What zipfile and its decompressor raise over a file that is no sound zip, besides `OSError`."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1
"""Bit of a member's flags."""


def is_file(member: zipfile.ZipInfo) -> bool:
    """Whether a member is a regular file, or does not say what it is; neither link nor folder."""
    return stat.S_IFMT(member.external_attr >> 16) in (0, stat.S_IFREG)


def is_plainly_packed(member: zipfile.ZipInfo) -> bool:
    """Whether a member is packed as ours are: stored or deflated, and not encrypted."""
    return member.compress_type in _METHODS and not member.flag_bits & _ENCRYPTED
