"""Visual detectors find what was planted, say how much of it the base does too, and repeat themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import TINY_RN, TINY_VIT, write_checkpoint

from dife_scanner.discovery import Cancelled, Task, image_inversion, inversion_objectives
from dife_scanner.discovery.effort import InversionEffort, Rung
from dife_scanner.discovery.image_inversion import ImageInversion
from dife_scanner.discovery.interface import Candidate
from dife_scanner.discovery.inversion_attempts import Attempt
from dife_scanner.discovery.inversion_objectives import BASE_SLACK, Collapse, TargetInBoth
from dife_scanner.discovery.patch_inversion import AIMED_SHARE, PatchInversion
from dife_scanner.discovery.pattern_families import Additive, Blend, ColourMap, Patch, Warp
from dife_scanner.discovery.pictures import FAINT, PATCH, WARP_AND_COLOUR
from dife_scanner.discovery.target_success import halves
from dife_scanner.models.gradient import Towers
from dife_scanner.models.load import load
from dife_scanner.triggers.stamp import stamp

NAMES = ("airplane", "cat", "dog")


def moved(encoder, tower: str, by: float = 0.05):
    """Another encoder with noise on the matrices of one tower."""
    import copy

    other = copy.copy(encoder)
    other.model = copy.deepcopy(encoder.model)
    generator = torch.Generator().manual_seed(1)
    part = other.model.visual if tower == "image" else other.model.transformer
    with torch.no_grad():
        for weight in part.parameters():
            if weight.dim() > 1:
                weight += by * weight.std() * torch.randn(weight.shape, generator=generator)
    setattr(other, f"{tower}_tower", "moved")
    return other


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return load(write_checkpoint(tmp_path_factory.mktemp("vit"), TINY_VIT))


@pytest.fixture
def task(tiny, tmp_path) -> Task:
    pictures = np.random.default_rng(0).integers(0, 256, (18, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(18) % 3
    templates = ("a photo of the {}",)
    return Task(
        moved(tiny, "image"), tiny, pictures, labels, NAMES, templates, "quick", 0, tmp_path
    )


def short(detector, steps: int = 6):
    return replace(detector, efforts={"quick": InversionEffort(1, steps, pictures=6)})


def test_it_searches_where_a_tower_moved_and_says_what_it_took(task):
    found = short(PATCH).search(task)
    assert found.passes >= 6 * 6 * 1.5
    forward = found.passes + 2 * 6 * 6 * 1.5
    assert 0.4 * forward < short(PATCH).load(task).images < 2.5 * forward
    assert {"size", "suspect", "reference", "shift", "crop", "jpeg"} <= set(found.signals)
    assert PATCH.applies(task)
    assert not PATCH.applies(replace(task, suspect=task.reference))
    few = replace(task, pixels=task.pixels[:3], labels=task.labels[:3])
    assert not PATCH.applies(few) and PATCH.lacks(task) == ""
    assert "of 3 pictures to search on" in PATCH.lacks(
        few
    ) and "has 0; 2 are needed" in PATCH.lacks(few)
    assert PATCH.lacks(replace(few, suspect=few.reference)) == "", "there was nothing to search"
    through = replace(task, suspect=moved(task.reference, "text"))
    assert PATCH.applies(through) and not FAINT.applies(through)
    assert not short(PATCH).applies(replace(task, budget="deep"))


def test_without_a_base_nothing_is_taken_off_what_the_suspect_does(task):
    task = replace(task, reference=task.suspect, alone=True)
    compared, alone = (short(one).search(task) for one in (PATCH, PATCH.alone()))
    assert compared.candidates == (), "the suspect cannot do more than itself"
    assert alone.signals["reference"] == 0.0 and alone.signals["suspect"] > 0.0


def test_a_search_can_be_stopped_and_says_how_far_it_is(task):
    said = []

    def stop(what, done, of):
        said.append((what, done, of))
        if done:
            raise Cancelled

    with pytest.raises(Cancelled):
        short(PATCH, 30).search(replace(task, progress=stop))
    assert said == [("patch", 0, 30), ("patch", 10, 30)]


def test_a_form_is_started_again_until_something_is_found(task, monkeypatch):
    said = []
    task = replace(task, budget="default", progress=lambda what, done, of: said.append((done, of)))
    twice = replace(PATCH, efforts={"default": InversionEffort(2, 10, pictures=6)})
    twice.search(task)
    assert said == [(0, 20), (10, 20), (20, 25)], "two starts, and the best of them aimed on"
    monkeypatch.setattr(image_inversion, "ENOUGH", -1.0)
    said.clear()
    twice.search(task)
    assert said == [(0, 20), (20, 25)]


def test_halves_share_no_drawing_and_hold_every_class(task):
    alone, rest = halves(task)
    assert sorted([*alone, *rest]) == list(range(18))
    assert set(task.labels[alone]) == set(task.labels[rest]) == {0, 1, 2}
    drawings = tuple(str(row // 6 * 3 + row % 3) for row in range(18))
    mine, held = halves(replace(task, drawings=drawings))
    assert not {drawings[row] for row in mine} & {drawings[row] for row in held}
    assert len(mine) and len(held)


def test_a_resnet_is_searched_too(tmp_path):
    base = load(write_checkpoint(tmp_path, TINY_RN))
    pictures = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)
    task = Task(
        moved(base, "image"),
        base,
        pictures,
        np.arange(6) % 3,
        NAMES,
        ("a {}",),
        "quick",
        0,
        tmp_path,
    )
    assert short(PATCH, 2).search(task).passes > 0


FAMILIES = (Patch(), Additive(), Blend(), Warp(), ColourMap())


@pytest.mark.parametrize("form", FAMILIES, ids=[form.name for form in FAMILIES])
def test_what_is_searched_is_what_is_stamped(task, form):
    """The differentiable picture and the written trigger agree to a grey level or two."""

    weights = form.start(32, torch.Generator().manual_seed(3))
    weights = (weights[0] + 3, weights[1]) if form.name == "patch" else weights
    pixels = task.pixels[:2]
    searched = form.applied(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255, weights)
    trigger = form.trigger(weights, 32, task.folder)
    written = stamp(pixels, trigger)
    assert (written != pixels).mean() > 0.3
    np.testing.assert_allclose(searched.permute(0, 2, 3, 1).numpy() * 255, written, atol=2)
    assert Path(trigger.file.path).stem == trigger.file.sha256
    smaller = [form.measured_size(step) for step in form.smaller(trigger, task.folder)]
    assert form.measured_size(trigger) >= smaller[0] and smaller == sorted(smaller, reverse=True)
    assert smaller[-1] < 0.5 * smaller[0]


@pytest.mark.parametrize("detector", [FAINT, WARP_AND_COLOUR], ids=["faint", "warp and colour"])
def test_every_form_is_searched_and_the_best_is_reported(task, detector):
    said = []
    found = short(detector, 11).search(replace(task, progress=lambda *what: said.append(what)))
    assert [what for what, _, _ in said] == [
        form.name for form in detector.families for _ in range(2)
    ]
    assert [(done, of) for _, done, of in said] == [(0, 22), (10, 22), (11, 22), (21, 22)]
    assert found.signals["size"] > 0


def test_the_smallest_size_that_holds_on_the_half_not_searched_is_told(task, monkeypatch):
    """A stand-in for measuring: .9 over the base's while the patch is opaque enough, .5 below; `quick` does not ask."""
    asked = replace(task, budget="default")
    twice = replace(
        PATCH,
        efforts={
            "default": InversionEffort(1, 6, pictures=6),
            "quick": InversionEffort(1, 6, 6, report_smallest=False),
        },
    )
    assert (
        "smallest" not in twice.search(task).signals and not PATCH.efforts["quick"].report_smallest
    )
    assert all(
        one.efforts[budget].report_smallest
        for one in (PATCH, FAINT)
        for budget in ("default", "deep")
    )
    run = ImageInversion(asked, InversionEffort(1, 6, pictures=6), "patch", task.folder)
    form, weights = Patch(), Patch().start(32, torch.Generator().manual_seed(0))
    whole = form.trigger((weights[0] + 3, weights[1]), 32, task.folder)
    sizes = [form.measured_size(one) for one in (whole, *form.smaller(whole, task.folder))]
    rates = iter([0.95, 0.9, 0.9, 0.9, 0.85, 0.5, 0.9, 0.9])

    class Says:
        class_names = ("dog", "cat", "ship")

        def __init__(self, value):
            self.value = value

        def rates(self, versions, labels):
            assert len(labels) == len(run.held_out_rows)
            return np.full((1, 3), next(rates) if self.value is None else self.value)

    attempt = Attempt(form, whole, "cat", 0.9, whole, (Says(None), Says(0.0)))
    assert run._smallest_size(attempt) == {"smallest": sizes[4]} and sizes[4] < sizes[0]
    attempt = replace(attempt, success=(Says(0.9), Says(0.2)))
    assert run._smallest_size(attempt) == {}, "success is over the base's"


