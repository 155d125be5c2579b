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

LARGE_SUFFIXES = (
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".onnx",
    ".gguf",
    ".npz",
    ".pkl",
    ".h5",
    ".msgpack",
)
"""Of files that the Hub's `.gitattributes` puts in LFS whatever their size."""
LARGE_BYTES = 10 * 1024 * 1024
"""The real Hub refuses larger files outside LFS."""
MOVED = "moved.json"

_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_KEY_DIGITS = 24
"""Of the Hub's `_id`."""


@dataclass(frozen=True)
class Announced:
    """A file that listings and redirects announce and whose body does not exist: for tests of size limits."""

    size: int
    sha256: str = "0" * 64


Content = bytes | str | Path | Announced
"""A file to put in a repository: bytes, text, the path of a file to copy, or an announcement."""


@dataclass(frozen=True, slots=True)
class Blob:
    """One file's content."""

    oid: str
    """Git blob id; of the pointer where the file is large."""
    size: int
    sha256: str | None = None
    """LFS object id; `None` for files kept in git itself."""

    @property
    def object_id(self) -> str:
        """Under which the content is kept and served."""
        return self.sha256 or self.oid


@dataclass(frozen=True, slots=True)
class Commit:
    """One revision."""

    sha: str
    title: str
    """The whole message."""
    author: str
    date: str
    blobs: Mapping[str, Blob]
    """Every file of the revision by its path."""


def _no_issues() -> dict[str, Any]:
    return {"scansDone": True, "filesWithIssues": []}


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository; field names are ours, `listing.item` gives those of the Hub."""

    repo_id: str
    key: str
    """The Hub's `_id`: 24 hex digits, kept through a rename."""
    created_at: str
    last_modified: str
    commits: tuple[Commit, ...]
    """Oldest first."""
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
    scan: Mapping[str, Any] = field(default_factory=_no_issues)
    """What the Hub's scanners say."""
    git_tags: Mapping[str, str] = field(default_factory=dict)
    kind: str = "models"
    """`models` or `datasets`: the part of the hub it is in. Unlike on the Hub, the two share their ids."""

    @property
    def head(self) -> Commit:
        """The newest revision."""
        return self.commits[-1]

    def at(self, revision: str) -> Commit | None:
        """The commit that a branch, tag, ref or full sha names."""
        name = re.sub(r"^refs/(heads|tags)/", "", revision)
        if name in ("main", "HEAD"):
            return self.head
        sha = self.git_tags.get(name, name)
        for commit in self.commits:
            if commit.sha == sha:
                return commit
        return None


def stamp(when: datetime | str | None) -> str:
    """The Hub's date format, `2026-10-01T00:59:00.000Z`; strings pass as they are, `None` is now."""
    if isinstance(when, str):
        return when
    moment = when or datetime.now(UTC)
    in_utc = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return in_utc.replace("+00:00", "Z")


