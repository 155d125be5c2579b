"""What a verdict rests on in one line, and what would change it, from an audit alone.

`sentences.verdict` writes the reason out in full while the audit is made; these lines are for a screen that shows the
checks next to them, and repeat none of their numbers.
"""

from __future__ import annotations

from collections.abc import Callable

from dife_scanner.core.checks import ACCURACY_LOST
from dife_scanner.core.footprint import SIGNAL_FLOOR
from dife_scanner.core.statistics import EXPOSED_CUT
from dife_scanner.core.verdict import strongest_lead
from dife_scanner.records import Audit, Basis, Budget, Decision, Hypothesis, Origin
from dife_scanner.sentences.checks import NOT_RECORDED
from dife_scanner.sentences.numbers import capital, count
from dife_scanner.sentences.verdict import about_needed
from dife_scanner.sentences.work_plan import more_time_text

_NEARER_BASE = "a clean reference nearer to this checkpoint: `dife reference add`, then scan again"


WORDS = {
    Basis.EXPOSED_FOOTPRINT: "a trigger that passed every check, with a footprint and an exposed interface",
    Basis.FOOTPRINT_NOT_MEASURED: "a trigger that passed every check; a fault kept its footprint from being measured",
    Basis.EXPOSURE_NOT_MEASURED: "a trigger that passed every check; a fault kept its exposure from being measured",
    Basis.TOWERS_NOT_INTERCHANGEABLE: "a trigger that passed every check, and towers that cannot be swapped",
    Basis.NO_FOOTPRINT: "a trigger that passed every check, without a footprint",
    Basis.NO_EXPOSED_INTERFACE: "a trigger that passed every check, without an exposed interface",
    Basis.TEXT_SPACE: "a text that passed every check, and whose target no picture shows",
    Basis.ONE_POINT: "a pattern that passed every check, and whose target has no name",
    Basis.TOO_LITTLE_KNOWN: "too little of the wide probe set that the base recognises",
    Basis.TOO_FEW_DRAWINGS: "an effect that is large enough, on too few drawings",
    Basis.DIFFER_BOTH_WAYS: "a reverse search that finds as strong a trigger in the base",
    Basis.INHERITED: "a trigger that works in the base as well",
    Basis.SEARCHES_MISSING: "searches that could not run",
    Basis.TOO_LITTLE_RAN: "too little time for any search of a channel that had something to search",
    Basis.LEAD_UNCONFIRMED: "nouns that arbitrary tokens turn into others, which no picture here shows",
    Basis.CLASSES_NOT_RECOGNISED: "classes that the base does not recognise on these pictures",
    Basis.OWN_SETTINGS_NOT_RUN: "settings of the checkpoint that could not be run",
    Basis.NOTHING: "nothing that passes every check",
    Basis.UNKNOWN_BASE: "no clean reference to compare with",
    Basis.IDENTICAL: "both towers equal a known base",
    Basis.PROMPT_LEARNER_SEARCHED: (
        "both towers equal a known base, and the prompt learner that came along was searched"
    ),
    Basis.PROMPT_LEARNER_NOT_SEARCHED: (
        "both towers equal a known base, and a prompt learner came along unsearched"
    ),
}
"""What each verdict rests on."""


def why(audit: Audit) -> str:
    """What the verdict rests on; the stored reason where that was not recorded as data."""
    if audit.decision is None:
        return audit.reason
    return capital(_why(audit, audit.decision))


def _why(audit: Audit, decision: Decision) -> str:
    text = WORDS[decision.basis]
    result = hypothesis(audit, decision.hypothesis)
    if result is not None:
        text += f": `{result.trigger.name}`{_ORIGIN[result.origin]}"
    if decision.basis is Basis.NOTHING and audit.signatures:
        text += "; below, those of the strongest one"
    if decision.basis is Basis.EXPOSED_FOOTPRINT and audit.diagnosis is not None:
        text += f"; {audit.diagnosis.carrier.value} footprint"
    if decision.beyond is not None:
        text += f"; beyond that, {_why(audit, decision.beyond)}"
    return text


_ORIGIN = {
    Origin.DISCOVERED: ", found by search",
    Origin.SIGNATURE: ", a signature",
    Origin.KNOWN: ", named by somebody",
}


def hypothesis(audit: Audit, name: str) -> Hypothesis | None:
    """The hypothesis of this name, `None` where the audit has none."""
    for result in audit.signatures:
        if result.trigger.name == name:
            return result
    return None


# --- what would change it -------------------------------------------------------------------------------------


def would_change(audit: Audit) -> str:
    """What would give another verdict, without a full stop; `NOT_RECORDED` for audits from before that was kept."""
    if audit.decision is None:
        return NOT_RECORDED
    return _would_change(audit, audit.decision)


def _would_change(audit: Audit, decision: Decision) -> str:
    return CHANGES[decision.basis](audit, decision)


def _flagged(_: Audit, decision: Decision) -> str:
    text = "nothing short of a failed check on other pictures or with another clean base"
    if not decision.unconfirmed:
        return text
    names = ", ".join(result.check for result in decision.unconfirmed)
    return f"the {names} failing once it can be run, or another failed check"


def _text_space(audit: Audit, decision: Decision) -> str:
    result = hypothesis(audit, decision.hypothesis)
    of_target = f" of “{result.trigger.target}”" if result is not None else ""
    return f"pictures{of_target} that show otherwise: `dife scan … --pictures`"


