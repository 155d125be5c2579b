"""The evident bases of real repositories, as public pages list these, are named by the registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dife_scanner.baselines.likely import likely
from dife_scanner.baselines.registry import Base, shipped
from dife_scanner.hub.manifest import manifest
from dife_scanner.models.likeness import Likeness
from dife_scanner.records import BaseClaim, HubFile, HubModel

ROWS = Path(__file__).parents[1] / "assets" / "listings.json"
STATED = {"config: ": "config.json", "adapter_config: ": "adapter_config.json", "card: ": "card"}
"""What a page shows of a file whose content the listing leaves out."""


def evident(row: dict[str, Any]) -> Base | None:
    """The base that a row names, where the registry knows it."""
    names = {name for base in shipped().bases for name in base.names if "/" in name}
    for name in sorted(names, key=len, reverse=True):
        if f"{name} ".lower() in f"{row['base']} ".replace(",", " ").lower():
            return shipped().resolve(name)
    return None


def named(row: dict[str, Any], base: Base) -> str:
    """The base that is named, with what can be known: card, configuration, name, and weights that are read."""
    files = tuple(HubFile(path, size) for path, size in row["files"].items())
    model = HubModel(
        row["repo"], "a" * 40, "", library=row["library"], tags=tuple(row["tags"]), files=files
    )
    bodies = {**row["small"], **row.get("added", {})}
    made = manifest(model, {path: json.dumps(body).encode() for path, body in bodies.items()})
    claims = list(made.base_claims)
    for words, file in STATED.items():
        if row["base"].startswith(words):
            claims.append(BaseClaim(base.name, "", file))
    measure = None
    if not made.state.is_final:
        measure = weights_of(base)
    architecture = base.architecture if measure else made.architecture
    found = likely(shipped(), made.ref, claims, architecture, measure).base
    return found.name if found else ""


def weights_of(base: Base) -> Any:
    """Weights that come from one base and from no other."""
    return lambda other: (
        Likeness(0.99, 0.99, 0.05) if other.name == base.name else Likeness(0.0, 0.0, 1.4)
    )


def test_nine_in_ten_evident_bases_of_real_repositories_are_named() -> None:
    rows = json.loads(ROWS.read_text())["rows"]
    expected = [(row, base) for row in rows if (base := evident(row))]
    assert len(expected) >= 30
    wrong = [row["repo"] for row, base in expected if named(row, base) != base.name]
    assert len(wrong) <= len(expected) // 10, wrong
