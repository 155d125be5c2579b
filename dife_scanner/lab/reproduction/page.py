"""The document that a reproduction ends in: the paper's tables next to ours, in Markdown, with figures."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

from dife_scanner.lab.reproduction import (
    criteria,
    family_tables,
    variant_tables,
)
from dife_scanner.lab.reproduction.lines import FAMILIES, lines_of
from dife_scanner.lab.reproduction.markdown import number, table
from dife_scanner.lab.reproduction.reproduce import Results
from dife_scanner.reports import figures
from dife_scanner.reports.study import Failure, Study, study

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


def render(results: Results, commit: str = "") -> str:
    """Return the whole document in Markdown: paper and ours side by side, and the outcome of every demand."""
    parts = [
        _head(results, commit),
        _criteria(results),
        family_tables.exposure(results),
        family_tables.branch_swap(results),
        family_tables.component_repair(results),
        family_tables.over_seeds(results),
        variant_tables.scopes(results),
        variant_tables.other_variants(results),
        variant_tables.sweep(results),
        variant_tables.deployment(results),
        family_tables.agreements(results),
        _failures(results),
        _not_there(results),
    ]
    return "\n".join(part for part in parts if part)


def _head(results: Results, commit: str) -> str:
    at = f" at commit `{commit}`" if commit else ""
    return f"""# Reproduction

The paper's tables (arXiv 2606.17815; ViT-B/32, CIFAR-10) beside ours (the bundled 64-pixel ViT, held-out drawings,
budget `{results.budget}`). Written by `make reproduce`{at}; audits and log lie in `.lab/reproduce`.
{len(results.audits)} audits. {_versions(results)}.

Ours are small models on drawings. What has to agree is which cells are well formed, which are exposed, and the
diagnosis; digits cannot. [What differs, and why](reproduction-notes.md) stands apart.
"""


def _versions(results: Results) -> str:
    """Return the versions that the first audit was made with."""
    for audit in results.audits.values():
        return ", ".join(f"{name} {one}" for name, one in audit.versions.items())
    return ""


def _criteria(results: Results) -> str:
    rows = []
    met = 0
    for check in criteria.checks(results):
        answer = "yes" if check.met else "**no**"
        rows.append((check.what, check.required, check.found, answer))
        met += check.met
    title = f"## What had to hold: {met} of {len(rows)}\n\n"
    return title + table(("what", "asked", "found", "met"), rows)


def _failures(results: Results) -> str:
    if not results.failures:
        return ""
    rows = []
    for name, why in results.failures.items():
        rows.append((name, *_split_reason(why)))
    heads = ("line", "why", "its numbers", "its clean twin's")
    title = "## Specimens that failed their native validation\n\n"
    return title + table(heads, rows)


def _split_reason(why: str) -> tuple[str, str, str]:
    """Return a failure's sentence, and apart from it the numbers that the specimen and its twin reached."""
    sentence, opened, rest = why.partition(" ({")
    measured = {}
    if opened:
        try:
            measured = ast.literal_eval("{" + rest.removesuffix(")"))
        except (ValueError, SyntaxError):
            return why, "", ""
    own = _numbers(measured.get("numbers", {}))
    twins = _numbers(measured.get("twin", {}))
    return sentence, own, twins


def _numbers(found: Mapping[str, float]) -> str:
    parts = []
    for key, value in found.items():
        term = _TERMS.get(key, key.replace("_", " "))
        parts.append(f"{term} {number(value)}")
    return ", ".join(parts)


def _not_there(results: Results) -> str:
    missing = []
    for line in lines_of():
        done = line.name in results.audits or line.name in results.failures
        if not done and line.needed(results.failures):
            missing.append(line.name)
    if not missing:
        return ""
    return f"## What is not there\n\n{len(missing)} lines not run: {', '.join(missing)}.\n"


def as_study(results: Results) -> Study:
    """Return the six families as a study, for its figures."""
    named = []
    for name in FAMILIES:
        if name in results.audits:
            named.append((name, results.audits[name]))
    failures = []
    for name, why in results.failures.items():
        failures.append(Failure(name, "failed", why))
    return study(named, failures=tuple(failures))


def draw(results: Results, folder: Path) -> tuple[Path, ...]:
    """Draw the figures of the six families, PNG and SVG."""
    return figures.write(as_study(results), folder)
