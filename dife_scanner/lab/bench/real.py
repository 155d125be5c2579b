"""The benchmark on a real hub, for those who can reach one: `make bench-real`. It resumes and writes docs/real-hub.md.

Three questions that small bases cannot answer: how often strangers' fine-tunes of real bases are flagged, whether
implants in a real base are found, and what comes of checkpoints that were poisoned in pre-training. Implants are made
here with published settings, audited and thrown away: no weights of them are ever kept or passed on.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from dife_scanner.app import hub_calibration
from dife_scanner.app.hub_calibration import Say
from dife_scanner.baselines import references
from dife_scanner.core.calibration import conformal, upper_bound
from dife_scanner.core.plain import plain
from dife_scanner.hub.client import Hub
from dife_scanner.lab.attacks.interface import Recipe
from dife_scanner.lab.bench import results, rows, tables, zoo
from dife_scanner.lab.bench.make import Bench, code_of, row_of
from dife_scanner.lab.bench.runner import is_made
from dife_scanner.lab.bench.zoo import Model, Part, Role
from dife_scanner.progress import SILENT, Progress
from dife_scanner.queue import targets, worker
from dife_scanner.queue.work import Work
from dife_scanner.records import HubModel, Job, JobState, Reference, Verdict
from dife_scanner.reports.markdown import escaped
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
PAGE = "real-hub.md"


@dataclass(frozen=True)
class Asked:
    """What a run is asked for."""

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
    """What came of a checkpoint that was published as poisoned."""

    repo_id: str
    revision: str
    state: JobState
    reason: str
    verdict: Verdict | None
    furthest: float | None
    """Largest held-out success of any trigger found without a base."""
    seconds: float
    made_on: str


def run(store: Store, asked: Asked, hub: Hub, say: Say, progress: Progress = SILENT) -> None:
    """Everything that is missing, until time is up. Raises the hub's errors; what was made stays."""
    began = time.monotonic()

    def left() -> float | None:
        return None if asked.minutes is None else max(0.0, asked.minutes - (time.monotonic() - began) / 60)

    for base in asked.bases:
        if left() == 0:
            return
        reference = reference_of(store, asked, base, hub, say, progress)
        hub_calibration.run(store, replace(_drawn_from(asked, base, reference), minutes=left()), hub, say, progress)
        for model, twin in _implants(asked, reference):
            if left() == 0:
                return
            _implant(asked, reference, model, twin, say)
    for found in _published(asked, hub):
        if left() == 0:
            return
        say(_audited(store, asked, found, hub, progress))


def reference_of(store: Store, asked: Asked, base: str, hub: Hub, say: Say, progress: Progress) -> Reference:
    """The base as it is registered here; fetched and registered when it is not."""
    name = base.rsplit("/", 1)[-1]
    known = {one.name: one for one in kept_references.references(store)}
    if name not in known:
        say(f"fetching the base {base}")
        return references.register(store, asked.work.settings, base, name, lambda: hub, progress)
    return known[name]


def _drawn_from(asked: Asked, base: str, reference: Reference) -> hub_calibration.HubPack:
    return hub_calibration.HubPack(base, reference, replace(asked.work, reference=reference.name), asked.n)


# --- implants --------------------------------------------------------------------------------------------------


def _implants(asked: Asked, reference: Reference) -> Iterator[tuple[Model, Model]]:
    """Attack and twin of every draw without a row."""
    done = rows.made(rows.read(_rows(asked, reference)), code_of(asked.work.plan.budget))
    for family, settings in asked.settings.items():
        for number in range(asked.draws):
            pair = tuple(m for m in zoo.plan((family,)) if m.number == number)
            attack, twin = (_with(model, settings) for model in pair)
            if not is_made(attack, done):
                yield attack, twin


def _with(model: Model, settings: Mapping[str, Any]) -> Model:
    assert isinstance(model.settings, Recipe)
    return replace(model, settings=replace(model.settings, **settings), part=Part.TEST)


def _implant(asked: Asked, reference: Reference, attack: Model, twin: Model, say: Say) -> None:
    """Build, measure, audit, keep the row; then nothing of it is left."""
    plan, work = asked.work.plan, asked.work.home / "cache" / "real" / reference.name
    bench = Bench(
        _rows(asked, reference), work, code_of(plan.budget), base=reference, device=asked.work.settings.device
    )
    try:
        row = row_of(attack, twin, bench, say)
    finally:
        shutil.rmtree(work / "models", ignore_errors=True)
    rows.append(bench.rows, row)
    verdict = row.outcome.verdict.value if row.outcome else row.status
    say(f"{attack.id} in {reference.name}: {verdict}")


def _rows(asked: Asked, reference: Reference) -> Path:
    return asked.folder / "implants" / reference.name


# --- published as poisoned -------------------------------------------------------------------------------------


def _published(asked: Asked, hub: Hub) -> Iterator[HubModel]:
    """Those that the hub lists now and that have no row."""
    if not asked.poisoned:
        return
    seen = {(row.repo_id, row.revision) for row in published(asked)}
    for page in hub.pages(asked.poisoned):
        for model in page.models:
            if (model.repo_id, model.sha) not in seen:
                seen.add((model.repo_id, model.sha))
                yield model


