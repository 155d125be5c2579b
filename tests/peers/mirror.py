"""Compare what huggingface_hub gets through olah with what it gets directly."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dife_scanner.lab.loopback import LoopbackHub

if TYPE_CHECKING:
    from run import Report


def compare(report: Report, hub: LoopbackHub, endpoint: str, repo_id: str, work: Path) -> None:
    """The queries a scanner relies on: info at a sha, the tree, ranges, and every byte of a snapshot."""
    model = hub.repo(repo_id)
    sha = model.head.sha
    before = len(hub.requests)
    direct, through = _api(hub.endpoint), _api(endpoint)
    report.check(
        f"{repo_id}: info at a sha", _info(through, repo_id, sha), _info(direct, repo_id, sha)
    )
    report.check(
        f"{repo_id}: main is the same sha", through.model_info(repo_id, timeout=60).sha, sha
    )
    report.check(
        f"{repo_id}: tree with sizes and hashes",
        _tree(through, repo_id, sha),
        _tree(direct, repo_id, sha),
    )
    folder = through.snapshot_download(
        repo_id, revision=sha, cache_dir=work / "mirrored", etag_timeout=60
    )
    got = {path: _sha256((Path(folder) / path).read_bytes()) for path in model.head.blobs}
    expected = {path: _sha256(_content(hub, repo_id, path)) for path in model.head.blobs}
    report.check(f"{repo_id}: every byte of a snapshot", got, expected)
    verified = through.verify_repo_checksums(repo_id, revision=sha, cache_dir=work / "mirrored")
    report.check(
        f"{repo_id}: checksums against the mirror's tree",
        (verified.mismatches, verified.missing_paths),
        ([], []),
    )
    for path in (path for path, blob in model.head.blobs.items() if path.endswith(".safetensors")):
        parsed = through.parse_safetensors_file_metadata(repo_id, path, revision=sha, timeout=60)
        whole = direct.parse_safetensors_file_metadata(repo_id, path, revision=sha, timeout=60)
        report.check(f"{repo_id}: header of {path} by Range", parsed.tensors, whole.tensors)
    _compare_client(report, hub, endpoint, repo_id, work)
    agents = {request.user_agent.partition("/")[0] for request in list(hub.requests)[before:]}
    report.check(f"{repo_id}: the mirror itself asked the hub", "python-httpx" in agents, True)


def _compare_client(
    report: Report, hub: LoopbackHub, endpoint: str, repo_id: str, work: Path
) -> None:
    """The scanner's own client, which asks for less and believes less."""
    from dife_scanner.hub.client import Hub
    from dife_scanner.records import ModelRef

    sha = hub.repo(repo_id).head.sha
    through = Hub(endpoint, cache=work / "client-cache", request_seconds=60)
    found = through.info(repo_id, sha)
    report.check(
        f"{repo_id}: the scanner's client",
        found,
        # the mirror does not pass on that the hub's own scan was asked for
        replace(Hub(hub.endpoint, cache=work / "cache").info(repo_id, sha), scan=None),
    )
    ref, folder = ModelRef(repo_id, sha), work / "client" / repo_id
    got = {
        file.path: _sha256(through.fetch(ref, file, folder).read_bytes()) for file in found.files
    }
    expected = {
        path: _sha256(_content(hub, repo_id, path)) for path in hub.repo(repo_id).head.blobs
    }
    report.check(f"{repo_id}: the scanner's client fetches and verifies every file", got, expected)


def _api(endpoint: str) -> Any:
    from huggingface_hub import HfApi

    return HfApi(endpoint=endpoint, token=False)


def _info(api: Any, repo_id: str, sha: str) -> dict[str, Any]:
    info = api.model_info(repo_id, revision=sha, timeout=60)
    names = sorted(sibling.rfilename for sibling in info.siblings)
    return {
        "id": info.id,
        "sha": info.sha,
        "modified": info.last_modified,
        "tags": info.tags,
        "files": names,
    }


def _tree(api: Any, repo_id: str, sha: str) -> list[Any]:
    entries = api.list_repo_tree(repo_id, revision=sha, recursive=True)
    files = [entry for entry in entries if hasattr(entry, "blob_id")]
    return sorted((f.path, f.size, f.blob_id, f.lfs.sha256 if f.lfs else None) for f in files)


def _content(hub: LoopbackHub, repo_id: str, path: str) -> bytes:
    return hub.repositories.path(hub.repo(repo_id).head.blobs[path].object_id).read_bytes()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
