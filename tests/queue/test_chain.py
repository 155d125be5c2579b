"""A base that is backdoored itself, from its own audit to what is made of it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from queue_kit import WEIGHTS, work_for

from dife_scanner.app.references import add_reference
from dife_scanner.audit.pipeline import Plan
from dife_scanner.baselines import home
from dife_scanner.lab.demo import build_specimens
from dife_scanner.progress import SILENT
from dife_scanner.queue import child, targets, worker
from dife_scanner.records import Audit, Trigger, TriggerKind, Verdict
from dife_scanner.store import Store, audits, references

XBTD = Trigger("rare", TriggerKind.TEXT, text="xbtd")
"""Without source and target, as in the library."""


def audited(store: Store, folder: Path, *signatures: Trigger) -> Audit:
    """The audit of a folder by a worker and its child, nothing searched."""
    work = work_for(store.home, audit=child.AUDIT, preload=child.PRELOAD)
    work = replace(work, plan=Plan(signatures, "quick"))
    job = targets.enqueue(
        store, str(folder), work.settings.limits, lambda: pytest.fail("nothing is asked of a hub")
    )
    job = worker.run_to_end(store, job, work)
    assert job.audit_id, job.reason
    return audits.audit(store, job.audit_id)


def jittered(folder: Path, into: Path) -> Path:
    """A copy whose every weight moved by a thousandth of what its tensor spreads."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, into)
    rng = torch.Generator().manual_seed(1)
    state = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
    moved = {
        n: v + 1e-3 * v.std(correction=0) * torch.randn(v.shape, generator=rng)
        for n, v in state.items()
    }
    save_file(moved, into / WEIGHTS, {"format": "pt"})
    return into


@pytest.mark.xdist_group("badtexttower")
@pytest.mark.usefixtures("audit_server")
def test_what_is_made_of_a_backdoored_base_ends_inherited(store: Store, tmp_path: Path) -> None:
    specimen = build_specimens(["badtexttower"])["badtexttower"]
    for bundled in home.bundled_references():
        references.add(store, bundled)
    first = audited(store, specimen, XBTD)
    assert (first.verdict, first.reference) == (Verdict.FLAGGED, "dife-base-vit")
    add_reference(store, work_for(store.home).settings, str(specimen), "poisoned", SILENT)
    made = audited(store, jittered(specimen, tmp_path / "child"))
    assert (made.verdict, made.reference) == (Verdict.INHERITED, "poisoned"), made.reason
    assert made.trigger is not None and made.trigger.name == "poisoned-rare"
    assert f"audit {first.id}" in made.trigger.description
