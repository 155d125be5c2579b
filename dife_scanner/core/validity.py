"""Whether a question is well formed: from a card and an attack condition, N.E. and its reason, or none (paper §2).

The rules see nothing but the two records: no attack's name, no trigger's content, no checkpoint. Source and target
count only as named or not named.
"""

from __future__ import annotations

from dife_scanner.core.cards import Card, Readout
from dife_scanner.records import Carrier, Category, Channel, Condition, NotEvaluable

_ENTERS = {
    Channel.IMAGE: frozenset({Readout.IMAGE, Readout.SCORE}),
    Channel.TEXT: frozenset({Readout.TEXT, Readout.SCORE}),
    Channel.PROMPT: frozenset({Readout.TEXT, Readout.SCORE}),
}
"""Which readouts run the encoder that a channel enters through."""

_RUNS = {
    Carrier.VISUAL: frozenset({Readout.IMAGE, Readout.SCORE}),
    Carrier.TEXTUAL: frozenset({Readout.TEXT, Readout.SCORE}),
    Carrier.COUPLED: frozenset({Readout.SCORE}),
    Carrier.REDUNDANT: frozenset(Readout),
}
"""Which readouts consume the component that carries an exposure; other carriers name no component."""

_Reason = tuple[Category, str]


def judge(card: Card, condition: Condition) -> NotEvaluable | None:
    """N.E. with category and sentence, or `None` when the question is well formed. The first *no* of these decides:

    1. *bypassed footprint*: the interface never runs what the trigger enters through. A plain text trigger meeting an
       interface on image embeddings is left to rule 3, as in the paper;
    2. *required mechanism absent*: a prescribed prompt mechanism has no place on the card;
    3. the card's own channel category: none of the condition's channels is on the card;
    4. *no attack-conditioned query*: the attacker must have touched the query, and the condition leaves it alone;
    5. *no valid target event*: the condition does not name the target (or source) that the card measures.
    """
    for rule in (
        _bypassed,
        _without_mechanism,
        _without_channel,
        _without_query,
        _without_target,
    ):
        found = rule(card, condition)
        if found is not None:
            return NotEvaluable(card.interface, *found)
    return None


def selector_control(card: Card, condition: Condition) -> bool:
    """Whether to print the two clean selectors side by side instead of N.E. (paper, deployment extensions).

    True for a card that selects when the condition has no text trigger: what is measured then is drift, not exposure.
    """
    return card.selects and Channel.TEXT not in condition.channels


def admits(card: Card, condition: Condition) -> bool:
    """Whether the condition can enter the interface's input through some channel, or through its mechanism."""
    if condition.mechanism:
        return Channel.PROMPT in card.channels
    return bool(card.channels & condition.channels)


def runs(card: Card, carrier: Carrier) -> bool:
    """Whether the interface consumes the component that carries the exposure; never for carriers that name none."""
    return card.readout in _RUNS.get(carrier, frozenset())


# --- the rules, in order --------------------------------------------------------------------------------------


def _bypassed(card: Card, condition: Condition) -> _Reason | None:
    run = frozenset(channel for channel in condition.channels if card.readout in _ENTERS[channel])
    if condition.mechanism:
        return _bypassed_mechanism(card, condition.channels - run)
    # a plain text trigger is left to the card's channels, as in the paper
    needed = condition.channels - {Channel.TEXT}
    if run or not needed:
        return None
    return _never_runs(card, needed)


def _bypassed_mechanism(card: Card, missing: frozenset[Channel]) -> _Reason | None:
    """A mechanism acts only where every part of it is run."""
    if not missing:
        return None
    return _never_runs(card, missing)


def _never_runs(card: Card, missing: frozenset[Channel]) -> _Reason:
    words = _words(missing)
    reason = (
        f"{card.interface} reads the {card.readout} and never runs what the {words} enters through"
    )
    return Category.BYPASSED, reason


def _without_mechanism(card: Card, condition: Condition) -> _Reason | None:
    if not condition.mechanism or Channel.PROMPT in card.channels:
        return None
    reason = f"the attack acts only through a prescribed prompt mechanism, and {card.interface} has no place for one"
    return Category.NO_MECHANISM, reason


def _without_channel(card: Card, condition: Condition) -> _Reason | None:
    if admits(card, condition):
        return None
    reason = (
        f"{card.interface} takes a trigger through {_words(card.channels)}; {_enters(condition)}"
    )
    return card.category, reason


def _without_query(card: Card, condition: Condition) -> _Reason | None:
    if not card.conditioned_query or condition.conditioned_query:
        return None
    reason = f"{card.interface} asks a query that the attacker must have touched; here queries stay clean"
    return Category.NO_QUERY, reason


def _without_target(card: Card, condition: Condition) -> _Reason | None:
    lacking = []
    if not condition.target:
        lacking.append("target")
    if card.needs_source and not condition.mechanism and not condition.source:
        lacking.append("source")
    if not lacking:
        return None
    return (
        Category.NO_TARGET,
        f"“{card.target_event}” is undefined: the condition names no {' and no '.join(lacking)}",
    )


def _enters(condition: Condition) -> str:
    if not condition.channels:
        return "this one enters nowhere"
    return f"this one enters through {_words(condition.channels)}"


def _words(channels: frozenset[Channel]) -> str:
    return " or ".join(sorted(channel.value for channel in channels))
