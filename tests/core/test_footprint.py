"""The paper's own values give the paper's ratios, diagnoses and accounting (arXiv 2606.17815); the rest is ours."""

import copy
import math
import pickle
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import dife_scanner
from dife_scanner.core import footprint
from dife_scanner.core.agreement import Outcome, Profile, account, compare, profile_after
from dife_scanner.core.cards import CARDS, Group
from dife_scanner.core.footprint import diagnose, ratios
from dife_scanner.core.statistics import entry_type
from dife_scanner.core.validity import judge
from dife_scanner.errors import MeasurementError
from dife_scanner.lab.reproduction import paper
from dife_scanner.records import (
    BranchSwap,
    Carrier,
    Cell,
    Change,
    Channel,
    ComponentRepair,
    Condition,
    Diagnosis,
    Interval,
    Measure,
    NotRun,
    SelectorControl,
)
from dife_scanner.store.codec import from_json, restore, to_json

IMAGE = Condition(frozenset({Channel.IMAGE}), target="airplane")
TEXT = Condition(
    frozenset({Channel.TEXT}), conditioned_query=True, source="automobile", target="airplane"
)
BOTH = Condition(frozenset({Channel.TEXT, Channel.IMAGE}), False, True, "automobile", "airplane")
MECHANISM = Condition(frozenset({Channel.PROMPT, Channel.IMAGE}), mechanism=True, target="airplane")

CONDITIONS = {"BadTextTower": TEXT, "ToxicTextCLIP": TEXT}
"""Of the paper's branch swaps; every other has an image trigger."""
REPAIR = ComponentRepair("TS", *paper.REPAIR["Bai-BadCLIP"], n=10_000, drawings=9)


def swap(a00, a10, a01, a11, accuracy=(0.9, 0.9, 0.9, 0.9), **given):
    return BranchSwap("", a00, a10, a01, a11, 100, 20, accuracy, **given)


def cell(interface, delta, *, drawings=20, spread=0.01):
    """A cell whose interval lies closely around `delta`."""
    interval = Interval(delta - spread, delta + spread, "")
    attack = Measure(max(delta, 0.0), interval, 100, drawings)
    entry = entry_type(interval, drawings)
    return Cell(interface, "TS", attack, replace(attack, value=0.0), "", delta, interval, entry)


def published(name):
    """The paper's row as a profile; TS counts the target class, so it is taken over its floor of about one tenth."""
    if name == "Bai-BadCLIP":
        diagnosis = diagnose(REPAIR, MECHANISM)
    else:
        diagnosis = diagnose(swap(*paper.BRANCH_SWAP[name]), CONDITIONS.get(name, IMAGE))
    floor = {"zero-shot classification": 0.1, "downstream classification": 0.1}
    row = zip(paper.COLUMNS, paper.EXPOSURE[name], strict=True)
    return profile_after(
        diagnosis, [cell(i, v - floor.get(i, 0.0)) for i, v in row if v is not None]
    )


# --- the paper's own figures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", paper.BRANCH_SWAP)
def test_the_papers_values_give_the_papers_ratios_to_four_decimals_and_its_diagnosis(name):
    """ToxicTextCLIP too: its printed a-values, all rounded to the fourth decimal, give .5000 three times with
    ε = 1e-8. At a signal of .0004 the rounding alone could make them anything, which is why rule 1 comes first: weak.
    """
    diagnosis = diagnose(swap(*paper.BRANCH_SWAP[name]), CONDITIONS.get(name, IMAGE))
    assert diagnosis.carrier.value == paper.DIAGNOSES[name]
    found = (diagnosis.signal, diagnosis.vrs, diagnosis.trs, diagnosis.css)
    assert tuple(round(value, 4) + 0.0 for value in found) == paper.RATIOS[name]


def test_component_repair_of_a_prompt_mechanism_is_coupled():
    diagnosis = diagnose(REPAIR, MECHANISM)
    assert diagnosis.carrier is Carrier.COUPLED
    assert diagnosis.channel is Channel.PROMPT
    assert "prompt only 0.100, trigger only 0.100" in diagnosis.reason
    assert (
        diagnosis.predicted == ("prompted classification",)
        and diagnosis.diagnostic == "prompted classification"
    )


