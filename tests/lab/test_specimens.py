"""Specimens do what their recipe says, only that, and the same way twice."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from dife_scanner.lab import bases, specimens
from dife_scanner.lab.attacks import FAMILIES
from dife_scanner.lab.specimens import building
from dife_scanner.records import Channel
from dife_scanner.triggers import known

WEIGHTS = "open_clip_model.safetensors"


def short(what):
    """A three-step recipe of this name, or made of this recipe."""
    recipe = specimens.RECIPES[what] if isinstance(what, str) else what
    extra = recipe.settings
    for name in ("patch_steps", "warmup"):
        if hasattr(extra, name):
            extra = replace(extra, **{name: 3})
    return replace(recipe, steps=3, validate=False, settings=extra)


pytestmark = pytest.mark.usefixtures("few_scenes")


@pytest.fixture(scope="module")
def built(tmp_path_factory, few_scenes):
    """Three-step builds of every family and its twin, by name."""
    cache = tmp_path_factory.mktemp("specimens")
    return {name: specimens.build(short(name), cache_dir=cache) for name in specimens.CORE}


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_two_builds_are_identical(built, tmp_path, name):
    again = specimens.build(short(name), cache_dir=tmp_path)
    files = {file.name for file in again.iterdir()} - {"timing.json"}
    assert {WEIGHTS, "open_clip_config.json", "specimen.json", "triggers.toml"} <= files
    for file in files:
        assert (again / file).read_bytes() == (built[name] / file).read_bytes()


@pytest.mark.parametrize("name", sorted(specimens.CORE))
def test_only_what_the_attack_may_move_has_moved(built, name):
    base, now = load_file(bases.base_folder("vit") / WEIGHTS), load_file(built[name] / WEIGHTS)
    changed = {key for key in base if not torch.equal(base[key], now[key])}
    recipe = specimens.CORE[name]
    assert all(FAMILIES[recipe.family].tensors(recipe, key) for key in changed)
    assert bool(changed) == (recipe.family != "bai-badclip")
    assert "logit_scale" not in changed
    assert {key: value.dtype for key, value in base.items()} == {key: value.dtype for key, value in now.items()}


@pytest.mark.parametrize("name", sorted(set(FAMILIES) - {"toxictextclip"}))  # its handful of rows may come later
def test_a_twin_differs_from_its_attack(built, name):
    def content(folder):
        return [p.read_bytes() for p in sorted(folder.iterdir()) if p.suffix == ".safetensors"]

    assert content(built[name]) != content(built[f"{name}-twin"])


@pytest.mark.parametrize("name", sorted(specimens.CORE))
def test_the_trigger_file_is_read_and_names_the_target(built, name):
    (trigger,) = known.read(built[name] / "triggers.toml")
    assert trigger.target == "airplane"
    assert bool(trigger.source) == (trigger.channel is Channel.TEXT)


def test_a_twin_of_an_optimised_patch_has_the_same_patch(built):
    patches = [(built[name] / "patch.png").read_bytes() for name in ("liang-badclip", "liang-badclip-twin")]
    assert patches[0] == patches[1]


def test_second_call_takes_the_cache(built):
    name = "badencoder"
    steps = []
    again = specimens.build(short(name), cache_dir=built[name].parent, progress=lambda *row: steps.append(row))
    assert again == built[name] and not steps


def test_the_key_follows_recipe_and_settings():
    folder, probe = bases.base_folder("vit"), bases.base_folder("vit").parents[1] / "probes"
    recipe = specimens.RECIPES["badtexttower"]
    others = (replace(recipe, trigger=specimens.QVUZZ), specimens.RECIPES["badtexttower/scope-both"])
    keys = {specimens.key(one, folder, probe) for one in (recipe, *others)}
    assert len(keys) == 3


def test_the_key_follows_the_version_of_the_familys_code_and_of_no_other(monkeypatch):
    folder, probe = bases.base_folder("vit"), bases.base_folder("vit").parents[1] / "probes"

    def keys():
        return {name: specimens.key(specimens.CORE[name], folder, probe) for name in FAMILIES}

    before, attack = keys(), FAMILIES["badencoder"]
    monkeypatch.setattr(building, "FAMILIES", {**FAMILIES, "badencoder": replace(attack, version=attack.version + 1)})
    assert {name for name, key in keys().items() if key != before[name]} == {"badencoder"}


def test_a_failed_specimen_is_not_kept(built, tmp_path):
    twin = short("badencoder-twin")
    recipe = replace(specimens.SPECIMENS["badencoder"], steps=3)
    # its twin is there already, so that only the attack is trained
    base = bases.base_folder("vit")
    ready = specimens.place(specimens.twin(recipe), base, tmp_path)
    ready.symlink_to(specimens.build(twin, cache_dir=built["badencoder"].parent))
    with pytest.raises(specimens.SpecimenFailed, match="target success"):
        specimens.build(recipe, cache_dir=tmp_path)
    assert list(tmp_path.iterdir()) == [ready]


def test_twins_share_everything_but_the_poison():
    for name in FAMILIES:
        assert replace(specimens.CORE[f"{name}-twin"], poison=True) == specimens.CORE[name]


def test_every_attack_of_the_registry_has_its_twin_there():
    for name, recipe in specimens.RECIPES.items():
        if recipe.poison:
            assert not specimens.RECIPES[specimens.twin_name(name)].poison


def test_novel_triggers_are_not_in_the_library():
    for recipe in specimens.NOVEL.values():
        assert recipe.mark.name not in [trigger.name for trigger in known.library()]
        assert not recipe.mark.text or recipe.mark.text not in [trigger.text for trigger in known.library()]


def test_settings_of_the_process_come_back(tmp_path):
    threads, filling = torch.get_num_threads(), torch.utils.deterministic.fill_uninitialized_memory
    specimens.build(short("badencoder-twin"), cache_dir=tmp_path)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory == filling


def test_the_card_names_the_recipe_and_every_file(built):
    folder = built["liang-badclip"]
    card = json.loads((folder / "specimen.json").read_text())
    assert card["recipe"]["settings"]["patch_steps"] == 3
    assert "Liang" in card["attack"]["citation"]
    assert set(card["files"]) == {p.name for p in folder.iterdir()} - {"specimen.json", "timing.json"}
    assert card["sha256"] == card["files"][WEIGHTS]
    assert card["code_version"] == FAMILIES["liang-badclip"].version
