"""The paper's own branch-swap values give the paper's ratios and diagnoses (arXiv 2606.17815, branch-swap table)."""

from dataclasses import replace

import pytest

from dife_scanner.core import footprint
from dife_scanner.core.statistics import entry_type
from dife_scanner.records import BranchSwap, Carrier, Cell, Channel, Condition, EntryType, Interval, Measure

IMAGE = Condition(frozenset({Channel.IMAGE}), target="airplane")
TEXT = Condition(frozenset({Channel.TEXT}), conditioned_query=True, source="automobile", target="airplane")
PAPER = {
    "BadEncoder": ((0.0988, 0.9998, 0.0988, 0.9998), (1.0, 0.0, 0.0), Carrier.VISUAL, IMAGE),
    "BadTextTower": ((0.0010, 0.0010, 0.9910, 0.9910), (0.0, 1.0, 0.0), Carrier.TEXTUAL, TEXT),
    "Liang-BadCLIP": ((0.0992, 0.9993, 0.0994, 0.9994), (0.9999, 0.0002, 0.0001), Carrier.VISUAL, IMAGE),
    "ContrastivePoisoning": ((0.0991, 0.9999, 0.0994, 1.0), (0.9999, 0.0003, 0.0001), Carrier.VISUAL, IMAGE),
    "ToxicTextCLIP": ((0.0013, 0.0011, 0.0011, 0.0009), (0.5, 0.5, 0.5), Carrier.WEAK, TEXT),
}


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_values_give_the_papers_ratios_and_diagnosis(name):
    values, ratios, carrier, condition = PAPER[name]
    diagnosis = footprint.diagnose(BranchSwap("", *values, n=10_000, drawings=10_000), condition)
    assert diagnosis.carrier is carrier
    assert (diagnosis.vrs, diagnosis.trs, diagnosis.css) == pytest.approx(ratios, abs=1.1e-4)


def _swap(a00, a10, a01, a11, accuracy=(0.9, 0.9, 0.9, 0.9)):
    return BranchSwap("", a00, a10, a01, a11, 100, 20, accuracy)


@pytest.mark.parametrize(
    ("swap", "carrier"),
    [
        (_swap(0.1, 0.12, 0.11, 0.13), Carrier.WEAK),
        (_swap(0.5, 0.4, 0.4, 0.1), Carrier.DEMOTED),
        (_swap(0.1, 0.9, 0.9, 0.95), Carrier.REDUNDANT),
        (_swap(0.1, 0.1, 0.1, 0.95), Carrier.INTERACTION),
        (_swap(0.1, 0.6, 0.4, 0.9), Carrier.AMBIGUOUS),
        (_swap(0.1, 0.9, 0.1, 0.95, (0.9, 0.1, 0.12, 0.9)), Carrier.NOT_INTERCHANGEABLE),
    ],
)
def test_states_of_ours_beyond_the_papers_four(swap, carrier):
    assert footprint.diagnose(swap, IMAGE).carrier is carrier


def test_carrier_is_not_channel():
    """A visual carrier under a text trigger predicts text interfaces, not the image ones (visual-only control)."""
    diagnosis = footprint.diagnose(_swap(0.0, 0.99, 0.0, 0.99), TEXT)
    assert diagnosis.carrier is Carrier.VISUAL
    assert {"prompted classification", "targeted retrieval", "text reranking"} <= set(diagnosis.predicted)
    assert not {"downstream classification", "planted-image retrieval", "prompt embeddings"} & set(diagnosis.predicted)


def _cell(interface, low, high):
    measure = Measure(high, Interval(low, high, ""), 24, 12)
    entry = entry_type(Interval(low, high, ""), 12)
    return Cell(interface, "TS", measure, replace(measure, value=0.0), "", high, Interval(low, high, ""), entry)


def test_agreement_counts_predicted_interfaces_and_names_the_unexpected():
    diagnosis = footprint.diagnose(_swap(0.0, 0.0, 0.99, 0.99), TEXT)
    profile = (_cell("prompted classification", 0.9, 1.0), _cell("text reranking", 0.0, 0.1))
    assert footprint.agreement(diagnosis, profile) == "1 of 2 predicted interfaces are exposed"
    weak = footprint.diagnose(_swap(0.0, 0.0, 0.01, 0.01), TEXT)
    assert "yet exposed through prompted classification" in footprint.agreement(weak, profile)
    assert profile[0].entry is EntryType.EXPOSED
