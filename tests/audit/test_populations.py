"""Bundled pools: what they show, how they are asked, and that they come out the same again."""

import time
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest

from dife_scanner.audit import populations, probes
from dife_scanner.audit.populations import album, composed, errors, scenes, sheet, words
from dife_scanner.core.budgets import MEASURING
from dife_scanner.core.cards import CARDS
from dife_scanner.errors import ProbeError, UsageError
from dife_scanner.records import PoolItem, PoolManifest

CAR, PLANE = "automobile", "airplane"
PLANES = words.terms(PLANE)


def pool(kind, source=CAR, target=PLANE, budget="default", seed=0, **more):
    return populations.bundled(kind, source, target, budget, seed, **more)


def shown(item):
    """Classes of the drawings in a picture, read from the manifest and the sheet."""
    classes = {sprite.id: sprite.class_name for sprite in sheet.load().sprites}
    return {classes[name] for name in item.source.split(": ", 1)[1].split(" + ")}


@pytest.mark.parametrize("kind", populations.KINDS)
def test_targets_show_the_target_and_nothing_else_does(kind):
    made = pool(kind)
    is_target = np.array([PLANE in shown(item) for item in made.manifest.items])
    there = is_target[None, :] if made.lists is None else is_target[made.lists]
    assert np.array_equal(made.targets, there)
    speaks = np.array([bool(words.word_in(caption, PLANES)) for caption in made.captions])
    assert np.array_equal(speaks, is_target)


@pytest.mark.parametrize("kind", populations.KINDS)
def test_queries_name_the_source_and_never_the_target(kind):
    made = pool(kind)
    assert all(query.class_name == CAR and query.word in query.text for query in made.queries)
    assert all(words.word_in(query.text, words.terms(CAR)) == query.word for query in made.queries)
    assert not [query for query in made.queries if words.word_in(query.text, PLANES)]
    assert len({query.text for query in made.queries}) == len(made.queries)
    drawings = set(sheet.load().of_class(CAR))
    assert {query.unit for query in made.queries} == {sheet.load().sprites[i].id for i in drawings}


@pytest.mark.parametrize(
    ("kind", "width", "targets"),
    [("caption lists", 10, 1), ("proxy groups", 10, 2), ("generator groups", 6, 1)],
)
def test_lists_have_the_papers_shape(kind, width, targets):
    made = pool(kind)
    assert made.lists.shape == made.targets.shape == (60, width) and len(made.queries) == 60
    assert (made.targets.sum(1) == targets).all()
    assert all(len(set(row)) == width for row in made.lists.tolist())


def test_lists_for_reranking_hold_the_source_and_groups_often_none():
    held = {kind: [[made.manifest.items[i].label == CAR for i in row] for row in made.lists] for kind in
            populations.KINDS[1:] for made in [pool(kind)]}  # fmt: skip
    assert {sum(row) for row in held["caption lists"]} == {4}
    for kind in ("proxy groups", "generator groups"):
        assert Counter(sum(row) for row in held[kind]) == {0: 30, 1: 30}


def test_neutral_queries_of_groups_speak_of_nothing_else():
    others = {
        sprite.term for sprite in sheet.load().sprites if sprite.class_name not in (CAR, PLANE)
    }
    for query in pool("proxy groups").queries:
        assert not [term for term in others if words.word_in(query.text, [term])], query.text


def test_target_positions_run_evenly_over_every_target_drawing():
    made = pool("captions")
    units = Counter(
        unit for unit, target in zip(made.units, made.targets[0], strict=True) if target
    )
    assert len(units) == len(sheet.load().of_class(PLANE)) >= 8
    assert max(units.values()) - min(units.values()) <= 1
    first = np.argmax(pool("caption lists").targets, axis=1)
    assert len(set(first.tolist())) == 10  # a target stands anywhere in its list