def test_the_papers_accounting():
    profiles = {name: published(name) for name in paper.EXPOSURE}
    outcomes = {name: compare(profile).outcome for name, profile in profiles.items()}
    assert outcomes == {
        "BadEncoder": Outcome.MATCH,
        "BadTextTower": Outcome.MATCH,
        "Liang-BadCLIP": Outcome.MATCH,
        "ContrastivePoisoning": Outcome.MATCH,
        "Bai-BadCLIP": Outcome.BOUNDARY,
        "ToxicTextCLIP": Outcome.AMBIGUOUS,
    }
    accounting = account(profiles.values())
    assert str(accounting) == "4/4 simple cases matched, 1 boundary, 1 ambiguous, 0 missing"
    assert account([*profiles.values(), None]).missing == 1


# --- rules -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evidence", "carrier"),
    [
        (swap(0.1, 0.12, 0.11, 0.13), Carrier.WEAK),
        (swap(0.5, 0.4, 0.4, 0.1), Carrier.DEMOTED),
        (swap(0.1, 0.9, 0.9, 0.95), Carrier.REDUNDANT),
        (swap(0.1, 0.1, 0.1, 0.95), Carrier.INTERACTION),
        (swap(0.1, 0.6, 0.4, 0.9), Carrier.AMBIGUOUS),
        (swap(0.0, 0.70, 0.0, 1.0), Carrier.AMBIGUOUS),
        (swap(0.0, 0.75, 0.56, 1.0), Carrier.AMBIGUOUS),
        (swap(0.0, 0.76, 0.55, 1.0), Carrier.VISUAL),
        (swap(0.1, 0.9, 0.1, 0.95, (0.9, 0.1, 0.12, 0.9)), Carrier.NOT_INTERCHANGEABLE),
        (swap(0.1, 0.1, 0.1, 0.95, (0.9, 0.1, 0.12, 0.9)), Carrier.NOT_INTERCHANGEABLE),
        (swap(0.1, 0.9, 0.1, 0.95, (0.9, 0.81, 0.8, 0.9)), Carrier.VISUAL),
    ],
)
def test_branch_swap_rules_and_states_of_ours_beyond_the_papers_four(evidence, carrier):
    assert diagnose(evidence, IMAGE).carrier is carrier


def test_towers_that_aligning_did_not_help_are_said_to_be_so():
    before = (0.9, 0.1, 0.1, 0.9)
    turned = swap(
        0.1, 0.9, 0.1, 0.95, (0.9, 0.6, 0.6, 0.9), aligned=True, mixed_accuracy_before=before
    )
    diagnosis = diagnose(turned, IMAGE)
    assert diagnosis.carrier is Carrier.NOT_INTERCHANGEABLE
    assert "still loses clean accuracy after they were aligned" in diagnosis.reason
    assert diagnosis.predicted == ()


@pytest.mark.parametrize(
    ("full", "prompt_only", "trigger_only", "both_clean", "carrier"),
    [
        (1.0, 0.19, 0.01, 0.1, Carrier.COUPLED),
        (0.36, 0.1, 0.1, 0.1, Carrier.COUPLED),
        (0.34, 0.1, 0.1, 0.1, Carrier.INTERACTION),
        (1.0, 0.3, 0.1, 0.1, Carrier.INTERACTION),
        (1.0, 0.1, 0.98, 0.1, Carrier.VISUAL),
        (1.0, 0.98, 0.1, 0.1, Carrier.TEXTUAL),
        (1.0, 0.98, 0.97, 0.1, Carrier.REDUNDANT),
        (1.0, 0.5, 0.5, 0.1, Carrier.AMBIGUOUS),
        (0.12, 0.1, 0.1, 0.1, Carrier.WEAK),
        (0.01, 0.1, 0.1, 0.1, Carrier.DEMOTED),
    ],
)
def test_component_repair_rules(full, prompt_only, trigger_only, both_clean, carrier):
    repair = ComponentRepair("TS", full, prompt_only, trigger_only, both_clean, 100, 20)
    assert diagnose(repair, MECHANISM).carrier is carrier


rates = st.floats(0, 1)


