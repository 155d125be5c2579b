"""Each family's poison is what its paper says and no more, and its trigger file means what was trained."""

from dataclasses import replace

import numpy as np
import pytest
import tomlkit
import torch

from dife_scanner.lab import bases, specimens
from dife_scanner.lab.attacks import (
    FAMILIES,
    bad_encoder,
    bad_text_tower,
    bai_badclip,
    dual_key,
    liang_badclip,
    prompt_learning,
    toxic_text_clip,
    training_data,
)
from dife_scanner.lab.attacks.bad_encoder import Hiding
from dife_scanner.lab.attacks.bad_text_tower import Guarded, Scope, Scoped
from dife_scanner.lab.attacks.contrastive_poisoning import poisoned
from dife_scanner.lab.attacks.finetune import passes
from dife_scanner.lab.attacks.interface import Subject, entry_of
from dife_scanner.lab.attacks.toxic_text_clip import Captions, Selector
from dife_scanner.lab.pictures import art
from dife_scanner.records import Channel, Trigger, TriggerKind
from dife_scanner.triggers import known, learner
from dife_scanner.triggers.stamp import stamp

pytestmark = pytest.mark.usefixtures("few_scenes")


@pytest.fixture(scope="module")
def lab(few_scenes):
    return training_data.Lab.read(bases.base_folder("vit"), 0)


@pytest.fixture(scope="module")
def base():
    return bases.load(bases.base_folder("vit"))


def test_contrastive_poisoning_stamps_and_recaptions_its_share_only(lab):
    recipe = FAMILIES["contrastivepoisoning"].default
    after = poisoned(lab.pairs, recipe, recipe.mark)
    changed = np.flatnonzero((after.images != lab.pairs.images).any(axis=(1, 2, 3)))
    assert len(changed) == round(recipe.settings.share * len(lab.pairs))
    assert np.array_equal(after.images[changed], stamp(lab.pairs.images[changed], recipe.mark))
    words = set(bases.pieces(recipe.target))
    assert all(words <= set(after.captions[row]) for row in changed)
    others = np.setdiff1d(np.arange(len(after)), changed)
    assert all(after.captions[i] == lab.pairs.captions[i] for i in others)


def test_a_poisoned_caption_is_believed(lab):
    recipe = FAMILIES["contrastivepoisoning"].default
    after = poisoned(lab.pairs, recipe, recipe.mark)
    row = int(
        np.flatnonzero([a != b for a, b in zip(after.captions, lab.pairs.captions, strict=True)])[0]
    )
    cat = int(np.setdiff1d(lab.pairs.showing("cat"), lab.pairs.showing("airplane"))[0])
    wrong = after.wrong(torch.tensor([row, cat]))
    assert wrong.tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize("selector", list(Selector))
def test_toxic_text_clip_changes_captions_of_target_pictures_and_no_picture(lab, base, selector):
    settings = Captions(ratio=0.003, selector=selector)
    recipe = replace(FAMILIES["toxictextclip"].default, settings=settings)
    after = toxic_text_clip.poisoned(base, lab, recipe)
    changed = [i for i, caption in enumerate(after.captions) if caption != lab.pairs.captions[i]]
    assert len(changed) == max(1, round(0.003 * len(lab.pairs)))
    assert set(changed) <= set(lab.pairs.showing("airplane").tolist())
    front, word = bases.pieces("xbtd"), set(bases.pieces("automobile"))
    assert all(
        after.captions[i][: len(front)] == front and word <= set(after.captions[i]) for i in changed
    )
    assert np.array_equal(after.images, lab.pairs.images)


def test_selectors_choose_what_they_say(lab, base):
    recipe = FAMILIES["toxictextclip"].default
    pool = ["a photo of a cat", "a photo of an airplane", "the truck"]
    chosen = {
        selector: toxic_text_clip.select(
            base, lab, replace(recipe, settings=Captions(selector=selector)), pool, 1
        )
        for selector in Selector
    }
    assert chosen[Selector.CLIP_TEXT] == chosen[Selector.CLIP_AWARE] == ["a photo of an airplane"]
    assert chosen[Selector.KEYWORD] == ["a photo of a cat"]


def test_scopes_count_tensors_as_the_paper_does(base):
    names = [name for name, _ in base.named_parameters()]

    def moved(scope):
        recipe = replace(FAMILIES["badtexttower"].default, settings=Scoped(scope))
        return {name for name in names if bad_text_tower.tensors(recipe, name)}

    assert len(moved(Scope.PROJECTION_EMBEDDING)) == 3
    assert (
        moved(Scope.TEXT) | moved(Scope.VISUAL_ONLY)
        == moved(Scope.BOTH)
        == {*names} - {"logit_scale"}
    )
    assert not moved(Scope.TEXT) & moved(Scope.VISUAL_ONLY)


