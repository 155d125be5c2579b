"""What a base's text tower makes of fixed strings, kept between audits.

Searches put the same strings of a seed into the same prompts, whatever the suspect. Whole calls are kept and not single
strings: the last bits of a row depend on what was embedded beside it, and a search has to come to the same end whether
it found its strings here or not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dife_scanner.durable.atomic import atomic_write

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.models.gradient import Towers

MOST_BYTES = 256 << 20
"""Of all files together; the oldest go first."""


class Kept:
    """Embeddings of one text tower by the list of texts they were asked for with, in `folder` where there is one."""

    def __init__(self, folder: Path | None, tower: str) -> None:
        self._folder, self._tower = folder, tower

    def tokens(self, towers: Towers, rows: Sequence[Sequence[int]]) -> Tensor:
        """`towers.tokens(rows)`, from the folder if it is there; counted as passes either way, so that what a search
        says it took does not depend on what was searched before. `towers` has the text tower this was made for.
        """
        import torch

        if self._folder is None:
            return towers.tokens(rows)
        file = self._folder / f"{self._tower[:16]}-{_digest(towers, rows)}.npy"
        if (found := _read(file, len(rows))) is not None:
            towers.passes += len(rows)
            return torch.from_numpy(found).to(towers.device)
        embedded = towers.tokens(rows)
        with contextlib.suppress(OSError):  # a full disk costs the next audit these passes, and this one nothing
            _write(file, embedded.cpu().numpy())
        return embedded


def _digest(towers: Towers, rows: Sequence[Sequence[int]]) -> str:
    """Of the texts and of what else decides the last bits of their embeddings."""
    import torch

    digest = blake2b(f"1 {torch.__version__} {towers.device} {torch.get_num_threads()}".encode(), digest_size=16)
    for row in rows:
        digest.update(repr(tuple(row)).encode())
    return digest.hexdigest()


def _read(file: Path, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]] | None:
    try:
        found = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # not there, or damaged: embedded again
        return None
    usable = found.dtype == np.float32 and found.ndim == 2 and len(found) == count and bool(np.isfinite(found).all())
    return found if usable else None


def _write(file: Path, embedded: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    if embedded.nbytes > MOST_BYTES // 2:  # it would push out what is kept of other bases
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as stream:
        np.save(stream, embedded)
    _forget(file.parent)


def _forget(folder: Path) -> None:
    """Other processes may do the same at the same time."""
    files = []
    for file in folder.glob("*.npy"):
        with contextlib.suppress(FileNotFoundError):
            known = file.stat()
            files.append((known.st_mtime, known.st_size, file))
    total = sum(size for _, size, _ in files)
    for _, size, file in sorted(files):
        if total <= MOST_BYTES:
            break
        file.unlink(missing_ok=True)
        total -= size
