"""The document that `lab/reproduce.py` ends in: the paper's tables beside ours, in Markdown, with figures."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

from dife_scanner.core.agreement import Profile, account, compare, profile_after
from dife_scanner.lab import demands, paper, reproduce, specimens
from dife_scanner.lab.attacks.toxic_text_clip import Captions
from dife_scanner.records import Audit, Cell, Channel, Entry
from dife_scanner.reports import figures
from dife_scanner.reports.study import Failure, Study, entry_of, study
from dife_scanner.sentences import numbers as words


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
        _failures(results),
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
    found = demands.checks(results)
    met = sum(check.met for check in found)
    rows = [(c.what, c.asked, c.found, "yes" if c.met else "**no**") for c in found]
    return f"## What had to hold: {met} of {len(found)}\n\n" + _table(("what", "asked", "found", "met"), rows)


def _exposure(results: reproduce.Results) -> str:
    rows = []
    for name, values in paper.EXPOSURE.items():
        cells = (_beside(v, results.entry(name, i)) for i, v in zip(paper.COLUMNS, values, strict=True))
        rows.append((name, *cells))
    text = "## Exposure matrix: paper / ours\n\n" + _table(("checkpoint", *paper.COLUMNS), rows)
    told = [(d.name, d.interface, d.theirs, d.ours, d.rule) for d in demands.differences(results)]
    text += "\nCells that the rules decide otherwise than the paper's matrix:\n\n"
    text += _table(("checkpoint", "interface", "paper", "ours", "rule"), told)
    planted = [
        (
            name,
            demands.short(results.entry(name, "planted-image retrieval")),
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
    return _NONE if cell is None else words.number(cell.details[detail], 4)


def _beside(theirs: float | None, entry: Entry | None) -> str:
    return f"{'N.E.' if theirs is None else words.number(theirs, 4)} / {demands.short(entry)}"


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
        lines = reproduce.seeds_of(name)
        audits = [results.audits[line] for line in lines if line in results.audits]
        failed = [f"seed {seed}" for seed, line in enumerate(lines) if line in results.failures]
        values = [v for v in (_native(audit) for audit in audits) if v is not None]
        clean = [a.clean_accuracy for a in audits if a.clean_accuracy is not None]
        rows.append(
            (
                name,
                _spread(mean, sd),
                f"{_spread(fmean(values), _sd(values))} (n = {len(values)})" if values else "not audited",
                ", ".join(failed) or "none",
                words.number(accuracy, 4),
                words.number(fmean(clean), 4) if clean else _NONE,
            )
        )
    heads = ("checkpoint", "paper, mean ± sample sd", "ours", "failed implants", "clean accuracy, paper", "ours")
    note = (
        "\nAn implant enters only after passing its native validation. Seeds are drawn in order until "
        f"{reproduce.SEEDS} have passed; the numbers of those that failed stand below.\n"
    )
    return "## Seeds: the diagnostic's own value\n\n" + _table(heads, rows) + note


def _spread(mean: float, sd: float | None) -> str:
    return words.number(mean, 4) + ("" if sd is None else f" ± {words.number(sd, 4)}")


def _sd(values: Sequence[float]) -> float | None:
    return stdev(values) if len(values) > 1 else None


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
        rows.append((scope, "paper", *(_maybe(theirs[key]) for key in keys), _CARRIERS.get(scope, "")))
        ours = _text_figures(results, name)
        carrier = results.audits[name].diagnosis if name in results.audits else None
        rows.append((scope, "ours", *(_maybe(ours.get(k)) for k in keys), carrier.carrier.value if carrier else _NONE))
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
        setting = specimens.RECIPES[line.recipe].settings
        if not isinstance(setting, Captions):
            continue
        rows.append(
            (
                f"{setting.ratio:.1%}",
                str(setting.epochs),
                setting.selector.value,
                f"× {setting.multiplier}",
                _maybe(_native_sweep(line.recipe)),
                words.number(audit.diagnosis.signal, 4),
                audit.diagnosis.carrier.value,
                _maybe(rerank.delta if rerank else None, words.signed),
                _maybe(promotion.delta if promotion else None, words.signed),
            )
        )
    low, high = paper.SWEEP_NATIVE
    note = (
        f"\nPaper: raising the attack's own H@5 from {low} to {high} leaves rerank ΔH@1 at "
        f"{words.signed(paper.SWEEP['rerank ΔH@1'])} and promotion ΔH@1 at "
        f"{words.signed(paper.SWEEP['promotion ΔH@1'])}.\n"
    )
    setting_heads = ("poisoned", "epochs", "selector", "candidates")
    heads = (*setting_heads, "native H@5", "signal", "diagnosis", "rerank ΔH@1", "promotion ΔH@1")
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
        rows.append((interface, ", ".join(f"{k} {words.signed(v, 4)}" for k, v in theirs.items()), _deployed(cell)))
    text = "## Deployment extensions, BadTextTower\n\n" + _table(("interface", "paper", "ours"), rows)
    others = []
    for name in results.audits:
        cells = [results.cell(name, interface) for interface in demands.TEXT_CELLS]
        if name != "BadTextTower" and any(cells):
            others.append((name, *(_change(cell) for cell in cells)))
    text += "\nΔ_trigger of every other checkpoint with a text trigger (negative is a demotion):\n\n"
    return text + _table(("checkpoint", *demands.TEXT_CELLS), others)


def _deployed(cell: Cell | None) -> str:
    if cell is None:
        return "not audited"
    ends = f"{words.number(cell.reference.value, 4)} → {words.number(cell.attack.value, 4)}"
    parts = [f"{cell.metric} {ends}", f"Δ_trigger {_change(cell)}"]
    if cell.drift is not None:
        parts.append(f"Δ_drift {words.signed(cell.drift.value, 4)}")
    parts += [f"{term} {words.signed(cell.details[key], 4)}" for key, term in _FURTHER.items() if key in cell.details]
    return ", ".join([*parts, *([f"headroom {words.number(cell.headroom, 4)}"] if cell.headroom is not None else [])])


_FURTHER = {"delta_h5": "ΔH@5", "delta_mrr": "ΔMRR"}
"""Details of a text cell that the paper reports too, and its words for them."""


def _change(cell: Cell | None) -> str:
    if cell is None or cell.trigger is None:
        return _NONE
    return f"{words.signed(cell.trigger.value, 4)} {demands.ends(cell.trigger.interval)}"


def _agreements(results: reproduce.Results) -> str:
    profiles = {name: _profile(results.audits[name]) for name in reproduce.FAMILIES if name in results.audits}
    rows = [(name, _NONE if p is None else compare(p).text) for name, p in profiles.items()]
    text = "## Diagnosis against profile\n\n" + _table(("checkpoint", "agreement"), rows)
    counted = account(profiles.get(name) for name in reproduce.FAMILIES)
    return text + f"\nPaper: 4/4 simple cases matched, 1 boundary, 1 ambiguous, 0 missing. Ours: {counted}.\n"


def _profile(audit: Audit) -> Profile | None:
    return None if audit.diagnosis is None else profile_after(audit.diagnosis, audit.profile)


def _failures(results: reproduce.Results) -> str:
    rows = [(name, *_told(why)) for name, why in results.failures.items()]
    heads = ("line", "why", "its numbers", "its clean twin's")
    return "" if not rows else "## Specimens that failed their native validation\n\n" + _table(heads, rows)


def _told(why: str) -> tuple[str, str, str]:
    """A failure's sentence, and apart from it the numbers that the specimen and its twin reached."""
    sentence, opened, rest = why.partition(" ({")
    try:
        measured = ast.literal_eval("{" + rest.removesuffix(")")) if opened else {}
    except (ValueError, SyntaxError):
        return why, "", ""
    return sentence, _numbers(measured.get("numbers", {})), _numbers(measured.get("twin", {}))