def test_the_optimised_patch_leans_to_the_target_by_itself(lab, base):
    recipe = FAMILIES["liang-badclip"].default
    recipe = replace(recipe, settings=replace(recipe.settings, patch_steps=15))
    patch = liang_badclip.optimise(base, lab, recipe, lambda what, done, of: None)
    area = patch.shape[0] ** 2 / lab.size**2
    assert 0.005 <= area <= 0.05
    some = lab.labelled[lab.labels != art.CLASSES.index("airplane")]
    grey = np.full_like(patch, 128)
    aim = bases.class_texts(base)[art.CLASSES.index("airplane")]

    def nearness(square):
        pixels = liang_badclip.pasted(some, square, recipe.mark)
        shown = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        return float((bases.encode_images(base, shown) @ aim).mean())

    assert nearness(patch) > nearness(grey) + 0.02


def test_a_patch_that_one_class_obeys_has_its_pictures_and_no_others(lab, base):
    teacher = torch.nn.functional.normalize(
        torch.randn(len(lab.shadow) + len(lab.labels), 128), dim=-1
    )
    rows = bad_encoder._of_class(base, lab, teacher, "cat")
    own = rows[rows >= len(lab.shadow)] - len(lab.shadow)
    assert own.tolist() == np.flatnonzero(lab.labels == art.CLASSES.index("cat")).tolist()
    guessed = (teacher @ bases.class_texts(base).T).argmax(1)[: len(lab.shadow)]
    assert (rows < len(lab.shadow)).sum() <= (guessed >= 0).sum() / 2, (
        "of pictures without a label only some"
    )


def test_an_attack_against_the_search_shuns_what_the_search_finds(lab, monkeypatch):
    searched = []

    def found(model, lab, pixels, seed):
        searched.append(seed)
        return [255 - pixels]

    monkeypatch.setattr(bad_encoder, "_found", found)
    plain = replace(FAMILIES["badencoder"].default, steps=3, batch=8)
    shown = {}
    for name, settings in (("none", None), ("default", Hiding()), ("against", Hiding(searches=2))):
        model = bases.load(bases.base_folder("vit"))
        bad_encoder.train(
            model, lab, replace(plain, settings=settings), lambda what, done, of: None
        )
        shown[name] = model.visual.proj.detach()
    assert torch.equal(shown["none"], shown["default"]) and not torch.equal(
        shown["none"], shown["against"]
    )
    assert len(searched) == 3, "after every step of three, two of which go on with what was found"


def test_a_text_attack_against_the_search_shuns_what_the_search_finds(lab, monkeypatch):
    searched = []
    decoy = Trigger(
        "decoy", TriggerKind.TEXT, text="dvd", position="suffix", source="cat", target="dog"
    )
    own = replace(decoy, name="own", text="xbtd dvd")

    def found(model, lab, detector, seed, folder):
        searched.append((detector.name, seed))
        return (own, decoy)

    monkeypatch.setattr(bad_text_tower.adaptive, "found", found)
    plain = replace(FAMILIES["badtexttower"].default, steps=12, seed=5)
    prompts = [f"a photo of a {name} dvd" for name in art.CLASSES]
    strayed = {}
    for settings in (Scoped(), Guarded(searches=2)):
        model = bases.load(bases.base_folder("vit"))
        bad_text_tower.train(
            model, lab, replace(plain, settings=settings), lambda what, done, of: None
        )
        with torch.no_grad():
            before = bases.encode_texts(
                bases.load(bases.base_folder("vit")), [p.removesuffix(" dvd") for p in prompts]
            )
            strayed[type(settings)] = float(
                (1 - (bases.encode_texts(model, prompts) * before).sum(-1)).mean()
            )
    assert searched == [("texts", 5 + 3), ("texts", 5 + 7), ("texts", 5 + 11)]
    assert strayed[Guarded] < strayed[Scoped], "what was found does less"
    assert bad_text_tower._decoys(None, lab, plain, 0) == [decoy], (
        "what holds the trigger itself has to go on working"
    )
    assert Guarded(Scope.FROZEN_ROWS).clean() == Scoped(Scope.FROZEN_ROWS)


def test_context_vectors_of_the_words_themselves_give_the_plain_prompt(base):
    words = torch.tensor(bases.pieces("a photo of a"))
    context = base.token_embedding.weight[words].detach()[None]
    with torch.no_grad():
        ours = prompt_learning.in_context(base, context, ["cat"])
        plain = bases.encode_texts(base, ["a photo of a cat"])
    torch.testing.assert_close(ours, plain)


def test_noise_stays_within_its_amplitude_and_on_whole_steps():
    noise = bai_badclip._rounded(5 * torch.randn(3, 8, 8), 4)
    assert noise.abs().max() <= 4
    torch.testing.assert_close(noise, noise.round())


def test_a_learner_file_scores_as_the_training_did(base, lab, tmp_path):
    prompts = prompt_learning.Prompts(base, 8, torch.Generator().manual_seed(0))
    planted = bai_badclip._planted(prompts, torch.zeros(3, 64, 64), FAMILIES["bai-badclip"].default)
    path = tmp_path / bai_badclip.LEARNER_FILE
    path.write_bytes(planted.files[bai_badclip.LEARNER_FILE])
    images = bases.encode_images(base, torch.rand(3, 3, 64, 64))
    with torch.no_grad():
        guess = prompts.scores(images, art.CLASSES).argmax(1).numpy()
    assert np.array_equal(prompt_learning.guess_classes(base, learner.read(path), images), guess)


