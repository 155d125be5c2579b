"""Tables of variants: what was trained, other sources and triggers, the sweep of the weak family, deployment."""

from __future__ import annotations

import json
from collections.abc import Sequence

from dife_scanner.lab import specimens
from dife_scanner.lab.attacks.toxic_text_clip import Captions
from dife_scanner.lab.reproduction import criteria, paper
from dife_scanner.lab.reproduction.lines import OTHER_VARIANTS, PARTS, Line
from dife_scanner.lab.reproduction.markdown import (
    NONE,
    maybe,
    number,
    signed,
    table,
)
from dife_scanner.lab.reproduction.reproduce import Results
from dife_scanner.records import Cell
from dife_scanner.sentences import numbers as formatting

Rows = list[Sequence[str]]

_FIGURES = (
    "QHR",
    "rerank ΔH@1",
    "promotion ΔH@1",
    "visual-only",
    "leakage",
    "accuracy",
)
"""What the paper's ablation tables report of a text attack."""
_CARRIERS = {"text encoder": "textual", "visual only (control)": "visual"}
"""What carries the exposure according to the paper, where it does."""
_FURTHER = {"delta_h5": "ΔH@5", "delta_mrr": "ΔMRR"}
"""Details of a text cell that the paper reports too, and its words for them."""


def scopes(results: Results) -> str:
    """Return BadTextTower by what was trained."""
    rows: Rows = []
    for scope, theirs in paper.SCOPES.items():
        figures = [maybe(theirs[key]) for key in _FIGURES]
        rows.append((scope, "paper", *figures, _CARRIERS.get(scope, "")))
        name = "BadTextTower"
        if scope != "text encoder":
            name += f", {scope}"
        audit = results.audits.get(name)
        carrier = NONE
        if audit is not None and audit.diagnosis is not None:
            carrier = audit.diagnosis.carrier.value
        rows.append((scope, "ours", *_text_figures(results, name), carrier))
    heads = ("trained", "", *_FIGURES, "carrier")
    return "## BadTextTower by what was trained\n\n" + table(heads, rows)


def _text_figures(results: Results, name: str) -> list[str]:
    """Return what the paper's ablation tables report of a text attack; dashes where it was not audited."""
    prompted = results.cell(name, "prompted classification")
    rerank = results.cell(name, "text reranking")
    promotion = results.cell(name, "target promotion")
    if prompted is None or rerank is None or promotion is None:
        return [NONE] * len(_FIGURES)
    values = {
        "QHR": prompted.attack.value,
        "rerank ΔH@1": rerank.delta,
        "promotion ΔH@1": promotion.delta,
        "visual-only": prompted.details["visual_only_exposure"],
        "leakage": prompted.details["off_target_leakage"],
        "accuracy": results.audits[name].clean_accuracy or 0.0,
    }
    return [number(values[key]) for key in _FIGURES]


def other_variants(results: Results) -> str:
    """Return BadTextTower with other sources and another trigger."""
    rows: Rows = []
    for name in ("BadTextTower", *OTHER_VARIANTS):
        rows.append((name, *_text_figures(results, name)))
    note = "\nThe paper reports the same picture for sources bird and cat and for trigger `cfra`, without figures.\n"
    title = "## Other sources, another trigger\n\n"
    return title + table(("checkpoint", *_FIGURES), rows) + note


def sweep(results: Results) -> str:
    """Return ToxicTextCLIP over the paper's sweep."""
    rows: Rows = []
    for line in PARTS["sweep"]():
        row = _sweep_row(results, line)
        if row:
            rows.append(row)
    heads = (
        "poisoned",
        "epochs",
        "selector",
        "candidates",
        "native H@5",
        "signal",
        "diagnosis",
        "rerank ΔH@1",
        "promotion ΔH@1",
    )
    body = table(heads, rows) if rows else "Not run.\n"
    low, high = paper.SWEEP_NATIVE
    rerank = formatting.signed(paper.SWEEP["rerank ΔH@1"])
    promotion = formatting.signed(paper.SWEEP["promotion ΔH@1"])
    note = (
        f"\nPaper: raising the attack's own H@5 from {low} to {high} leaves rerank ΔH@1 at "
        f"{rerank} and promotion ΔH@1 at {promotion}.\n"
    )
    return "## ToxicTextCLIP sweep\n\n" + body + note


def _sweep_row(results: Results, line: Line) -> Sequence[str]:
    """Return a cell of the sweep, or nothing where it was not audited."""
    audit = results.audits.get(line.name)
    settings = specimens.RECIPES[line.recipe].settings
    if audit is None or audit.diagnosis is None:
        return ()
    if not isinstance(settings, Captions):
        return ()
    rerank = results.cell(line.name, "text reranking")
    promotion = results.cell(line.name, "target promotion")
    return (
        f"{settings.ratio:.1%}",
        str(settings.epochs),
        settings.selector.value,
        f"× {settings.multiplier}",
        maybe(_native_h5(line.recipe)),
        number(audit.diagnosis.signal),
        audit.diagnosis.carrier.value,
        maybe(rerank.delta if rerank else None, signed),
        maybe(promotion.delta if promotion else None, signed),
    )


def _native_h5(recipe: str) -> float | None:
    """Return the specimen's own H@5 from its validation, where its family reports one."""
    folder = specimens.built(recipe)
    if folder is None:
        return None
    card = json.loads((folder / specimens.CARD).read_text())
    numbers: dict[str, float] = card["validation"].get("numbers", {})
    for name, value in numbers.items():
        if name in ("h5", "native_h5"):
            return value
    return None


def deployment(results: Results) -> str:
    """Return the deployment extensions of BadTextTower, and what other text triggers change there."""
    rows: Rows = []
    for interface, theirs in paper.DEPLOYMENT.items():
        reported = [f"{name} {signed(value)}" for name, value in theirs.items()]
        cell = results.cell("BadTextTower", interface)
        rows.append((interface, ", ".join(reported), _deployed(cell)))
    others: Rows = []
    for name in results.audits:
        cells = [results.cell(name, one) for one in criteria.TEXT_CELLS]
        if name != "BadTextTower" and any(cells):
            others.append((name, *(_change(cell) for cell in cells)))
    text = "## Deployment extensions, BadTextTower\n\n"
    text += table(("interface", "paper", "ours"), rows)
    text += (
        "\nΔ_trigger of every other checkpoint with a text trigger (negative is a demotion):\n\n"
    )
    return text + table(("checkpoint", *criteria.TEXT_CELLS), others)


def _deployed(cell: Cell | None) -> str:
    """Return what a trigger changes at an interface, in one line."""
    if cell is None:
        return "not audited"
    before = number(cell.reference.value)
    after = number(cell.attack.value)
    parts = [
        f"{cell.metric} {before} → {after}",
        f"Δ_trigger {_change(cell)}",
    ]
    if cell.drift is not None:
        parts.append(f"Δ_drift {signed(cell.drift.value)}")
    for key, term in _FURTHER.items():
        if key in cell.details:
            parts.append(f"{term} {signed(cell.details[key])}")
    if cell.headroom is not None:
        parts.append(f"headroom {number(cell.headroom)}")
    return ", ".join(parts)


def _change(cell: Cell | None) -> str:
    """Return Δ_trigger with its interval, or a dash where no text trigger enters."""
    if cell is None or cell.trigger is None:
        return NONE
    interval = criteria.ends(cell.trigger.interval)
    return f"{signed(cell.trigger.value)} {interval}"