def _numbers(found: Mapping[str, float]) -> str:
    return ", ".join(f"{_TERMS.get(key, key.replace('_', ' '))} {words.number(v, 4)}" for key, v in found.items())


_TERMS = {
    "ts": "TS without the target class",
    "ts_with_target_images": "TS",
    "downstream_ts": "downstream TS without the target class",
    "downstream_ts_with_target_images": "downstream TS",
    "qhr": "QHR",
    "otl": "off-target leakage",
    "full": "full mechanism",
    "plain_accuracy": "accuracy without the learned prompt",
}
"""Names of a validation's numbers -> what the field calls them, where that is not the name itself."""


def _not_there(results: reproduce.Results) -> str:
    missing = [
        line.name
        for line in reproduce.lines_of()
        if line.name not in results.audits and line.name not in results.failures and line.needed(results.failures)
    ]
    return "" if not missing else f"## What is not there\n\n{len(missing)} lines not run: {', '.join(missing)}.\n"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _four(values: Iterable[float]) -> tuple[str, ...]:
    return tuple(words.number(value, 4) for value in values)


def _maybe(value: float | None, say: Callable[[float, int], str] = words.number) -> str:
    return _NONE if value is None else say(value, 4)


_NONE = "–"
"""In a table, where there is no number and none was asked for."""


def as_study(results: reproduce.Results) -> Study:
    """The six families as a study, for its figures."""
    named = [(name, results.audits[name]) for name in reproduce.FAMILIES if name in results.audits]
    failures = tuple(Failure(name, "failed", why) for name, why in results.failures.items())
    return study(named, failures=failures)


def draw(results: reproduce.Results, folder: Path) -> tuple[Path, ...]:
    """The figures of the six families, PNG and SVG."""
    return figures.write(as_study(results), folder)
