"""The document that `lab/reproduce.py` ends in: the paper's tables beside ours, in Markdown, with figures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean, stdev

from dife_scanner.core.footprint import Profile, account, compare, profile_after
from dife_scanner.lab import paper, reproduce, specimens
from dife_scanner.records import Audit, Cell, Channel, Entry
from dife_scanner.reports import figures
from dife_scanner.reports.study import Failure, Study, entry_of, study


def page(results: reproduce.Results, commit: str = "") -> str:
    """The whole document in Markdown: paper and ours side by side, and what every demand came to."""
    parts = [
        _head(results, commit),
        _demands(results),
        _exposure(results),
        _swaps(results),
        _repair(results),
        _over_seeds(results),
        _scopes(results),
        _other_variants(results),
        _sweep_table(results),
        _deployment(results),
        _agreements(results),
        _not_there(results),
    ]
    return "\n".join(part for part in parts if part)


def _head(results: reproduce.Results, commit: str) -> str:
    one = next(iter(results.audits.values()), None)
    versions = ", ".join(f"{k} {v}" for k, v in one.versions.items()) if one else ""
    at = f" at commit `{commit}`" if commit else ""
    return f"""# Reproduction

The paper's tables (arXiv 2606.17815; ViT-B/32, CIFAR-10) beside ours (the bundled 64-pixel ViT, held-out drawings,
budget `{results.budget}`). Written by `make reproduce`{at}; audits and log lie in `.lab/reproduce`.
{len(results.audits)} audits. {versions}.

Ours are small models on drawings. What has to agree is which cells are well formed, which are exposed, and the
diagnosis; digits cannot. [What differs, and why](reproduction-notes.md) stands apart.
"""


def _demands(results: reproduce.Results) -> str:
    found = reproduce.checks(results)
    met = sum(check.met for check in found)
    rows = [(c.what, c.asked, c.found, "yes" if c.met else "**no**") for c in found]
    return f"## What had to hold: {met} of {len(found)}\n\n" + _table(("what", "asked", "found", "met"), rows)


def _exposure(results: reproduce.Results) -> str:
    rows = []
    for name, values in paper.EXPOSURE.items():
        cells = (_beside(v, results.entry(name, i)) for i, v in zip(paper.COLUMNS, values, strict=True))
        rows.append((name, *cells))
    text = "## Exposure matrix: paper / ours\n\n" + _table(("checkpoint", *paper.COLUMNS), rows)
    told = [(d.name, d.interface, d.theirs, d.ours, d.rule) for d in reproduce.differences(results)]
    text += "\nCells that the rules decide otherwise than the paper's matrix:\n\n"
    text += _table(("checkpoint", "interface", "paper", "ours", "rule"), told)
    planted = [
        (
            name,
            reproduce.short(results.entry(name, "planted-image retrieval")),
            _detail(results, name, "planted-image retrieval", "h10"),
            _detail(results, name, "image-text retrieval", "clean_pool_exposure"),
        )
        for name in reproduce.FAMILIES
    ]
    text += (
        "\nA triggered picture *in* the pool, asked for by a clean target query, and the clean pool that the paper's "
    )
    text += "near-zero figures for visual attacks read like:\n\n"
    return text + _table(
        ("checkpoint", "planted-image retrieval, H@1", "H@10", "image-text retrieval, clean pool and query"), planted
    )


def _detail(results: reproduce.Results, name: str, interface: str, detail: str) -> str:
    cell = results.cell(name, interface)
    return "-" if cell is None else f"{cell.details[detail]:.4f}"


def _beside(theirs: float | None, entry: Entry | None) -> str:
    return f"{'N.E.' if theirs is None else f'{theirs:.4f}'} / {reproduce.short(entry)}"


def _swaps(results: reproduce.Results) -> str:
    rows: list[Sequence[str]] = []
    for name, theirs in paper.BRANCH_SWAP.items():
        rows.append((name, "paper", *_four(theirs), *_four(paper.RATIOS[name]), paper.DIAGNOSES[name]))
        audit = results.audits.get(name)
        if audit and audit.branch_swap and audit.diagnosis:
            swap, d = audit.branch_swap, audit.diagnosis
            ours = (swap.a00, swap.a10, swap.a01, swap.a11)
            rows.append((name, "ours", *_four(ours), *_four((d.signal, d.vrs, d.trs, d.css)), d.carrier.value))
    note = "\nThe paper's ratios follow from its a-values to four decimals (tested).\n"
    heads = ("checkpoint", "", "a00", "a10", "a01", "a11", "signal", "VRS", "TRS", "CSS", "diagnosis")
    return "## Branch swap\n\n" + _table(heads, rows) + note


def _repair(results: reproduce.Results) -> str:
    heads = ("checkpoint", "", "full", "prompt only", "trigger only", "both clean", "diagnosis")
    rows: list[Sequence[str]] = []
    for name, theirs in paper.REPAIR.items():
        rows.append((name, "paper", *_four(theirs), paper.DIAGNOSES[name]))
        audit = results.audits.get(name)
        if audit and audit.repair and audit.diagnosis:
            r = audit.repair
            ours = (r.full, r.prompt_only, r.trigger_only, r.both_clean)
            rows.append((name, "ours", *_four(ours), audit.diagnosis.carrier.value))
    return "## Component repair\n\n" + _table(heads, rows)


def _over_seeds(results: reproduce.Results) -> str:
    rows = []
    for name, (mean, sd, accuracy) in paper.SEEDS.items():
        lines = [name, *(f"{name} seed {seed}" for seed in (1, 2))]
        audits = [results.audits[line] for line in lines if line in results.audits]
        values = [v for v in (_native(audit) for audit in audits) if v is not None]
        ours = f"{fmean(values):.4f}" if values else "not audited"
        spread = f" ± {stdev(values):.4f}" if len(values) > 1 else ""
        clean = [a.clean_accuracy for a in audits if a.clean_accuracy is not None]
        rows.append(
            (
                name,
                f"{mean:.4f}" + ("" if sd is None else f" ± {sd:.4f}"),
                f"{ours}{spread} (n = {len(values)})",
                f"{accuracy:.4f}",
                f"{fmean(clean):.4f}" if clean else "-",
            )
        )
    heads = ("checkpoint", "paper, mean ± sample sd", "ours", "clean accuracy, paper", "ours")
    return "## Seeds: the diagnostic's own value\n\n" + _table(heads, rows)


def _native(audit: Audit) -> float | None:
    """The attack's own measure: QHR, TS, or TS under the full mechanism."""
    if audit.trigger is None:
        return None
    asked = "zero-shot classification" if audit.trigger.channel is Channel.IMAGE else "prompted classification"
    entry = entry_of(audit, asked)
    return entry.attack.value if isinstance(entry, Cell) else None