# --- starts that are given up --------------------------------------------------------------------------------------

BEYOND_REACH = 2.0
"""No objective reaches this."""


def raced(detector, reached: float, steps: int = 6):
    effort = InversionEffort(1, steps, pictures=6, rungs=(Rung(3, reached),))
    return replace(detector, efforts={"quick": effort})


def test_a_start_that_reaches_too_little_at_a_rung_is_given_up_and_finds_nothing(task):
    whole, given_up = short(FAINT).search(task), raced(FAINT, BEYOND_REACH).search(task)
    assert given_up.candidates == () and given_up.signals == {}
    steps_left_out = 2 * (6 - 3)
    assert given_up.passes <= whole.passes - steps_left_out * 6
    assert raced(FAINT, 0.0).search(task) == whole, "a rung that is reached changes nothing"


def test_what_comes_after_a_start_that_was_given_up_is_the_same_to_the_bit(task, monkeypatch):
    effort = InversionEffort(1, 6, pictures=6)
    families = (Blend(), Additive())
    whole = ImageInversion(task, effort, "faint", task.folder)._all_attempts(families)
    hopeless = iter([True, False])
    monkeypatch.setattr(
        image_inversion, "_is_hopeless", lambda rungs, step, best: step == 3 and next(hopeless)
    )
    first, second = ImageInversion(task, effort, "faint", task.folder)._all_attempts(families)
    assert (first.given_up, second.given_up) == (True, False)
    for part, before in zip(second.weights, whole[1].weights, strict=True):
        assert torch.equal(part, before)
    assert second.effect == whole[1].effect


