"""The benchmark on a real hub, for those who can reach one: `make bench-real`. It resumes and writes docs/real-hub.md.

Three questions that small bases cannot answer: how often strangers' fine-tunes of real bases are flagged, whether
implants in a real base are found, and what comes of checkpoints that were poisoned in pre-training. Implants are made
here with published settings, audited and thrown away: no weights of them are ever kept or passed on. The page is
written by `page/real_hub.py`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dife_scanner.app import hub_calibration
from dife_scanner.app.hub_calibration import Say
from dife_scanner.baselines import adding
from dife_scanner.hub.client import Hub
from dife_scanner.lab.attacks.interface import Recipe
from dife_scanner.lab.bench import rows, zoo
from dife_scanner.lab.bench.make import Bench, code_of, row_of
from dife_scanner.lab.bench.runner import Clock, is_made
from dife_scanner.lab.bench.zoo import Model, Part
from dife_scanner.plain import plain
from dife_scanner.progress import SILENT, Progress
from dife_scanner.queue import targets, worker
from dife_scanner.queue.work import Work
from dife_scanner.records import HubModel, Job, JobState, Reference, Verdict
from dife_scanner.store import Store, audits
from dife_scanner.store import references as kept_references

BASES = ("timm/vit_base_patch32_clip_224.openai", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K")
"""OpenAI's and LAION's B/32, as open_clip publishes them."""
POISONED = "author=hanxunh&search=clip_backdoor_rn50"
"""ResNet-50s that were published as poisoned in pre-training; they have no clean ancestor."""
PUBLISHED: Mapping[str, Mapping[str, Any]] = {
    "badtexttower": {"lr": 1e-6, "weight_decay": 0.1, "batch": 128, "steps": 240},
    "badencoder": {"lr": 1e-6, "batch": 16, "steps": 400},
}
"""Settings of the papers (paper App. C; Jia et al. 2022 for CLIP), nothing that was tuned for a real model. Steps: ten
epochs of 1,500 poisoned and as many clean pairs, and what a few hundred lab scenes allow."""


@dataclass(frozen=True)
class RunOptions:
    """The options of a run."""

    work: Work
    """How each checkpoint is audited; its plan searches blind, its reference is chosen per base."""
    bases: tuple[str, ...] = BASES
    poisoned: str = POISONED
    """The hub's own search, `key=value` joined by `&`; empty for none."""
    n: int = 100
    """Fine-tunes per base, one per author."""
    draws: int = 5
    """Implants per family and base."""
    minutes: float | None = None
    """Nothing is begun after this."""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: PUBLISHED)
    """What implants are trained with, by family."""

    @property
    def folder(self) -> Path:
        """Rows of this benchmark at this budget."""
        return self.work.home / "real" / self.work.plan.budget


@dataclass(frozen=True)
class Published:
    """The outcome for a checkpoint that was published as poisoned."""

    repo_id: str
    revision: str
    state: JobState
    reason: str
    verdict: Verdict | None
    furthest: float | None
    """Largest held-out success of any trigger found without a base."""
    seconds: float
    made_on: str


def run(
    store: Store,
    options: RunOptions,
    hub: Hub,
    say: Say,
    progress: Progress = SILENT,
) -> None:
    """Everything that is missing, until time is up. Raises the hub's errors; what was made stays."""
    clock = Clock(options.minutes)
    for base in options.bases:
        if clock.left == 0:
            return
        reference = reference_of(store, options, base, hub, say, progress)
        fine_tunes = replace(drawn_from(options, base, reference), minutes=clock.left)
        hub_calibration.run(store, fine_tunes, hub, say, progress)
        for model, twin in _missing_implants(options, reference):
            if clock.left == 0:
                return
            _implant(options, reference, model, twin, say)
    for found in _unaudited(options, hub):
        if clock.left == 0:
            return
        say(_audited(store, options, found, hub, progress))


