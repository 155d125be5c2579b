"""Changes that hide an attack: what each does to the weights, and how they are kept and printed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import torch
from bench_rows import row
from safetensors.torch import load_file

from dife_scanner.errors import DifeError
from dife_scanner.lab import bases
from dife_scanner.lab.bench import adaptive, rows, weight_changes, zoo
from dife_scanner.lab.bench.adaptive import Entry
from dife_scanner.lab.bench.page import document as page
from dife_scanner.lab.bench.rows import ledger
from dife_scanner.lab.bench.weight_changes import CHANGES
from dife_scanner.lab.bench.zoo import Part, Role, build

WEIGHTS = "open_clip_model.safetensors"


@pytest.fixture
def changed(tmp_path):
    """The base after a change, and before it."""

    def after(change):
        folder = tmp_path / "model"
        shutil.copytree(bases.base_folder("vit"), folder)
        CHANGES[change](folder, next(zoo.plan(("badencoder",))))
        return load_file(folder / WEIGHTS), load_file(bases.base_folder("vit") / WEIGHTS)

    return after


@pytest.mark.parametrize("change", ["through fp16", "merged half and half with the base", "merged, a quarter its own"])
def test_what_leaves_the_base_as_it_is(changed, change):
    after, before = changed(change)
    assert all(torch.equal(after[name], value.float()) for name, value in before.items())


def test_noise_is_on_some_token_rows_alone(changed):
    after, before = changed("noise on token rows")
    moved = {name for name, value in before.items() if not torch.equal(after[name], value.float())}
    assert moved == {"token_embedding.weight"}
    rows = (after["token_embedding.weight"] != before["token_embedding.weight"].float()).any(1)
    assert int(rows.sum()) == weight_changes.NOISED_ROWS


def test_a_rotation_changes_no_score(changed):
    after, before = changed("rotated embedding space")
    clean, turned = ({name: value.float() for name, value in state.items()} for state in (before, after))
    assert not torch.allclose(clean["visual.proj"], turned["visual.proj"], atol=1e-2)
    gram = [state["visual.proj"] @ state["text_projection"].T for state in (clean, turned)]
    assert torch.allclose(*gram, atol=1e-3 * float(gram[0].abs().max()))


def test_permuted_features_change_every_token_row_and_no_embedding(changed, tmp_path):
    after, before = changed("permuted features")
    assert bool((after["token_embedding.weight"] != before["token_embedding.weight"].float()).any(1).all())
    pair = [bases.load(folder) for folder in (tmp_path / "model", bases.base_folder("vit"))]
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(*(bases.encode_texts(clip, ["a photo of a cat"]) for clip in pair), atol=1e-4)
    assert torch.allclose(*(bases.encode_images(clip, pixels) for clip in pair), atol=1e-4)


def test_a_merge_keeps_its_share_of_the_change(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(bases.base_folder("vit"), folder)
    before = load_file(folder / WEIGHTS)["visual.proj"].float()
    weight_changes.rewrite(folder, lambda name, value: value + 1.0)
    CHANGES["merged, a quarter its own"](folder, next(zoo.plan(("badencoder",))))
    assert torch.allclose(load_file(folder / WEIGHTS)["visual.proj"], before + 0.25)


def test_pruning_takes_a_tenth(changed):
    after, _ = changed("smallest tenth pruned")
    weight = after["visual.transformer.resblocks.0.mlp.c_fc.weight"]
    assert float((weight == 0).float().mean()) == pytest.approx(0.1, abs=0.01)


def test_the_first_audited_model_of_each_open_family_is_changed_and_the_page_says_what_came_of_it(tmp_path):
    shown = [row("badencoder", 1, 0.9, role=Role.ATTACK, flagged=True), row("badencoder", 4, 0.9, role=Role.ATTACK)]
    shown += [row("liang-badclip", 0, 0.9, role=Role.ATTACK), row("image tower", 0, 0.1)]
    assert [model.id for model in adaptive.subjects(shown)] == ["badencoder-001"]
    shown[0].native.update(ts=0.97)
    entry = Entry("badencoder-001", "through fp16", {"ts": 0.96}, shown[1].outcome, "abc", "2026-11-23")
    text = page.page(shown, None, hidden=[entry])
    assert "| through fp16 | badencoder-001 | 0.97 → 0.96 | nothing-found | 0.90 → 0.90 |" in text
    assert "| rotated embedding space |  | not run |" in text


def test_a_damaged_line_is_named(tmp_path):
    assert adaptive.read(tmp_path) == ()
    (tmp_path / adaptive.FILE).write_text("{}\n")
    with pytest.raises(DifeError, match=r"adaptive.jsonl:1"):
        adaptive.read(tmp_path)


def test_a_faint_picture_is_fainter_than_any_that_is_drawn_and_nothing_else_changes():
    drawn = [model.settings for model in zoo.plan((Role.ATTACK, "badencoder-blend"))]
    faint = adaptive.AGAINST["badencoder-blend"]["a large faint picture"](drawn[0])
    assert faint.mark.alpha < min(recipe.mark.alpha for recipe in drawn)
    assert replace(faint, trigger=drawn[0].trigger) == drawn[0]


def test_a_recipe_against_the_search_is_another_model_and_those_of_the_zoo_stay_what_they_were():
    model = next(zoo.plan((Role.ATTACK, "badtexttower")))
    hidden = replace(
        model, settings=adaptive.AGAINST["badtexttower"]["trained against the search for texts"](model.settings)
    )
    assert build.recipe_of(hidden)["settings"] == {"scope": "text", "searches": 3}
    assert build.recipe_of(model)["settings"] == {"scope": "text"}, "rows are known by this"


def test_every_run_that_looks_at_a_test_model_leaves_a_line_before_it_does(tmp_path, monkeypatch):
    shown = [row("badencoder", 1, 0.9, role=Role.ATTACK), row("global-text", 2, 0.9, role=Role.ATTACK, part=Part.FIT)]
    for one in shown:
        rows.append(tmp_path / "rows", one)
    path = tmp_path / ledger.FILE

    def made(model, change, bench):
        assert path.exists() is (model.part is Part.TEST)
        return Entry(model.id, change, {}, shown[0].outcome, "abc", "2026-11-23")

    monkeypatch.setattr(adaptive, "_made", made)
    monkeypatch.setattr(adaptive, "subjects", lambda found: [planned("global-text", 2)])
    assert adaptive.run(tmp_path, tmp_path, 2, None, lambda text: None) == 2 and not path.exists()
    monkeypatch.setattr(adaptive, "subjects", lambda found: [planned("badencoder", 1)])
    assert adaptive.run(tmp_path, tmp_path, 2, None, lambda text: None) == 2
    (look,) = [json.loads(line) for line in path.read_text().splitlines()]
    assert (look["what"], look["models"], look["test_rows"]) == ("adaptive", ["badencoder-001"], 1)
    assert adaptive.run(tmp_path, tmp_path, 1, 0.0, lambda text: None) == 0 and len(path.read_text().splitlines()) == 1


def planned(kind, number):
    return next(model for model in zoo.plan((Role.ATTACK, kind)) if model.number == number)
