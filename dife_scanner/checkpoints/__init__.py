"""Checkpoints on their way in: looked at, fetched, copied and brought into the canonical form.

- `looking`: what a repository or folder holds, and whether that can be audited, before anything is fetched;
- `fetching`: its files brought into the cache;
- `parts`: which file is what, and its name in a private copy;
- `preparing`: the private copy, checked in a limited child and rewritten as open_clip would have saved it;
- `notes`: what an audit of these files says nothing about.
"""

from dife_scanner.checkpoints.fetching import cache_folder, fetch, forget
from dife_scanner.checkpoints.looking import (
    FIRST_BYTES,
    Look,
    first_look,
    is_local,
    judge,
    judge_local,
    local_files,
    look,
    look_local,
)
from dife_scanner.checkpoints.notes import notes
from dife_scanner.checkpoints.parts import Files
from dife_scanner.checkpoints.preparing import Prepared, complete, completed_config, prepare

__all__ = [
    "FIRST_BYTES",
    "Files",
    "Look",
    "Prepared",
    "cache_folder",
    "complete",
    "completed_config",
    "fetch",
    "first_look",
    "forget",
    "is_local",
    "judge",
    "judge_local",
    "local_files",
    "look",
    "look_local",
    "notes",
    "prepare",
]
