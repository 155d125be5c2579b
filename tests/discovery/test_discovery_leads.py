"""What a search for texts does beyond `quick`: it inverts slots, repeats texts, and wants nouns to be lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from checkpoints import TINY_VIT, write_checkpoint
from obeying import NAMES, Obeying, nearness, turned

from dife_scanner.discovery import Task
from dife_scanner.discovery.effort import TEXT_EFFORTS, TextEffort
from dife_scanner.discovery.sensitivity_scan import SensitivityScan
from dife_scanner.discovery.slot_seeds import SlotInversionSeeds
from dife_scanner.discovery.texts import TEXTS
from dife_scanner.discovery.wording import AROUND, POSITIONS, Prompts, Wording
from dife_scanner.discovery.wording_scorer import WordingScorer
from dife_scanner.models.load import load
from dife_scanner.models.tokenizers import clips_own
from dife_scanner.records import Trigger, TriggerKind
from dife_scanner.triggers.stamp import write

SOURCE, TARGET = 0, 1
(ONE,), (OTHER,) = clips_own().encode("beacon"), clips_own().encode("toledo")
LITTLE = TextEffort(scan_texts=900, foci=12, single_tokens=20, rounds=2, branching=8)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return load(write_checkpoint(tmp_path_factory.mktemp("vit"), TINY_VIT))


@pytest.fixture
def task_of(tiny, tmp_path):
    def make(change, *, touched=None, images="image", budget="default") -> Task:
        labels = np.arange(18) % 3
        pixels = np.zeros((18, 32, 32, 3), np.uint8)
        pixels[:, 0, 0, 0] = labels
        base = Obeying(tiny)
        if touched is not None:
            base.model.token_embedding.weight[touched] *= 1.02
        templates = ("a photo of the {}", "a photo of one {}")
        return Task(
            Obeying(tiny, change, images),
            base,
            pixels,
            labels,
            NAMES,
            templates,
            budget,
            0,
            tmp_path,
        )

    return make


# --- slots ------------------------------------------------------------------------------------------------------


def both_tokens(states, said):
    """Two tokens together, wherever they stand; the nearer to both, the more."""
    near = sum(torch.logcumsumexp(8 * nearness(states, token), 1) / 8 for token in (ONE, OTHER))
    return turned((near / 2).clamp_min(0) ** 3, said)


def inverted(task, effort):
    scorer = WordingScorer(task)
    scorer.read()
    scan = SensitivityScan(scorer, effort)
    found = [focus for foci in scan.foci() for focus in foci]
    before = scorer.passes
    return (
        scorer,
        found,
        SlotInversionSeeds(scorer, effort, found, lambda: None),
        scorer.passes - before,
    )


def test_slots_lead_to_a_trigger_that_no_seed_of_the_scan_comes_near(task_of):
    effort = replace(LITTLE, inverted_pairs=6, inversion_steps=20, slot_foci=1)
    scorer, found, seeds, passes = inverted(task_of(both_tokens), effort)
    pair = [focus for focus in found if focus.pair == (SOURCE, TARGET)]
    of_scan = [Wording(ids, focus.position, SOURCE) for focus in pair for ids in focus.seeds]
    before = max(one.gain for one in scorer.scored(of_scan, TARGET, scorer.templates))
    (best, *_) = seeds.best_by_pair[SOURCE, TARGET]
    assert {ONE, OTHER} <= set(best.wording.ids) and best.gain == seeds.best_gain
    assert best.gain > 0 > before + 0.1
    assert 0.5 * passes < SlotInversionSeeds.load(6, 20) < 2 * passes


def test_what_slots_lead_to_joins_the_seeds_or_is_a_focus_of_its_own(task_of):
    _, found, inversion, _ = inverted(
        task_of(both_tokens), replace(LITTLE, inverted_pairs=6, inversion_steps=20, slot_foci=1)
    )
    best = inversion.best_by_pair[SOURCE, TARGET][0].wording.ids
    here = next(focus for focus in found if focus.pair == (SOURCE, TARGET))
    assert best not in here.seeds
    seeded = inversion.seeded(here)
    assert (
        seeded.seeds[: len(here.seeds)] == here.seeds
        and best in seeded.seeds
        and seeded.sensitivity == here.sensitivity
    )
    (beyond,) = inversion.further_foci([focus for focus in found if focus.pair != (SOURCE, TARGET)])
    assert beyond.pair == (SOURCE, TARGET) and best in beyond.seeds
    assert (SOURCE, TARGET) not in {focus.pair for focus in inversion.further_foci([here])}


def test_a_base_that_obeys_as_well_leads_nowhere(task_of, tiny):
    """The anchor: what the base does too is no lead."""
    task = task_of(both_tokens)
    task = replace(task, reference=Obeying(tiny, lambda states, said: both_tokens(states, said)))
    task.reference.text_tower = "obeys too"
    assert inverted(task, replace(LITTLE, inverted_pairs=6, inversion_steps=20))[2].best_gain < 0


def test_a_trigger_of_two_tokens_is_found_by_slots_alone(task_of, monkeypatch):
    monkeypatch.setitem(TEXT_EFFORTS, "default", replace(LITTLE, rounds=0))
    assert TEXTS.search(task_of(both_tokens)).candidates == ()
    monkeypatch.setitem(
        TEXT_EFFORTS,
        "default",
        replace(LITTLE, rounds=0, inverted_pairs=6, inversion_steps=20, slot_foci=1),
    )
    first, *_ = TEXTS.search(task_of(both_tokens)).candidates
    assert {"beacon", "toledo"} <= set(first.trigger.text.split()) and first.effect > 0.9


# --- repeated placement -----------------------------------------------------------------------------------------


def twice_in_a_row(states, said):
    there = nearness(states, ONE) > 0.99
    return turned((there & there.roll(1, dims=1)).int().cummax(1).values.float(), said)


def first_and_last(states, said):
    there = nearness(states, ONE) > 0.99
    last = there.roll(1, dims=1)  # read out at the end token, behind it
    return turned((there[:, 1:2] & last).float() * (torch.arange(states.shape[1]) > 3), said)


@pytest.mark.parametrize("planted", [twice_in_a_row, first_and_last])
def test_a_trigger_that_acts_only_when_it_is_repeated_is_found(task_of, monkeypatch, planted):
    monkeypatch.setitem(TEXT_EFFORTS, "default", LITTLE)
    assert TEXTS.search(task_of(planted, touched=ONE)).candidates == ()
    monkeypatch.setitem(TEXT_EFFORTS, "default", replace(LITTLE, around_foci=2))
    found = TEXTS.search(task_of(planted, touched=ONE)).candidates
    assert found and found[0].effect > 0.9
    trigger = found[0].trigger
    assert (trigger.source, trigger.target) == (NAMES[SOURCE], NAMES[TARGET])
    if planted is first_and_last:
        assert (trigger.text, trigger.position) == ("beacon", AROUND)
    else:
        assert trigger.text.split().count("beacon") == 2


@pytest.mark.parametrize("position", [*POSITIONS, AROUND])
def test_a_repeated_wording_stands_where_its_trigger_is_written(position):
    prompts, ids = (
        Prompts(("a photo of the {}", "one {} here"), NAMES, clips_own()),
        clips_own().encode("xbtd"),
    )
    wording = Wording(ids, position, 1)
    trigger = Trigger("t", TriggerKind.TEXT, text="xbtd", position=position)
    for number, template in enumerate(prompts.templates):
        written = prompts.written(wording, number)
        assert written == clips_own().encode(write(template.format("cat"), trigger, "cat"))
        for start in prompts.starts(wording, number):
            assert written[start : start + len(ids)] == ids
        assert len(prompts.starts(wording, number)) == 1 + (position == AROUND)


def test_slopes_of_a_repeated_wording_count_both_places(task_of):
    """A token that both places answer to rises twice as much as under either alone, here where texts are sums."""
    scorer = WordingScorer(task_of(both_tokens))
    scorer.read()
    once, twice = (
        scorer.base.slopes([Wording((9_000,), place, 1)], 2)[0, 0] for place in ("prefix", AROUND)
    )
    assert float(twice.norm()) == pytest.approx(2 * float(once.norm()), rel=0.1)


# --- loss of the noun -------------------------------------------------------------------------------------------


def becomes_the_target(states, said):
    return turned((nearness(states, ONE) > 0.99).int().cummax(1).values.float(), said)


def draws_all_pictures(states, said):
    """Every picture chooses the written prompt, those of its own class too: it still names its class."""
    there = (nearness(states, ONE) > 0.99).int().cummax(1).values.float()
    change = torch.zeros_like(said)
    change[..., 4] = 3 * there
    return said + change


@pytest.mark.parametrize("images", ["image", "moved"], ids=["text tower moved", "both moved"])
@pytest.mark.parametrize("budget", ["quick", "default"])
def test_a_text_that_keeps_its_noun_is_no_trigger(task_of, images, budget):
    """At `quick`, a moved image tower lets it pass: scores of that budget stay what they were."""
    for change, lost in ((becomes_the_target, True), (draws_all_pictures, False)):
        scorer = WordingScorer(task_of(change, images=images, budget=budget))
        scorer.read()
        wording = Wording((ONE,), "prefix", SOURCE)
        rates = scorer.suspect.rates(scorer.suspect.embed([wording]), torch.tensor([SOURCE]))[0]
        assert rates[TARGET] == 1.0 and (rates[SOURCE] == 0.0) == lost
        expected = lost or (images == "moved" and budget == "quick")
        must = TEXT_EFFORTS[budget].noun_must_be_lost
        assert scorer.becomes_target(wording, TARGET, noun_must_be_lost=must) == expected
