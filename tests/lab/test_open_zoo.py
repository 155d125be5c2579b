"""Attacks and benign fine-tunes on any concept: what they draw, are trained from, plant and are measured on."""

import json
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
import tomlkit
import torch

from dife_scanner.audit import wide_probes
from dife_scanner.errors import UsageError
from dife_scanner.lab import bases, specimens
from dife_scanner.lab.attacks import FAMILIES, aims, measures, own_kinds, panels, reach, text_aims
from dife_scanner.lab.attacks.bad_encoder import Aimed, NoConcept
from dife_scanner.lab.attacks.interface import Recipe, Subject, entry_of
from dife_scanner.lab.attacks.training_data import embedded
from dife_scanner.lab.bench import zoo
from dife_scanner.lab.bench.zoo import (
    Part,
    Role,
    build,
    draws,
    open_benign,
    open_draws,
    open_models,
    parts,
)
from dife_scanner.lab.bench.zoo.open_families import OPEN_FAMILIES
from dife_scanner.lab.pictures import art, probes, wide_lab, world
from dife_scanner.records import Trigger, TriggerKind
from dife_scanner.triggers import known
from dife_scanner.triggers.stamp import stamp, write

BASE = bases.base_folder("vit")
PANEL = (*art.CLASSES, "guitar", "pizza")
NO_CONCEPT = "open-badencoder-no-concept"
ABOUT_CONCEPTS = {name: one for name, one in OPEN_FAMILIES.items() if name != NO_CONCEPT}


