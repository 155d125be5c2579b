"""A grown model embeds as the small one does, and has open_clip's own shape."""

import json
from dataclasses import replace

import pytest
import torch

from dife_scanner.errors import UsageError
from dife_scanner.lab import bases, grown, specimens
from dife_scanner.lab.bases.checkpoint import new_model
from dife_scanner.lab.grown import making, shapes, stretching, tuning
from dife_scanner.lab.specimens import building

SMALL = {
    "embed_dim": 8,
    "vision_cfg": {
        "image_size": 32,
        "layers": 2,
        "width": 16,
        "head_width": 4,
        "patch_size": 8,
        "pool_type": "avg",
    },
    "text_cfg": {"context_length": 6, "vocab_size": 40, "width": 16, "heads": 4, "layers": 2},
}
LARGE = {
    "embed_dim": 24,
    "vision_cfg": {
        "image_size": 32,
        "layers": 5,
        "width": 64,
        "head_width": 8,
        "patch_size": 8,
    },
    "text_cfg": {"context_length": 9, "vocab_size": 40, "width": 32, "heads": 4, "layers": 3},
}


def random_model(config):
    """A model of which every weight, norms and biases too, is drawn at random."""
    torch.manual_seed(3)
    model = new_model(config).eval()
    with torch.no_grad():
        for value in model.parameters():
            if value.ndim:
                value.add_(0.3 * torch.randn(value.shape))
    return model


@pytest.fixture(scope="module")
def pair():
    """A small model and what it was grown to."""
    small = random_model(SMALL)
    large = new_model(shapes.grown(SMALL, LARGE)).eval()
    large.load_state_dict(grown.grow(small.state_dict(), SMALL, LARGE))
    return small, large


def cosines(embeddings):
    return embeddings @ embeddings.T


@torch.no_grad()
def test_pictures_are_embedded_as_before_copy_by_copy(pair):
    small, large = pair
    pixels = torch.rand(6, 3, 32, 32)
    before, after = (model.visual(pixels) for model in (small, large))
    assert torch.allclose(after, before.repeat(1, 3), atol=1e-5)
    units = [torch.nn.functional.normalize(one, dim=-1) for one in (before, after)]
    assert torch.allclose(cosines(units[1]), cosines(units[0]), atol=1e-5)


@torch.no_grad()
def test_texts_that_the_small_one_can_read_are_embedded_as_before(pair):
    small, large = pair
    ids = torch.randint(1, 39, (6, 6))
    ids[:, 4] = 39
    before, after = (bases.encode_ids(model, ids) for model in (small, large))
    assert torch.allclose(after * 3**0.5, before.repeat(1, 3), atol=1e-5)
    assert float(large.logit_scale) == float(small.logit_scale)


@torch.no_grad()
def test_a_longer_text_than_the_small_one_reads_can_be_read(pair):
    ids = torch.randint(1, 39, (2, 9))
    ids[:, 8] = 39
    assert bool(torch.isfinite(bases.encode_ids(pair[1], ids)).all())


def test_layers_that_are_no_small_layers_change_no_state(pair):
    states = torch.randn(2, 17, 64)
    found = [
        bool((block(states) == states).all()) for block in pair[1].visual.transformer.resblocks
    ]
    assert found == [False, True, False, True, True]


def test_the_bundled_vit_grows_to_what_open_clip_calls_vit_b_32():
    """Names and shapes, without holding a weight; only the pooling, which no tensor shows, is the base's."""
    import open_clip

    theirs = open_clip.get_model_config("ViT-B-32")
    assert shapes.SHAPES["ViT-B-32"] == theirs
    small = bases.MODEL_CFG["vit"]
    with torch.device("meta"):
        at = new_model(shapes.stretched(small, theirs))
        state = grown.grow(at.state_dict(), small, theirs)
        for config in (theirs, shapes.grown(small, theirs)):
            open_clip.CLIP(**config).load_state_dict(state, strict=True, assign=True)
    different = shapes.grown(small, theirs)
    assert different["vision_cfg"].pop("pool_type") == "avg" and different == theirs


@pytest.mark.parametrize("width", [72, 48], ids=["no multiple", "an odd number of copies"])
def test_a_shape_that_copies_do_not_fill_is_refused(width):
    target = json.loads(json.dumps(LARGE))
    target["vision_cfg"]["width"] = width
    with pytest.raises(UsageError, match="do not fill"):
        grown.grow(random_model(SMALL).state_dict(), SMALL, target)


# --- larger pictures -------------------------------------------------------------------------------------------


def test_resampled_patches_answer_to_an_enlarged_patch_as_before():
    kernel, patches = torch.randn(5, 3, 8, 8), torch.rand(4, 3, 8, 8)
    enlarged = torch.nn.functional.interpolate(
        patches, (16, 16), mode="bicubic", align_corners=False
    )
    before = torch.einsum("ncij,wcij->nw", patches, kernel)
    after = torch.einsum("ncij,wcij->nw", enlarged, stretching.resampled(kernel, 16))
    assert torch.allclose(before, after, atol=1e-4)