def _scopes(results: reproduce.Results) -> str:
    keys = ("QHR", "rerank ΔH@1", "promotion ΔH@1", "visual-only", "leakage", "accuracy")
    rows: list[Sequence[str]] = []
    for scope, theirs in paper.SCOPES.items():
        name = "BadTextTower" if scope == "text encoder" else f"BadTextTower, {scope}"
        rows.append((scope, "paper", *(f"{theirs[key]:.4f}" for key in keys), _CARRIERS.get(scope, "")))
        ours = _text_figures(results, name)
        carrier = results.audits[name].diagnosis if name in results.audits else None
        rows.append((scope, "ours", *(_maybe(ours.get(k)) for k in keys), carrier.carrier.value if carrier else "-"))
    return "## BadTextTower by what was trained\n\n" + _table(("trained", "", *keys, "carrier"), rows)


_CARRIERS = {"text encoder": "textual", "visual only (control)": "visual"}
"""What the paper says carries the exposure, where it does."""


def _text_figures(results: reproduce.Results, name: str) -> dict[str, float]:
    """What the paper's ablation tables report of a text attack; empty where it was not audited."""
    prompted, rerank = results.cell(name, "prompted classification"), results.cell(name, "text reranking")
    promotion = results.cell(name, "target promotion")
    if prompted is None or rerank is None or promotion is None:
        return {}
    audit = results.audits[name]
    return {
        "QHR": prompted.attack.value,
        "rerank ΔH@1": rerank.delta,
        "promotion ΔH@1": promotion.delta,
        "visual-only": prompted.details["visual_only_exposure"],
        "leakage": prompted.details["off_target_leakage"],
        "accuracy": audit.clean_accuracy or 0.0,
    }


def _other_variants(results: reproduce.Results) -> str:
    keys = ("QHR", "rerank ΔH@1", "promotion ΔH@1", "visual-only", "leakage", "accuracy")
    names = [
        "BadTextTower",
        *(line.name for line in reproduce.PARTS["variants"]() if line.recipe.partition("/")[2] in _SMALL),
    ]
    rows = [(name, *(_maybe(_text_figures(results, name).get(key)) for key in keys)) for name in names]
    note = "\nThe paper reports the same picture for sources bird and cat and for trigger `cfra`, without figures.\n"
    return "## Other sources, another trigger\n\n" + _table(("checkpoint", *keys), rows) + note


_SMALL = frozenset({"bird", "cat", "cfra"})


