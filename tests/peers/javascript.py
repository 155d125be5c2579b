"""Compare what npm `@huggingface/hub` saw with what is on the shelf."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.lab.loopback.repositories import Repository

if TYPE_CHECKING:
    from run import Report

READ = Path(__file__).parent / "npm" / "read.mjs"
SECONDS = 240


def compare(report: Report, hub: LoopbackHub, node: Path, output: Path) -> None:
    seen = _read(hub.endpoint, node, output)
    public = [model for model in hub.repositories.all() if not model.private]
    report.check("listing: every public repository, once", sorted(i["name"] for i in seen["listed"]), _ids(public))
    newest = [item["updatedAt"] for item in seen["listed"]]
    report.check("listing: newest first", newest, sorted(newest, reverse=True))
    pages = hub.seen(r"GET /api/models\?")
    report.check("listing: followed to its last page", len(pages), -(-len(public) // 500))
    for model in (model for model in public if model.repo_id.startswith("peers/")):
        report.attempt(model.repo_id, partial(_compare_one, report, hub, model, seen["repositories"]))
    report.check("absent repository", seen["absent"]["error"]["status"], 401)


def _read(endpoint: str, node: Path, output: Path) -> dict[str, Any]:
    """Run the script from the folder where the package is: node resolves imports from where a script lies."""
    script = node / READ.name
    script.write_bytes(READ.read_bytes())
    command = ["node", str(script), endpoint, str(output), "peers/"]
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "NO_PROXY") if name in os.environ}
    done = subprocess.run(
        command, cwd=node, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if done.returncode:
        raise RuntimeError(f"node ended with {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return found


def _compare_one(report: Report, hub: LoopbackHub, model: Repository, seen: dict[str, Any]) -> None:
    name, got = model.repo_id, seen[model.repo_id]
    if model.disabled:
        report.check(f"{name}: refused", got["error"]["status"], 403)
        return
    report.check(f"{name}: sha", got["sha"], model.head.sha)
    report.check(f"{name}: history", got["commits"], [commit.sha for commit in reversed(model.commits)])
    report.check(f"{name}: paths-info leaves out what is not there", sorted(got["paths"]), sorted(model.head.blobs))
    if model.gated:
        report.check(f"{name}: every file refused", {file["error"]["status"] for file in got["files"]}, {401})
        return
    if not any(blob.size for blob in model.head.blobs.values()):  # this client asks for byte 0 to learn a size
        report.check(f"{name}: byte 0 of nothing", {file["error"]["status"] for file in got["files"]}, {416})
        return
    expected = [_expected(hub, model, path) for path in sorted(model.head.blobs)]
    report.check(f"{name}: files, ids, sizes, ETags and bytes", sorted(got["files"], key=_path), expected)
    digests = {file["path"]: file["sha256"] for file in expected}
    report.check(f"{name}: snapshot", got["snapshot"], digests)
    report.check(f"{name}: no entry", got["missing"], None)
    for path, tensors in got["headers"].items():
        content = hub.repositories.path(model.head.blobs[path].object_id).read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        report.check(f"{name}: safetensors header of {path} by Range", tensors, sorted(header))


def _expected(hub: LoopbackHub, model: Repository, path: str) -> dict[str, Any]:
    blob = model.head.blobs[path]
    content = hub.repositories.path(blob.object_id).read_bytes()
    return {
        "path": path,
        "oid": blob.oid,
        "lfs": blob.sha256,
        "listed": len(content),
        "size": len(content),
        "probed": len(content),
        "etag": f'"{blob.object_id}"',
        "sha256": hashlib.sha256(content).hexdigest(),
        "part": hashlib.sha256(content[1:9]).hexdigest(),
        "exists": True,
    }


def _ids(models: list[Repository]) -> list[str]:
    return sorted(model.repo_id for model in models)


def _path(file: dict[str, Any]) -> str:
    return str(file.get("path", ""))