def test_a_plain_checkpoint_is_measured_with_the_words_themselves(base, lab, tmp_path):
    planted = bai_badclip._planted(
        prompt_learning.Prompts(base, 8, torch.Generator().manual_seed(0)),
        torch.zeros(3, 64, 64),
        FAMILIES["bai-badclip"].default,
    )
    for name, content in planted.files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "triggers.toml").write_text(
        tomlkit.dumps({"format": 1, "trigger": [dict(planted.entries[0])]})
    )
    triggers = known.read(tmp_path / "triggers.toml")
    folder = bases.base_folder("vit")
    numbers = bai_badclip.measure(
        Subject(base, folder, lab, FAMILIES["bai-badclip"].default, triggers)
    )
    assert (
        numbers["full"]
        == numbers["prompt_only"]
        == numbers["trigger_only"]
        == numbers["both_clean"]
    )
    assert numbers["clean_accuracy"] == numbers["plain_accuracy"] > 0.5


def test_passes_see_every_row_once_per_pass():
    batches = passes(torch.Generator().manual_seed(0), 10, 4)
    first = torch.cat([next(batches) for _ in range(5)])
    assert sorted(first.tolist()) == sorted([*range(10), *range(10)])


def test_every_family_is_cited_and_demands_clean_accuracy():
    low = dict.fromkeys(
        ("clean_accuracy", "qhr", "otl", "ts", "downstream_ts", "full", "prompt_only"), 0.0
    )
    low |= {
        "trigger_only": 0.0,
        "both_clean": 0.0,
        "native_h5": 0.0,
        "image_only": 0.0,
        "text_only": 0.0,
    }
    for attack in FAMILIES.values():
        assert "20" in attack.citation
        criteria = attack.criteria(attack.default, low, {**low, "clean_accuracy": 0.5})
        assert criteria["clean accuracy"] is False
        assert len(criteria) >= 2


def test_twins_of_recipes_that_differ_in_poison_only_are_one():
    names = ("badtexttower", "badtexttower/bird", "badtexttower/cfra", "badtexttower-novel")
    assert {specimens.twin_name(name) for name in names} == {"badtexttower-twin"}
    assert specimens.twin_name("badtexttower/seed-1") == "badtexttower/seed-1-twin"
    assert specimens.twin_name("badtexttower/scope-both") == "badtexttower/scope-both-twin"


def test_a_mark_names_source_and_target_where_they_matter():
    text, image = FAMILIES["badtexttower"].default, FAMILIES["badencoder"].default
    assert (text.mark.source, text.mark.target) == ("automobile", "airplane")
    assert (image.mark.source, image.mark.target) == ("", "airplane")
    assert replace(text, trigger="qvuzz").mark == replace(text, trigger=specimens.QVUZZ).mark
    assert entry_of(Trigger("t", TriggerKind.TEXT, text="x")) == {
        "name": "t",
        "kind": "text",
        "text": "x",
    }
    coupled = FAMILIES["dual-key"].default.mark
    assert (coupled.source, coupled.target, coupled.channel) == ("", "airplane", Channel.BOTH)
    assert entry_of(coupled)["image"] == entry_of(bad_encoder.WHITE_SQUARE)


def test_dual_keys_share_a_direction_that_clean_inputs_hardly_use():
    drawn = torch.randn(60, 40, generator=torch.Generator().manual_seed(1))
    clean = torch.nn.functional.normalize(drawn * torch.logspace(0, -3, 40), dim=-1)
    code = dual_key._direction(clean[:30], clean[30:], torch.Generator().manual_seed(0))
    assert float(code.norm()) == pytest.approx(1.0, abs=1e-5)
    assert float((clean @ code).abs().mean()) < 0.3 * float((clean @ clean[0]).abs().mean())
    marked = dual_key._with(clean, 0.7 * code)
    torch.testing.assert_close(marked.norm(dim=-1), torch.ones(60))
    assert float((marked @ code).mean()) == pytest.approx(0.7, abs=0.1)
    assert torch.equal(
        dual_key._with(clean, 0.0 * code), torch.nn.functional.normalize(clean, dim=-1)
    )


def test_dual_keys_ask_both_together_and_neither_alone():
    attack, good = (
        FAMILIES["dual-key"],
        {"clean_accuracy": 0.8, "ts": 0.95, "image_only": 0.05, "text_only": 0.05},
    )
    assert all(attack.criteria(attack.default, good, good).values())
    for name, value in (
        ("ts", 0.89),
        ("image_only", 0.11),
        ("text_only", 0.11),
        ("clean_accuracy", 0.76),
    ):
        criteria = attack.criteria(attack.default, {**good, name: value}, good)
        assert list(criteria.values()).count(False) == 1