@given(rates, rates, rates, rates)
@example(1e-08, 0.0, 0.0, 0.0)
def test_ratios_are_symmetric_in_the_branches_and_no_decision_is_coupled_without_repair(
    a00, a10, a01, a11
):
    one, other = ratios(a00, a10, a01, a11), ratios(a00, a01, a10, a11)
    assert (one.vrs, one.trs, one.css) == (other.trs, other.vrs, other.css)
    mirrored = {Carrier.VISUAL: Carrier.TEXTUAL, Carrier.TEXTUAL: Carrier.VISUAL}
    carrier = diagnose(swap(a00, a10, a01, a11), BOTH).carrier
    assert diagnose(swap(a00, a01, a10, a11), BOTH).carrier is mirrored.get(carrier, carrier)
    assert carrier is not Carrier.COUPLED


def test_evidence_of_the_wrong_kind_and_values_that_are_not_finite_are_named_errors():
    with pytest.raises(MeasurementError, match="component repair, not from a BranchSwap"):
        diagnose(swap(0, 0, 0, 1), MECHANISM)
    with pytest.raises(MeasurementError, match="a branch swap, not from a ComponentRepair"):
        diagnose(REPAIR, IMAGE)
    with pytest.raises(MeasurementError, match="not finite"):
        diagnose(swap(0, 0, 0, math.nan), IMAGE)


# --- predictions -----------------------------------------------------------------------------------------------


def test_carrier_is_not_channel():
    """A visual carrier under a text trigger predicts text interfaces, not the image ones (visual-only control)."""
    diagnosis = diagnose(swap(0.0, 0.99, 0.0, 0.99), TEXT)
    assert diagnosis.carrier is Carrier.VISUAL
    assert {"prompted classification", "targeted retrieval", "text reranking"} <= set(
        diagnosis.predicted
    )
    assert not {"downstream classification", "planted-image retrieval", "prompt embeddings"} & set(
        diagnosis.predicted
    )


def test_a_textual_carrier_under_a_text_trigger_predicts_every_text_interface():
    diagnosis = diagnose(swap(0.0, 0.0, 0.99, 0.99), TEXT)
    well_formed = [card.interface for card in CARDS if judge(card, TEXT) is None]
    assert list(diagnosis.predicted) == well_formed and len(well_formed) == 13
    native = tuple(card for card in CARDS if card.group is Group.NATIVE)
    assert set(diagnose(swap(0.0, 0.0, 0.99, 0.99), TEXT, native).predicted) < set(well_formed)


@pytest.mark.parametrize(
    ("condition", "own"),
    [
        (IMAGE, "zero-shot classification"),
        (BOTH, "zero-shot classification"),
        (TEXT, "prompted classification"),
    ],
)
def test_the_diagnostics_own_cell_never_counts(condition, own):
    diagnosis = diagnose(swap(0.0, 0.0, 0.99, 0.99), condition)
    assert diagnosis.diagnostic == own
    agreement = compare(profile_after(diagnosis, [cell(own, 0.9)]))
    assert (agreement.text, agreement.outcome) == (
        "no other predicted interface was measured",
        Outcome.MISSING,
    )


def test_agreement_counts_other_predicted_interfaces_and_names_what_contradicts():
    textual = diagnose(swap(0.0, 0.0, 0.99, 0.99), TEXT)
    borne_out = [
        cell("prompted classification", 0.9),
        cell("text reranking", 0.9),
        cell("caption retrieval", 0.0),
    ]
    agreement = compare(profile_after(textual, borne_out))
    assert (
        agreement.text
        == "1 of 2 other predicted interfaces are exposed; not exposed: caption retrieval"
    )
    assert agreement.outcome is Outcome.MATCH
    agreement = compare(profile_after(textual, [*borne_out, cell("planted-image retrieval", 0.9)]))
    assert agreement.text.endswith("; exposed, not predicted: planted-image retrieval")
    assert agreement.outcome is Outcome.MISMATCH
    less = compare(profile_after(textual, [*borne_out, cell("proxy selection", 0.0)]))
    assert less.outcome is Outcome.MISMATCH


def test_what_has_no_number_or_too_few_drawings_is_in_no_denominator():
    textual = diagnose(swap(0.0, 0.0, 0.99, 0.99), TEXT)
    share = Measure(0.9, Interval(0.9, 0.9, ""), 10, 10)
    entries = [
        cell("text reranking", 0.9),
        cell("caption retrieval", 0.9, drawings=3),
        NotRun("proxy selection", "not asked"),
        SelectorControl(
            "generator selection",
            "Sel@1",
            share,
            share,
            Change(0.9, share.interval),
            "no text trigger",
        ),
    ]
    assert (
        compare(profile_after(textual, entries)).text
        == "1 of 1 other predicted interfaces are exposed"
    )