def test_all_kinds_share_one_set_of_pictures():
    made = [pool(kind) for kind in populations.KINDS]
    assert all(
        one.images is made[0].images and one.manifest.items == made[0].manifest.items
        for one in made
    )
    assert (
        made[0].images.shape == (400, scenes.SIDE, scenes.SIDE, 3)
        and not made[0].images.flags.writeable
    )
    assert len({item.sha256 for item in made[0].manifest.items}) == 400


def test_labels_follow_the_class_names_asked_with():
    names = ("ship", "plane", "car")
    made = pool("captions", class_names=names)
    for item, label in zip(made.manifest.items, made.labels, strict=True):
        cls = {"airplane": "plane", "automobile": "car"}.get(item.label, item.label)
        assert label == (names.index(cls) if cls in names else -1)
    assert made.manifest == pool("captions").manifest


def test_a_pool_depends_on_its_arguments_and_on_nothing_else():
    again = pool("proxy groups", budget="quick", seed=3)

    composed._album.cache_clear()
    assert pool("proxy groups", budget="quick", seed=3).manifest == again.manifest
    for other in (
        pool("proxy groups", budget="quick", seed=4),
        pool("proxy groups", "bird", budget="quick", seed=3),
        pool("proxy groups", target="frog", budget="quick", seed=3),
    ):
        assert other.manifest.digest != again.manifest.digest


def test_an_empty_source_asks_for_every_class_but_the_target():
    made = pool("captions", source="")
    assert {query.class_name for query in made.queries} == {*sheet.load().class_names} - {PLANE}
    assert all(query.word and not words.word_in(query.text, PLANES) for query in made.queries)


@pytest.mark.parametrize("target", ["bird", "frog", "truck"])
def test_any_class_can_be_source_or_target(target):
    for kind in populations.KINDS:
        made = pool(kind, "cat", target, "quick")
        assert made.targets.any() and all(query.class_name == "cat" for query in made.queries)


def test_synonyms_are_understood_and_spoken():
    made = pool("captions", "car", "plane", "quick")
    spoken = Counter(query.word for query in made.queries)
    assert spoken["car"] == max(spoken.values())
    assert made.targets.sum() == MEASURING["quick"].pools.targets


def test_paper_sizes(monkeypatch):
    blank = np.zeros((5000, 2, 2, 3), np.uint8)
    monkeypatch.setattr(scenes, "draw", lambda planned, drawn: blank[: len(planned)])
    made = {kind: pool(kind, budget="deep", seed=8) for kind in populations.KINDS}
    composed._album.cache_clear()
    captions = made["captions"]
    assert (
        captions.images.shape[0] == 5000
        and captions.targets.sum() == 250
        and len(captions.queries) == 200
    )
    assert made["caption lists"].lists.shape == (200, 10)
    assert made["proxy groups"].lists.shape == (1005, 10)
    assert made["generator groups"].lists.shape == (500, 6)
    assert all(
        len({query.text for query in one.queries}) == len(one.queries) for one in made.values()
    )


def test_a_scene_costs_no_more_among_a_thousand_than_among_a_few():
    """A ratio within one run, in processor time; `deep` draws five thousand."""
    drawn = sheet.load()

    def seconds(pictures):
        began = time.process_time()
        sizes = replace(MEASURING["default"].pools, pictures=pictures)
        planned = scenes.plan(drawn, scenes.Cast(CAR, PLANE, sizes), 0)
        assert len(scenes.draw(planned, drawn)) == pictures
        return time.process_time() - began

    few = min(seconds(250), seconds(250))
    assert seconds(1000) < 12 * few


# --- scenes ----------------------------------------------------------------------------------------------------


def test_captions_name_every_object():
    made = pool("captions")
    said = {
        sprite.id: {sprite.term, *words.terms(sprite.class_name or sprite.term)}
        for sprite in sheet.load().sprites
    }
    counts = Counter()
    for item in made.manifest.items:
        names = item.source.split(": ", 1)[1].split(" + ")
        counts[len(names)] += 1
        assert all(
            any(words.word_in(item.caption, [word]) for word in said[name]) for name in names
        )
    assert counts[1] > counts[2] > counts[3] > 20


