"""Published ideas and ablations beside the discovery: what they measure, and how they are compared."""

from __future__ import annotations

import pytest
from bench_rows import row

from dife_scanner.audit import probes
from dife_scanner.errors import DifeError
from dife_scanner.lab import bases
from dife_scanner.lab.bench import contest, page, rivals
from dife_scanner.lab.bench.contest import Entry
from dife_scanner.lab.bench.rivals import RIVALS, Material
from dife_scanner.lab.bench.zoo import Role
from dife_scanner.models.load import load
from dife_scanner.triggers.discovery import DETECTORS


@pytest.fixture(scope="module")
def material():
    base = load(bases.base_folder("vit"))
    return Material(base, base, probes.load(probes.bundled_folder(), "quick"))


def test_nothing_is_left_out_of_what_an_audit_runs():
    assert [getattr(detector, "without", frozenset()) for detector in DETECTORS] == [frozenset()] * len(DETECTORS)


@pytest.mark.parametrize("name", ["DECREE-like with the base", "AMDET-like", "LMSanitator-like with the base"])
def test_a_tower_that_did_not_move_has_nothing_over_its_base(material, name):
    assert RIVALS[name].measure(material) == 0.0


@pytest.mark.parametrize("name", ["AMDET-like without its anchor", "LMSanitator-like"])
def test_an_inverted_token_brings_prompts_together(material, name, monkeypatch):
    monkeypatch.setattr(rivals, "TOKEN_STARTS", 1)

    def after(steps):
        monkeypatch.setattr(rivals, "TOKEN_STEPS", steps)
        rivals._attractor.cache_clear()
        return RIVALS[name].measure(material)

    assert after(1) < after(8)
    rivals._attractor.cache_clear()


def test_a_mask_grows_dearer_while_it_does_its_work_and_cheaper_while_it_does_not():
    mask = rivals._Mask()
    for _ in range(rivals.DECREE_PATIENCE):
        mask.reached(True, 0.3)
    assert mask.cost == pytest.approx(rivals.DECREE_COST * rivals.DECREE_STEP) and mask.best == 0.3
    for _ in range(2 * rivals.DECREE_PATIENCE):
        mask.reached(False, 0.01)
    assert mask.cost == pytest.approx(rivals.DECREE_COST / rivals.DECREE_STEP) and mask.best == 0.3


def entries(rival, values):
    return {(rival, model): Entry(model, rival, value, 5.0, "abc", "2026-11-23") for model, value in values.items()}


def test_both_are_ranked_on_the_same_models():
    shown = [row("global-text", n, score, role=Role.ATTACK) for n, score in enumerate((0.9, 0.8, 0.1))]
    shown += [row("image tower", n, score) for n, score in enumerate((0.2, 0.0, 0.0, 0.7))]
    its = {"global-text-000": 0.5, "global-text-001": 0.1, "global-text-002": 0.6}
    its |= {"image-tower-000": 0.3, "image-tower-001": 0.55, "image-tower-002": 0.0}
    rival = RIVALS["AMDET-like"]
    found = contest._line(rival, shown, entries(rival.name, its))
    assert (found.attacks, found.benign) == (3, 3), "the fourth benign model it has not seen"
    assert found.auroc == pytest.approx(6 / 9) and found.home == (3, 3, found.auroc)
    assert found.ours == 0.5, "these rows hold no search of the detector that it is compared with"
    assert found.difference.low <= found.ours - found.auroc <= found.difference.high
    text = page.page(shown, None, entries(rival.name, its))
    assert "| AMDET-like | global-text: 0.67 (n 3) | 3 against 3 | 0.67 | texts: 0.50 |" in text
    assert "| DECREE-like |  | not run |" in text


def test_entries_are_read_as_they_were_written_and_a_damaged_one_is_named(tmp_path):
    entry = Entry("image-tower-000", "AMDET-like", 0.1, 5.0, "abc", "2026-11-23")
    contest._append(tmp_path, entry)
    assert contest.read(tmp_path) == {("AMDET-like", "image-tower-000"): entry}
    (tmp_path / "AMDET-like.jsonl").open("a").write("{}\n")
    with pytest.raises(DifeError, match=r"AMDET-like.jsonl:2"):
        contest.read(tmp_path)