def test_a_diagnosis_that_names_no_component_says_whether_something_is_exposed_all_the_same():
    weak = diagnose(swap(0.0, 0.0, 0.01, 0.01), TEXT)
    quiet, loud = (
        compare(profile_after(weak, [cell("text reranking", delta)])) for delta in (0.0, 0.9)
    )
    assert quiet.text == "weak: no component is named, and no other interface is exposed"
    assert loud.text == "weak: yet exposed through text reranking"
    assert quiet.outcome is loud.outcome is Outcome.AMBIGUOUS


# --- diagnose, freeze, compare: a matter of types ------------------------------------------------------------


def test_a_diagnosis_can_only_be_decided_never_written_down_or_changed():
    textual = diagnose(swap(0.0, 0.0, 0.99, 0.99), TEXT)
    with pytest.raises(TypeError, match=r"core\.footprint\.diagnose"):
        Diagnosis(Carrier.VISUAL, Channel.IMAGE, 1.0, 1.0, 0.0, 0.0, "because I say so")
    with pytest.raises(TypeError, match=r"core\.footprint\.diagnose"):
        replace(textual, carrier=Carrier.VISUAL)
    with pytest.raises(AttributeError):
        textual.carrier = Carrier.VISUAL
    diagnose(swap(0.0, 0.0, 0.99, 0.99), TEXT)
    with pytest.raises(TypeError):  # the permission does not outlive a decision
        Diagnosis(Carrier.VISUAL, Channel.IMAGE, 1.0, 1.0, 0.0, 0.0, "")


def test_the_store_and_another_process_get_a_diagnosis_back_as_it_was():
    textual = diagnose(swap(0.0, 0.0, 0.99, 0.99), TEXT)
    assert from_json(Diagnosis, to_json(textual)) == textual
    assert pickle.loads(pickle.dumps(textual)) == copy.deepcopy(textual) == textual
    kept = restore(Diagnosis, Carrier.VISUAL, Channel.IMAGE, 1.0, 1.0, 0.0, 0.0, "kept")
    assert profile_after(kept, []).diagnosis is kept


def test_a_profile_needs_a_diagnosis_first_and_compare_needs_a_profile():
    textual, asked = diagnose(swap(0.0, 0.0, 0.99, 0.99), TEXT), []

    def measuring():
        asked.append("measured")
        yield cell("text reranking", 0.9)

    with pytest.raises(TypeError, match="after a Diagnosis"):
        profile_after(None, measuring())
    assert asked == [], "cells were measured before there was a diagnosis"
    with pytest.raises(TypeError, match="profile_after"):
        Profile(textual, (cell("text reranking", 0.9),))
    with pytest.raises(TypeError, match="not a tuple"):
        compare((textual, (cell("text reranking", 0.9),)))
    profile = profile_after(textual, measuring())
    assert profile.entries == (cell("text reranking", 0.9),) and profile.diagnosis is textual
    with pytest.raises(AttributeError):
        profile.entries = ()


def test_nobody_but_the_diagnosis_and_the_store_may_make_one():
    calls = {
        file.relative_to(Path(dife_scanner.__file__).parent).as_posix()
        for file in Path(dife_scanner.__file__).parent.rglob("*.py")
        if re.search(r"\bdecided\(|import .*\bdecided\b", file.read_text(encoding="utf-8"))
    }
    assert calls == {
        "records/__init__.py",
        "records/diagnosis.py",
        "core/footprint.py",
        "store/codec.py",
    }


def test_only_the_store_restores():
    package = Path(dife_scanner.__file__).parent
    users = {
        file.parent.name
        for file in package.rglob("*.py")
        if re.search(
            r"codec import .*\brestore\b|\bcodec\.restore\(", file.read_text(encoding="utf-8")
        )
    }
    assert users <= {"store"}


def test_the_constants_are_the_papers_and_ours():
    assert (footprint.SIGNAL_FLOOR, footprint.DOMINANT, footprint.MARGIN, footprint.EPSILON) == (
        0.05,
        0.70,
        0.20,
        1e-8,
    )