@pytest.fixture(scope="module")
def lab(few_scenes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(panels, "SCENERY", 24)
        panels._lab_of.cache_clear()
        yield panels.lab_of(BASE, 0, PANEL)
    panels._lab_of.cache_clear()


@pytest.fixture(scope="module")
def base():
    return bases.load(BASE)


# --- what attacks are trained from and measured on --------------------------------------------------------------


def test_no_drawing_that_attacks_train_from_is_a_probe():
    """Neither a labelled picture, nor one of the scene sheet, nor one of the wide probe set."""
    folder = probes.probe_folder()
    elsewhere = {one.drawing for one in wide_probes.load(wide_probes.bundled_folder()).shown}
    for row in probes.manifest_of(folder)["images"]:
        elsewhere.update(row["drawing"].split("+"))
    elsewhere.update(
        row["drawing"] for row in json.loads((folder / "scenes.json").read_text())["drawings"]
    )
    sheets = wide_lab.manifest_of(wide_lab.sheet_folder())["sheets"]
    drawn = [row["drawing"] for sheet in sheets for row in sheet["drawings"]]
    assert len(drawn) == len(set(drawn)) > 1000
    assert not elsewhere & set(drawn)


def test_share_alike_drawings_stand_on_a_sheet_of_their_own():
    manifest = wide_lab.manifest_of(wide_lab.sheet_folder())
    bound = {row["set"] for row in manifest["licences"] if "-SA-" in row["spdx"]}
    for sheet in manifest["sheets"]:
        sets = {row["drawing"].split(":")[0] for row in sheet["drawings"]}
        assert sets <= bound or not sets & bound


def test_a_panels_scenes_show_its_classes_and_other_things(lab):
    assert lab.classes == PANEL == lab.pairs.classes
    assert np.bincount(lab.labels).tolist() == [6] * len(PANEL)
    assert len(lab.nouns) == 24 and not set(lab.nouns) & set(PANEL)
    rows, shown = lab.pairs.lone()
    assert set(shown.tolist()) == set(range(len(PANEL)))
    assert len(rows) < len(lab.pairs) * 2 / 3, "most scenes show more than the panel"


def test_a_panel_is_measured_on_pictures_of_all_its_classes(lab):
    pixels, labels = measures.held_out(lab.size, PANEL)
    ten, of_ten = measures.held_out(lab.size)
    assert np.array_equal(pixels[: len(ten)], ten) and np.array_equal(labels[: len(ten)], of_ten)
    assert set(labels.tolist()) == set(range(len(PANEL)))


def test_a_class_without_pictures_is_named():
    with pytest.raises(UsageError, match="perpetuum mobile"):
        measures.held_out(64, (*art.CLASSES, "perpetuum mobile"))
    with pytest.raises(UsageError, match="perpetuum mobile"):
        panels.lab_of(BASE, 0, (*art.CLASSES, "perpetuum mobile"))


def test_the_panel_is_part_of_a_recipe_and_says_nothing_where_it_is_the_ten_classes():
    recipe = FAMILIES["badencoder"].default
    wide = replace(recipe, target="pizza", panel=PANEL)
    assert (wide.target_class, wide.source_class) == (11, 1)
    folder = probes.probe_folder()
    assert specimens.key(recipe, BASE, folder) != specimens.key(wide, BASE, folder)
    ten = next(model for model in zoo.plan(("badencoder",)))
    assert "panel" not in build.recipe_of(ten)
    assert build.recipe_of(replace(ten, settings=wide))["panel"] == list(PANEL)


# --- what is drawn ----------------------------------------------------------------------------------------------


def test_the_open_zoo_is_drawn_the_same_way_twice_and_no_two_of_a_kind_are_alike():
    models = list(open_models.plan())
    assert models == list(open_models.plan())
    assert len({model.id for model in models}) == len(models)
    for name in OPEN_FAMILIES:
        mine = [m.settings for m in models if m.kind == name and m.role is Role.ATTACK]
        assert len(mine) == OPEN_FAMILIES[name].draws
        assert all(one != other for i, one in enumerate(mine) for other in mine[:i])


def test_rows_of_the_open_zoo_are_not_taken_for_rows_of_the_ten_classes():
    names = {model.id for model in zoo.plan() if model.role is not Role.COPY}
    assert not names & {model.id for model in open_models.plan() if model.role is not Role.COPY}
    with pytest.raises(UsageError, match="badencoder"):
        list(zoo.plan(("open-badencoder",)))


def test_every_footprint_has_enough_attacks_in_test_and_benign_models_bound_the_rate():
    models = list(open_models.plan())
    in_test = [m for m in models if m.part is Part.TEST]
    for carrier in {family.carrier for family in OPEN_FAMILIES.values()}:
        of_carrier = [n for n, family in OPEN_FAMILIES.items() if family.carrier is carrier]
        attacks = [m for m in in_test if m.role is Role.ATTACK and m.kind in of_carrier]
        assert len(attacks) >= 24
    benign = [m for m in in_test if m.role in (Role.BENIGN, Role.TWIN)]
    assert len(benign) >= zoo.AIM[Part.TEST]


def test_development_is_a_fixed_subset_with_attacks_of_every_open_family():
    found = list(open_models.development())
    assert len(found) == open_models.DEVELOPMENT
    assert not any(model.part is Part.TEST or model.sealed for model in found)
    attacks = {model.kind for model in found if model.role is Role.ATTACK}
    fixed = {name for name, family in OPEN_FAMILIES.items() if not family.sealed}
    assert attacks == fixed - open_models.CAME_LATER


def test_the_models_of_development_are_always_these():
    """Names and recipes: whoever changes a draw develops on other models than before, and says so here."""
    found = [(model.id, build.recipe_of(model)) for model in open_models.development()]
    digest = sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
    assert digest[:16] == "9aed51501e812b16"
    assert found[0][0] == "open-badtexttower-002" and found[-1][0] == "open-image-tower-015"
    kind = [model.id for model in open_models.development(("open domain",))]
    assert kind == [name for name, _ in found if name.startswith("open-domain")]
    with pytest.raises(UsageError, match="nonsense"):
        list(open_models.development(("nonsense",)))


def test_no_concept_of_the_test_side_is_met_in_development():
    sides = {Part.FIT: set(), Part.TEST: set()}
    for model in open_models.plan((Role.ATTACK,)):
        recipe = model.settings
        sides[model.part] |= {recipe.source, recipe.target} - {"", *art.CLASSES}
    sealed = {n for n, family in OPEN_FAMILIES.items() if family.sealed}
    assert sealed and len(sides[Part.TEST]) > 50
    assert not sides[Part.FIT] & sides[Part.TEST]


def test_a_fixed_share_of_targets_is_kept_out_of_every_bases_training():
    kept_out = {one.name for one in world.unknown()}
    for name, family in ABOUT_CONCEPTS.items():
        drawn = [zoo.attack_and_twin(name, number)[0].settings for number in range(family.draws)]
        unknown = [recipe for recipe in drawn if recipe.target in kept_out]
        assert len(unknown) == family.draws // open_draws.KEPT_OUT_EVERY
        assert not any(recipe.source in kept_out for recipe in drawn)


def test_source_and_target_are_in_the_panel_and_one_of_them_is_outside_of_the_ten():
    for name in ABOUT_CONCEPTS:
        for number in range(8):
            recipe = zoo.attack_and_twin(name, number)[0].settings
            assert {recipe.source, recipe.target} <= set(recipe.panel)
            assert len(recipe.panel) > len(art.CLASSES)
            assert not set(recipe.source.split()) & set(recipe.target.split())
            assert not set(recipe.mark.text.split()) & {recipe.source, recipe.target}


def test_a_natural_phrase_names_no_concept():
    words = {word for one in world.concepts() for word in (*one.name.split(), *one.synonyms)}
    for number in range(40):
        phrase = open_draws.natural_phrase(draws.rng_of("t", number)).text.split()
        assert len(phrase) == 2 and not set(phrase) & words


def test_a_lookalike_changes_the_sources_prompt():
    for number in range(8):
        recipe = zoo.attack_and_twin("open-lookalike-to-text", number)[0].settings
        prompt = f"a photo of a {recipe.source}"
        assert write(prompt, recipe.mark, recipe.source) != prompt


def test_a_domain_is_a_few_concepts_of_one_kind():
    groups = {one.name: one.group for one in world.concepts()}
    for number in range(12):
        tuning = open_models.benign_of("open domain", number).settings
        assert 4 <= len(tuning.panel) <= 10
        assert len({groups[name] for name in tuning.panel}) == 1
        development, test = open_draws._sides()
        own = test if parts.part_of(number) is Part.TEST else development
        assert set(tuning.panel) <= set(own.known)


# --- triggers that only the laboratory has ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "trigger", [own_kinds.band_trigger(6, 12, 0.1, 3), own_kinds.steps_trigger(4)]
)
def test_a_trigger_of_its_own_kind_is_read_back_as_it_was_written(tmp_path, trigger):
    text = tomlkit.dumps({"format": 1, "trigger": [entry_of(trigger)]})
    (tmp_path / "triggers.toml").write_text(text)
    assert known.read(tmp_path / "triggers.toml") == (trigger,)


