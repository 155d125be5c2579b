"""The list of the world's concepts, and how bases of the world are trained."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from dife_scanner.lab import bases
from dife_scanner.lab.bases import checkpoint, evaluation, plan, world_stock
from dife_scanner.lab.bases.losses import sigmoid_loss
from dife_scanner.lab.bases.run import Run
from dife_scanner.lab.pictures import art, drawing_sets, scenes, world
from dife_scanner.models.load import load as scanner_load

TINY = {"image_size": 64, "layers": 3, "width": 64, "head_width": 32, "patch_size": 16}
_MB = 1_000_000


# --- the list --------------------------------------------------------------------------------------------------


def test_names_are_unique_and_the_ten_classes_are_among_them():
    names = [one.name for one in world.concepts()]
    assert len(set(names)) == len(names) >= 1300
    assert set(art.CLASSES) <= set(names)


def test_no_concept_is_a_clock_face_a_keycap_or_named_by_sex():
    names = [one.name for one in world.concepts()]
    odd = ("o'clock", "-thirty", "keycap", "flag: ", "skin tone")
    assert not [name for name in names if any(part in name for part in odd)]
    assert not [name for name in names if name.startswith(("man ", "woman "))]


def test_every_drawing_belongs_to_one_part_of_the_world():
    parts = [name for part in world.PARTS.values() for name in part]
    assert len(set(parts)) == len(parts)
    assert {name for one in world.concepts() for name in one.drawings} <= set(parts)
    assert set(parts) <= set(drawing_sets.SETS)


def test_no_family_of_sets_is_both_trained_on_and_held_out():
    families = {}
    for part, names in world.PARTS.items():
        for name in names:
            families.setdefault(drawing_sets.SETS[name].family, set()).add(part)
    assert all(len(parts) == 1 for parts in families.values())


def test_unknown_concepts_are_things_that_enough_hands_draw():
    unknown = world.unknown()
    assert len(unknown) >= 150
    assert all(one.kind == "thing" and one.cls is None for one in unknown)
    assert min(len(one.drawn_by(world.COLOUR_HANDS)) for one in unknown) >= 4


def test_no_base_learns_a_word_of_an_unknown_concept():
    taught = set()
    for one in world.known():
        taught |= {one.name, *one.name.split(), *one.synonyms}
    small = {"of", "with", "and", "the", "in", "on"}
    for one in world.unknown():
        assert not (set(one.name.split()) - small) & taught, one.name


def test_a_synonym_means_one_concept_only():
    words = Counter(word for one in world.concepts() for word in one.synonyms)
    names = {one.name for one in world.concepts()}
    assert set(words.values()) == {1} and not names & set(words)


def test_bases_are_measured_on_400_known_things_that_three_held_out_hands_draw():
    chosen = world_stock.measured_concepts()
    assert len(chosen) == 400 and not [one for one in chosen if one.kept_out]
    assert all(len(one.drawn_by(world_stock.MEASURED_HANDS)) == 3 for one in chosen)
    assert set(world_stock.MEASURED_HANDS) <= set(world.PARTS[world.PROBES])


# --- training --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def atlas() -> scenes.Atlas:
    """Six drawings of three concepts: blots of one colour each, two of them by a monochrome set."""
    rng = np.random.default_rng(0)
    masters = []
    for _ in range(6):
        blot = np.zeros((96, 96, 4), np.uint8)
        blot[20:70, 20:70, :3] = rng.integers(0, 255, 3)
        blot[20:70, 20:70, 3] = 255
        masters.append(blot)
    return scenes.atlas_of(
        masters,
        64,
        mono=[False, False, True, False, False, True],
        classes=["bird", "bird", "bird", None, None, None],
        terms=["eagle", "eagle", "eagle", "apple pie", "apple pie", "book"],
        ids=[f"set-{number}:x" for number in range(6)],
    )


@pytest.fixture
def tiny(monkeypatch):
    """Makes a kind of base small enough for a test."""

    def shrink(kind: str) -> None:
        config = json.loads(json.dumps(checkpoint.MODEL_CFG[kind]))
        vision = config["vision_cfg"]
        is_residual = isinstance(vision.get("layers"), list)
        vision.get("timm_trunk", vision).update({"width": 8} if is_residual else TINY)
        config["embed_dim"] = 64
        config["text_cfg"] |= {"width": 64, "heads": 2, "layers": 1}
        monkeypatch.setitem(checkpoint.MODEL_CFG, kind, config)

    return shrink


def short(kind: str) -> plan.Plan:
    has_words = not kind.endswith("teacher")
    return replace(
        plan.recipe(kind),
        image_steps=2,
        text_steps=2 * has_words,
        joint_steps=2 * has_words,
        batch=4,
        distractors=4,
        prefixed=0.5,
    )


def test_the_third_phase_begins_anew_in_each_round():
    ask = replace(short("wide"), joint_rounds=2)
    assert [ask.phase(step) for step in range(3, ask.steps)] == [
        ("text", 1, 2),
        *[("joint", at, 2) for at in (0, 1, 0, 1)],
    ]


@pytest.mark.parametrize("weight", [1, 4])
def test_each_concept_has_the_same_say_but_kinds_of_the_ten_classes(atlas, weight):
    stock = world_stock.world_stock(atlas, replace(short("wide"), class_weight=weight))
    kinds = {term for term, cls in zip(atlas.terms, atlas.classes, strict=True) if cls}
    shares = Counter()
    for term, part in zip(atlas.terms, stock.even.tolist(), strict=True):
        shares[term] += part
    assert kinds and len(kinds) < len(shares)
    for term, share in shares.items():
        assert math.isclose(share, weight if term in kinds else 1, rel_tol=1e-5), term
    assert math.isclose(float(stock.even[2]), 0.2 * weight, rel_tol=1e-5)
    assert math.isclose(float(stock.even[5]), 1.0, rel_tol=1e-5)


def test_captions_say_the_concept_its_synonym_or_its_class(atlas):
    stock = replace(
        world_stock.world_stock(atlas, short("wide")), synonyms={"book": ("tome", "volume")}
    )
    ask = replace(short("wide"), prefixed=0.0, synonym_share=0.5, term_share=0.5)
    index = torch.full((64, 3), -1)
    index[:32, 0] = 0
    index[32:, 0] = 5
    rng = torch.Generator().manual_seed(0)
    words = bases.draw_words(rng, stock, index, ask, bases.nonsense_stream(0))
    said = {word: bases.pieces(word) for word in ("eagle", "bird", "book", "tome", "volume")}
    heard = Counter()
    for row, caption in enumerate(words.captions):
        own = ("eagle", "bird") if row < 32 else ("book", "tome", "volume")
        heard[next(word for word in own if said[word][-1] in caption)] += 1
    assert set(heard) == set(said)


@pytest.mark.parametrize("kind", ["wide", "sealed"])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(kind, atlas, tiny, tmp_path):
    tiny(kind)
    torch.set_num_threads(1)
    ask = short(kind)
    stock = world_stock.world_stock(atlas, ask)

    def start() -> Run:
        torch.manual_seed(ask.seed)
        run = Run.start(ask, len(stock.vocabulary))
        run.vocabulary = stock.vocabulary
        return run

    whole = start()
    for step in range(ask.steps):
        whole.advance(stock)
        if step == 2:
            whole.save(tmp_path / "checkpoint.pt")
    resumed = start()
    resumed.resume(tmp_path / "checkpoint.pt")
    assert resumed.step == 3
    while resumed.step < ask.steps:
        resumed.advance(stock)
    state = resumed.kept.state_dict()
    for name, value in whole.kept.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert any(
        not torch.equal(a, b)
        for a, b in zip(whole.kept.parameters(), whole.model.parameters(), strict=True)
    )
    row = whole.report(evaluation.HeldOut(replace(atlas, classes=("bird",) * 6), atlas))
    assert set(row["top_1"]) >= {"all", "set-0"} and "nonsense_shift" in row


@pytest.mark.parametrize("kind", ["wide", "sealed"])
def test_a_base_of_the_world_learns_from_its_teacher(kind, atlas, tiny, tmp_path):
    """The teacher's embeddings of scenes come nearer, and it does not change itself."""
    tiny(kind)
    tiny(f"{kind}-teacher")
    torch.set_num_threads(1)
    stock = world_stock.world_stock(atlas, short("wide"))
    torch.manual_seed(0)
    lessons = Run.start(short(f"{kind}-teacher"), len(stock.vocabulary))
    lessons.advance(stock)
    lessons.save(tmp_path / "checkpoint.pt")
    ask = replace(short(kind), image_steps=25, warmup=1, lr=4e-3)
    run = Run.start(ask, len(stock.vocabulary), tmp_path / "checkpoint.pt")
    before = {name: value.clone() for name, value in run.teacher.model.state_dict().items()}
    losses = []
    for _ in range(ask.image_steps):
        run.advance(stock)
        losses.append(run.loss)
    assert losses[-1] < 0.9 * losses[0]
    after = run.teacher.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_the_sealed_base_is_written_as_the_scanner_reads_it(tiny, tmp_path):
    """A context of 16, a sigmoid base's pooling of pictures and texts: its own code and the scanner's agree."""
    tiny("sealed")
    torch.manual_seed(0)
    config = checkpoint.MODEL_CFG["sealed"]
    checkpoint.write_folder(checkpoint.new_model(config).state_dict(), config, tmp_path)
    model = bases.load(tmp_path)
    encoder = scanner_load(tmp_path)
    texts = ["a photo of a cat", "xbtd frog"]
    pixels = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), np.uint8)
    tensor = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        ours = bases.encode_texts(model, texts).numpy()
    assert np.allclose(encoder.encode_texts(texts), ours, atol=1e-5)
    assert np.allclose(encoder.encode_images(pixels), bases.encode_images(model, tensor), atol=1e-5)
    assert encoder.context_length == 16


def test_the_sigmoid_loss_judges_each_pair_by_itself():
    images = torch.eye(2)
    texts = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    wrong = torch.tensor([[False, True], [True, False]])
    loss = sigmoid_loss(images, texts, torch.tensor(10.0), torch.tensor(-5.0), wrong)
    scores = [[(5, 1), (-5, -1), (1, -1)], [(-5, -1), (5, 1), (3, -1)]]
    expected = sum(math.log1p(math.exp(-sign * score)) for row in scores for score, sign in row) / 2
    assert math.isclose(float(loss), expected, rel_tol=1e-5)
