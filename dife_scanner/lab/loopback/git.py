"""Object ids as git computes them, so that what the loopback hub announces can be checked by anybody.

Only hashing: no repository is kept in git's own format. Formats: gitformat-pack(5), "loose objects", and the
Git LFS pointer specification v1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

CHUNK = 1 << 20


def blob_oid(data: bytes) -> str:
    """The 40-hex id of a blob.

    >>> blob_oid(b"")
    'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    return _object_id("blob", data)


def pointer(sha256: str, size: int) -> bytes:
    """The text that git keeps in place of a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def file_digests(path: Path) -> tuple[str, str, int]:
    """Git blob id, sha256 and size of a file, read in pieces; `OSError` where it cannot be read."""
    with path.open("rb") as stream:
        return _stream_digests(stream, path.stat().st_size)


def _stream_digests(stream: BinaryIO, size: int) -> tuple[str, str, int]:
    blob = _hasher("blob", size)
    content = hashlib.sha256()
    while piece := stream.read(CHUNK):
        blob.update(piece)
        content.update(piece)
    return blob.hexdigest(), content.hexdigest(), size


def trees(blobs: Mapping[str, str]) -> dict[str, str]:
    """The tree id of every directory ("" is the root) for `{path: blob id}`."""
    children: dict[str, dict[str, tuple[str, str]]] = {"": {}}
    for path, oid in blobs.items():
        *parents, name = path.split("/")
        for depth in range(len(parents)):
            children.setdefault("/".join(parents[: depth + 1]), {})
        children["/".join(parents)][name] = ("100644", oid)
    found: dict[str, str] = {}
    for folder in sorted(children, key=lambda path: (path != "", path.count("/")), reverse=True):
        found[folder] = _tree_oid(children[folder])
        if folder:
            parent, _, name = folder.rpartition("/")
            children[parent][name] = ("40000", found[folder])
    return found


def commit_oid(tree: str, parent: str | None, author: str, when: datetime, message: str) -> str:
    """The id of a commit object with `author` (`Name <mail>`) for author and committer alike."""
    person = f"{author} {int(when.timestamp())} +0000"
    lines = [f"tree {tree}", *([f"parent {parent}"] if parent else []), f"author {person}", f"committer {person}"]
    return _object_id("commit", ("\n".join(lines) + f"\n\n{message}\n").encode())


def _tree_oid(entries: Mapping[str, tuple[str, str]]) -> str:
    """git orders a directory as if its name ended in a slash."""

    def order(item: tuple[str, tuple[str, str]]) -> bytes:
        name, (mode, _) = item
        return (name + "/" if mode == "40000" else name).encode()

    body = b"".join(
        f"{mode} {name}".encode() + b"\0" + bytes.fromhex(oid)
        for name, (mode, oid) in sorted(entries.items(), key=order)
    )
    return _object_id("tree", body)


def _object_id(kind: str, data: bytes) -> str:
    digest = _hasher(kind, len(data))
    digest.update(data)
    return digest.hexdigest()


def _hasher(kind: str, size: int) -> hashlib._Hash:
    return hashlib.sha1(f"{kind} {size}\0".encode(), usedforsecurity=False)