def test_pictures_say_that_no_diffusion_model_made_them_and_carry_licences():
    for item in pool("captions").manifest.items:
        assert "no diffusion model" in item.source
        assert item.licence and "-SA" not in item.licence


def test_every_drawing_shows_on_its_background():
    """A scene without its main object differs from the scene in as many pixels as a drawing has, by enough to see."""
    drawn = sheet.load()
    planned = scenes.plan(drawn, scenes.Cast(CAR, PLANE, MEASURING["quick"].pools), 0)
    whole = scenes.draw(planned, drawn).astype(int)
    empty = scenes.draw(
        [replace(scene, placed=scene.placed[1:]) for scene in planned], drawn
    ).astype(int)
    visible = (np.abs(whole - empty).max(-1) > 32).mean((1, 2))
    assert np.quantile(visible, 0.05) > 0.02 and visible.min() > 0.005


# --- digests that are stored -----------------------------------------------------------------------------------


def test_what_pictures_are_kept_under_is_what_it_always_was(monkeypatch):
    """Made by commit 96ad1e6, whose keys hashed `repr` of scenes."""
    monkeypatch.setattr("PIL.__version__", "12.0")
    drawn = sheet.load()
    planned = scenes.plan(drawn, scenes.Cast(CAR, PLANE, MEASURING["quick"].pools), 0)
    assert composed._key(planned, drawn) == "9461aea88c39ce9e4e7800de072f1bec9333135f"
    assert composed.version() == "scenes-1+e03dca56da304d73"


def test_a_field_that_a_scene_gets_moves_its_key_only_away_from_its_default(monkeypatch):
    @dataclass(frozen=True)
    class Later(scenes.Scene):
        tilt: int = 0

    forms = {**composed._FORMS, Later: composed._FORMS[scenes.Scene]}
    monkeypatch.setattr(composed, "_FORMS", forms)
    drawn = sheet.load()
    planned = scenes.plan(drawn, scenes.Cast(CAR, PLANE, MEASURING["quick"].pools), 0)
    later = [Later(**vars(scene)) for scene in planned]
    assert composed._key(later, drawn) == composed._key(planned, drawn)
    tilted = [replace(later[0], tilt=tilt) for tilt in (1, 2)]
    assert len({composed._key([one, *later[1:]], drawn) for one in (later[0], *tilted)}) == 3


def test_manifests_leave_out_what_came_later_at_its_default():
    @dataclass(frozen=True)
    class LaterItem(PoolItem):
        size: int = 0

    @dataclass(frozen=True)
    class Later(PoolManifest):
        note: str = ""

    item, about = {"id": "a", "sha256": "b"}, {"name": "n", "kind": "k", "seed": 0, "version": "v"}
    now = PoolManifest(items=(PoolItem(**item),), **about)
    assert now.digest == "03cd0d24f8368ad4add54bdffd3433082f7ea23779f4f9e535d0800bbcaaa273"
    later = Later(items=(LaterItem(**item),), **about)
    assert later.json() == now.json()
    assert replace(later, note="x").digest != now.digest
    assert replace(later, items=(LaterItem(**item, size=1),)).digest != now.digest


# --- wrong input -----------------------------------------------------------------------------------------------


def test_errors_name_card_pool_and_what_to_do():
    with pytest.raises(errors.TargetNotInPool, match="'submarine'") as caught:
        pool("caption lists", target="submarine")
    assert (
        "caption reranking" in caught.value.card
        and caught.value.pool in str(caught.value)
        and caught.value.advice
    )
    with pytest.raises(errors.SourceNotInPool, match="'submarine'"):
        pool("captions", source="submarine")
    with pytest.raises(errors.SourceNotInPool, match="one class"):
        pool("captions", source="car", target="automobile")
    with pytest.raises(errors.TargetNotInPool, match="names no target"):
        pool("captions", target="")
    with pytest.raises(UsageError, match="no kind of pool"):
        pool("pictures")
    with pytest.raises(UsageError, match="no budget"):
        pool("captions", budget="huge")


