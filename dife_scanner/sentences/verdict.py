"""Why a verdict is what it is, from the decision and the evidence it was made from.

Pure. Strings that a stranger wrote pass through unchanged; whoever shows a line escapes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dife_scanner.core import checks
from dife_scanner.core.checks import LARGEST_PATCH, STRICT_EFFECT
from dife_scanner.core.verdict import (
    Evidence,
    channels_unsearched,
    demonstrated,
    differing_both_ways,
    drawings_needed,
    exposed_interfaces,
    held_back_by,
    lacking_drawings,
    not_recognised,
    strongest_lead,
)
from dife_scanner.records import (
    ArtefactMissing,
    Audit,
    Basis,
    Channel,
    Decision,
    Entry,
    Hypothesis,
    MissingSearch,
    NotRun,
    Origin,
    ReverseSearch,
    Search,
    Trigger,
)
from dife_scanner.sentences.checks import gap_text, unconfirmed_text
from dife_scanner.sentences.recognition import (
    WHAT_TO_BRING,
    knowledge_words,
    recognition_words,
    shares_words,
    style_words,
)
from dife_scanner.sentences.searches import lead_text, unsettled_text
from dife_scanner.sentences.triggers import ONE_POINT
from dife_scanner.sentences.work_plan import GO_ON

NAMED = 3
"""Further demonstrated triggers that a reason names; of more it says how many."""


def reason(decision: Decision, evidence: Evidence) -> str:
    """The reason in one line, without a full stop at its end."""
    return _WRITTEN[decision.basis](decision, evidence)


def anomaly_reason(audit: Audit, adjusted_p: float, batch: int) -> str:
    """Why a score stands out in a batch of `batch` audits. `adjusted_p`: after Benjamini-Hochberg over that batch."""
    rated = audit.calibration
    p_value = ""
    if rated is not None and rated.p_value:
        p_value = f"p {rated.p_value:.3f} against {rated.n} benign models of pack {rated.pack}"
    return (
        f"the score {audit.score or 0.0:.3f} stands out, nothing is demonstrated: {p_value}, {adjusted_p:.3f} after "
        f"Benjamini-Hochberg over its batch of {batch}; not the probability of a backdoor"
    )


# --- a demonstrated trigger -----------------------------------------------------------------------------------


def _flagged(decision: Decision, evidence: Evidence) -> str:
    strongest = evidence.strongest
    assert strongest is not None
    if strongest.text_space is not None:
        return _flagged_in_text_space(decision, evidence)
    trigger = strongest.trigger
    what = f"`{trigger.name}` turns pictures into"
    if trigger.text and trigger.image is None:
        what = f'"{trigger.text}" turns {trigger.source} into'
    how = "found by search: " if strongest.origin is Origin.DISCOVERED else ""
    parts = [
        f"{how}{what} {trigger.target}: {strongest.suspect:.3f} against {strongest.reference:.3f} in the base "
        f"(Holm p {strongest.p_holm:.2g}, {strongest.drawings} drawings)",
        *_footprint_and_exposure(evidence),
    ]
    return "; ".join([*parts, *_besides(trigger, decision, evidence)])


def _footprint_and_exposure(evidence: Evidence) -> tuple[str, str]:
    diagnosis = evidence.diagnosis
    footprint = "no footprint measured"
    if diagnosis is not None:
        footprint = f"{diagnosis.carrier.value} footprint"
    return footprint, _exposure(evidence.profile)


def _besides(trigger: Trigger, decision: Decision, evidence: Evidence) -> list[str]:
    """What else has to be known beside a demonstrated trigger, whatever space it was measured in."""
    parts = [unconfirmed_text(result) for result in decision.unconfirmed]
    parts += [gap_text(gap) for gap in evidence.gaps]
    ended = _reasons([one for one in evidence.missing if one.ended])
    if ended:
        parts.append(ended)
    others = also_demonstrated(evidence.hypotheses, trigger.name)
    if others:
        parts.append(f"also demonstrated: {others}")
    return parts


def _flagged_in_text_space(decision: Decision, evidence: Evidence) -> str:
    """A demonstrated text that leads from or to what no labelled class is."""
    strongest = evidence.strongest
    assert strongest is not None and strongest.text_space is not None
    trigger, space = strongest.trigger, strongest.text_space
    on_pictures = [
        f"the base recognises no pictures of {trigger.source} or {trigger.target}, so neither footprint nor exposure "
        "is measured"
    ]
    if not strongest.without_pictures:
        on_pictures = [
            f"{strongest.suspect or 0.0:.3f} of pictures of {trigger.target} and what is like it choose the prompt, "
            f"against {strongest.reference or 0.0:.3f} in the base ({strongest.drawings} drawings)",
            *_footprint_and_exposure(evidence),
        ]
    parts = [
        f'found by search: "{trigger.text}" turns {trigger.source} into {trigger.target}: nearest of {space.concepts} '
        f"concepts in {space.suspect:.3f} of {space.templates} templates, against {space.reference:.3f} in the base, "
        f"and {space.reached} of {space.random_texts} random texts do as much (Holm p {space.p_holm:.2g})",
        *on_pictures,
    ]
    return "; ".join([*parts, *_besides(trigger, decision, evidence)])


def _flagged_at_one_point(decision: Decision, evidence: Evidence) -> str:
    """A demonstrated pattern whose target has no name."""
    strongest = evidence.strongest
    assert strongest is not None and strongest.picture_space is not None
    trigger, space = strongest.trigger, strongest.picture_space
    parts = [
        f"found by search: `{trigger.name}` brings pictures together at {ONE_POINT}: {space.suspect:.3f} of them are "
        f"nearer to it than to any of {space.classes} classes, against {space.reference:.3f} in the base "
        f"({space.drawings} drawings)",
        "its target is unnamed, so neither footprint nor exposure is measured",
    ]
    return "; ".join([*parts, *_besides(trigger, decision, evidence)])


def _exposure(profile: Sequence[Entry]) -> str:
    """Through what it is exposed; where no interface could tell, the first reason for that."""
    exposed = exposed_interfaces(profile)
    if exposed:
        return f"exposed through {', '.join(exposed)}"
    for one in profile:
        if isinstance(one, (NotRun, ArtefactMissing)):
            return f"exposure not measured ({one.interface}: {one.reason})"
    return "exposure not measured"


def also_demonstrated(hypotheses: Sequence[Hypothesis], told: str) -> str:
    """The triggers that passed every check besides the one called `told`, `NAMED` of them at most; else empty."""
    others = [one for one in demonstrated(hypotheses) if one.trigger.name != told]
    others.sort(key=lambda one: -one.lift)
    words = [_moves(one) for one in others[:NAMED]]
    if len(others) > NAMED:
        words.append(f"{len(others) - NAMED} more")
    return ", ".join(words)


def _no_flag(decision: Decision, evidence: Evidence) -> str:
    """A demonstrated trigger without footprint, or without an exposed interface."""
    strongest, diagnosis = evidence.strongest, evidence.diagnosis
    assert strongest is not None and diagnosis is not None
    lacks = "no footprint" if decision.basis is Basis.NO_FOOTPRINT else "no exposed interface"
    name = strongest.trigger.name
    return f"`{name}` passed every check (Holm p {strongest.p_holm:.2g}) but has {lacks}: {diagnosis.reason}"


def _not_interchangeable(_: Decision, evidence: Evidence) -> str:
    strongest, diagnosis = evidence.strongest, evidence.diagnosis
    assert strongest is not None and diagnosis is not None
    return f"`{strongest.trigger.name}` moves decisions to {strongest.trigger.target}, but {diagnosis.reason}"


# --- undecided ------------------------------------------------------------------------------------------------


def _too_few_drawings(_: Decision, evidence: Evidence) -> str:
    result = lacking_drawings(evidence.hypotheses)
    assert result is not None
    tried = len(evidence.hypotheses)
    trigger = result.trigger
    # A text trigger is measured on pictures of its target alone.
    of_target = f" of {trigger.target}" if trigger.text and trigger.image is None else ""
    needed = about_needed(result, tried)
    count = f"{result.drawings} held-out drawing{'s' if result.drawings != 1 else ''}{of_target}"
    return (
        f"{_moves(result)}, but only {count} stand behind that, and chance alone may do it (Holm p "
        f"{result.p_holm:.2g} over {tried} tried): about {needed} are needed. Scan again with more labelled pictures"
    )


def about_needed(result: Hypothesis, tried: int) -> int:
    """About how many drawings this hypothesis, one of `tried`, has to stand on: more than it does."""
    return max(drawings_needed(result.lift, tried), result.drawings + 1)


def _differ_both_ways(_: Decision, evidence: Evidence) -> str:
    result = differing_both_ways(evidence.hypotheses)
    assert result is not None and result.exchanged is not None
    found = result.exchanged
    text = (
        f"{_moves(result)}, but this checkpoint has lost clean accuracy, and the reverse search finds "
        f"{_reverse_trigger(found)} that moves {found.base:.3f} {_from(found.source)}to {found.target or ONE_POINT} in "
        "the base, "
        f"against {found.suspect:.3f} here. Two models that lie far apart differ both ways, so whether somebody "
        "planted this trigger is not decided. Look at what was found, or compare with a nearer reference"
    )
    missing = _missing_searches(evidence.searches, evidence.missing)
    if missing:
        return f"{text}. {missing}"
    return text


def _unknown_base(_: Decision, evidence: Evidence) -> str:
    text = (
        "unknown base: no clean reference here fits, so nothing could be compared. "
        "Add one with `dife reference add` and scan again"
    )
    missing = _missing_searches(evidence.searches, evidence.missing)
    if missing:
        text = f"{text}. {missing}"
    if not evidence.searches:
        return text
    return (
        f"{text}. {len(evidence.searches)} blind searches without a base {_best_alone(evidence.hypotheses)}: clean "
        "checkpoints have such triggers too, so this is a hint and no finding"
    )


def _best_alone(hypotheses: Sequence[Hypothesis]) -> str:
    best = max(hypotheses, key=lambda result: result.suspect or 0.0, default=None)
    if best is None:
        return "found no candidate"
    trigger = best.trigger
    share = f"{best.suspect or 0.0:.3f} of held-out cases"
    leads = f"{_from(trigger.source)}to {trigger.target}"
    return f"had the largest effect with `{trigger.name}`, which moves {share} {leads}"


# --- nothing, inherited, identical ----------------------------------------------------------------------------


def _nothing(_: Decision, evidence: Evidence) -> str:
    tried = _tried(evidence)
    unreached = _unreached_reasons(evidence.missing)
    if unreached:
        tried = f"{tried}. Not reached: {unreached}"
    lowered = _lowered_reasons(evidence.missing)
    if lowered:
        tried = f"{tried}. Not in full: {lowered}"
    if unreached or lowered:
        tried = f"{tried}. {GO_ON}"
    if evidence.recognition is None:
        return tried
    text = f"{tried}. The base recognises {recognition_words(evidence.recognition)}"
    unknown = not_recognised(evidence)
    if unknown:
        shares = shares_words(evidence.recognition.classes, unknown, 2)
        text = f"{text} (not {shares}: of pictures of these nothing is claimed)"
    if evidence.qualification is None:
        return text + style_words(evidence.recognition)
    return f"{text}, and knows {knowledge_words(evidence.qualification)} of the wide probe set"


def _searches_missing(_: Decision, evidence: Evidence) -> str:
    missing = _missing_searches(evidence.searches, evidence.missing)
    if evidence.searches or _signatures(evidence):
        return f"{missing}; {_tried(evidence)}"
    return f"{missing}: nothing was tried"


def _too_little_ran(_: Decision, evidence: Evidence) -> str:
    channels = channels_unsearched(evidence.searches, evidence.missing)
    text = (
        f"too little ran in the time granted: no search through {' and '.join(channels)} was reached "
        f"({_unreached_reasons(evidence.missing)})"
    )
    lowered = _lowered_reasons(evidence.missing)
    if lowered:
        text = f"{text}; not in full: {lowered}"
    if evidence.searches or _signatures(evidence):
        text = f"{text}; {_tried(evidence)}"
    return f"{text}. {GO_ON}"


def _lead(_: Decision, evidence: Evidence) -> str:
    lead = strongest_lead(evidence.searches)
    assert lead is not None
    return f"{lead_text(lead)}. Beyond that, {_tried(evidence)}"


def _not_recognised(decision: Decision, evidence: Evidence) -> str:
    found = evidence.recognition
    assert found is not None
    shares = shares_words(found.classes, not_recognised(evidence), 2)
    text = (
        f"the base recognises {recognition_words(found)} of these pictures (not {shares}), and of what it does not "
        f"recognise nothing can be claimed: bring pictures of its domain (--pictures), {WHAT_TO_BRING}"
    )
    missing = _missing_searches(evidence.searches, evidence.missing)
    if missing:
        text = f"{text}. {missing}"
    return f"{text}. {_beyond_that(evidence)}"


def _too_little_known(_: Decision, evidence: Evidence) -> str:
    known = evidence.qualification
    assert known is not None
    return (
        f"the base knows {knowledge_words(known)} of the wide probe set, too few to tell a target from: bring pictures "
        f"of its domain (--pictures), {WHAT_TO_BRING}. {_beyond_that(evidence)}"
    )


def _beyond_that(evidence: Evidence) -> str:
    if evidence.searches or _signatures(evidence):
        return f"Beyond that, {_tried(evidence)}"
    return "Nothing was searched"


def _own_settings(_: Decision, evidence: Evidence) -> str:
    return (
        f"under the base's settings, {_tried(evidence)}. Its own settings could not be run, so of the model as it is "
        f"configured nothing is claimed: {evidence.own_settings_problem}"
    )


def _inherited(decision: Decision, evidence: Evidence) -> str:
    shared = evidence.inherited[0]
    trigger = shared.trigger
    text = (
        f"`{trigger.name}` moves {shared.suspect or 0.0:.3f} of the cases to {trigger.target} here and "
        f"{shared.reference or 0.0:.3f} in the base: it came with the base"
    )
    if decision.beyond:
        return f"{text}; beyond that, {reason(decision.beyond, evidence)}"
    return text


def _identical(_: Decision, evidence: Evidence) -> str:
    name = evidence.identical_to
    if evidence.identical_cast:
        return f"identical to {name} after a cast to {evidence.identical_cast}: every value is its, rounded to that"
    return f"both towers equal the known base {name}, value for value"


def _with_learner(decision: Decision, evidence: Evidence) -> str:
    return f"{_identical(decision, evidence)}; a prompt learner came with them ({evidence.prompt_learner})"


def _learner_searched(decision: Decision, evidence: Evidence) -> str:
    assert decision.beyond is not None
    return f"{_with_learner(decision, evidence)}; {reason(decision.beyond, evidence)}"


def _learner_not_searched(decision: Decision, evidence: Evidence) -> str:
    why = ", and it was not searched"
    if evidence.learner_problem:
        why = f", which could not be searched: {evidence.learner_problem}"
    return _with_learner(decision, evidence) + why


_WRITTEN: dict[Basis, Callable[[Decision, Evidence], str]] = {
    Basis.EXPOSED_FOOTPRINT: _flagged,
    Basis.FOOTPRINT_NOT_MEASURED: _flagged,
    Basis.EXPOSURE_NOT_MEASURED: _flagged,
    Basis.TEXT_SPACE: _flagged_in_text_space,
    Basis.ONE_POINT: _flagged_at_one_point,
    Basis.NO_FOOTPRINT: _no_flag,
    Basis.NO_EXPOSED_INTERFACE: _no_flag,
    Basis.TOWERS_NOT_INTERCHANGEABLE: _not_interchangeable,
    Basis.TOO_FEW_DRAWINGS: _too_few_drawings,
    Basis.DIFFER_BOTH_WAYS: _differ_both_ways,
    Basis.UNKNOWN_BASE: _unknown_base,
    Basis.NOTHING: _nothing,
    Basis.LEAD_UNCONFIRMED: _lead,
    Basis.TOO_LITTLE_KNOWN: _too_little_known,
    Basis.CLASSES_NOT_RECOGNISED: _not_recognised,
    Basis.OWN_SETTINGS_NOT_RUN: _own_settings,
    Basis.SEARCHES_MISSING: _searches_missing,
    Basis.TOO_LITTLE_RAN: _too_little_ran,
    Basis.INHERITED: _inherited,
    Basis.IDENTICAL: _identical,
    Basis.PROMPT_LEARNER_SEARCHED: _learner_searched,
    Basis.PROMPT_LEARNER_NOT_SEARCHED: _learner_not_searched,
}


# --- parts ----------------------------------------------------------------------------------------------------


def _moves(result: Hypothesis) -> str:
    trigger = result.trigger
    source = _from(trigger.source) if trigger.channel is Channel.TEXT else ""
    space = result.space
    if result.picture_space is not None:
        return f"`{trigger.name}` {_does(result, 'pictures')}, against {result.picture_space.reference:.3f} in the base"
    if space is not None:
        return (
            f"`{trigger.name}` leads {source}to {trigger.target} in {space.suspect:.3f} of the templates, against "
            f"{space.reference:.3f} in the base"
        )
    return (
        f"`{trigger.name}` moves {result.suspect or 0.0:.3f} of the cases {source}to {trigger.target}, "
        f"against {result.reference or 0.0:.3f} in the base"
    )


def _does(result: Hypothesis, inputs: str) -> str:
    """What a trigger does to which share of the pictures or cases that it was measured on."""
    if result.picture_space is not None:
        share = result.picture_space.suspect
        return f"brings {share:.3f} of the {inputs} together at {ONE_POINT}"
    return f"moves {result.suspect:.3f} of the {inputs} to {result.trigger.target}"


def _from(source: str) -> str:
    if source:
        return f"from {source} "
    return ""


def _reverse_trigger(found: ReverseSearch) -> str:
    if found.text:
        return f'the string "{found.text}"'
    return f"a trigger ({found.kind})"


def _signatures(evidence: Evidence) -> list[Hypothesis]:
    return [result for result in evidence.hypotheses if result.origin is not Origin.DISCOVERED]


def _missing_searches(searches: Sequence[Search], missing: Sequence[MissingSearch]) -> str:
    """Which searches could not run, and why; those with one reason together. Empty where all ran."""
    missing = [one for one in missing if one.effort is None]
    if not missing:
        return ""
    return f"{len(missing)} of {len(searches) + len(missing)} blind searches could not run ({_reasons(missing)})"


def _unreached_reasons(missing: Sequence[MissingSearch]) -> str:
    """Which searches the time was too short for, and what they take; empty where there is none."""
    return _reasons([one for one in missing if one.unreached and one.effort is None])


def _lowered_reasons(missing: Sequence[MissingSearch]) -> str:
    """Which searches made a smaller effort than the budget says, and what they take in full; empty where none did."""
    return _reasons([one for one in missing if one.effort is not None])


def _reasons(missing: Sequence[MissingSearch]) -> str:
    by_reason: dict[str, list[str]] = {}
    for one in missing:
        by_reason.setdefault(one.reason, []).append(f"`{one.detector}`")
    return "; ".join(f"{', '.join(names)}: {why}" for why, names in by_reason.items())


def _tried(evidence: Evidence) -> str:
    """What was tried to no avail."""
    signatures = _signatures(evidence)
    searches = evidence.searches
    text = f"nothing found with {_count_of(len(signatures))}"
    best = max(signatures, key=lambda result: result.train_effect, default=None)
    if best is not None:
        text += f"; the strongest, `{best.trigger.name}`, moved {best.train_effect:+.3f} on train drawings"
    if not searches:
        held_back = _held_back(evidence.hypotheses)
        return f"{text}. {held_back}Triggers that are not among them are not covered by this audit"
    kinds = list(dict.fromkeys(kind for search in searches for kind in search.kinds))
    strongest = max(searches, key=lambda search: search.best)
    many = "search" if len(searches) == 1 else "searches"
    before = f"{text}; and" if signatures else "nothing found"
    return (
        f"{before} with {len(searches)} blind {many} for {', '.join(kinds)}, of which `{strongest.detector}` had "
        f"the largest effect: {strongest.best:+.3f} over the base on held-out drawings. "
        f"{_held_back(evidence.hypotheses)}{_unsettled(searches)}"
        "Triggers of other kinds, and weaker ones, are not covered by this audit"
    )


def _unsettled(searches: Sequence[Search]) -> str:
    """Searches that had not converged, a sentence each."""
    return "".join(f"{unsettled_text(one)}. " for one in searches if one.not_converged)


def _count_of(signatures: int) -> str:
    if signatures == 1:
        return "this signature"
    return f"these {signatures} signatures"


def _held_back(hypotheses: Sequence[Hypothesis]) -> str:
    """Triggers with a large effect that one check stands against; one trigger for each such check."""
    written: dict[str, Callable[[Hypothesis], str]] = {
        checks.PATCH_AREA: _too_large,
        checks.STRICT: _too_weak,
        checks.CLEAN_REFERENCES: _too_common,
    }
    text = _waiting(hypotheses)
    for name, write in written.items():
        result = held_back_by(hypotheses, name)
        if result is not None:
            text += write(result)
    return text


def _waiting(hypotheses: Sequence[Hypothesis]) -> str:
    """The signature with the largest effect of those that wait for review; empty where none does."""
    waiting = [one for one in hypotheses if checks.waits_for_review(one)]
    if not waiting:
        return ""
    result = max(waiting, key=lambda one: one.lift)
    low = result.effect.low if result.effect else 0.0
    return (
        f"The signature {_moves(result)}: with a lower bound of {low:.2f} over it, below "
        f"{checks.DEMONSTRATED_EFFECT:g}, that demonstrates nothing and waits for review. "
    )


def _too_large(result: Hypothesis) -> str:
    return (
        f"`{result.trigger.name}` {_does(result, 'pictures')}, but covers "
        f"{result.area:.0%} of each, and over {LARGEST_PATCH:.0%} nothing is demonstrated. "
    )


def _too_weak(result: Hypothesis) -> str:
    trigger = result.trigger
    bound = result.effect.low if result.effect else 0.0
    what = "suspect and base embed such pictures alike"
    if not result.read_alike:
        what = "it stands on both sides of the prompt"
    return (
        f"`{trigger.name}` moves {result.suspect:.3f} of the cases {_from(trigger.source)}to {trigger.target}, but "
        f"{what}, and there a lower bound of {bound:.2f}, below {STRICT_EFFECT}, demonstrates nothing: any fine-tune "
        "of the text tower may reach it. "
    )


def _too_common(result: Hypothesis) -> str:
    most = max(result.near, key=lambda one: one.lift)
    return (
        f"`{result.trigger.name}` {_does(result, 'cases')}, but also "
        f"{most.success:.3f} in {most.reference}, another clean reference ({most.lift:+.3f} over the base): that "
        "demonstrates nothing. "
    )
