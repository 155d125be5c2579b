"""The letter to whoever published a model: what it does, how that is known, and what nobody claims."""

from __future__ import annotations

from dife_scanner.errors import UsageError
from dife_scanner.records import FindingKind
from dife_scanner.reports.export import AuditOf, Exposure, FindingOf, Subject
from dife_scanner.reports.markdown import escaped
from dife_scanner.sentences.numbers import count, number, signed

_MOST = 1500
_LETTER = """\
{draft}# Trigger-conditioned behaviour in {model}

To the publishers of {model},

we audited revision `{revision}` of your model with DIFE Scanner {version} and would like to tell you what we measured.

## What we observed

The model shows trigger-conditioned behaviour: with a certain addition to its input, which enters through {channel}, it
decides {target}. {compared}

{exposures}

The effect was measured on inputs that no search had read, and corrected for everything that was tried. Checks that
decided: {checks}.{footprint}

## What we do not claim

We make no statement about intent, about who caused this, or about when. Behaviour like this can come with a base model,
with training data, or with a training method. We cannot say that there is nothing else to be found.
{trigger}
## What we ask of you

1. Please confirm that you have received this letter, and name a contact.
2. Please look at the training data, the base model, and how this revision was made.
3. Please tell us if you come to another result: we record it, and measure again.
4. If you publish another revision, we audit it and say so.

We would like to agree with you on when and how others are told. Until then we publish nothing about it.

Reference: {fingerprint}, audit {audit}
"""


def render(subject: Subject, version: str) -> str:
    """The letter as Markdown. Raises `UsageError` where nothing was demonstrated."""
    finding, audit = subject.finding, subject.audit
    about_trigger = (FindingKind.FLAGGED, FindingKind.INHERITED)
    if finding is None or audit is None or finding.kind not in about_trigger:
        raise UsageError(
            "there is nothing in this to write to a supplier about",
            "give a finding that is flagged or inherited: `dife findings verdict:flagged`",
        )
    if finding.confidence != "demonstrated" and finding.kind is FindingKind.FLAGGED:
        raise UsageError(
            "nothing is demonstrated in this finding", "confirm it with a deeper audit"
        )
    return _LETTER.format(
        draft=_draft(finding),
        model=escaped(subject.model),
        revision=escaped(subject.revision),
        version=escaped(version),
        channel=_channel(finding),
        target=f"for {escaped(finding.target)}" if finding.target else "otherwise than without it",
        compared=_compared(finding, audit),
        exposures=_exposures(audit),
        checks=escaped(", ".join(audit.checks), _MOST) or "not recorded",
        footprint=f" Component: {escaped(finding.footprint)}." if finding.footprint else "",
        trigger=_trigger(subject),
        fingerprint=finding.fingerprint,
        audit=audit.id,
    )


def _draft(finding: FindingOf) -> str:
    if finding.confirmed:
        return ""
    return "> Draft: nobody has confirmed this finding yet. Do not send it before somebody has.\n\n"


def _channel(finding: FindingOf) -> str:
    ways = {"": "its input", "both": "picture and text together"}
    return ways.get(finding.channel, f"the {escaped(finding.channel)}")


def _compared(finding: FindingOf, audit: AuditOf) -> str:
    base = escaped(audit.reference)
    if finding.kind is FindingKind.INHERITED:
        return f"The base that it was made from ({base}) does so too: it may come from there."
    if not base:
        return "We had no clean model of its making to compare it with."
    return f"The clean model that we compared yours with ({base}) does not do so with the same addition."


def _exposures(audit: AuditOf) -> str:
    measured = [one for one in audit.exposures if one.value is not None]
    if not measured:
        return "No interface could be measured."
    head = "| interface | with it | clean model | difference (95 %) | |\n|---|---|---|---|---|"
    without = len(audit.exposures) - len(measured)
    note = (
        f"\n\n{count(without, 'interface')} without a number, which is no zero." if without else ""
    )
    return "\n".join([head, *map(_line, measured)]) + note


def _line(one: Exposure) -> str:
    values = (one.value, one.reference, one.delta, one.delta_low, one.delta_high)
    value, reference, delta, low, high = (part or 0.0 for part in values)
    difference = f"{signed(delta)} ({signed(low)} to {signed(high)})"
    return f"| {escaped(one.interface)} | {number(value)} | {number(reference)} | {difference} | {one.entry} |"


def _trigger(subject: Subject) -> str:
    if subject.told is None:
        return (
            "\nThis letter does not hold the addition itself. We send it to the contact you name, on a way that is "
            "safe for both of us.\n"
        )
    told = subject.told
    source = f" It acts on {escaped(told.source)}." if told.source else ""
    return f"\n## The addition\n\n{escaped(told.trigger, _MOST)}.{source}\n"