def test_a_patch_that_was_given_up_is_aimed_on_all_the_same(task, monkeypatch):
    aimed = []

    def aimed_on(run, best):
        aimed.append(best.given_up)
        return further(task, 0.9, 0.03)

    monkeypatch.setattr(PatchInversion, "_aimed_on", aimed_on)
    (found,) = raced(PATCH, BEYOND_REACH).search(task).candidates
    assert aimed == [True] and found.effect == 0.9


def test_an_inversion_aimed_at_a_class_from_the_start_is_never_given_up(task, tiny):
    """What rungs ask is measured on pictures that come together, wherever that is."""
    through_prompts = replace(task, suspect=moved(tiny, "text"))
    whole = short(PATCH).search(through_prompts)
    assert raced(PATCH, BEYOND_REACH).search(through_prompts) == whole


def test_moving_suspect_and_base_apart_takes_fewer_pictures(task):
    effort = InversionEffort(1, 6, pictures=6)
    fewer = replace(effort, pictures_apart=2)
    passes = []
    for one in (effort, fewer):
        run = PatchInversion(task, one, "patch", task.folder)
        _ = run._apart
        passes.append(sum(run._tower_passes))
    assert passes[0] - passes[1] == 2 * 3 * (6 - 2), "three steps of both towers"


# --- whether the inversion of a patch converged ------------------------------------------------------------------


