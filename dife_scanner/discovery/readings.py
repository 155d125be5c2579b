"""What the passes of a search came to, kept on disk while it runs, so that a process that is killed goes on.

A search is the same steps over what towers made of texts. So nothing of the search itself is kept: it is made again
from its beginning, reads here what it asked before, and comes to the same bits. What is read is named by a digest of
what was asked, in which batch, and of what else decides the last bits. Read without unpickling; what cannot be read is
as if nothing had been kept.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Any, Protocol

from dife_scanner.durable.crash import crash_point
from dife_scanner.durable.disk import raise_where_full

if TYPE_CHECKING:
    import torch
    from torch import Tensor

KEEP_SECONDS = 30.0
"""Between two times that readings are written. When that is, changes nothing that a search finds."""
MOST_BYTES = 1 << 30
"""Of the readings of one search; of a longer one the rest is read again."""
SUFFIX = ".readings"
"""How the names of such files end."""
_HEAD = Struct(">16s16sQ")
"""Before each reading: the digest of what was asked, that of what is kept, and how many bytes that is."""


class Counts(Protocol):
    """Towers, as far as their passes are counted."""

    passes: int
    device: torch.device


class Readings:
    """The readings of one search, in a file where there is a place for it."""

    def __init__(self, path: Path | None = None) -> None:
        """Without a `path` nothing is kept."""
        self._path = path
        self._waiting: list[bytes] = []
        self._written = 0
        self._kept_at = time.monotonic()
        self._places, self._end = _index(path) if path else ({}, 0)

    def tensor(
        self, asked: Sequence[object], counted: Sequence[Counts], compute: Callable[[], Tensor]
    ) -> Tensor:
        """What `compute` returns, or returned before it was asked the same. `counted` are all whose passes it takes.

        What was read within is let go: the whole stands for it.
        """
        if self._path is None:
            return compute()
        found = self.state(asked)
        if found is not None:
            add_passes(counted, found["passes"])
            return found["value"].to(counted[0].device)
        since = (self._written, len(self._waiting))
        before = [one.passes for one in counted]
        value = compute()
        self._let_go(since)
        self.keep(asked, {"value": value, "passes": passes_since(before, counted)})
        return value

    def listed(
        self, asked: Sequence[object], counted: Sequence[Counts], compute: Callable[[], Any]
    ) -> Any:
        """The same of what JSON holds: lists and numbers."""
        import torch

        if self._path is None:
            return compute()

        def as_tensor() -> Tensor:
            text = bytearray(json.dumps(compute()).encode())
            return torch.frombuffer(text, dtype=torch.uint8)

        kept = self.tensor(asked, counted, as_tensor)
        return json.loads(kept.cpu().numpy().tobytes())

    def state(self, asked: Sequence[object]) -> dict[str, Tensor] | None:
        """What was kept last under what was `asked`, in an earlier process; `None` where nothing was."""
        if not self._places or self._path is None:
            return None
        place = self._places.get(self._digest(asked))
        return _read(self._path, *place) if place else None

    def is_due(self) -> bool:
        """Whether it is time to keep where something longer stands."""
        return self._path is not None and time.monotonic() - self._kept_at >= KEEP_SECONDS

    def keep(self, asked: Sequence[object], tensors: Mapping[str, Tensor]) -> None:
        """Keep these, and write what waits where it is time. Raises `DiskFull`; any other fault of the disk keeps
        nothing.
        """
        from safetensors.torch import save

        content = save({name: one.detach().cpu().contiguous() for name, one in tensors.items()})
        digest = blake2b(content, digest_size=16).digest()
        self._waiting.append(_HEAD.pack(self._digest(asked), digest, len(content)) + content)
        if self.is_due():
            self._write()

    def forget(self) -> None:
        """Remove what was kept: the search has finished."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _let_go(self, since: tuple[int, int]) -> None:
        """Drop what waits since then."""
        written, waiting = since
        del self._waiting[waiting if written == self._written else 0 :]

    def _write(self) -> None:
        assert self._path is not None
        content = b"".join(self._waiting)
        self._waiting.clear()
        self._written += 1
        self._kept_at = time.monotonic()
        if self._end + len(content) > MOST_BYTES:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("r+b" if self._path.exists() else "w+b") as stream:
                stream.seek(self._end)
                stream.truncate()  # what a process that was killed wrote in part
                stream.write(content)
        except OSError as error:
            raise_where_full(error)
            return
        self._end += len(content)
        crash_point("readings.kept")

    def _digest(self, asked: Sequence[object]) -> bytes:
        return blake2b(f"{self._setting} {asked!r}".encode(), digest_size=16).digest()

    @cached_property
    def _setting(self) -> str:
        """What else decides the last bits of a reading."""
        import torch

        return f"1 {torch.__version__} {torch.get_num_threads()}"


NOT_KEPT = Readings()
"""For searches that are kept nowhere."""


def add_passes(counted: Sequence[Counts], passes: Tensor) -> None:
    """Count these passes, one number for each."""
    for one, more in zip(counted, passes.tolist(), strict=True):
        one.passes += more


def passes_since(before: Sequence[int], counted: Sequence[Counts]) -> Tensor:
    """How many passes each took since `before`."""
    import torch

    taken = [one.passes - past for one, past in zip(counted, before, strict=True)]
    return torch.tensor(taken)


def content_of(*tensors: Tensor) -> str:
    """A digest of what these hold, to name what is asked about them."""
    digest = blake2b(digest_size=16)
    for one in tensors:
        digest.update(one.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _index(path: Path) -> tuple[dict[bytes, tuple[int, int, bytes]], int]:
    """Where each reading lies, the last of a name; second, where whole ones end."""
    places: dict[bytes, tuple[int, int, bytes]] = {}
    end = 0
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            while len(head := stream.read(_HEAD.size)) == _HEAD.size:
                name, digest, length = _HEAD.unpack(head)
                start = end + _HEAD.size
                if start + length > size:
                    break
                places[name] = start, length, digest
                end = start + length
                stream.seek(end)
    except OSError:
        return {}, 0
    return places, end


def _read(path: Path, start: int, length: int, digest: bytes) -> dict[str, Tensor] | None:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        with path.open("rb") as stream:
            stream.seek(start)
            content = stream.read(length)
        if blake2b(content, digest_size=16).digest() != digest:
            return None
        return load(content)
    except (OSError, SafetensorError, ValueError):
        return None
