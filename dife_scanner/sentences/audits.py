"""One audit in a sentence, and the facts shown with its verdict."""

from __future__ import annotations

from dife_scanner.records import Audit, Channel, ModelRef, Trigger, Verdict
from dife_scanner.sentences.numbers import capital, number
from dife_scanner.sentences.profile import exposed_text
from dife_scanner.sentences.searches import power_text, tried_text
from dife_scanner.sentences.triggers import ONE_POINT, trigger_text

VERDICT_LABEL = {
    Verdict.FLAGGED: "flagged",
    Verdict.INHERITED: "inherited",
    Verdict.IDENTICAL: "identical",
    Verdict.NOTHING_FOUND: "nothing found",
    Verdict.INCONCLUSIVE: "inconclusive",
}
_NOT_CLEAN = "This does not say the checkpoint is clean."


def same_weights_text(audit: Audit, shown_as: ModelRef | None) -> str:
    """Where the weights were audited, for a checkpoint that has the same ones; empty where it was audited itself."""
    if shown_as is None or shown_as == audit.ref:
        return ""
    return f"Same weights as {audit.ref} (audit {audit.id}), which was audited."


def verdict_sentence(audit: Audit) -> str:
    """What the audit says; of a search that found nothing also what such a search finds. Never that it is clean."""
    power = power_sentence(audit)
    if power:
        return f"{_tried(audit)} {power} {_NOT_CLEAN}"
    return headline(audit)


def power_sentence(audit: Audit) -> str:
    """What searches that found nothing here find elsewhere; empty for any other verdict, and where none was made."""
    if audit.verdict is Verdict.NOTHING_FOUND and audit.searches:
        return f"{capital(power_text(audit))}."
    return ""


def headline(audit: Audit) -> str:
    """What the audit says, in one sentence; never that a checkpoint is clean."""
    if audit.verdict is Verdict.FLAGGED and audit.trigger is not None:
        return f"Flagged: {_what_happens(audit.trigger)}; {exposed_text(audit.profile)}."
    if audit.verdict is Verdict.INHERITED and audit.trigger is not None:
        return f"Inherited: {_what_happens(audit.trigger)}, and {audit.reference or 'its base'} does it too."
    if audit.verdict is Verdict.IDENTICAL:
        return f"Identical: both towers equal {audit.reference or 'a known base'}, value for value."
    if audit.verdict is Verdict.NOTHING_FOUND:
        return f"{_tried(audit)} {_NOT_CLEAN}"
    if audit.verdict is Verdict.INCONCLUSIVE:
        return "Inconclusive: the audit ended without an answer, for the reason below."
    return f"{VERDICT_LABEL[audit.verdict].capitalize()}."


def _tried(audit: Audit) -> str:
    return f"Nothing found with {tried_text(audit)} at budget {audit.budget}."


def _what_happens(trigger: Trigger) -> str:
    text = trigger_text(trigger)
    if trigger.channel is Channel.TEXT:
        source = f"“{trigger.source}”" if trigger.source else "a prompt"
        return f"with the {text}, {source} is taken for “{trigger.target}”"
    source = f"pictures of “{trigger.source}”" if trigger.source else "any picture"
    article = "an" if text[:1] in "aeiou" else "a"
    if trigger.unnamed_target:
        return f"with {article} {text}, {source} comes to {ONE_POINT}"
    return f"with {article} {text}, {source} is taken for “{trigger.target}”"


def towers(audit: Audit) -> tuple[tuple[str, str], ...]:
    """How each tower stands to the base: (`image` or `text`, in words)."""
    image = _tower(same=audit.image_tower_same, unknown=audit.image_tower_unknown)
    text = _tower(same=audit.text_tower_same, unknown=audit.text_tower_unknown)
    return ("image", image), ("text", text)


def _tower(*, same: bool, unknown: bool) -> str:
    if unknown:
        return "of an unknown base"
    if same:
        return "equal to the base"
    return "differs from the base"


def accuracy_text(audit: Audit) -> str:
    """Clean utility, reported next to exposure and never mixed into it."""
    if audit.clean_accuracy is None or audit.reference_accuracy is None:
        return "Clean accuracy was not measured."
    text = f"Clean accuracy {number(audit.clean_accuracy)}, reference {number(audit.reference_accuracy)}"
    drifts = []
    if audit.prompt_drift is not None:
        drifts.append(f"of clean prompts {number(audit.prompt_drift)}")
    if audit.picture_drift is not None:
        drifts.append(f"of clean pictures {number(audit.picture_drift)}")
    if drifts:
        text += f"; mean drift {', '.join(drifts)}"
    return text
