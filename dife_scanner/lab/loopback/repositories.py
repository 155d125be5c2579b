"""Folders of repositories with history: what the loopback hub serves, kept on disk so that it can be restarted.

    ROOT/models/<org>/<name>.json     one repository: its fields and its commits, oldest first
    ROOT/objects/<aa>/<rest of id>    one content: git blob id, or sha256 for large files
    ROOT/moved.json                   old id -> new id

The index lives in memory (frozen records, replaced whole); contents are only ever read from their files.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dife_scanner.errors import RepoNotFound, UsageError
from dife_scanner.lab.loopback import git

LARGE_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".onnx", ".gguf", ".npz", ".pkl", ".h5", ".msgpack")
LARGE_BYTES = 10 * 1024 * 1024
"""The real Hub refuses larger files outside LFS."""

_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


@dataclass(frozen=True)
class Announced:
    """A file that listings and redirects announce and whose body does not exist: for tests of size limits."""

    size: int
    sha256: str = "0" * 64


Content = bytes | str | Path | Announced
"""A file to put in a repository: bytes, text, the path of a file to copy, or an announcement."""


@dataclass(frozen=True, slots=True)
class Blob:
    oid: str
    """Git blob id; of the pointer where the file is large."""
    size: int
    sha256: str | None = None
    """LFS object id; `None` for files kept in git itself."""

    @property
    def object_id(self) -> str:
        return self.sha256 or self.oid


@dataclass(frozen=True, slots=True)
class Commit:
    sha: str
    title: str
    author: str
    date: str
    blobs: Mapping[str, Blob]


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository; field names are ours, `listing.item` gives those of the Hub."""

    repo_id: str
    key: str
    """The Hub's `_id`: 24 hex digits, kept through a rename."""
    created_at: str
    last_modified: str
    commits: tuple[Commit, ...]
    tags: tuple[str, ...] = ()
    library: str = ""
    pipeline_tag: str = ""
    gated: str = ""
    """`auto`, `manual` or empty."""
    private: bool = False
    disabled: bool = False
    downloads: int = 0
    likes: int = 0
    trending: int = 0
    card: Mapping[str, Any] = field(default_factory=dict)
    scan: Mapping[str, Any] = field(default_factory=lambda: {"scansDone": True, "filesWithIssues": []})
    git_tags: Mapping[str, str] = field(default_factory=dict)
    kind: str = "models"
    """`models` or `datasets`: the part of the hub it is in. Unlike on the Hub, the two share their ids."""

    @property
    def head(self) -> Commit:
        return self.commits[-1]

    def at(self, revision: str) -> Commit | None:
        """The commit that a branch, tag, ref or full sha names."""
        name = re.sub(r"^refs/(heads|tags)/", "", revision)
        if name in ("main", "HEAD"):
            return self.head
        wanted = self.git_tags.get(name, name)
        return next((commit for commit in self.commits if commit.sha == wanted), None)


