"""Object ids as git computes them, so that what the loopback hub announces can be checked by anybody.

Only hashing: no repository is kept in git's own format. Formats: gitformat-pack(5), "loose objects", and the
Git LFS pointer specification v1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

CHUNK = 1 << 20
"""Bytes read at once."""
_FILE = "100644"
_FOLDER = "40000"
"""Modes as git writes them in a tree."""


def blob_oid(data: bytes) -> str:
    """The 40-hex id of a blob.

    >>> blob_oid(b"")
    'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    return _object_id("blob", data)


def pointer(sha256: str, size: int) -> bytes:
    """The text that git keeps in place of a large file."""
    lines = [
        "version https://git-lfs.github.com/spec/v1",
        f"oid sha256:{sha256}",
        f"size {size}",
    ]
    return ("\n".join(lines) + "\n").encode()


def file_digests(path: Path) -> tuple[str, str, int]:
    """Git blob id, sha256 and size of a file, read in pieces; `OSError` where it cannot be read."""
    size = path.stat().st_size
    blob = _hasher("blob", size)
    content = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(CHUNK):
            blob.update(piece)
            content.update(piece)
    return blob.hexdigest(), content.hexdigest(), size


def trees(blobs: Mapping[str, str]) -> dict[str, str]:
    """The tree id of every directory ("" is the root) for `{path: blob id}`."""
    # Mode and id of what is in each directory, by name.
    children: dict[str, dict[str, tuple[str, str]]] = {"": {}}
    for path, oid in blobs.items():
        *parents, name = path.split("/")
        for depth in range(len(parents)):
            children.setdefault("/".join(parents[: depth + 1]), {})
        children["/".join(parents)][name] = (_FILE, oid)
    ids: dict[str, str] = {}
    # The deepest first: the id of a directory needs those of the ones in it.
    for folder in sorted(children, key=_depth, reverse=True):
        ids[folder] = _tree_oid(children[folder])
        if folder:
            parent, _, name = folder.rpartition("/")
            children[parent][name] = (_FOLDER, ids[folder])
    return ids


def _depth(folder: str) -> tuple[bool, int]:
    """Sort key; the root is above what has no slash either."""
    return folder != "", folder.count("/")


def commit_oid(
    tree: str,
    parent: str | None,
    author: str,
    when: datetime,
    message: str,
) -> str:
    """The id of a commit object with `author` (`Name <mail>`) for author and committer alike."""
    person = f"{author} {int(when.timestamp())} +0000"
    lines = [f"tree {tree}"]
    if parent:
        lines.append(f"parent {parent}")
    lines.append(f"author {person}")
    lines.append(f"committer {person}")
    text = "\n".join(lines) + f"\n\n{message}\n"
    return _object_id("commit", text.encode())


def _tree_oid(entries: Mapping[str, tuple[str, str]]) -> str:
    """The id of one directory from mode and id of what is in it, by name."""
    body = b""
    for name, (mode, oid) in sorted(entries.items(), key=_sort_key):
        body += f"{mode} {name}".encode() + b"\0" + bytes.fromhex(oid)
    return _object_id("tree", body)


def _sort_key(item: tuple[str, tuple[str, str]]) -> bytes:
    """git orders a directory as if its name ended in a slash."""
    name, (mode, _) = item
    if mode == _FOLDER:
        name += "/"
    return name.encode()


def _object_id(kind: str, data: bytes) -> str:
    digest = _hasher(kind, len(data))
    digest.update(data)
    return digest.hexdigest()


def _hasher(kind: str, size: int) -> hashlib._Hash:
    """The hash that git uses, fed with the header of an object."""
    return hashlib.sha1(f"{kind} {size}\0".encode(), usedforsecurity=False)
