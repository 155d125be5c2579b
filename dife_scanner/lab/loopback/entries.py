"""How files, folders and commits are written in the Hub's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dife_scanner.lab.loopback import git
from dife_scanner.lab.loopback.repositories import Blob, Commit, Repository, blob_oids


def sibling(
    path: str,
    blob: Blob,
    *,
    blobs: bool,
) -> dict[str, Any]:
    """One file of `model_info`: its name, and with `blobs` its size and hashes."""
    if not blobs:
        return {"rfilename": path}
    found: dict[str, Any] = {
        "rfilename": path,
        "size": blob.size,
        "blobId": blob.oid,
    }
    if blob.sha256:
        found["lfs"] = {
            "sha256": blob.sha256,
            "size": blob.size,
            "pointerSize": _pointer_size(blob.sha256, blob.size),
        }
    return found


def commit_entry(commit: Commit, *, formatted: bool) -> dict[str, Any]:
    """One commit of the history."""
    title, _, message = commit.title.partition("\n")
    found: dict[str, Any] = {
        "id": commit.sha,
        "title": title,
        "message": message.strip(),
        "authors": [{"user": commit.author, "avatar": ""}],
        "date": commit.date,
    }
    if formatted:
        found["formatted"] = {"title": found["title"], "message": found["message"]}
    return found


def tree_entries(
    commit: Commit,
    folder: str,
    *,
    recursive: bool,
) -> list[dict[str, Any]]:
    """Files and directories below `folder` ("" is the root), by path."""
    prefix = f"{folder}/" if folder else ""
    found: dict[str, dict[str, Any]] = {}
    for path, oid in git.trees(blob_oids(commit.blobs)).items():
        if path and path.startswith(prefix):
            found[path] = {
                "type": "directory",
                "oid": oid,
                "size": 0,
                "path": path,
            }
    for path, blob in commit.blobs.items():
        if path.startswith(prefix):
            found[path] = _file_entry(path, blob)
    entries: list[dict[str, Any]] = []
    for path in sorted(found):
        is_deeper = "/" in path.removeprefix(prefix)
        if recursive or not is_deeper:
            entries.append(found[path])
    return entries


def _file_entry(path: str, blob: Blob) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "type": "file",
        "oid": blob.oid,
        "size": blob.size,
        "path": path,
    }
    if blob.sha256:
        entry["lfs"] = {
            "oid": blob.sha256,
            "size": blob.size,
            "pointerSize": _pointer_size(blob.sha256, blob.size),
        }
    return entry


def _pointer_size(sha256: str, size: int) -> int:
    return len(git.pointer(sha256, size))


def expanded_entry(
    model: Repository,
    commit: Commit,
    entry: Mapping[str, Any],
) -> dict[str, Any]:
    """A tree entry with the last commit that touched it and, for files, what the scanners say."""
    last = _last_commit(model, commit, str(entry["path"]))
    found = {
        **entry,
        "lastCommit": {"id": last.sha, "title": last.title, "date": last.date},
    }
    if entry["type"] == "file":
        found["securityFileStatus"] = _security_status(model, entry["path"])
    return found


def _security_status(model: Repository, path: str) -> dict[str, Any]:
    level = "safe" if model.scan.get("scansDone") else "queued"
    for issue in model.scan.get("filesWithIssues", ()):
        if issue["path"] == path:
            level = issue["level"]
    return {
        "status": level,
        "avScan": {
            "status": level,
            "message": "",
            "reportLink": "",
            "reportLabel": "",
        },
        "pickleImportScan": {"status": level, "pickleImports": [], "message": ""},
    }


def _last_commit(model: Repository, commit: Commit, path: str) -> Commit:
    """The commit since which nothing at or below `path` has changed."""
    position = model.commits.index(commit)
    now = _ids_below(commit, path)
    while position and _ids_below(model.commits[position - 1], path) == now:
        position -= 1
    return model.commits[position]


def _ids_below(commit: Commit, path: str) -> dict[str, str]:
    ids: dict[str, str] = {}
    for name, blob in commit.blobs.items():
        if name == path or name.startswith(f"{path}/"):
            ids[name] = blob.oid
    return ids
