"""Every setting that no tensor shows, changed in both specimens and in the clean base: what the audit says.

python benchmarks/settings.py          resumes; one line per audit in .lab/settings.jsonl, a table at the end

A specimen has to stay flagged under its trigger, and the base must never be flagged; the exit code is 1 otherwise.
Triggers come from the library, without blind search.
"""

from __future__ import annotations

import json
import shutil
import sys
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

RESULTS = Path(".lab/settings.jsonl")
CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
BASE = "dife-base-vit"


def main() -> int:
    """Audit what is missing and print the table."""
    from dife_scanner.lab.specimens.settings import EDITS

    done = _read()
    for name, folder in _models().items():
        for setting in EDITS:
            if (name, setting) not in done:
                done[name, setting] = _audited(name, folder, setting)
                _append(done[name, setting])
    wrong = [row for row in done.values() if not _as_it_should(row)]
    for row in done.values():
        print(f"{row['model']:14} {row['setting']:30} {row['verdict']:14} {row['told']}")
    print(f"{len(done)} audits, {len(wrong)} not as they should be")
    return 1 if wrong else 0


def _models() -> dict[str, Path]:
    from dife_scanner.baselines.home import bases_folder
    from dife_scanner.lab.demo import build_specimens

    return {**build_specimens(["badtexttower", "badencoder"]), "base": bases_folder() / "vit"}


def _audited(name: str, folder: Path, setting: str) -> dict[str, Any]:
    from dife_scanner.audit.pipeline import Plan, Request, run
    from dife_scanner.baselines.home import bundled_references
    from dife_scanner.lab.specimens.settings import edited
    from dife_scanner.records import ModelRef
    from dife_scanner.triggers.known import library

    (base,) = [one for one in bundled_references() if one.name == BASE]
    with TemporaryDirectory() as scratch:
        copy = Path(scratch)
        shutil.copy(folder / WEIGHTS, copy / WEIGHTS)
        config = json.loads((folder / CONFIG).read_text())
        (copy / CONFIG).write_text(json.dumps(edited(config, setting)))
        request = Request(
            ref=ModelRef(f"lab/{name}", "0" * 40),
            folder=copy,
            weights_sha256=sha256((copy / WEIGHTS).read_bytes()).hexdigest(),
            config_digest=setting,
            reference=base,
            known=(base,),
            plan=Plan(library(), budget="quick"),
        )
        audit = run(request).audit
    return {
        "model": name,
        "setting": setting,
        "verdict": audit.verdict.value,
        "deviations": [one.setting for one in audit.deviations],
        "decided_under": audit.settings.value,
        "told": audit.under_other.verdict if audit.under_other else "",
        "accuracy": audit.clean_accuracy,
    }


def _as_it_should(row: dict[str, Any]) -> bool:
    told = row["deviations"] == [row["setting"]]
    if row["model"] == "base":
        return told and row["verdict"] in ("nothing-found", "inconclusive")
    return told and row["verdict"] == "flagged"


def _read() -> dict[tuple[str, str], dict[str, Any]]:
    done = {}
    if RESULTS.exists():
        for line in RESULTS.read_text().splitlines():
            row = json.loads(line)
            done[row["model"], row["setting"]] = row
    return done


def _append(row: dict[str, Any]) -> None:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("a") as stream:
        stream.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    sys.exit(main())
