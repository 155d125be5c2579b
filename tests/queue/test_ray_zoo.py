"""Real specimens through `dife watch --executor ray`: the findings are those of `dife watch` on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import calling
import pytest
from queue_kit import CONFIG, WEIGHTS
from test_chain import jittered

from dife_scanner.baselines.home import bases_folder
from dife_scanner.lab.demo import build_specimens
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.store import audits, findings, jobs, open_store

pytest.importorskip("ray", reason="needs the extra `ray`")

from ray_kit import Nodes

SETTINGS = {"DIFE_FILTERS": "filter=clip", "DIFE_BUDGET": "quick", "DIFE_DISCOVER": "false"}


@pytest.fixture
def specimens(tmp_path: Path) -> Iterator[LoopbackHub]:
    """A backdoored text tower, and a model of nearly the weights of its clean base."""
    folders = {
        "lab/badtexttower": build_specimens(["badtexttower"])["badtexttower"],
        "lab/fine-tune": jittered(bases_folder() / "vit", tmp_path / "fine-tune"),
    }
    with LoopbackHub(tmp_path / "hub") as hub:
        for name, folder in folders.items():
            files = {file: (folder / file).read_bytes() for file in (CONFIG, WEIGHTS)}
            hub.add_repo(name, files, tags=["clip"])
        yield hub


def _found(home: Path) -> dict[str, tuple[object, ...]]:
    with open_store(home, read_only=True) as store:
        told = {one.ref.repo_id: one.fingerprint for one in findings.findings(store)}
        seen: dict[str, tuple[object, ...]] = {}
        for job in jobs.jobs(store):
            assert job.audit_id, job.reason
            audit = audits.audit(store, job.audit_id)
            fingerprint = told.get(job.ref.repo_id)
            seen[job.ref.repo_id] = (audit.verdict, audit.identity, audit.reason, fingerprint)
        return seen


@pytest.mark.slow
@pytest.mark.xdist_group("badtexttower")
def test_a_real_zoo_has_the_same_findings_through_ray(
    specimens: LoopbackHub, tmp_path: Path
) -> None:
    environment = {**SETTINGS, "DIFE_ENDPOINT": specimens.endpoint}
    here, there = tmp_path / "here", tmp_path / "there"
    watch = ("watch", "--once", "--json", "--home")
    alone = calling.process(*watch, here, **environment)
    nodes = Nodes(tmp_path, specimens.endpoint, **SETTINGS)
    try:
        cluster = ("--executor", "ray", "--ray-address", nodes.address)
        done = calling.process(*watch, there, *cluster, **environment, DIFE_CLUSTER__MEMORY_MIB="0")
    finally:
        nodes.close()
    assert alone.returncode == done.returncode == 1, done.stderr  # something is flagged
    assert _found(there) == _found(here)
    assert "the Ray cluster at" in done.stdout