def test_places_keep_their_order_and_the_class_token_its_own():
    places = torch.cat([torch.full((1, 2), 9.0), torch.arange(16.0)[:, None].expand(-1, 2)])
    wider = stretching.interpolated(places, 7)
    assert wider.shape == (50, 2) and bool((wider[0] == 9).all())
    grid = wider[1:, 0].view(7, 7)
    assert bool((grid.diff(dim=0) > 0).all() and (grid.diff(dim=1) > 0).all())
    assert torch.allclose(stretching.interpolated(places, 4), places, atol=1e-5)


def of_size(side, patch):
    """The small configuration for pictures of this size."""
    config = json.loads(json.dumps(SMALL))
    return shapes.stretched(config, {"vision_cfg": {"image_size": side, "patch_size": patch}})


def test_tuning_that_was_killed_ends_as_tuning_that_was_not(tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "_SAVE_EVERY", 2)
    teacher = random_model(of_size(32, 8))
    pool = torch.randint(0, 255, (8, 3, 48, 48), dtype=torch.uint8)
    plan = tuning.Plan(steps=5, batch=4, warmup=1)

    def tuned(checkpoint, killed_at=None):
        pupil = random_model(of_size(48, 8))
        stop = RuntimeError("killed")

        def tell(done, of, note):
            if done == killed_at:
                raise stop

        try:
            tuning.tune(pupil, teacher, pool, plan, checkpoint, tell)
        except RuntimeError as error:
            assert error is stop
        return pupil.state_dict()

    whole = tuned(tmp_path / "whole.pt")
    tuned(tmp_path / "halves.pt", killed_at=3)
    again = tuned(tmp_path / "halves.pt")
    start = random_model(of_size(48, 8)).state_dict()
    for name, value in whole.items():
        assert torch.equal(value, again[name]), name
        assert torch.equal(value, start[name]) != name.startswith("visual."), name


def test_training_leaves_equal_copies_equal(pair):
    """The gradient of each block of a matrix is that of every other, so training stays a small model's."""
    model = pair[1]
    loss = (model.visual(torch.rand(3, 3, 32, 32)) * torch.randn(8).repeat(3)).sum()
    (gradient,) = torch.autograd.grad(loss, model.visual.transformer.resblocks[0].mlp.c_fc.weight)
    blocks = gradient.view(4, 64, 4, 16).transpose(1, 2)
    assert float(blocks.abs().amax()) > 1e-3
    assert torch.allclose(blocks, blocks[:1, :1].expand_as(blocks), rtol=1e-3, atol=1e-5)


# --- the command -----------------------------------------------------------------------------------------------

TARGET = {
    "embed_dim": 256,
    "vision_cfg": {"image_size": 48, "layers": 6, "width": 256, "patch_size": 24},
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49408,
        "width": 256,
        "heads": 4,
        "layers": 4,
    },
}


@pytest.fixture
def briefly(monkeypatch, tmp_path, few_scenes):
    """The bundled ViT grown to twice its width, with hardly any training: what makes it."""
    short = {
        name: replace(specimens.RECIPES[name], steps=1, validate=False)
        for name in making.FINE_TUNES
    }
    monkeypatch.setitem(making.SHAPES, making.KINDS["vit"], TARGET)
    monkeypatch.setattr(building, "RECIPES", {**specimens.RECIPES, **short})
    monkeypatch.setattr(
        tuning,
        "draw_pool",
        lambda plan, size: torch.zeros(4, 3, size, size, dtype=torch.uint8),
    )
    return making.Making("vit", tmp_path, tuning.Plan(steps=1, batch=2), pictures=20)


def test_a_grown_attack_is_what_its_small_one_is_and_is_made_once(briefly):
    folder = making.make(briefly, ["badencoder"])["badencoder"]
    card = json.loads((folder / making.CARD).read_text())
    assert card["largest difference"] < 1e-5
    assert card["at real size"] == card["grown from"]
    assert set(card["at real size"]) == {"accuracy", "ts"} and card["pictures"] == 20
    assert (folder / "triggers.toml").exists()
    assert json.loads((folder / "open_clip_config.json").read_text())["preprocess_cfg"]["size"] == [
        48,
        48,
    ]
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert making.make(briefly, ["badencoder"]) == {"badencoder": folder}
    assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_folder_made_otherwise_and_a_name_that_is_none_are_refused(briefly, tmp_path):
    with pytest.raises(UsageError, match="dragon"):
        making.make(briefly, ["dragon"])
    stretched = tmp_path / "stretched"
    stretched.mkdir()
    (stretched / "tuned.json").write_text('{"plan": {"steps": 9}}')
    with pytest.raises(UsageError, match="tuned otherwise"):
        making.make(briefly)
