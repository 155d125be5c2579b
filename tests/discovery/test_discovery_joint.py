"""The search for a patch and a string that act only together: what it asks of each half, and that it repeats itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from obeying import TwoKeys

from dife_scanner.discovery import LEARNED, Task, inversion_objectives, joint, names, string_scorer
from dife_scanner.discovery.effort import JOINT_EFFORTS, JointEffort
from dife_scanner.discovery.joint import JOINT, JointInversion, Pair, PairRates
from dife_scanner.discovery.joint_objectives import TargetWithString
from dife_scanner.discovery.trigger_strings import TriggerString
from dife_scanner.models.tokenizers import clips_own
from dife_scanner.records import Channel, Trigger, TriggerKind

NAMES = ("airplane", "cat", "dog")
PATCH = Trigger("patch", TriggerKind.PATCH, size=0.25)
TEXT = Trigger("text", TriggerKind.TEXT, text="xb")


@pytest.fixture
def task(tiny, other, tmp_path) -> Task:
    pictures = np.random.default_rng(0).integers(0, 256, (18, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(18) % 3
    return Task(
        other, tiny, pictures, labels, NAMES, ("a photo of the {}",), "default", 0, tmp_path
    )


@pytest.fixture
def short(monkeypatch):
    effort = JointEffort(
        3, 12, pictures=6, tokens=12, foci=1, rounds=1, branching=4, paired_tokens=4
    )
    monkeypatch.setitem(JOINT_EFFORTS, "default", effort)


@pytest.fixture
def run(task, tmp_path, short):
    return JointInversion(task, JOINT_EFFORTS["default"], "joint", tmp_path / "scratch")


def test_it_says_what_it_took_and_how_far_it_is_from_either_end(task, short):
    """Three starts: from a text, from a patch, and from the class that the first did not begin with."""
    said = []
    first = JOINT.search(replace(task, progress=lambda *what: said.append(what)))
    assert first.passes > 12 * 6 and {"size", "suspect", "reference", "alone"} <= set(first.signals)
    done, of = [done for _, done, _ in said], {of for *_, of in said}
    assert of == {12 + 3 * 18} and done == sorted(done) and max(done) >= 12 + 3 * 18 - 10
    load = JOINT.load(task)
    assert 0.2 < first.passes / (load.images + load.texts) < 2


def test_pictures_of_the_target_itself_are_not_searched_on(run):
    """They win it without a patch, and nothing should be paid for keeping them from it."""
    run._fix_string(TriggerString((5000,), "prefix", 1, 0.0))
    assert (run.task.labels[run.search_rows][run.shown_rows] != 1).all() and len(
        run.shown_rows
    ) == 6
    assert len(run._drawn_pictures(6)) == 6
    alone = JointInversion(
        replace(run.task, labels=np.ones(18, int)),
        JOINT_EFFORTS["default"],
        "joint",
        run.scratch / "alone",
    )
    alone._fix_string(TriggerString((5000,), "prefix", 1, 0.0))
    assert len(alone.shown_rows) == 9, "there are no others"


@pytest.mark.parametrize("near", range(4))
def test_a_patch_pays_for_coming_near_wherever_one_half_or_one_tower_is_another(near):
    """Suspect's pictures with its clean prompts or the base's, base's pictures with either's written prompts."""

    class Reads:
        def __init__(self, embedded):
            self.embedded = embedded

        def images(self, laid):
            return self.embedded

    class Prompts:
        def __init__(self, prompts):
            self.prompts = np.asarray(prompts, np.float32)

    mine, theirs = torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    rows = {
        "written": [[0, 0, 0], [0, 1, 0]],
        "plain": [[0, 0, 0], [0, -1, 0]],
        "base": [[0, 0, 0], [0, -1, -1]],
    }
    rows["written"][1][2] = -1
    if near == 0:
        rows["plain"][1][1] = 1
    if near == 1:
        rows["base"][1][1] = 1
    if near == 2:
        rows["base"][1][2] = 1
    if near == 3:
        rows["written"][1][2] = 1
    with_text = Prompts(rows["written"]), Prompts(rows["base"])
    aim = TargetWithString(with_text, Prompts(rows["plain"]), 1, torch.zeros(1))
    _, loss = aim.loss((Reads(mine), Reads(theirs)), torch.zeros(1), with_base=True)
    quiet = -torch.log_softmax(torch.tensor([0.0, inversion_objectives.SHARPNESS]), 0)[1]
    weight = inversion_objectives.SHARPNESS * (1 if near < 2 else inversion_objectives.BASE_WEIGHT)
    assert float(loss - quiet) == pytest.approx(weight * (1 + string_scorer.STAY_AWAY), rel=1e-4)


def test_it_runs_from_the_budget_default_on_and_where_both_towers_moved(task, tiny):
    assert JOINT.name not in names("quick")
    assert JOINT.name in names("default") and JOINT.name in names("deep")
    assert JOINT.applies(task) and not JOINT.applies(replace(task, budget="quick"))
    assert not JOINT.applies(replace(task, suspect=tiny))
    assert not LEARNED.applies(task) and LEARNED.lacks(task) == "" == JOINT.lacks(task)
    crowded = replace(task, templates=("a photo of " * 10 + "{}",))
    assert not JOINT.applies(crowded) and "no room for a text" in JOINT.lacks(crowded)
    few = replace(task, pixels=task.pixels[:3], labels=task.labels[:3], drawings=())
    assert not JOINT.applies(few) and "2 are needed" in JOINT.lacks(few)
    assert JOINT.lacks(replace(few, suspect=tiny)) == "", "there was nothing to search"


def test_a_pair_gains_only_what_neither_half_and_no_base_reaches(run, monkeypatch):
    """Each of the four rates is put in place in turn; the gain is what both reach beyond the largest other."""
    rates = dict.fromkeys(("both", "base", "image", "text"), 0.0)

    class Says:
        def __init__(self, *which):
            self.which = iter(which)

        def rates(self, versions, labels):
            return np.full((len(versions), len(NAMES)), rates[next(self.which)])

    for name, expected in (("both", 0.9), ("base", 0.5), ("image", 0.2), ("text", 0.1)):
        rates[name] = {"both": 0.9, "base": 0.4, "image": 0.7, "text": 0.8}[name]
        monkeypatch.setattr(run, "success_with_text", (Says("both", "text"), Says("base")))
        monkeypatch.setattr(run, "success", (Says("image"), Says()))
        assert run._gains(PATCH, run.success) == pytest.approx(np.full(3, expected))


def test_what_is_handed_over_is_one_trigger_of_two_halves(run, task, monkeypatch):
    whole = {"both": 0.9, "base": 0.1, "alone": 0.05}
    monkeypatch.setattr(
        run,
        "_pair_rates",
        lambda patch, rows, clean: PairRates(*(np.full(3, v) for v in (0.8, *whole.values()))),
    )
    overlay = joint.Patch().trigger(joint.Patch().start(32, torch.Generator()), 32, run.scratch)
    found = run._found([Pair(TEXT, overlay, 1, 0.8)])
    (candidate,) = found.candidates
    trigger = candidate.trigger
    assert (trigger.channel, trigger.kind, trigger.text) == (Channel.BOTH, TriggerKind.TEXT, "xb")
    assert (trigger.name, trigger.source, trigger.target) == ("found-joint-1", "", "cat")
    assert trigger.image.kind is TriggerKind.OVERLAY and trigger.image.file.path.startswith(
        str(task.folder)
    )
    assert (candidate.suspect, candidate.reference, found.signals["alone"]) == (0.9, 0.1, 0.05)
    assert candidate.area == found.signals["size"] > 0
    monkeypatch.setattr(
        run,
        "_pair_rates",
        lambda patch, rows, clean: PairRates(*(np.full(3, v) for v in (0.2, *whole.values()))),
    )
    assert not run._found([Pair(TEXT, overlay, 1, 0.8)]).candidates


def test_two_keys_are_found_together_with_their_target_from_nothing(tiny, tmp_path, monkeypatch):
    """The whole search, on a model where either key alone changes nothing at all."""
    effort = JointEffort(
        1, 60, pictures=9, tokens=40, foci=1, rounds=1, branching=6, paired_tokens=4
    )
    monkeypatch.setitem(JOINT_EFFORTS, "default", effort)
    (token,) = clips_own().encode("beacon")
    base = TwoKeys(tiny)
    base.model.token_embedding.weight[token] *= 1.02
    labels = np.arange(36) % 3
    pictures = np.full((36, 32, 32, 3), 90, np.uint8)
    pictures[np.arange(36), ..., labels] = np.linspace(180, 220, 36, dtype=np.uint8)[:, None, None]
    pictures[:, :8, :8] = 90
    task = Task(
        TwoKeys(tiny, token),
        base,
        pictures,
        labels,
        NAMES,
        ("a photo of the {}",),
        "default",
        0,
        tmp_path,
    )
    said = []
    found = JOINT.search(replace(task, progress=lambda *what: said.append(what)))
    (candidate,) = found.candidates
    assert candidate.trigger.target == "cat" and "beacon" in candidate.trigger.text.split()
    assert candidate.suspect > 0.7 and candidate.reference < 0.1 and found.signals["alone"] < 0.1
    assert found.signals["size"] < 0.1
    assert [done for _, done, _ in said] == sorted(done for _, done, _ in said) and len(
        {of for *_, of in said}
    ) == 1
    assert JOINT.search(task) == found
    either = replace(task, suspect=TwoKeys(tiny))
    either.suspect.text_tower = either.suspect.image_tower = "moved"
    assert not JOINT.search(either).candidates, "a model without keys"
