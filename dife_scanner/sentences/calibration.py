"""How scores compare with benign models', and what a list of audits comes to together."""

from __future__ import annotations

from collections.abc import Sequence

from dife_scanner.records import Audit, Calibration, Tally, Verdict
from dife_scanner.sentences.numbers import count, number


def calibration_text(rated: Calibration) -> str:
    """The p-value with its pack, or why there is none."""
    if rated.p_value is None:
        return f"{rated.reason}: no false-alarm rate is printed"
    text = (
        f"p = {rated.p_value:.3f} against {count(rated.n, 'benign model')} of pack {rated.pack} "
        f"(never below 1/{rated.n + 1}; not the probability of a backdoor)"
    )
    if rated.reason:
        return f"{text}; {rated.reason}"
    return text


def calibration_lines(audit: Audit) -> tuple[str, ...]:
    """How the score compares with benign models'; nothing for an audit without one."""
    rated = audit.calibration
    if rated is None or audit.score is None:
        return ()
    score = f"Score {number(audit.score)}: {calibration_text(rated)}"
    if rated.alarm_bound is None:
        return (score,)
    share = 100 * rated.alarm_bound
    return score, f"At most {share:.1f} % of such benign models are flagged (95 % bound)"


def tally(audits: Sequence[Audit], anomalous: int = 0) -> Tally:
    """What these audits come to together."""
    bounds = []
    for audit in audits:
        if audit.calibration is not None and audit.calibration.alarm_bound is not None:
            bounds.append(audit.calibration.alarm_bound)
    flagged = sum(audit.verdict is Verdict.FLAGGED for audit in audits)
    return Tally(len(audits), flagged, anomalous, len(bounds), sum(bounds))


def tally_text(found: Tally) -> str:
    """`12 audited, 1 flagged, 0 anomalous; by chance alone at most 0.36 flags are to be expected (…)`."""
    counts = f"{found.audited:,} audited, {found.flagged:,} flagged, {found.anomalous:,} anomalous"
    if not found.audited:
        return counts
    if not found.rated:
        return f"{counts}; how many to expect by chance is not known: no calibration pack speaks of them"
    rest = found.audited - found.rated
    whom = "them"
    if rest:
        whom = f"the {found.rated:,} with a calibration pack, no rate for the other {rest:,}"
    return (
        f"{counts}; by chance alone at most {number(found.expected, 2)} flags are to be expected among {whom} "
        "(95 % bound, were all of them benign)"
    )
