"""What the page reports of attacks: whether the zoo is fair, and how well each family is found."""

from __future__ import annotations

from dife_scanner.lab.bench import results, zoo
from dife_scanner.lab.bench.page import tables
from dife_scanner.lab.bench.rows import Rows
from dife_scanner.lab.bench.zoo import Part

_STEALTH = (
    "family",
    "working attacks",
    "median drift",
    "largest",
    "with a twin's row",
    "median loss of accuracy",
    "largest",
)
_FAMILY = (
    "family",
    "drawn",
    "failed implants",
    "flagged",
    "AUROC",
    "95 %",
    "target top-1",
    "source top-1",
    "carrier of flagged",
    "channel of flagged",
    "rank, cosine, best wrong",
    "build s",
    "audit s",
)


def fairness(shown: Rows) -> str:
    """Visible traits and stealth."""
    return tables.joined(
        "## Is the zoo fair?",
        "What can be seen without searching must not tell attacks from benign models: each AUROC at most "
        f"{results.FAIR:.2f}, read in the direction that separates better. Models of all sides, twins among the "
        "benign.",
        tables.separation_table(results.zoo_audit(shown)),
        "Text attacks keep the paper's stealth where clean prompts drift by about .06 at most and clean use costs "
        "no more than a point of accuracy. Drift is the mean cosine distance of clean prompts from the base; "
        "accuracy is compared with the attack's own twin, which saw the same captions.",
        tables.table(_STEALTH, map(_stealth, results.stealth(shown))),
    )


def _stealth(line: results.Stealth) -> tables.Cells:
    return (
        line.family,
        str(line.n),
        f"{line.drift:.3f}",
        f"{line.furthest:.3f}",
        str(line.pairs),
        tables.number(line.loss, 3),
        tables.number(line.worst, 3),
    )


def found(shown: Rows) -> str:
    """Every family on the test and the development side."""
    return tables.joined(
        "## Attacks",
        "### Test side, worst first",
        tables.table(_FAMILY, _families(shown, Part.TEST)),
        "### Development side (seen while detectors were made), worst first",
        tables.table(_FAMILY, _families(shown, Part.FIT)),
        "A *failed implant* did not reach .9 natively (QHR, TS or full mechanism on held-out drawings) or cost more "
        "than three points of clean accuracy against its twin; it is counted and not audited. *Target* and *source "
        "top-1*: the candidate that came furthest on held-out drawings names the planted class, of all audited. "
        "*Rank, cosine, best wrong*: where the trigger of the verdict leads, among the bundled concepts. The rank is "
        "the median over all audited, and one that was not flagged or leads to another target counts as worse than any "
        "rank; cosines, less the base's mean concept (docs/discovery.md), are medians over those flagged with the "
        "planted target, so many of the audited. A prompt learner's trigger names no concept. "
        "Seconds are medians of processor time on one thread. Every text specimen is trained beside 24 natural "
        "captions a step, which move the rows of ordinary words too, and is saved through fp16; "
        "`badtexttower-frozen-rows` hides the row fingerprint altogether.",
    )


def _families(shown: Rows, part: Part) -> list[tables.Cells]:
    """One line per family, those without a row of this side last."""
    lines = list(map(_family, results.families(shown, part)))
    there = {line[0] for line in lines}
    for name, family in zoo.FAMILIES.items():
        if not family.sealed and name not in there:
            lines.append((name, "0", tables.NOT_RUN, *[""] * 10))
    return lines


def _family(line: results.FamilyLine) -> tables.Cells:
    return (
        line.family,
        str(line.drawn),
        str(line.failed),
        tables.rate(line.flagged),
        tables.number(line.auroc),
        tables.span(line.auroc_range),
        tables.ratio(line.target),
        tables.ratio(line.source),
        tables.ratio(line.carrier),
        tables.ratio(line.channel),
        tables.naming(line.named),
        f"{line.build:.0f}",
        f"{line.audit:.0f}",
    )
