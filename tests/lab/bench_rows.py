"""Fabricated rows of the benchmark."""

from __future__ import annotations

from dife_scanner.lab.bench import rows
from dife_scanner.lab.bench.rows import Code, Found, Outcome, Row, Truth, VisibleTraits
from dife_scanner.lab.bench.zoo import Part, Role
from dife_scanner.records import Carrier, Channel, NearestConcept, Recovered, Verdict

CODE = Code("zoo-1", "discovery-1", "abc", "quick", ("texts", "patch"))


def row(
    kind,
    number,
    score,
    *,
    role=Role.BENIGN,
    part=Part.TEST,
    flagged=False,
    right=True,
    status=rows.AUDITED,
):
    """A fabricated row; an attack's truth is a text that turns cats into dogs."""
    tail = "-twin" if role is Role.TWIN else ""
    truth = (
        Truth(Carrier.TEXTUAL, Channel.TEXT, {"kind": "text"}, "cat", "dog")
        if role is Role.ATTACK
        else None
    )
    found = (
        Found("text", "xx", "prefix", "cat", "dog" if right else "ship", score, 0.0, score - 0.1),
    )
    outcome = Outcome(
        Verdict.FLAGGED if flagged else Verdict.NOTHING_FOUND,
        score,
        Carrier.TEXTUAL if flagged and right else Carrier.VISUAL if flagged else None,
        Channel.TEXT if flagged else None,
        found if score else (),
        (),
        10.0,
        _recovered("dog" if right else "ship", number + 1) if flagged else None,
    )
    traits = VisibleTraits(0.0, 0.01 * (number + 1), 100 + number, 0.78, -0.01, 16_000_000, "F16")
    audited = outcome if status == rows.AUDITED else None
    sealed = kind == "liang-badclip"
    name = f"{kind.replace(' ', '-')}-{number:03d}{tail}"
    return Row(
        name,
        role,
        kind,
        number,
        part,
        sealed,
        status,
        {},
        CODE,
        "2026-11-23",
        5.0,
        {},
        traits,
        truth,
        audited,
    )


def _recovered(target, rank):
    return Recovered(
        target, 1392, (NearestConcept("jet", 0.6),), rank, 0.5, NearestConcept("jet", 0.6), {}, {}
    )