def _one_point(_: Audit, __: Decision) -> str:
    return "pictures that the pattern leaves apart: `dife scan … --pictures`"


def _no_footprint(_: Audit, __: Decision) -> str:
    return f"a branch swap in which the trigger moves the readout by {SIGNAL_FLOOR:g} or more, on more pictures"


def _no_exposed_interface(audit: Audit, _: Decision) -> str:
    deeper = _deeper(audit) or "pictures of your own (`dife scan … --pictures`)"
    return f"an interface whose lower bound reaches {EXPOSED_CUT:g}: {deeper}"


def _nearer_base(_: Audit, __: Decision) -> str:
    return _NEARER_BASE


def _too_few_drawings(audit: Audit, decision: Decision) -> str:
    result = hypothesis(audit, decision.hypothesis)
    if result is None:
        return "more labelled pictures: `dife scan … --pictures`"
    lacking = about_needed(result, tried=len(audit.signatures)) - result.drawings
    of_target = f" of “{result.trigger.target}”" if result.trigger.text else ""
    return f"about {count(lacking, 'more drawing', 'more drawings')}{of_target}: `dife scan … --pictures`"


def _differ_both_ways(_: Audit, __: Decision) -> str:
    return f"a clean reference from which clean accuracy falls by less than {ACCURACY_LOST:g}: `dife reference add`"


def _inherited(audit: Audit, decision: Decision) -> str:
    text = f"for what came with it, only another base than {audit.reference or 'this one'}"
    if decision.beyond is None:
        return text
    return f"{text}; beyond that, {_would_change(audit, decision.beyond)}"


def _searches_missing(audit: Audit, _: Decision) -> str:
    missing = [one for one in audit.not_searched if not one.left_out]
    reasons = "; ".join(dict.fromkeys(one.reason for one in missing))
    searches = count(len(missing), "search", "searches")
    return f"running the {searches} that could not run ({reasons})"


def _more_time(audit: Audit, _: Decision) -> str:
    return more_time_text(audit)


def _lead(audit: Audit, _: Decision) -> str:
    lead = strongest_lead(audit.searches)
    nouns = f" of “{lead.source}” and “{lead.target}”" if lead else ""
    return f"labelled pictures{nouns}, on which it can be confirmed: `dife scan … --pictures`"


def _not_recognised(_: Audit, __: Decision) -> str:
    return "pictures that the base recognises, of its own domain: `dife scan … --pictures`"


def _own_settings(_: Audit, __: Decision) -> str:
    return "a configuration whose settings can be run, as its base's can"


def _nothing(audit: Audit, _: Decision) -> str:
    own = "a trigger file of your own (`dife scan … --triggers`)"
    if any(one.unreached for one in audit.not_searched):
        return f"{more_time_text(audit)}, or {own}"
    deeper = _deeper(audit)
    if deeper:
        return f"{deeper}, or {own}"
    return own


def _unknown_base(_: Audit, __: Decision) -> str:
    return "the clean base it was made from: `dife reference add`, then scan again"


def _identical(audit: Audit, _: Decision) -> str:
    return f"nothing: what holds for {audit.reference or 'the base'} holds here"


def _learner_searched(audit: Audit, decision: Decision) -> str:
    if decision.beyond is None:
        return _nothing(audit, decision)
    return _would_change(audit, decision.beyond)


def _learner_not_searched(_: Audit, __: Decision) -> str:
    return (
        "a search of the prompt learner that came along; the reason in full says why there was none"
    )


CHANGES: dict[Basis, Callable[[Audit, Decision], str]] = {
    Basis.EXPOSED_FOOTPRINT: _flagged,
    Basis.FOOTPRINT_NOT_MEASURED: _flagged,
    Basis.EXPOSURE_NOT_MEASURED: _flagged,
    Basis.TEXT_SPACE: _text_space,
    Basis.ONE_POINT: _one_point,
    Basis.TOO_LITTLE_KNOWN: _not_recognised,
    Basis.NO_FOOTPRINT: _no_footprint,
    Basis.NO_EXPOSED_INTERFACE: _no_exposed_interface,
    Basis.TOWERS_NOT_INTERCHANGEABLE: _nearer_base,
    Basis.TOO_FEW_DRAWINGS: _too_few_drawings,
    Basis.DIFFER_BOTH_WAYS: _differ_both_ways,
    Basis.INHERITED: _inherited,
    Basis.SEARCHES_MISSING: _searches_missing,
    Basis.TOO_LITTLE_RAN: _more_time,
    Basis.LEAD_UNCONFIRMED: _lead,
    Basis.CLASSES_NOT_RECOGNISED: _not_recognised,
    Basis.OWN_SETTINGS_NOT_RUN: _own_settings,
    Basis.NOTHING: _nothing,
    Basis.UNKNOWN_BASE: _unknown_base,
    Basis.IDENTICAL: _identical,
    Basis.PROMPT_LEARNER_SEARCHED: _learner_searched,
    Basis.PROMPT_LEARNER_NOT_SEARCHED: _learner_not_searched,
}
"""What would change each kind of verdict; a test holds it and the reasons together."""


def _deeper(audit: Audit) -> str:
    """What a deeper budget is called; empty where this was the deepest."""
    budgets = [budget.value for budget in Budget]
    if audit.budget not in budgets[:-1]:
        return ""
    deeper = budgets[budgets.index(audit.budget) + 1]
    return f"a deeper budget (`dife scan … --budget {deeper}`)"
