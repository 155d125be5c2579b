"""A finding in words: what the terminal, the window and a mail say of it."""

from __future__ import annotations

from dife_scanner.records import Confidence, Finding, FindingKind, Notice

REFUSED = "refused"
"""Kind of a finding about a file that was not loaded; it has no audit."""
CHANGED = "changed"
"""Kind of a finding about the repository of a clean base; it has no audit either."""


def confidence_text(confidence: str) -> str:
    """What the word promises."""
    if confidence == Confidence.DEMONSTRATED:
        return "demonstrated on inputs never searched"
    if confidence == Confidence.ANOMALOUS:
        return "stands out from the reference, nothing demonstrated"
    return confidence


def triage_text(finding: Finding) -> str:
    """What people decided, and for which name where the checkpoint had another one then."""
    if finding.decided_for in ("", finding.ref.repo_id):
        return finding.triage.value
    return f"{finding.triage.value} (decided for {finding.decided_for})"


def finding_sentence(finding: Finding) -> str:
    """For a finding that has no audit, a refused file above all."""
    text = f"{finding.kind.capitalize()}: {finding.reason.rstrip('.')}."
    if finding.kind == REFUSED:
        return f"{text} It was not loaded."
    return text


def finding_title(finding: Finding | Notice, name: str) -> str:
    """What an alert is headed; `name` is the repository's, made harmless for where it will stand."""
    if finding.kind == REFUSED:
        return f"Hostile file refused in {name}"
    if finding.kind == CHANGED:
        return f"Clean base changed in {name}"
    if finding.kind == FindingKind.INHERITED:
        return f"Backdoor trigger inherited in {name}"
    if finding.confidence != Confidence.DEMONSTRATED:
        return f"{name} stands out, nothing demonstrated"
    return f"Backdoor trigger demonstrated in {name}"


def finding_meaning(finding: Finding | Notice) -> str:
    """What a finding of this kind says, for somebody who sees one for the first time."""
    if finding.kind == REFUSED:
        return (
            "A file of this checkpoint breaks its own format or tries something. It was not loaded."
        )
    if finding.kind == CHANGED:
        return (
            "The repository of a clean base holds other files than those that are trusted. None of them was accepted: "
            "checkpoints are compared with the trusted base where it is here, and without it where it is not."
        )
    if finding.kind == FindingKind.INHERITED:
        return "A trigger moves decisions of this checkpoint, and of the base that it was made from too."
    if finding.confidence != Confidence.DEMONSTRATED:
        return "This checkpoint stands out from what it is compared with. Nothing is demonstrated."
    return (
        "On inputs never searched, the trigger moves decisions of this checkpoint, and does not in the clean model it "
        "was compared with."
    )
