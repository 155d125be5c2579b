"""A cache on disk of what a base's text tower makes of fixed strings, shared by all audits.

Searches put the same strings of a seed into the same prompts, whatever the suspect. Whole calls are kept and not single
strings: the last bits of a row depend on what was embedded in the same batch, and a search has to come to the same end
whether it found its strings here or not.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dife_scanner.durable.atomic import atomic_write

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.models.gradient import Towers

    Embeddings = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

MOST_BYTES = 256 << 20
"""Of all files together; those that were not read for the longest go first."""
_FORMAT = "2"
"""Enters every file name: another format, or numbers that were computed otherwise, are never read as these."""


class EmbeddingCache:
    """Embeddings of one text tower by the list of texts they were computed for, in `folder` where there is one."""

    def __init__(self, folder: Path | None, tower: str) -> None:
        """`tower` is the hash of the text tower; without a `folder` nothing is kept."""
        self._folder = folder
        self._tower = tower

    def tokens(self, towers: Towers, texts: Sequence[Sequence[int]]) -> Tensor:
        """`towers.tokens(texts)` [n, d], from the folder if it is there.

        Counted as passes either way, so that what a search says it took does not depend on what was searched before.
        `towers` has the text tower this was made for.
        """
        import torch

        if self._folder is None:
            return towers.tokens(texts)
        file = self._folder / f"{self._tower[:16]}-{_digest(towers, texts)}.npy"
        cached = _read(file, len(texts))
        if cached is not None:
            with contextlib.suppress(OSError):
                os.utime(file)
            towers.passes += len(texts)
            return torch.from_numpy(cached).to(towers.device)
        embedded = towers.tokens(texts)
        with contextlib.suppress(
            OSError
        ):  # a full disk costs the next audit these passes, and this one nothing
            _write(file, embedded.cpu().numpy())
        return embedded


def embedded_texts(
    towers: Towers,
    texts: Sequence[Sequence[int]],
    cache: EmbeddingCache | None,
) -> Tensor:
    """Unit embeddings [n, d] of token ids per text; from the `cache` if there is one and they are there."""
    if cache is None:
        return towers.tokens(texts)
    return cache.tokens(towers, texts)


def _digest(towers: Towers, texts: Sequence[Sequence[int]]) -> str:
    """Digest of the texts and of what else decides the last bits of their embeddings."""
    import torch

    setting = (
        _FORMAT,
        torch.__version__,
        towers.device,
        torch.get_num_threads(),
        *towers.precision,
    )
    digest = blake2b(" ".join(map(str, setting)).encode(), digest_size=16)
    for text in texts:
        digest.update(repr(tuple(text)).encode())
    return digest.hexdigest()


def _read(file: Path, count: int) -> Embeddings | None:
    """The `count` embeddings [count, d] that a file holds; `None` where it holds anything else."""
    try:
        cached: Embeddings = np.load(file, allow_pickle=False)
    except (
        OSError,
        ValueError,
        EOFError,
    ):  # not there, or damaged: embedded again
        return None
    right_shape = cached.dtype == np.float32 and cached.ndim == 2 and len(cached) == count
    if not right_shape or not bool(np.isfinite(cached).all()):
        return None
    return cached


def _write(file: Path, embedded: Embeddings) -> None:
    if embedded.nbytes > MOST_BYTES // 2:  # it would push out what is kept of other bases
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as stream:
        np.save(stream, embedded)
    _delete_oldest(file.parent)


def _delete_oldest(folder: Path) -> None:
    """Delete files until the rest fits `MOST_BYTES`. Other processes may do the same at the same time."""
    files = []
    for file in folder.glob("*.npy"):
        with contextlib.suppress(FileNotFoundError):
            known = file.stat()
            files.append((known.st_mtime, known.st_size, file))
    files.sort()
    total = sum(size for _, size, _ in files)
    for _, size, file in files:
        if total <= MOST_BYTES:
            break
        file.unlink(missing_ok=True)
        total -= size