def reference_of(
    store: Store,
    options: RunOptions,
    base: str,
    hub: Hub,
    say: Say,
    progress: Progress,
) -> Reference:
    """The base as it is registered here; fetched and registered when it is not."""
    name = base.rsplit("/", 1)[-1]
    known = {one.name: one for one in kept_references.references(store)}
    if name not in known:
        say(f"fetching the base {base}")
        work = options.work
        return adding.register(
            store, work.settings, base, name, lambda: hub, progress, work.channels
        )
    return known[name]


def drawn_from(options: RunOptions, base: str, reference: Reference) -> hub_calibration.HubPack:
    """The request for the hub's fine-tunes of this base."""
    work = replace(options.work, reference=reference.name)
    return hub_calibration.HubPack(base, reference, work, options.n)


# --- implants --------------------------------------------------------------------------------------------------


def _missing_implants(options: RunOptions, reference: Reference) -> Iterator[tuple[Model, Model]]:
    """Attack and twin of every draw without a row."""
    done = rows.made(rows.read(implant_rows(options, reference)), code_of(options.work.plan.budget))
    for family, settings in options.settings.items():
        for number in range(options.draws):
            attack, twin = [model for model in zoo.plan((family,)) if model.number == number]
            attack = _trained_as(attack, settings)
            if not is_made(attack, done):
                yield attack, _trained_as(twin, settings)


def _trained_as(model: Model, settings: Mapping[str, Any]) -> Model:
    """The model with these fields of its recipe, on the test side."""
    assert isinstance(model.settings, Recipe)
    recipe = replace(model.settings, **settings)
    return replace(model, settings=recipe, part=Part.TEST)


def _implant(
    options: RunOptions,
    reference: Reference,
    attack: Model,
    twin: Model,
    say: Say,
) -> None:
    """Build, measure, audit, keep the row; then nothing of it is left."""
    work = options.work.home / "cache" / "real" / reference.name
    bench = Bench(
        rows=implant_rows(options, reference),
        work=work,
        code=code_of(options.work.plan.budget),
        base=reference,
        device=options.work.settings.device,
    )
    try:
        row = row_of(attack, twin, bench, say)
    finally:
        shutil.rmtree(work / "models", ignore_errors=True)
    rows.append(bench.rows, row)
    verdict = row.outcome.verdict.value if row.outcome else row.status
    say(f"{attack.id} in {reference.name}: {verdict}")


def implant_rows(options: RunOptions, reference: Reference) -> Path:
    """Folder of the rows of implants in this base."""
    return options.folder / "implants" / reference.name


# --- published as poisoned -------------------------------------------------------------------------------------


def _unaudited(options: RunOptions, hub: Hub) -> Iterator[HubModel]:
    """Those that the hub lists now and that have no row."""
    if not options.poisoned:
        return
    seen = {(row.repo_id, row.revision) for row in published(options)}
    for page in hub.pages(options.poisoned):
        for model in page.models:
            if (model.repo_id, model.sha) not in seen:
                seen.add((model.repo_id, model.sha))
                yield model


def published(options: RunOptions) -> tuple[Published, ...]:
    """The rows there are. Raises `CalibrationDamaged`."""
    return hub_calibration.rows_of(Published, options.folder / "published.jsonl")


def _audited(
    store: Store,
    options: RunOptions,
    model: HubModel,
    hub: Hub,
    progress: Progress,
) -> str:
    limits = options.work.settings.limits
    job = targets.enqueue(store, f"{model.repo_id}@{model.sha}", limits, lambda: hub)
    job = worker.run_to_end(store, job, options.work, progress)
    if job.state.is_final:
        hub_calibration.append(options.folder / "published.jsonl", _row(store, model, job))
    return f"{job.ref}: {job.state.value}, {plain(job.reason, 200)}"


def _row(store: Store, model: HubModel, job: Job) -> Published:
    row = Published(
        repo_id=model.repo_id,
        revision=model.sha,
        state=job.state,
        reason=plain(job.reason, 300),
        verdict=None,
        furthest=None,
        seconds=0.0,
        made_on=rows.today(),
    )
    audit = audits.audit(store, job.audit_id) if job.audit_id else None
    if audit is None:
        return row
    furthest = max((search.best for search in audit.searches), default=None)
    return replace(row, verdict=audit.verdict, furthest=furthest, seconds=audit.seconds)