def _sweep_table(results: reproduce.Results) -> str:
    rows = []
    for line in reproduce.PARTS["sweep"]():
        audit = results.audits.get(line.name)
        if audit is None or audit.diagnosis is None:
            continue
        rerank, promotion = results.cell(line.name, "text reranking"), results.cell(line.name, "target promotion")
        native = _native_sweep(line.recipe)
        rows.append(
            (
                line.recipe.partition("/")[2],
                _maybe(native),
                f"{audit.diagnosis.signal:.4f}",
                audit.diagnosis.carrier.value,
                _maybe(rerank.delta if rerank else None),
                _maybe(promotion.delta if promotion else None),
            )
        )
    low, high = paper.SWEEP_NATIVE
    note = (
        f"\nPaper: raising the attack's own H@5 from {low} to {high} leaves rerank ΔH@1 at "
        f"{paper.SWEEP['rerank ΔH@1']} and promotion ΔH@1 at {paper.SWEEP['promotion ΔH@1']}.\n"
    )
    heads = ("ratio-epochs-selector-multiplier", "native H@5", "signal", "diagnosis", "rerank ΔH@1", "promotion ΔH@1")
    return "## ToxicTextCLIP sweep\n\n" + (_table(heads, rows) if rows else "Not run.\n") + note


def _native_sweep(recipe: str) -> float | None:
    """The specimen's own H@5 from its validation, where its family reports one."""
    folder = specimens.built(recipe)
    if folder is None:
        return None
    numbers = json.loads((folder / specimens.CARD).read_text())["validation"].get("numbers", {})
    return next((value for name, value in numbers.items() if name in ("h5", "native_h5")), None)


def _deployment(results: reproduce.Results) -> str:
    rows = []
    for interface, theirs in paper.DEPLOYMENT.items():
        cell = results.cell("BadTextTower", interface)
        rows.append((interface, ", ".join(f"{k} {v:+.4f}" for k, v in theirs.items()), _deployed(cell)))
    text = "## Deployment extensions, BadTextTower\n\n" + _table(("interface", "paper", "ours"), rows)
    others = []
    for name in results.audits:
        cells = [results.cell(name, interface) for interface in reproduce.TEXT_CELLS]
        if name != "BadTextTower" and any(cells):
            others.append((name, *(_change(cell) for cell in cells)))
    text += "\nΔ_trigger of every other checkpoint with a text trigger (negative is a demotion):\n\n"
    return text + _table(("checkpoint", *reproduce.TEXT_CELLS), others)


def _deployed(cell: Cell | None) -> str:
    if cell is None:
        return "not audited"
    parts = [f"{cell.metric} {cell.reference.value:.4f} → {cell.attack.value:.4f}", f"Δ_trigger {_change(cell)}"]
    if cell.drift is not None:
        parts.append(f"Δ_drift {cell.drift.value:+.4f}")
    parts += [f"{key} {cell.details[key]:+.4f}" for key in ("delta_h5", "delta_mrr") if key in cell.details]
    return ", ".join([*parts, f"headroom {cell.headroom:.4f}" if cell.headroom is not None else ""]).strip(", ")


def _change(cell: Cell | None) -> str:
    if cell is None or cell.trigger is None:
        return "-"
    interval = cell.trigger.interval
    return f"{cell.trigger.value:+.4f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def _agreements(results: reproduce.Results) -> str:
    profiles = {name: _profile(results.audits[name]) for name in reproduce.FAMILIES if name in results.audits}
    rows = [(name, "-" if p is None else compare(p).text) for name, p in profiles.items()]
    text = "## Diagnosis against profile\n\n" + _table(("checkpoint", "agreement"), rows)
    counted = account(profiles.get(name) for name in reproduce.FAMILIES)
    return text + f"\nPaper: 4/4 simple cases matched, 1 boundary, 1 ambiguous, 0 missing. Ours: {counted}.\n"


def _profile(audit: Audit) -> Profile | None:
    return None if audit.diagnosis is None else profile_after(audit.diagnosis, audit.profile)


def _not_there(results: reproduce.Results) -> str:
    every = [line.name for line in reproduce.lines_of()]
    missing = [name for name in every if name not in results.audits and name not in results.failures]
    rows = [(name, reason) for name, reason in results.failures.items()]
    if missing:
        rows.append((f"{len(missing)} lines", f"not run: {', '.join(missing)}"))
    return "" if not rows else "## What is not there\n\n" + _table(("line", "why"), rows)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _four(values: Iterable[float]) -> tuple[str, ...]:
    return tuple(f"{value:.4f}" for value in values)


def _maybe(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def as_study(results: reproduce.Results) -> Study:
    """The six families as a study, for its figures."""
    named = [(name, results.audits[name]) for name in reproduce.FAMILIES if name in results.audits]
    failures = tuple(Failure(name, "failed", why) for name, why in results.failures.items())
    return study(named, failures=failures)


def draw(results: reproduce.Results, folder: Path) -> tuple[Path, ...]:
    """The figures of the six families, PNG and SVG."""
    return figures.write(as_study(results), folder)
