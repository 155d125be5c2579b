"""Both specimens saved in every layout and precision: one identity, one verdict, flagged in each.

python benchmarks/layouts.py           resumes; one line per audit in .lab/layouts.jsonl, then docs/layouts-results.md

The library's signatures at `quick`, without blind search. In one precision, towers, verdict, carrier and every cell
have to be equal in all layouts, and every audit has to be flagged; the exit code is 1 otherwise.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from results_page import commit, put_section

RESULTS = Path(".lab/layouts.jsonl")
PAGE = Path("docs/layouts-results.md")
HEADING = "One checkpoint in every layout"
SPECIMENS = ("badtexttower", "badencoder")
BASE = "dife-base-vit"
EQUAL = ("image_tower", "text_tower", "verdict", "carrier", "trigger", "cells")
"""What has to be equal in all layouts of one precision …"""
SAME = ("verdict", "carrier", "trigger")
"""… and in all precisions."""
_HEADINGS = (
    "specimen",
    "precision",
    "layout",
    "image tower",
    "text tower",
    "verdict",
    "carrier",
    "trigger",
    "exposed interfaces",
    "cells",
)

Key = tuple[str, str, str]
Row = dict[str, Any]


def main() -> int:
    """Audit what is missing, write the page and print what is not as it should be."""
    from dife_scanner.lab.demo import build_specimens
    from dife_scanner.lab.specimens.layouts import LAYOUTS, PRECISIONS

    done = _read()
    with tempfile.TemporaryDirectory() as scratch:
        for name, folder in build_specimens(SPECIMENS).items():
            for precision in PRECISIONS:
                for layout in LAYOUTS:
                    if (name, precision, layout) not in done:
                        row = _audited(folder, layout, precision, Path(scratch))
                        done[name, precision, layout] = row
                        _append({"model": name, **row})
    wrong = _not_as_they_should_be(done)
    put_section(PAGE, HEADING, _section(done, wrong))
    print(f"{len(done)} audits, {len(wrong)} not as they should be", *wrong, sep="\n")
    return 1 if wrong else 0


def _audited(folder: Path, layout: str, precision: str, scratch: Path) -> Row:
    """Save, and go the way of a scan: recognise, stage, inspect, rewrite, load, audit."""
    from dife_scanner import checkpoints
    from dife_scanner.audit.pipeline import Plan, Request, run
    from dife_scanner.baselines.home import bundled_references
    from dife_scanner.hub.manifest import local_manifest
    from dife_scanner.lab.specimens import layouts
    from dife_scanner.models.load import default_limits
    from dife_scanner.records import ModelRef
    from dife_scanner.triggers.known import library

    (base,) = [one for one in bundled_references() if one.name == BASE]
    with tempfile.TemporaryDirectory() as work:
        saved = layouts.save(folder, layout, precision, Path(work) / "saved")
        files = checkpoints.local_files(local_manifest(saved))
        prepared = checkpoints.prepare(files, Path(work) / "checkpoint", default_limits())
        request = Request(
            ref=ModelRef("lab/layouts", "0" * 40),
            folder=prepared.folder,
            weights_sha256=prepared.weights_sha256,
            config_digest=prepared.config_digest,
            reference=base,
            known=(base,),
            plan=Plan(library(), budget="quick"),
            cache=scratch / "embeddings",
        )
        audit = run(request).audit
    cells = json.dumps([asdict(one) for one in audit.profile], sort_keys=True, default=str)
    return {
        "layout": layout,
        "precision": precision,
        "image_tower": audit.image_tower,
        "text_tower": audit.text_tower,
        "verdict": audit.verdict.value,
        "carrier": audit.diagnosis.carrier.value if audit.diagnosis else "",
        "trigger": audit.trigger.name if audit.trigger else "",
        "cells": sha256(cells.encode()).hexdigest(),
        "exposed": sorted(
            one.interface for one in audit.profile if getattr(one, "entry", None) == "exposed"
        ),
    }


def _not_as_they_should_be(done: dict[Key, Row]) -> list[str]:
    """What differs between layouts or precisions, and what is not flagged, a line each."""
    wrong = []
    first: dict[tuple[str, str], Row] = {}
    for (name, precision, layout), row in done.items():
        here = f"{name}, {precision}, {layout}"
        if row["verdict"] != "flagged":
            wrong.append(f"{here}: {row['verdict']}")
        for key, values in (((name, precision), EQUAL), ((name, ""), SAME)):
            other = first.setdefault(key, row)
            differing = [value for value in values if row[value] != other[value]]
            if differing:
                wrong.append(f"{here}: another {', '.join(differing)} than {other['layout']}")
    return wrong


def _section(done: dict[Key, Row], wrong: list[str]) -> list[str]:
    lines = [
        "Both bundled specimens, saved in six layouts and three precisions, and audited with the library's signatures",
        f"at `quick`, by `make layouts` at commit `{commit()}`. Towers, verdict, carrier, trigger and every cell have",
        "to be equal in all layouts of one precision, and verdict, carrier and trigger in all precisions.",
        "",
        "- The specimens are stored in float16, so their float32 copies have the same values and the same towers.",
        "  Copies in bfloat16 are rounded further.",
        "- Their image towers average over patches, which transformers' configuration cannot say. So open_clip's",
        "  stands beside the tensors in every layout.",
        "- Embeddings are kept by tower from one audit to the next: another identity would be embedded anew.",
        "",
        f"**{len(done)} audits, {len(wrong)} not as they should be.**",
        "",
        f"| {' | '.join(_HEADINGS)} |",
        f"|{'---|' * len(_HEADINGS)}",
    ]
    for (name, precision, layout), row in done.items():
        cells = [
            name,
            precision,
            layout,
            f"`{row['image_tower'][:8]}`",
            f"`{row['text_tower'][:8]}`",
            row["verdict"],
            row["carrier"],
            row["trigger"],
            str(len(row["exposed"])),
            f"`{row['cells'][:8]}`",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", *(f"- {line}" for line in wrong)]


def _read() -> dict[Key, Row]:
    done = {}
    if RESULTS.exists():
        for line in RESULTS.read_text().splitlines():
            row = json.loads(line)
            done[row["model"], row["precision"], row["layout"]] = row
    return done


def _append(row: Row) -> None:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("a") as stream:
        stream.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    sys.exit(main())