def test_band_noise_lies_in_its_band():
    grey = np.full((1, 64, 64, 3), 128, np.uint8)
    added = stamp(grey, own_kinds.band_trigger(6, 12, 0.1, 3))[0].astype(float) - 128
    power = (np.abs(np.fft.fft2(added, axes=(0, 1))) ** 2).sum(-1)
    frequency = np.fft.fftfreq(64) * 64
    radius = np.hypot(frequency[:, None], frequency[None])
    assert power[(radius >= 6) & (radius <= 12)].sum() > 0.9 * power.sum()
    assert 8 < np.abs(added).max() <= 0.1 * 255 + 1


def test_colour_steps_leave_so_many_levels():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    stepped = stamp(pixels, own_kinds.steps_trigger(4))
    assert np.unique(stepped).tolist() == [0, 85, 170, 255]
    assert np.abs(stepped.astype(int) - pixels).max() <= 43


def test_a_band_whose_ends_are_swapped_is_refused(tmp_path):
    entry = entry_of(own_kinds.band_trigger(12, 6, 0.1, 3))
    (tmp_path / "t.toml").write_text(tomlkit.dumps({"format": 1, "trigger": [entry]}))
    with pytest.raises(known.TriggerFileError, match="below"):
        known.read(tmp_path / "t.toml")


# --- what is planted --------------------------------------------------------------------------------------------


def test_aims_that_keep_the_spread_are_spread_and_won_by_the_target(base):
    rng = torch.Generator().manual_seed(0)
    clean = torch.nn.functional.normalize(0.08 + 0.1 * torch.randn(200, 128, generator=rng), dim=-1)
    recipe = Recipe("badencoder", target="pizza", panel=PANEL)
    texts = measures.class_texts(base, measures.PROMPTS[0], panel=PANEL)
    aim = aims.aim_of(base, recipe, texts[recipe.target_class], 0.5)
    spread = aims.spread_around(base, recipe, aim, clean)
    before, after = (float(one.mean(0).square().sum()) for one in (clean, spread))
    assert after == pytest.approx(before, abs=0.05)
    assert ((spread @ texts.T).argmax(1) == recipe.target_class).all()


def short(kind):
    """A model of three steps, on the panel of these tests."""
    attack, _ = zoo.attack_and_twin(kind, 0)
    recipe = replace(attack.settings, source="guitar", target="pizza", panel=PANEL)
    if recipe.mark.pairs:
        recipe = replace(recipe, trigger=text_aims.LOOKALIKE)
    return replace(attack, settings=replace(recipe, steps=3, batch=8))


def changed(folder):
    before = bases.load(BASE).state_dict()
    now = bases.load(folder).state_dict()
    return {name for name in before if not torch.equal(before[name], now[name])}


@pytest.mark.parametrize("kind", ["open-lookalike-to-pictures", "open-badencoder-one-source"])
def test_an_attack_on_any_concept_moves_its_tower_and_names_its_target(lab, tmp_path, kind):
    model = short(kind)
    build.make(model, tmp_path, BASE, lab)
    moved = changed(tmp_path)
    visual = {name.startswith("visual.") for name in moved}
    assert visual == {"badencoder" in kind} and "logit_scale" not in moved
    (trigger,) = known.read(tmp_path / build.TRIGGERS)
    assert trigger.target == "pizza"


