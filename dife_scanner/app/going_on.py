"""Go on with an audit whose time was too short for all its searches."""

from __future__ import annotations

from dataclasses import replace

from dife_scanner.app.references import check_reference
from dife_scanner.app.scanning import Data
from dife_scanner.audit.plan import AUDIT_VERSION, Plan
from dife_scanner.errors import NotFound, UsageError
from dife_scanner.queue.work import Work, default_work
from dife_scanner.records import Audit, ModelRef, StoredPlan
from dife_scanner.settings import Settings
from dife_scanner.store import Store, audits


def target_and_work(
    store: Store,
    settings: Settings,
    audit: str,
    data: Data,
    granted: float | None,
    *,
    all_searches: bool = False,
) -> tuple[str, Work]:
    """The checkpoint of an audit as `dife scan` takes it, and the work of its next audit.

    `all_searches`: it makes those too that were left out because their channel had ended.

    Raises `NotFound` for an audit that there is not, or that nothing is left of, and `UsageError` where data of
    somebody's own is not what it was audited with.
    """
    stored = audits.audit(store, audit)
    before = _plan_to_go_on_with(stored, all_searches=all_searches or settings.all_searches)
    check_reference(store, stored.reference)
    plan = Plan(
        before.signatures,
        before.budget,
        before.seed,
        extensions=data.extensions,
        pictures=data.pictures,
        captions=data.captions,
        detectors=before.detectors,
        bfloat16=before.bfloat16,
    )
    plan.read(settings.limits.picture_classes)
    _check_data(stored, before, plan.as_stored())
    work = default_work(settings, plan=plan, reference=stored.reference)
    work = replace(work, ends_early=work.ends_early and not all_searches)
    return _typed(stored.ref), replace(work, granted=granted, more=stored)


def _plan_to_go_on_with(stored: Audit, *, all_searches: bool) -> StoredPlan:
    """Raises `NotFound` where nothing is left, or another version made it."""
    if stored.audit_version != AUDIT_VERSION:
        raise NotFound(
            f"audit {stored.id} was made by audit version {stored.audit_version}, and this is {AUDIT_VERSION}: nothing "
            "of it can be gone on with",
            f"scan {stored.ref} anew",
        )
    plan = stored.plan
    if plan is None or plan.is_whole:
        raise NotFound(
            f"nothing is left of audit {stored.id}: everything that it was to search was searched",
            "a deeper budget searches more (`dife scan … --budget`)",
        )
    cut = plan.work is not None and plan.work.is_cut
    if not cut and not all_searches:
        raise NotFound(
            f"nothing is left of audit {stored.id} but searches of a channel that ended early, as a trigger was "
            "demonstrated",
            f"`dife scan --more {stored.id} --all` makes them",
        )
    return plan


def _check_data(stored: Audit, before: StoredPlan, now: StoredPlan) -> None:
    """Raise `UsageError` for other pictures, pools or extensions than those of the audit."""
    for what, then, here in (
        ("labelled pictures", before.pictures, now.pictures),
        ("captioned pictures", before.pools, now.pools),
        ("extensions", before.extensions, now.extensions),
    ):
        if then != here:
            raise UsageError(
                f"audit {stored.id} was made with other {what}",
                "give the same --pictures, --captions and --extend again",
            )


def _typed(ref: ModelRef) -> str:
    """A checkpoint as it is typed."""
    return ref.repo_id if ref.local else f"{ref.repo_id}@{ref.revision}"
