"""A home as commit 96ad1e6 left it: audits of version dife-7 without plan and decision, and no table of identities.

Made by that commit's own code, called inside its checkout OLD, where children find it too:
PYTHONPATH=OLD:OLD/gui:HERE/tests/queue python HERE/tests/queue/old_home.py
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from queue_kit import checkpoint_folder, work_for

from dife_scanner.audit.plan import Plan
from dife_scanner.queue import targets, worker
from dife_scanner.records import Channel, Trigger, TriggerFile, TriggerKind
from dife_scanner.store import open_store

ASSETS = Path(__file__).parent / "assets"
HOME = ASSETS / "home-96ad1e6.zip"
"""`home`, `probes` and the checkpoints `clip-bad` and `clip-fine`, side by side."""

FILE = TriggerFile("/somewhere/it's.npy", "ab" * 32)
SIGNATURES = (
    Trigger(
        "square",
        TriggerKind.PATCH,
        "a white square",
        size=0.25,
        x=0.5,
        color=(255, 0, 10),
        source="cat",
    ),
    Trigger("noise", TriggerKind.ADDITIVE, pattern="file", file=FILE, alpha=0.1, target="dog"),
    Trigger(
        "letters",
        TriggerKind.CHARACTERS,
        pairs=(("a", "\u0430"),),
        within="prompt",
        templates=("a {}",),
    ),
    Trigger(
        "joint",
        TriggerKind.TEXT,
        text='c"f',
        image=Trigger("inner", TriggerKind.BLEND, seed=7, file=FILE),
    ),
    Trigger("learner", TriggerKind.PROMPT, learner=FILE, templates=("a {}", "the {}")),
    Trigger("mine", "swirl", parameters=(("on", True), ("turns", 2)), enters=Channel.IMAGE),
    *(Trigger(kind.value, kind) for kind in TriggerKind),
)
"""Every kind of field away from its default."""
SEARCH: dict[str, Any] = {"budget": "default", "seed": 3, "detectors": ("texts", "patches")}


def plans(folder: Path) -> dict[str, Plan]:
    """The plans of the two audits."""
    known = Plan(SIGNATURES, budget="quick", probes_folder=folder / "probes")
    return {"clip-bad": known, "clip-fine": replace(known, **SEARCH)}


def unpacked(folder: Path) -> Path:
    """The folder with everything of the archive in it."""
    shutil.unpack_archive(HOME, folder)
    return folder


def make() -> None:
    """Write the archive anew; only with the code of that commit."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for seed, (name, plan) in enumerate(plans(folder).items(), start=1):
            work = replace(work_for(folder / "home"), plan=plan)
            with open_store(work.home) as store:
                where = str(checkpoint_folder(folder / name, seed))
                job = targets.enqueue(store, where, work.settings.limits, lambda: None)
                worker.run_to_end(store, job, work)
        for rest in ("logs", "work", "cache"):
            shutil.rmtree(folder / "home" / rest, ignore_errors=True)
        with zipfile.ZipFile(HOME, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                archive.write(file, file.relative_to(folder))


if __name__ == "__main__":
    sys.exit(make())