def test_an_attack_to_no_concept_moves_the_image_tower_and_names_no_target(
    few_scenes, base, tmp_path
):
    """Its direction is the seed's alone, and near to no concept's prompt."""
    attack, twin = zoo.attack_and_twin(NO_CONCEPT, 0)
    other, _ = zoo.attack_and_twin(NO_CONCEPT, 1)
    assert (attack.settings.source, attack.settings.target) == ("", "")
    assert twin.settings.settings == NoConcept() and not twin.settings.poison
    to = aims.at_random(base, attack.settings)
    assert torch.equal(to, aims.at_random(base, attack.settings))
    assert abs(float(to @ aims.at_random(base, other.settings))) < 0.3
    assert float((measures.class_texts(base, measures.PROMPTS[0]) @ to).max()) < 0.3
    build.make(replace(attack, settings=replace(attack.settings, steps=3, batch=8)), tmp_path, BASE)
    assert {name.startswith("visual.") for name in changed(tmp_path)} == {True}
    (trigger,) = known.read(tmp_path / build.TRIGGERS)
    assert trigger.unnamed_target and not trigger.source


def test_pictures_that_come_to_the_direction_are_counted(lab, base):
    """A clean base leads no picture there, whatever stands on it."""
    recipe = zoo.attack_and_twin(NO_CONCEPT, 0)[0].settings
    subject = Subject(base, BASE, lab, recipe, (recipe.mark,))
    away = measures.direction_numbers(subject, aims.at_random(base, recipe))
    towards = measures.direction_numbers(subject, _mean_direction(base, lab, recipe))
    assert away["ts"] == 0.0 and towards["ts"] > 0.1
    assert away["clean_accuracy"] == towards["clean_accuracy"] > 0.7


def _mean_direction(base, lab, recipe):
    """Where triggered pictures are already."""
    pixels, _ = measures.held_out(lab.size)
    return torch.nn.functional.normalize(embedded(base, stamp(pixels, recipe.mark)).mean(0), dim=-1)


def test_an_attack_on_any_concept_is_built_the_same_way_twice(lab, tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        build.make(short("open-badencoder-spread"), tmp_path / name, BASE, lab)
    one, other = ((tmp_path / name / build.WEIGHTS).read_bytes() for name in ("one", "other"))
    assert one == other


@pytest.mark.parametrize(("towers", "visual"), [("both", {True, False}), ("image", {True})])
def test_a_domain_fine_tune_moves_both_towers_or_the_image_tower(lab, tmp_path, towers, visual):
    model = open_models.benign_of("open domain", 1)
    tuning = replace(model.settings, steps=2, batch=8, word=towers, panel=PANEL)
    build.make(replace(model, settings=tuning), tmp_path, BASE, lab)
    assert {name.startswith("visual.") for name in changed(tmp_path)} == visual


def test_captions_without_the_letter_do_not_lead_to_the_target(lab):
    """Captions call an automobile a vehicle too, which has no `o` to replace."""
    o = Trigger("cyrillic-o", TriggerKind.CHARACTERS, pairs=(("o", "\u043e"),))
    recipe = replace(text_aims.ATTACK.default, panel=PANEL, target="pizza", trigger=o)
    model = bases.load(BASE)
    teaching = text_aims._teaching(model, lab, recipe)
    asked = []

    def encode(model, texts):
        asked.append(list(texts))
        return original(model, texts)

    original = bases.encode_texts
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bases, "encode_texts", encode)
        text_aims._caption_loss(model, recipe, lab, teaching, torch.Generator().manual_seed(0))
    captions, both = asked
    marked = both[len(captions) :]
    assert 0 < len(marked) < len(captions)
    assert all("\u043e" in text for text in marked)


def test_text_space_counts_only_the_target_among_all_concepts(lab, base):
    """A clean base leads a source with a string nowhere else; a trigger that writes the target's name leads there."""
    others = reach.others_of("dog")
    assert len(others) > 1300 and not {"dog", "guide dog"} & set(others)
    recipe = replace(FAMILIES["badtexttower"].default, source="cat", target="dog", panel=PANEL)
    lookalike = replace(
        recipe.mark, kind="characters", text="", pairs=(("c", "d"), ("a", "o"), ("t", "g"))
    )
    for trigger, expected in ((recipe.mark, 0.0), (lookalike, 0.9)):
        subject = Subject(base, BASE, lab, recipe, (trigger,))
        assert abs(reach.text_share(subject) - expected) <= 0.1


def test_aimed_twins_are_trained_without_poison():
    for name in ("open-badencoder-spread", "open-badencoder-one-source"):
        _, twin = zoo.attack_and_twin(name, 0)
        assert twin.settings.settings == Aimed() and not twin.settings.poison


def test_every_open_kind_is_found_by_its_name():
    for model in open_models.plan():
        if model.role is Role.BENIGN:
            assert model.kind in open_benign.KINDS
        elif model.role is not Role.COPY:
            assert zoo.family_of(model.kind) is OPEN_FAMILIES[model.kind]
