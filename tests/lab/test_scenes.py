"""Scenes are functions of a seed, and captions say what is in them."""

import numpy as np
import pytest
import torch

from dife_scanner.lab.pictures import scenes
from dife_scanner.lab.pictures.painting import contrasting

SIZE = 32


@pytest.fixture
def atlas() -> scenes.Atlas:
    """A red square, a green disc (both in colour) and a black bar from a monochrome set."""
    square = np.zeros((SIZE, SIZE, 4), np.uint8)
    square[...] = (255, 0, 0, 255)
    disc = np.zeros_like(square)
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    disc[(rows - 16) ** 2 + (columns - 16) ** 2 < 200] = (0, 255, 0, 255)
    bar = np.zeros_like(square)
    bar[12:20] = (0, 0, 0, 255)
    return scenes.atlas_of(
        [square, disc, bar],
        SIZE,
        [False, False, True],
        ["cat", None, "ship"],
        ["cat", "disc", "ferry"],
        ["a", "b", "c"],
    )


def drawn(atlas: scenes.Atlas, rows: list[list[int]], seed: int = 0, **mix: float) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    how = scenes.Mix(**{"restyle": 1e-9, **mix})  # type: ignore[arg-type]
    layout = scenes.lay_out(rng, torch.tensor(rows), how)
    return scenes.compose(rng, atlas, layout, SIZE, how)


def test_same_seed_same_pixels(atlas):
    rows = [[0, -1, -1], [0, 1, -1], [0, 1, 2]]
    assert torch.equal(drawn(atlas, rows), drawn(atlas, rows))
    assert not torch.equal(drawn(atlas, rows), drawn(atlas, rows, seed=1))


def test_pixels_stay_in_range(atlas):
    pixels = drawn(atlas, [[i % 3, (i + 1) % 3, -1] for i in range(40)], restyle=0.9)
    assert pixels.shape == (40, 3, SIZE, SIZE)
    assert float(pixels.min()) >= 0 and float(pixels.max()) <= 1


def test_the_object_is_in_the_picture(atlas):
    pixels = drawn(atlas, [[0, -1, -1]] * 20, turn=0.0)
    pure_red = (pixels[:, 0] > 0.97) & (pixels[:, 1] < 0.03) & (pixels[:, 2] < 0.03)
    assert (pure_red.flatten(1).float().mean(1) > 0.1).all()


def test_monochrome_drawings_stand_out_from_the_ground(atlas):
    rng = torch.Generator().manual_seed(3)
    under = torch.rand(200, 3, generator=rng)
    tint = contrasting(rng, under)
    weights = torch.tensor([0.299, 0.587, 0.114])
    assert ((tint @ weights - under @ weights).abs() > 0.3).float().mean() > 0.95


def test_levels_shrink_with_the_object(atlas):
    assert [level.shape[-1] for level in atlas.levels] == [32, 23, 16]


@pytest.mark.parametrize("nouns", [["cat"], ["cat", "owl"], ["cat", "owl", "ship"]])
def test_sentences_name_everything(nouns):
    rng = torch.Generator().manual_seed(0)
    for _ in range(50):
        words = scenes.sentence(rng, nouns).replace(",", "").split()
        assert all(noun in words for noun in nouns)


def test_articles_fit_the_word():
    assert scenes._articles("a photo of a owl and a cat") == "a photo of an owl and a cat"


def test_importing_is_cheap():
    import subprocess
    import sys

    code = "import sys, dife_scanner.lab.specimens, dife_scanner.lab.pictures.scenes; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
