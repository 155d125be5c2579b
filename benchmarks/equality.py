"""Every layout in each of its forms: embeddings here against those of the library that defines the layout.

python benchmarks/equality.py [LAYOUT…]     one line each in .lab/equality.jsonl, then docs/layouts-results.md

Goes on where it stopped, and repeats what was not equal. The models are small and random, and saved by that library.
Both sides compute in float32 from the stored types; the exit code is 1 where a value of an embedding of length one is
more than 1e-5 apart.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from results_page import commit, put_section

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "models"))
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is fetched
RESULTS = Path(".lab/equality.jsonl")
PAGE = Path("docs/layouts-results.md")
HEADING = "Every layout in every form, beside its own library"
MOST = 1e-5

Key = tuple[str, str]


@dataclass(frozen=True)
class Row:
    """One combination."""

    images: float = 0.0
    """The largest difference of an embedding of a picture …"""
    texts: float = 0.0
    """… and of a text."""
    problem: str = ""
    """Why it was not measured."""

    @property
    def is_right(self) -> bool:
        return not self.problem and max(self.images, self.texts) <= MOST


def main(wanted: list[str]) -> int:
    """Measure what is missing, write the page and print what is not equal."""
    from layout_forms import combinations

    done = read()
    with tempfile.TemporaryDirectory() as scratch:
        for layout, form in combinations():
            before = done.get((layout, form))
            if (not wanted or layout in wanted) and not (before and before.is_right):
                row = _measured(layout, form, Path(scratch))
                done[layout, form] = row
                _append(layout, form, row)
    known = combinations()
    rows = {key: done[key] for key in known if key in done}
    put_section(PAGE, HEADING, _section(rows))
    wrong = [key for key, row in rows.items() if not row.is_right]
    print(f"{len(rows)} of {len(known)} combinations, {len(wrong)} not equal", *wrong, sep="\n")
    return int(bool(wrong))


def _measured(layout: str, form: str, scratch: Path) -> Row:
    from layout_equality import largest_differences

    from dife_scanner.errors import DifeError

    base = _base_of(layout, scratch)
    try:
        with tempfile.TemporaryDirectory(dir=scratch) as work:
            row = Row(*largest_differences(layout, form, Path(work), base))
    except DifeError as error:
        row = Row(problem=error.what)
    print(f"{layout}, {form}: {row.problem or f'{row.images:.1e} {row.texts:.1e}'}", flush=True)
    return row


def _base_of(layout: str, scratch: Path) -> Any:
    from layout_models import MODELS

    name = MODELS[layout].base
    return _base(name, scratch) if name else None


@cache
def _base(name: str, scratch: Path) -> Any:
    """As a clean reference; made once."""
    from layout_equality import made_base

    return made_base(name, scratch / f"base-{name}")


def _section(rows: dict[Key, Row]) -> list[str]:
    """The table, a layout a line and a form a column, and why some have no value."""
    from layout_forms import FORMS, combinations, not_well_formed
    from layout_models import MODELS

    wrong = [key for key, row in rows.items() if not row.is_right]
    lines = [
        "Small random models that the library of each layout saved, in every form that it saves or that a stranger's",
        f"files have, by `make layouts` at commit `{commit()}`. A cell is the largest difference between a value of an",
        "embedding of length one there and here, of pictures and texts, both sides computed in float32 from the stored",
        f"types. At most {MOST:.0e} is equal. A part of a checkpoint is compared as a part of its base.",
        "",
        f"**{len(rows)} of {len(combinations())} combinations measured, {len(wrong)} not equal.**",
        "",
        f"| layout | {' | '.join(FORMS)} |",
        f"|{'---|' * (len(FORMS) + 1)}",
    ]
    reasons: dict[str, list[str]] = {}
    for layout in MODELS:
        cells = [_cell(rows.get((layout, form)), not_well_formed(layout, form)) for form in FORMS]
        lines.append(f"| {layout} | {' | '.join(cells)} |")
        for form in FORMS:
            reason = not_well_formed(layout, form)
            if reason:
                reasons.setdefault(f"{form} | {reason}", []).append(layout)
    lines += [
        "",
        "Where a cell holds `-` there is no such form:",
        "",
        "| form | why | layouts |",
        "|---|---|---|",
    ]
    lines += [f"| {about} | {'; '.join(layouts)} |" for about, layouts in reasons.items()]
    return [
        *lines,
        "",
        *(f"- {', '.join(key)}: {rows[key].problem or 'not equal'}" for key in wrong),
    ]


def _cell(row: Row | None, reason: str) -> str:
    if reason:
        return "-"
    if row is None:
        return "not measured"
    return "**not read**" if row.problem else f"{max(row.images, row.texts):.0e}"


def read() -> dict[Key, Row]:
    """What was measured so far."""
    done = {}
    if RESULTS.exists():
        for line in RESULTS.read_text().splitlines():
            found = json.loads(line)
            key = (found.pop("layout"), found.pop("form"))
            done[key] = Row(**found)
    return done


def _append(layout: str, form: str, row: Row) -> None:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("a") as stream:
        stream.write(json.dumps({"layout": layout, "form": form, **row.__dict__}) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
