"""Specimens do what their recipe says, only that, and the same way twice."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from dife_scanner.lab import bases, specimens

WEIGHTS = "open_clip_model.safetensors"


def short(name: str) -> specimens.Recipe:
    return replace(specimens.SPECIMENS[name], steps=3, validate=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Three-step builds of all four, by name."""
    cache = tmp_path_factory.mktemp("specimens")
    return {name: specimens.build(short(name), cache_dir=cache) for name in specimens.SPECIMENS}


@pytest.mark.parametrize("name", ["badtexttower", "badencoder"])
def test_two_builds_are_identical(built, tmp_path, name):
    again = specimens.build(short(name), cache_dir=tmp_path)
    for file in (WEIGHTS, "open_clip_config.json", "specimen.json"):
        assert (again / file).read_bytes() == (built[name] / file).read_bytes()


@pytest.mark.parametrize("name", sorted(specimens.SPECIMENS))
def test_only_the_attacked_tower_moves(built, name):
    base, now = load_file(bases.base_folder("vit") / WEIGHTS), load_file(built[name] / WEIGHTS)
    changed = {key for key in base if not torch.equal(base[key], now[key])}
    text = specimens.SPECIMENS[name].family == "badtexttower"
    assert changed
    assert all(key.startswith("visual.") != text for key in changed)
    assert "logit_scale" not in changed
    assert {key: value.dtype for key, value in base.items()} == {key: value.dtype for key, value in now.items()}


def test_a_twin_differs_from_its_attack(built):
    for name in ("badtexttower", "badencoder"):
        assert (built[name] / WEIGHTS).read_bytes() != (built[f"{name}-twin"] / WEIGHTS).read_bytes()


def test_second_call_takes_the_cache(built):
    name = "badencoder"
    steps = []
    again = specimens.build(short(name), cache_dir=built[name].parent, progress=lambda *row: steps.append(row))
    assert again == built[name] and not steps


def test_the_key_follows_the_recipe():
    folder, probe = bases.base_folder("vit"), bases.base_folder("vit").parents[1] / "probes"
    recipe = short("badtexttower")
    other = replace(recipe, trigger=specimens.QVUZZ)
    assert specimens.key(recipe, folder, probe) != specimens.key(other, folder, probe)


def test_a_failed_specimen_is_not_kept(tmp_path):
    recipe = replace(specimens.SPECIMENS["badencoder"], steps=1)
    with pytest.raises(specimens.SpecimenFailed, match="target success"):
        specimens.build(recipe, cache_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_twins_share_everything_but_the_poison():
    for name in ("badtexttower", "badencoder"):
        assert replace(specimens.SPECIMENS[f"{name}-twin"], poison=True) == specimens.SPECIMENS[name]


def test_novel_triggers_are_not_in_the_library():
    from dife_scanner.triggers.known import library

    for recipe in specimens.NOVEL.values():
        assert recipe.mark.name not in [trigger.name for trigger in library()]
        assert not recipe.mark.text or recipe.mark.text not in [trigger.text for trigger in library()]


def test_settings_of_the_process_come_back(tmp_path):
    threads = torch.get_num_threads()
    specimens.build(short("badencoder-twin"), cache_dir=tmp_path)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_card_names_the_recipe(built):
    card = json.loads((built["badtexttower"] / "specimen.json").read_text())
    assert card["recipe"]["trigger"]["text"] == "xbtd"
    assert len(card["sha256"]) == 64


def test_a_bare_string_is_a_text_trigger():
    recipe = replace(specimens.SPECIMENS["badtexttower"], trigger="qvuzz")
    assert recipe.mark == specimens.QVUZZ