class Repositories:
    """All repositories of a hub, for several threads. Every change is on disk before it is in the index."""

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
        """Every repository as it is now."""
        with self._lock:
            return tuple(self._models.values())

    def find(self, repo_id: str) -> Repository | None:
        """The repository with this id as it is now."""
        return self._models.get(repo_id)

    def moved(self, repo_id: str) -> str | None:
        """Where a renamed repository is now."""
        seen = {repo_id}  # renamed there and back again, it would never end
        new = self._moved.get(repo_id)
        while new and new not in seen:
            repo_id = new
            seen.add(new)
            new = self._moved.get(repo_id)
        if len(seen) == 1:
            return None
        return repo_id

    def path(self, object_id: str) -> Path:
        """Where a content is kept."""
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
        first = _new_commit(repo_id, None, self._store(files), modified, message)
        if isinstance(gated, bool):
            gated = "manual" if gated else ""
        repository = Repository(
            repo_id=repo_id,
            key=hashlib.sha256(repo_id.encode()).hexdigest()[:_KEY_DIGITS],
            created_at=stamp(created_at) if created_at else modified,
            last_modified=modified,
            commits=(first,),
            tags=tuple(tags),
            library=library,
            pipeline_tag=pipeline_tag,
            gated=gated,
            private=private,
            disabled=disabled,
            downloads=downloads,
            likes=likes,
            card=dict(card or {}),
            kind=kind,
        )
        self._keep(repository)
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
            written = {path: content for path, content in files.items() if content is not None}
            blobs |= self._store(written)
            modified = stamp(last_modified)
            new = _new_commit(repo_id, old.head.sha, blobs, modified, message)
            commits = (*old.commits, new)
            self._keep(replace(old, commits=commits, last_modified=modified))
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
            _write(self.root / MOVED, self._moved)

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

    def _store(self, files: Mapping[str, Content]) -> dict[str, Blob]:
        return {path: self._store_one(path, content) for path, content in files.items()}

    def _store_one(self, path: str, content: Content) -> Blob:
        """Keep a content, unless it is there already, and say what it is."""
        if isinstance(content, Announced):
            return _large_blob(content.sha256, content.size)
        if isinstance(content, str):
            content = content.encode()
        blob = _blob(path, content)
        target = self.path(blob.object_id)
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            _write_whole(target, content)
        return blob

    def _file(self, repo_id: str) -> Path:
        return self.root / "models" / f"{repo_id}.json"

    def _keep(self, repository: Repository) -> None:
        _write(self._file(repository.repo_id), asdict(repository))
        with self._lock:
            self._models[repository.repo_id] = repository
            self.version += 1

    def _read(self) -> None:
        """Take over what an earlier run left."""
        moved = self.root / MOVED
        if moved.exists():
            self._moved = json.loads(moved.read_text(encoding="utf-8"))
        for path in sorted((self.root / "models").glob("*/*.json")):
            repository = _repository(json.loads(path.read_text(encoding="utf-8")))
            self._models[repository.repo_id] = repository


def blob_oids(blobs: Mapping[str, Blob]) -> dict[str, str]:
    """Git's id of each file, by its path."""
    return {path: blob.oid for path, blob in blobs.items()}


def _new_commit(
    repo_id: str,
    parent: str | None,
    blobs: Mapping[str, Blob],
    date: str,
    message: str,
) -> Commit:
    """A commit with the id that git would give it, by an author of the repository's organisation."""
    organisation, _, name = repo_id.partition("/")
    tree = git.trees(blob_oids(blobs))[""]
    sha = git.commit_oid(
        tree=tree,
        parent=parent,
        author=f"{organisation} <{name}@{organisation}.example>",
        when=datetime.fromisoformat(date),
        message=message,
    )
    return Commit(sha, title=message, author=organisation, date=date, blobs=dict(blobs))


def _blob(path: str, content: bytes | Path) -> Blob:
    if isinstance(content, Path):
        oid, sha256, size = git.file_digests(content)
    else:
        oid = git.blob_oid(content)
        sha256 = hashlib.sha256(content).hexdigest()
        size = len(content)
    if path.endswith(LARGE_SUFFIXES) or size >= LARGE_BYTES:
        return _large_blob(sha256, size)
    return Blob(oid, size)


def _large_blob(sha256: str, size: int) -> Blob:
    """Of a file in LFS: git itself holds a pointer."""
    pointer = git.pointer(sha256, size)
    return Blob(git.blob_oid(pointer), size, sha256)


def _write_whole(target: Path, content: bytes | Path) -> None:
    """Write `target` so that it is there whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as stream:
        if isinstance(content, Path):
            with content.open("rb") as source:
                shutil.copyfileobj(source, stream, git.CHUNK)
        else:
            stream.write(content)
    Path(stream.name).replace(target)


def _repository(read: dict[str, Any]) -> Repository:
    """A repository as `_write` left it."""
    commits: list[Commit] = []
    for commit in read["commits"]:
        blobs = {path: Blob(**blob) for path, blob in commit["blobs"].items()}
        commits.append(Commit(**{**commit, "blobs": blobs}))
    fields = {**read, "commits": tuple(commits), "tags": tuple(read["tags"])}
    return Repository(**fields)


def _write(path: Path, value: object) -> None:
    """Write JSON in one step: whoever reads, in this process or another, finds the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    temporary.write_text(json.dumps(value, separators=(",", ":")), encoding="utf-8")
    temporary.replace(path)