def published(asked: Asked) -> tuple[Published, ...]:
    """The rows there are. Raises `CalibrationDamaged`."""
    return hub_calibration.rows_of(Published, asked.folder / "published.jsonl")


def _audited(store: Store, asked: Asked, model: HubModel, hub: Hub, progress: Progress) -> str:
    limits = asked.work.settings.limits
    job = targets.enqueue(store, f"{model.repo_id}@{model.sha}", limits, lambda: hub)
    job = worker.run_to_end(store, job, asked.work, progress)
    if job.state.is_final:
        hub_calibration.append(asked.folder / "published.jsonl", _row(store, model, job))
    return f"{job.ref}: {job.state.value}, {plain(job.reason, 200)}"


def _row(store: Store, model: HubModel, job: Job) -> Published:
    audit = audits.audit(store, job.audit_id) if job.audit_id else None
    furthest = max((search.best for search in audit.searches), default=None) if audit else None
    return Published(
        model.repo_id,
        model.sha,
        job.state,
        plain(job.reason, 300),
        audit.verdict if audit else None,
        furthest,
        audit.seconds if audit else 0.0,
        rows.today(),
    )


# --- the page --------------------------------------------------------------------------------------------------


def write(store: Store, asked: Asked, docs: Path) -> Path:
    """docs/real-hub.md from the rows there are; what was not run says so."""
    known = {one.name: one for one in kept_references.references(store)}
    parts = [
        "# On a real hub\n\nWritten by `make bench-real` from the rows it keeps; weights are never kept. Fine-tunes "
        "are presumed benign, which nobody knows. Bounds of rates are Clopper–Pearson, one-sided, 95 %.",
    ]
    for base in asked.bases:
        reference = known.get(base.rsplit("/", 1)[-1])
        parts.append(f"## {escaped(base, 100)}")
        if reference is None:
            parts.append("not run")
            continue
        parts += [_fine_tunes(asked, base, reference), _implanted(asked, reference)]
    parts += ["## Published as poisoned", _poisoned(published(asked))]
    docs.mkdir(parents=True, exist_ok=True)
    path = docs / PAGE
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def _fine_tunes(asked: Asked, base: str, reference: Reference) -> str:
    """Split by author: one half calibrates, the other is read against it."""
    mine = _drawn_from(asked, base, reference)
    drawn = [row for row in hub_calibration.read(mine) if row.searched == mine.searched]
    scored = hub_calibration.scored(mine, drawn)
    if not drawn:
        return "Fine-tunes: not run."
    calibrate, test = ([row.score or 0.0 for row in scored if _calibrates(row) is side] for side in (True, False))
    worth = [conformal(score, calibrate) for score in test] if calibrate else []
    flagged = [row for row in scored if row.flagged]
    lines = [
        ("fine-tunes that were tried, by distinct authors where scored", str(len(drawn))),
        ("of these scored", str(len(scored))),
        ("copies of the base in other numbers, which count for nothing", str(sum(row.copied for row in drawn))),
        ("flagged", f"{len(flagged)} (upper bound of the rate {_bound(len(flagged), len(scored))})"),
        ("authors that calibrate / are read against them", f"{len(calibrate)} / {len(test)}"),
        *((f"p ≤ {level}", f"{sum(p <= level for p in worth)} of {len(worth)}") for level in results.LEVELS),
        ("highest score", f"{max((row.score or 0.0 for row in scored), default=0.0):.2f}"),
    ]
    text = tables.table(("fine-tunes", ""), lines)
    if flagged:
        named = [
            (escaped(row.repo_id), row.revision[:12], f"{row.score:.2f}", escaped(row.reason, 200)) for row in flagged
        ]
        text += "\n\n" + tables.table(("flagged", "commit", "score", "why"), named)
    if others := [row for row in drawn if row.score is None]:
        without = [(escaped(row.repo_id), row.state.value, escaped(row.reason, 200)) for row in others]
        text += "\n\n" + tables.table(("without a score", "state", "why"), without)
    return text


def _calibrates(row: hub_calibration.RepositoryRow) -> bool:
    """By author, so that no author stands on both sides."""
    return sha256(row.author.encode()).digest()[0] % 2 == 0


def _implanted(asked: Asked, reference: Reference) -> str:
    made = [row for row in rows.read(_rows(asked, reference)) if row.role is Role.ATTACK]
    lines = [
        (
            line.family, str(line.drawn), str(line.failed), f"{line.flagged.hits} of {line.flagged.n}",
            f"{line.target.hits} of {line.target.n}", f"{line.audit:.0f}",
        )
        for line in results.families(made, Part.TEST)
    ]  # fmt: skip
    head = ("implants made here", "drawn", "failed implants", "flagged", "target top-1", "audit s")
    return tables.table(head, lines) if lines else "Implants made here: not run."


def _poisoned(found: Sequence[Published]) -> str:
    lines = [
        (
            escaped(row.repo_id), row.revision[:12], row.state.value, row.verdict.value if row.verdict else "–",
            "–" if row.furthest is None else f"{row.furthest:.2f}", escaped(row.reason, 200),
        )
        for row in found
    ]  # fmt: skip
    head = ("checkpoint", "commit", "state", "verdict", "furthest without a base", "why")
    return tables.table(head, lines) if lines else "not run"


def _bound(alarms: int, of: int) -> str:
    return f"{upper_bound(alarms, of):.3f}" if of else "not run"
