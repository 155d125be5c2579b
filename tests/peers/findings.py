"""Compare what `dife scan` finds through olah with what it finds directly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dife_scanner.lab.loopback import LoopbackHub

if TYPE_CHECKING:
    from run import Report

SECONDS = 600


@contextmanager
def hub(folder: Path, root: Path | None) -> Iterator[LoopbackHub]:
    """A running hub with the repositories of `dife demo`, or with those of `root`."""
    with LoopbackHub(root or folder) as running:
        if root is None:
            from dife_scanner.lab import demo, specimens

            demo.publish(running, demo.build_specimens(specimens.SPECIMENS))
        yield running


def compare(report: Report, hub: LoopbackHub, endpoint: str, repo_id: str, work: Path) -> None:
    """Two scans of one revision, each in a home of its own so that each fetches for itself."""
    target = f"{repo_id}@{hub.repo(repo_id).head.sha}"
    direct = _scan(target, hub.endpoint, work / "home-direct")
    before = len(hub.requests)
    through = _scan(target, endpoint, work / "home-mirror")
    agents = {request.user_agent.partition("/")[0] for request in list(hub.requests)[before:]}
    words = ", ".join(
        str(direct[field]) for field in ("state", "verdict", "carrier") if direct[field]
    )
    report.check(f"{repo_id}: same finding through the mirror ({words})", through, direct)
    report.check(f"{repo_id}: only the mirror asked the hub", agents, {"python-httpx"})


def _scan(target: str, endpoint: str, home: Path) -> dict[str, Any]:
    """The part of a scan's document that must not depend on how the bytes came; signatures are enough to see that."""
    command = [
        sys.executable,
        "-m",
        "dife_scanner",
        "scan",
        target,
        "--endpoint",
        endpoint,
        "--json",
        "--quiet",
    ]
    command += ["--no-discovery"]
    environment = {**os.environ, "DIFE_HOME": str(home), "HF_HOME": str(home / "hf")}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if done.returncode not in (0, 1, 2):
        raise RuntimeError(
            f"dife scan {target} ended with {done.returncode}: {done.stderr[-2000:]}"
        )
    return {"exit": done.returncode, **_essence(json.loads(done.stdout))}


def _essence(document: dict[str, Any]) -> dict[str, Any]:
    (result,) = document["targets"]
    audit, finding = result["audit"] or {}, result["finding"] or {}
    diagnosis, trigger = audit.get("diagnosis") or {}, audit.get("trigger") or {}
    return {
        "state": result["job"]["state"],
        "reason": result["job"]["reason"],
        "verdict": result["verdict"],
        "identity": audit.get("identity"),
        "carrier": diagnosis.get("carrier"),
        "channel": diagnosis.get("channel"),
        "trigger": trigger.get("name"),
        "source": trigger.get("source"),
        "target": trigger.get("target"),
        "fingerprint": finding.get("fingerprint"),
        "interfaces": finding.get("interfaces"),
    }