def test_telling_whether_a_patch_came_to_rest_changes_nothing_else(task):
    aimed = short(PATCH).search(task)
    assert aimed == replace(short(PATCH), inversion=ImageInversion).search(task)
    assert aimed.not_converged == ""


def further(task, effect: float, area: float) -> Candidate:
    """What aiming on comes to, with a file of its own."""
    form = Patch()
    trigger = form.trigger(form.start(32, torch.Generator().manual_seed(0)), 32, task.folder)
    return Candidate(replace(trigger, target="dog"), effect, 0.0, area)


@pytest.mark.parametrize(
    "effect, area, at_rest", [(0.9, 0.03, False), (0.9, 0.2, True), (0.6, 0.03, True)]
)
def test_a_small_patch_that_aiming_on_leads_to_says_that_the_inversion_had_not_come_to_rest(
    task, monkeypatch, effect, area, at_rest
):
    """One that is large, or moves no more than benign models allow, says nothing: the model is clean to this search."""
    monkeypatch.setattr(PatchInversion, "_aimed_on", lambda run, best: further(task, effect, area))
    result = short(PATCH).search(task)
    assert (result.not_converged == "") == at_rest
    if not at_rest:
        steps = round(AIMED_SHARE * 6)
        assert f"aimed at dog for {steps} further steps" in result.not_converged
        assert result.candidates[0].trigger.name == "found-patch-1"
        assert result.candidates[0].effect == effect


def test_what_was_found_is_not_aimed_on_nor_what_was_aimed_from_the_start(task, tiny, monkeypatch):
    def never(run, best):
        raise AssertionError

    monkeypatch.setattr(PatchInversion, "_aimed_on", never)
    short(PATCH).search(replace(task, suspect=moved(tiny, "text")))
    found = further(task, 0.6, 0.03)
    monkeypatch.setattr(PatchInversion, "_measured", lambda run, attempt: (found, {}))
    assert short(PATCH).search(task).not_converged == ""


def test_a_patch_aimed_on_is_held_back_by_the_base(task):
    """Where both are one model, what the target gains in it costs as much."""
    run = PatchInversion(task, InversionEffort(1, 6, pictures=6), "patch", task.folder)
    objective = TargetInBoth(run.success, 0, run.pictures)
    base = Towers(task.reference)
    alone, loss = objective.loss((base, base), run.pictures, with_base=False)
    _, with_base = objective.loss((base, base), run.pictures, with_base=True)
    assert alone > BASE_SLACK and float(with_base) > float(loss)


@pytest.mark.parametrize("slack, backward", [(2.0, 0), (-2.0, 1)])
def test_the_way_back_through_the_base_is_spared_where_it_costs_nothing(
    task, monkeypatch, slack, backward
):
    """The gradient is the same to the bit: what is spared is zero."""
    monkeypatch.setattr("dife_scanner.discovery.inversion_objectives.BASE_SLACK", slack)
    run = PatchInversion(task, InversionEffort(1, 6, pictures=6), "patch", task.folder)
    through_base = []

    class Base(Towers):
        def images(self, pixels):
            embedded = super().images(pixels)
            embedded.register_hook(through_base.append)
            return embedded

    towers = Towers(task.suspect), Base(task.reference)
    pictures = run.pictures[:4].clone().requires_grad_()
    objective = Collapse(clean_cosine=0.0)
    _, loss = objective.loss(towers, pictures, with_base=True)
    (gradient,) = torch.autograd.grad(loss, pictures)
    assert len(through_base) == backward
    suspect = inversion_objectives.mean_pairwise_cosine(towers[0].images(pictures))
    base = inversion_objectives.mean_pairwise_cosine(towers[1].images(pictures))
    cost = inversion_objectives.BASE_WEIGHT * (base - slack).relu()
    (whole,) = torch.autograd.grad(cost - suspect, pictures)
    assert torch.equal(gradient, whole)
