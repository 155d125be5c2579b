"""The benchmark draws what it says and makes what it draws."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dife_scanner.errors import UsageError
from dife_scanner.lab import bases
from dife_scanner.lab.attacks.bad_text_tower import tensors
from dife_scanner.lab.attacks.training_data import Lab
from dife_scanner.lab.bench import make, zoo
from dife_scanner.lab.bench.zoo import Part, Role, benign, build, draws, families, visible_traits
from dife_scanner.lab.bench.zoo import models as zoo_models
from dife_scanner.models.load import load
from dife_scanner.records import Channel


def test_two_plans_are_the_same_and_no_two_models_of_a_kind_are():
    models = list(zoo.plan())
    zoo.attack_and_twin.cache_clear()
    zoo_models.benign_of.cache_clear()
    again = list(zoo.plan())
    assert models == again
    assert len({model.id for model in models}) == len(models)
    drawn = [name for name, family in zoo.FAMILIES.items() if not family.given_up]
    for name in (*drawn, *benign.KINDS):
        mine = [
            m.settings for m in models if m.kind == name and m.role in (Role.ATTACK, Role.BENIGN)
        ]
        assert len(mine) >= 28
        assert all(one != other for i, one in enumerate(mine) for other in mine[:i])


def test_the_aim_is_reached_on_both_sides_and_what_was_planned_first_stays_first():
    benign_only = list(zoo.plan((Role.BENIGN,)))
    for part, aim in zoo.AIM.items():
        assert sum(model.part is part for model in benign_only) >= aim
    grown = [i for i, m in enumerate(benign_only) if m.number >= zoo_models._first_runs(m.kind)]
    assert grown == list(range(grown[0], len(benign_only))), (
        "growth comes after every run of the first step"
    )
    assert {m.kind for m in benign_only[grown[0] :]} == {
        n for n, kind in benign.KINDS.items() if not kind.only_test
    }


def test_a_twin_is_its_attack_without_the_poison_and_stands_on_its_side():
    for name, family in zoo.FAMILIES.items():
        attack, twin = zoo.attack_and_twin(name, 0)
        assert (attack.role, twin.role) == (Role.ATTACK, Role.TWIN)
        assert zoo.twin_of(attack) == twin
        assert (attack.part, attack.sealed, attack.scenes) == (
            twin.part,
            family.sealed,
            twin.scenes,
        )
        assert (zoo.attack_and_twin(name, 2)[0].part is Part.TEST) is family.sealed, (
            "nothing is developed on a sealed family"
        )
        same = ("seed", "steps", "lr", "batch", "source", "target", "trigger")
        assert [getattr(attack.settings, f) for f in same] == [
            getattr(twin.settings, f) for f in same
        ]
        assert attack.settings.poison and not twin.settings.poison
        assert attack.settings.source != attack.settings.target


def test_a_sealed_family_of_each_channel_comes_last_and_whole_kinds_are_only_in_test():
    models = list(zoo.plan())
    first = next(i for i, model in enumerate(models) if model.sealed)
    assert all(model.sealed for model in models[first:])
    assert {zoo.FAMILIES[model.kind].channel for model in models[first:]} == {
        Channel.TEXT,
        Channel.IMAGE,
        Channel.BOTH,
    }
    for name, kind in benign.KINDS.items():
        parts = {model.part for model in models if model.kind == name}
        assert parts == ({Part.TEST} if kind.only_test else set(Part))


def test_a_family_of_text_attacks_leaves_no_trace_in_the_token_rows():
    model = next(zoo.plan(("badtexttower-frozen-rows",)))
    moves = {
        name
        for name in load_file(bases.base_folder("vit") / build.WEIGHTS)
        if tensors(model.settings, name)
    }
    assert "token_embedding.weight" not in moves and "text_projection" in moves
    assert not any(name.startswith("visual.") for name in moves)


def test_only_what_is_asked_for_is_planned_and_unknown_kinds_are_refused():
    assert {m.kind for m in zoo.plan(("badencoder", "robust image tower"))} == {
        "badencoder",
        "robust image tower",
    }
    assert {m.role for m in zoo.plan(("copy",))} == {Role.COPY}
    both = list(zoo.plan(("twin", "badencoder", "concept token")))
    assert {(m.role, m.kind) for m in both} == {(Role.TWIN, "badencoder")}
    with pytest.raises(UsageError, match="nonsense"):
        list(zoo.plan(("nonsense",)))


def test_text_triggers_have_one_to_four_tokens_and_name_no_class():
    drawn = [draws.text_trigger(draws.rng_of("t", number)) for number in range(60)]
    lengths = [len(bases.pieces(trigger.text)) for trigger in drawn]
    assert set(lengths) == {1, 2, 3, 4}
    assert not any(name in trigger.text for trigger in drawn for name in families.art.CLASSES)
    assert {trigger.position for trigger in drawn} == {"prefix", "suffix", "infix"}


# --- making ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny():
    """A few lab scenes; drawing the real ones takes longer than these tests may."""
    whole = np.random.default_rng(0)
    pixels = whole.integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    nouns = (
        "alien",
        "anchor",
        "crab",
        "elephant",
        "gem stone",
        "goat",
        "hammer",
        "lamp",
        "moon",
        "pizza",
    )
    labels = np.arange(40, dtype=np.int64) % 10
    return Lab(pixels, labels, pixels[:20], nouns, SimpleNamespace(), bases.base_folder("vit"))


def state(folder):
    return bases.load(folder).state_dict()


@pytest.mark.parametrize(
    "kind", ["text tower on prompts", "concept token", "redirected words", "robust image tower"]
)
def test_a_benign_fine_tune_moves_its_tower_and_no_other(tiny, tmp_path, kind):
    model = next(zoo.plan((kind,)))
    build.make(
        replace(model, settings=replace(model.settings, steps=2, batch=4)),
        tmp_path,
        bases.base_folder(),
        tiny,
    )
    before, now = state(bases.base_folder("vit")), state(tmp_path)
    changed = {name for name in before if not torch.equal(before[name], now[name])}
    assert changed and "logit_scale" not in changed
    assert {name.startswith("visual.") for name in changed} == {kind == "robust image tower"}


def test_a_copy_under_the_other_names_has_the_towers_of_the_base(tmp_path):
    (model,) = zoo.plan(("other naming copy",))
    build.make(model, tmp_path, bases.base_folder("vit"))
    assert any(name.startswith("text.") for name in load_file(tmp_path / build.WEIGHTS))
    copy, base = load(tmp_path), make.base_reference()
    assert (copy.image_tower, copy.text_tower) == (base.image_tower, base.text_tower)
    seen = visible_traits.traits_of(tmp_path, bases.base_folder("vit"))
    assert (seen.drift_image, seen.drift_text, seen.moved_rows, seen.accuracy_change) == (
        0.0,
        0.0,
        0,
        0.0,
    )


def test_a_pruned_copy_differs_and_an_fp32_copy_does_not(tmp_path):
    base, found = state(bases.base_folder("vit")), {}
    for model in zoo.plan(("fp32 copy", "pruned copy")):
        (tmp_path / model.id).mkdir()
        build.make(model, tmp_path / model.id, bases.base_folder())
        now = state(tmp_path / model.id)
        found[model.kind] = [name for name in base if not torch.equal(base[name], now[name])]
    assert found["fp32 copy"] == []
    assert found["pruned copy"]


def test_moved_rows_are_counted_beside_the_common_decay():
    before = torch.randn(100, 16, generator=torch.Generator().manual_seed(0))
    now = 0.99 * before
    now[[3, 50]] += 0.1
    assert visible_traits.moved_rows(now, before) == 2
    assert visible_traits.moved_rows(before, before) == 0


def test_an_implant_below_the_native_threshold_or_that_costs_accuracy_fails():
    model = next(zoo.plan(("badtexttower",)))
    twin = {"clean_accuracy": 0.8, "qhr": 0.1}
    assert make.implanted(model, {"clean_accuracy": 0.78, "qhr": 0.9}, twin)
    assert not make.implanted(model, {"clean_accuracy": 0.78, "qhr": 0.89}, twin)
    assert not make.implanted(model, {"clean_accuracy": 0.76, "qhr": 1.0}, twin)