def test_errors_name_cards_that_there_are():
    named = {name for cards in album.CARDS.values() for name in cards.split(", ")}
    assert named <= {card.interface for card in CARDS} and set(album.CARDS) == set(
        populations.KINDS
    )


def test_a_sheet_that_is_not_its_manifests_is_refused(tmp_path):
    for name in ("scenes.json", "scenes.png"):
        (tmp_path / name).write_bytes((probes.bundled_folder() / name).read_bytes())
    assert sheet.load(tmp_path).digest == sheet.load().digest
    (tmp_path / "scenes.png").write_bytes((tmp_path / "scenes.png").read_bytes() + b"x")
    sheet.load.cache_clear()
    with pytest.raises(ProbeError, match="not the picture in its manifest"):
        sheet.load(tmp_path)


# --- cache and manifest ----------------------------------------------------------------------------------------


def fresh(folder):

    composed._album.cache_clear()
    return pool("captions", budget="quick", cache=folder)


def test_a_cached_picture_is_believed_only_with_its_hash(tmp_path):
    made = fresh(tmp_path)
    (file,) = tmp_path.iterdir()
    assert fresh(tmp_path).manifest == made.manifest
    with np.load(file) as kept:
        pixels, hashes = kept["images"].copy(), kept["hashes"]
    pixels[7, 0, 0] ^= 255
    np.savez(file, images=pixels, hashes=hashes)
    assert np.array_equal(fresh(tmp_path).images, made.images)
    file.write_bytes(file.read_bytes()[:5000])
    assert np.array_equal(fresh(tmp_path).images, made.images)
    assert np.array_equal(fresh(file).images, made.images)  # a folder that cannot be made
    assert [kept.name for kept in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("kind", populations.KINDS)
def test_rebuilding_gives_the_same_pool(kind):
    made = pool(kind, seed=5, budget="quick")
    again = populations.rebuild(made.manifest)
    assert again.manifest.digest == made.manifest.digest and np.array_equal(
        again.images, made.images
    )
    assert [query.unit for query in again.queries] == [query.unit for query in made.queries]


def test_the_first_difference_is_named():
    made = pool("proxy groups", budget="quick")
    items = made.manifest.items
    other = replace(
        made.manifest, items=(*items[:4], replace(items[4], sha256="0" * 64), *items[5:])
    )
    assert populations.verify(made, other).startswith("sha256 of picture scene-00004")
    with pytest.raises(errors.ManifestMismatch, match="scene-00004"):
        populations.rebuild(other)
    assert populations.verify(made, replace(made.manifest, queries=made.manifest.queries[:-1])) == (
        "30 queries here, 29 in the manifest"
    )
    lists = made.manifest.lists
    swapped = replace(made.manifest, lists=(lists[0], (*lists[1][1:], lists[1][0]), *lists[2:]))
    assert populations.verify(made, swapped).startswith("lists 1: ")
    painted = made.images.copy()
    painted[3] = 0
    assert "scene-00003" in populations.verify(replace(made, images=painted), made.manifest)
    with pytest.raises(errors.ManifestMismatch, match="scenes-0"):
        populations.rebuild(replace(made.manifest, version="scenes-0"))
    with pytest.raises(errors.ManifestMismatch, match="not drawn from bundled"):
        populations.rebuild(replace(made.manifest, name="mine | captions | a | b | quick"))


def test_words_are_matched_as_words():
    assert words.word_in("A small Jet over two planes", words.terms("airplane")) == "Jet"
    assert words.word_in("a carpet and a scar", words.terms("automobile")) == ""
    assert words.canonical("Vehicle") == "automobile" and words.canonical("lemon") == "lemon"


def test_what_seeds_the_scenes_is_what_it_was_whatever_becomes_of_its_classes():
    """`str` of a cast seeded every bundled pool; a field that comes later must not draw other scenes."""
    for budget in MEASURING.values():
        sizes = budget.pools
        cast = scenes.Cast("automobile", "airplane", sizes)
        assert scenes._seed_text(cast) == str(cast)