def stamp(when: datetime | str | None) -> str:
    """The Hub's date format, `2026-10-01T00:59:00.000Z`; strings pass as they are, `None` is now."""
    if isinstance(when, str):
        return when
    return (when or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Repositories:
    """The shelf: every change is on disk before it is in the index. Safe to use from several threads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.RLock()
        self._models: dict[str, Repository] = {}
        self._moved: dict[str, str] = {}
        self.version = 0
        """Goes up with every change; what is derived from the index is valid for one version."""
        (root / "objects").mkdir(parents=True, exist_ok=True)
        self._read()

    def all(self) -> tuple[Repository, ...]:
        with self._lock:
            return tuple(self._models.values())

    def find(self, repo_id: str) -> Repository | None:
        return self._models.get(repo_id)

    def moved(self, repo_id: str) -> str | None:
        """Where a renamed repository is now."""
        seen = {repo_id}
        while (new := self._moved.get(repo_id)) and new not in seen:
            repo_id = new
            seen.add(new)
        return repo_id if len(seen) > 1 else None

    def path(self, object_id: str) -> Path:
        return self.root / "objects" / object_id[:2] / object_id[2:]

    def add(
        self,
        repo_id: str,
        files: Mapping[str, Content],
        *,
        tags: tuple[str, ...] | list[str] = (),
        library: str = "",
        pipeline_tag: str = "",
        gated: bool | str = False,
        private: bool = False,
        disabled: bool = False,
        downloads: int = 0,
        likes: int = 0,
        card: Mapping[str, Any] | None = None,
        last_modified: datetime | str | None = None,
        created_at: datetime | str | None = None,
        message: str = "Upload model",
        kind: str = "models",
    ) -> str:
        """A new repository with one commit; returns the commit's sha. `UsageError` for an impossible or taken id."""
        if not _ID.fullmatch(repo_id) or ".." in repo_id:
            raise UsageError(f"{repo_id!r} is not a repository id", "use org/name")
        if repo_id in self._models:
            raise UsageError(f"{repo_id} is already on this hub", "use commit() for a new revision")
        modified = stamp(last_modified)
        first = self._commit(repo_id, None, self._store(files), modified, message)
        key = hashlib.sha256(repo_id.encode()).hexdigest()[:24]
        self._keep(
            Repository(
                repo_id=repo_id,
                key=key,
                created_at=stamp(created_at) if created_at else modified,
                last_modified=modified,
                commits=(first,),
                tags=tuple(tags),
                library=library,
                pipeline_tag=pipeline_tag,
                gated=("manual" if gated else "") if isinstance(gated, bool) else gated,
                private=private,
                disabled=disabled,
                downloads=downloads,
                likes=likes,
                card=dict(card or {}),
                kind=kind,
            )
        )
        return first.sha

    def commit(
        self,
        repo_id: str,
        files: Mapping[str, Content | None],
        *,
        message: str = "Update model",
        last_modified: datetime | str | None = None,
    ) -> str:
        """A new revision: `files` over those of the newest one, `None` deletes. Returns the commit's sha."""
        with self._lock:
            old = self._known(repo_id)
            blobs = {path: blob for path, blob in old.head.blobs.items() if path not in files}
            blobs |= self._store({path: content for path, content in files.items() if content is not None})
            modified = stamp(last_modified)
            new = self._commit(repo_id, old.head.sha, blobs, modified, message)
            self._keep(replace(old, commits=(*old.commits, new), last_modified=modified))
        return new.sha

    def change(self, repo_id: str, **fields: Any) -> None:
        """Change fields such as `gated`, `disabled`, `private`, `downloads`: as on the Hub, `last_modified` stays."""
        with self._lock:
            self._keep(replace(self._known(repo_id), **fields))

    def rename(self, repo_id: str, new_id: str) -> None:
        """Move a repository; the old id answers with a redirect."""
        with self._lock:
            old = self._known(repo_id)
            self._keep(replace(old, repo_id=new_id))
            self.remove(repo_id)
            self._moved[repo_id] = new_id
            self._moved.pop(new_id, None)
            _write(self.root / "moved.json", self._moved)

    def remove(self, repo_id: str) -> None:
        """Delete a repository; its contents stay among the objects."""
        with self._lock:
            self._known(repo_id)
            del self._models[repo_id]
            self.version += 1
            self._file(repo_id).unlink()

    def _known(self, repo_id: str) -> Repository:
        found = self._models.get(repo_id)
        if found is None:
            raise RepoNotFound(f"{repo_id} is not on this loopback hub", "add_repo() it first")
        return found

    def _commit(self, repo_id: str, parent: str | None, blobs: Mapping[str, Blob], date: str, message: str) -> Commit:
        author, _, name = repo_id.partition("/")
        tree = git.trees({path: blob.oid for path, blob in blobs.items()})[""]
        when, person = datetime.fromisoformat(date), f"{author} <{name}@{author}.example>"
        return Commit(git.commit_oid(tree, parent, person, when, message), message, author, date, dict(blobs))

    def _store(self, files: Mapping[str, Content]) -> dict[str, Blob]:
        return {path: self._store_one(path, content) for path, content in files.items()}

    def _store_one(self, path: str, content: Content) -> Blob:
        if isinstance(content, Announced):
            return Blob(git.blob_oid(git.pointer(content.sha256, content.size)), content.size, content.sha256)
        if isinstance(content, Path):
            oid, sha256, size = git.file_digests(content)
        else:
            data = content.encode() if isinstance(content, str) else content
            oid, sha256, size = git.blob_oid(data), hashlib.sha256(data).hexdigest(), len(data)
        large = path.endswith(LARGE_SUFFIXES) or size >= LARGE_BYTES
        blob = Blob(git.blob_oid(git.pointer(sha256, size)), size, sha256) if large else Blob(oid, size)
        target = self.path(blob.object_id)
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as stream:
                if isinstance(content, Path):
                    with content.open("rb") as source:
                        shutil.copyfileobj(source, stream, git.CHUNK)
                else:
                    stream.write(data)
            Path(stream.name).replace(target)
        return blob

    def _file(self, repo_id: str) -> Path:
        return self.root / "models" / f"{repo_id}.json"

    def _keep(self, repository: Repository) -> None:
        _write(self._file(repository.repo_id), asdict(repository))
        with self._lock:
            self._models[repository.repo_id] = repository
            self.version += 1

    def _read(self) -> None:
        moved = self.root / "moved.json"
        self._moved = json.loads(moved.read_text(encoding="utf-8")) if moved.exists() else {}
        for path in sorted((self.root / "models").glob("*/*.json")):
            repository = _repository(json.loads(path.read_text(encoding="utf-8")))
            self._models[repository.repo_id] = repository


def _repository(read: dict[str, Any]) -> Repository:
    commits = tuple(
        Commit(**{**commit, "blobs": {path: Blob(**blob) for path, blob in commit["blobs"].items()}})
        for commit in read["commits"]
    )
    return Repository(**{**read, "commits": commits, "tags": tuple(read["tags"])})


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    temporary.write_text(json.dumps(value, separators=(",", ":")), encoding="utf-8")
    temporary.replace(path)
