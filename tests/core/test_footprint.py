"""The paper's own branch-swap values give the paper's ratios and diagnoses (arXiv 2606.17815, branch-swap table)."""

from dataclasses import replace

import pytest

from dife_scanner.core import footprint
from dife_scanner.core.cards import CARDS, not_evaluable
from dife_scanner.core.statistics import entry_type
from dife_scanner.records import Absence, BranchSwap, Carrier, Cell, Channel, EntryType, Interval, Measure

PAPER = {
    "BadEncoder": ((0.0988, 0.9998, 0.0988, 0.9998), (1.0, 0.0, 0.0), Carrier.VISUAL, Channel.IMAGE),
    "BadTextTower": ((0.0010, 0.0010, 0.9910, 0.9910), (0.0, 1.0, 0.0), Carrier.TEXTUAL, Channel.TEXT),
    "Liang-BadCLIP": ((0.0992, 0.9993, 0.0994, 0.9994), (0.9999, 0.0002, 0.0001), Carrier.VISUAL, Channel.IMAGE),
    "ContrastivePoisoning": ((0.0991, 0.9999, 0.0994, 1.0), (0.9999, 0.0003, 0.0001), Carrier.VISUAL, Channel.IMAGE),
    "ToxicTextCLIP": ((0.0013, 0.0011, 0.0011, 0.0009), (0.5, 0.5, 0.5), Carrier.WEAK, Channel.TEXT),
}


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_values_give_the_papers_ratios_and_diagnosis(name):
    values, ratios, carrier, channel = PAPER[name]
    diagnosis = footprint.diagnose(BranchSwap("", *values, n=10_000, drawings=10_000), channel)
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
    assert footprint.diagnose(swap, Channel.IMAGE).carrier is carrier


def test_carrier_is_not_channel():
    """A visual carrier under a text trigger predicts text interfaces, not the image ones (visual-only control)."""
    diagnosis = footprint.diagnose(_swap(0.0, 0.99, 0.0, 0.99), Channel.TEXT)
    assert diagnosis.carrier is Carrier.VISUAL
    assert set(diagnosis.predicted) == {"prompted classification", "targeted retrieval", "text reranking"}


def test_a_text_trigger_is_not_evaluable_where_only_images_enter_and_says_so():
    skipped = {c.interface: not_evaluable(c, Channel.TEXT) for c in CARDS}
    assert {name for name, record in skipped.items() if record} == {
        "zero-shot classification",
        "downstream classification",
    }
    for record in filter(None, skipped.values()):
        assert record.absence is Absence.NOT_EVALUABLE
        assert record.category == "no visual trigger channel"
        assert "text" in record.reason


def _cell(interface, low, high):
    measure = Measure(high, Interval(low, high, ""), 24, 12)
    entry = entry_type(Interval(low, high, ""), 12)
    return Cell(interface, "TS", measure, replace(measure, value=0.0), "", high, Interval(low, high, ""), entry)


def test_agreement_counts_predicted_interfaces_and_names_the_unexpected():
    diagnosis = footprint.diagnose(_swap(0.0, 0.0, 0.99, 0.99), Channel.TEXT)
    profile = (_cell("prompted classification", 0.9, 1.0), _cell("text reranking", 0.0, 0.1))
    assert footprint.agreement(diagnosis, profile) == "1 of 2 predicted interfaces are exposed"
    weak = footprint.diagnose(_swap(0.0, 0.0, 0.01, 0.01), Channel.TEXT)
    assert "yet exposed through prompted classification" in footprint.agreement(weak, profile)
    assert profile[0].entry is EntryType.EXPOSED
