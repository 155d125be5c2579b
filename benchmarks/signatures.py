"""The library's signatures alone on the fixed subset of the zoo: what they demonstrate, and what waits for review.

python benchmarks/signatures.py        resumes; one line per model in .lab/signatures.jsonl, a table at the end

Needs the models that `benchmarks/same_audits.py build` makes. The exit code is 1 where a benign model is flagged.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from same_audits import DEFAULT, QUICK, _request

RESULTS = Path(".lab/signatures.jsonl")
OLD_RULE = 0.25
"""Effect over base and clean inputs from which a signature counted up to audit version dife-7."""


def main() -> int:
    """Audit what is missing and print the table."""
    done = _read()
    for name in (*QUICK, *DEFAULT):
        if name not in done:
            done[name] = _audited(name)
            with RESULTS.open("a") as stream:
                stream.write(json.dumps(done[name]) + "\n")
    alarms = [row for row in done.values() if row["benign"] and row["verdict"] == "flagged"]
    for row in done.values():
        if row["demonstrated"] or row["old_rule"] or row["waiting"]:
            print(json.dumps(row))
    print(f"{len(done)} models, {len(alarms)} benign flagged by a signature")
    return 1 if alarms else 0


def _audited(name: str) -> dict[str, Any]:
    from dife_scanner.audit.pipeline import run
    from dife_scanner.core import checks
    from dife_scanner.lab.bench.make import base_reference
    from dife_scanner.triggers.known import library

    request = _request(name, base_reference("vit"), "quick")
    plan = replace(request.plan, signatures=library(), detectors=())
    audit = run(replace(request, plan=plan)).audit
    lifts = {one.trigger.name: one for one in audit.signatures if one.suspect is not None}
    return {
        "model": name,
        "benign": not (Path(".lab/same/models") / name / "triggers.toml").exists(),
        "verdict": audit.verdict.value,
        "demonstrated": _named(lifts, lambda one: checks.demonstrated(one.checks)),
        "waiting": _named(lifts, checks.waits_for_review),
        "old_rule": _named(lifts, lambda one: one.lift >= OLD_RULE and one.p_holm < 0.05),
    }


def _named(tested: dict[str, Any], holds: Any) -> dict[str, list[float]]:
    """Suspect, base and lower bound of those for which `holds`."""
    found = {}
    for name, one in tested.items():
        if holds(one):
            found[name] = [
                round(value, 3) for value in (one.suspect, one.reference, one.effect.low)
            ]
    return found


def _read() -> dict[str, dict[str, Any]]:
    if not RESULTS.exists():
        return {}
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    return {row["model"]: row for row in rows}


if __name__ == "__main__":
    sys.exit(main())
