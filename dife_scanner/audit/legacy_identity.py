"""Identities as they were until records had a canonical form: audits are stored under them.

They hashed what `repr` said of triggers and sizes. All of that is written down here, so that an audit of that time is
recognised whatever fields and names the records have since. Do not edit the forms: add nothing, rename nothing. Only an
enum that came later, for what was a string then, gets a `TextForm`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from hashlib import sha256

from dife_scanner.audit.plan import AUDIT_VERSION, DISCOVERY_VERSIONS, Plan, file_digest, towers
from dife_scanner.core.budgets import MEASURING, Sizes
from dife_scanner.core.canonical import at_default
from dife_scanner.core.frozen_repr import EnumForm, Forms, Newer, RecordForm, TextForm, text
from dife_scanner.records import Channel, Position, Reference, Trigger, TriggerFile, TriggerKind

_PLAN = frozenset(
    (
        "signatures",
        "budget",
        "seed",
        "probes_folder",
        "extensions",
        "pictures",
        "captions",
        "detectors",
    )
)
"""Fields of a plan that these identities know of."""

FORMS: Forms = {
    Trigger: RecordForm(
        "Trigger",
        (
            "name",
            "kind",
            "description",
            "size",
            "x",
            "y",
            "pattern",
            "color",
            "alpha",
            "cycles",
            "seed",
            "file",
            "strength",
            "grid",
            "filter",
            "text",
            "position",
            "pairs",
            "within",
            "learner",
            "image",
            "source",
            "target",
            "templates",
            "parameters",
            "enters",
        ),
    ),
    TriggerFile: RecordForm("TriggerFile", ("path", "sha256")),
    TriggerKind: EnumForm(
        "TriggerKind",
        {
            "patch": "PATCH",
            "additive": "ADDITIVE",
            "blend": "BLEND",
            "warp": "WARP",
            "filter": "FILTER",
            "overlay": "OVERLAY",
            "text": "TEXT",
            "characters": "CHARACTERS",
            "prompt": "PROMPT",
        },
    ),
    Channel: EnumForm(
        "Channel", {"image": "IMAGE", "text": "TEXT", "both": "BOTH", "prompt mechanism": "PROMPT"}
    ),
    Position: TextForm(),
    Sizes: RecordForm("Sizes", ("pictures", "targets", "sources", "counts")),
}
"""The records as they were."""


def legacy_identity(
    weights_sha256: str,
    config_digest: str,
    reference: Reference | None,
    plan: Plan,
    turned_down: Reference | None = None,
    unread: Sequence[str] = (),
) -> str | None:
    """What `audit.plan.identity` gave for the same arguments then; `None` where it could not have been asked for.

    Versions of the audit, of its searches and of its pools are today's: where one was raised, audits of that time are
    stale under this identity as they are under today's.
    """
    if not _had_its_fields_then(plan):
        return None
    try:
        sizes = text(MEASURING[plan.budget].pools, FORMS)
        triggers = [text(trigger, FORMS) for trigger in plan.signatures]
    except Newer:
        return None
    parts = [weights_sha256, config_digest]
    if reference:
        parts.append(towers(reference))
    elif turned_down:
        parts.append(f"not {towers(turned_down)}")
    else:
        parts.append("no reference")
    parts += [AUDIT_VERSION, plan.budget, str(plan.seed), plan.probes().digest]
    parts.append(f"{plan.populations_source()} {sizes}")
    parts += triggers
    parts += [file_digest(path) for path in plan.extensions]
    if plan.detectors:
        parts += [DISCOVERY_VERSIONS[plan.budget], *plan.detectors]
    parts += [f"unread {name}" for name in unread]
    return sha256("\x1f".join(parts).encode()).hexdigest()


def _had_its_fields_then(plan: Plan) -> bool:
    later = [field for field in fields(plan) if field.name not in _PLAN]
    return all(at_default(plan, field) for field in later)
