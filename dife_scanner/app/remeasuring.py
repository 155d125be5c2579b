"""The claim of an evidence bundle, measured again on given files: a known-trigger audit in a home of its own.

It compares with the references that come with the scanner; nothing of it reaches the home of whoever checks.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from dife_scanner.app import scanning
from dife_scanner.app.bundle_check import Checked
from dife_scanner.app.bundling import TRIGGER_FILE
from dife_scanner.baselines.home import open_home
from dife_scanner.errors import NotFound, NotTrusted
from dife_scanner.progress import Progress
from dife_scanner.records import Audit, Budget, Job
from dife_scanner.settings import Settings
from dife_scanner.store import audits
from dife_scanner.triggers import known


def measure(checked: Checked, folder: Path, settings: Settings, progress: Progress) -> str:
    """What came of it, in words. Checks of the files are the caller's.

    Raises `NotFound` where the bundle has no trigger that can be measured, or the files gave no audit, and `NotTrusted`
    where the verdict is another than the bundle's.
    """
    if TRIGGER_FILE not in checked.trigger:
        raise NotFound(
            "the bundle holds no trigger that can be measured again",
            "ask for one made with --with-triggers; reproduce.json in it says more",
        )
    with tempfile.TemporaryDirectory(prefix="dife-bundle-") as place:
        found = _audited(checked, folder, settings, Path(place), progress)
    if found.verdict.value != checked.verdict:
        raise NotTrusted(
            f"the claim does not hold: {found.verdict.value} on these files, {checked.verdict} in the bundle",
            "`dife scan` with the trigger tells why; a base of your own may be missing",
        )
    against = found.reference or "no base"
    return f"measured again: {found.verdict.value}, against {against}"


def _audited(
    checked: Checked, folder: Path, settings: Settings, place: Path, progress: Progress
) -> Audit:
    for name, content in checked.trigger.items():
        (place / name).write_bytes(content)
    triggers = known.read(place / TRIGGER_FILE)
    own = settings.model_copy(update={"home": place / "home"})
    data = scanning.data(own, (), "", "")
    work = scanning.scan_work(own, triggers, budget=Budget(own.budget), data=data)
    with open_home(own) as store:
        job = scanning.scan(store, work, str(folder), progress)
        if not job.audit_id:
            raise _no_audit(job, folder)
        return audits.audit(store, job.audit_id)


def _no_audit(job: Job, folder: Path) -> NotFound:
    return NotFound(
        f"{folder} was not audited: {job.state.value}: {job.reason}", "`dife scan` tells more"
    )
