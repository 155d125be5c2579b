"""The same weights have one identity, whatever library saved them, in whatever files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from layout_kit import drawn, saved
from safetensors.torch import load_file

from dife_scanner import checkpoints
from dife_scanner.hub.manifest import local_manifest
from dife_scanner.lab.specimens import layouts
from dife_scanner.models.load import default_limits, load

pytestmark = [pytest.mark.xdist_group("transformers"), pytest.mark.usefixtures("read_here")]


def towers(folder: Path, to: Path) -> tuple[str, str]:
    """Of a folder on its whole way: recognised, staged, inspected, rewritten, loaded."""
    files = checkpoints.local_files(local_manifest(folder))
    encoder = load(checkpoints.prepare(files, to, default_limits()).folder)
    return encoder.image_tower, encoder.text_tower


@dataclass(frozen=True)
class Original:
    """A small model as transformers itself saved it, its canonical form, which is open_clip's, and what it is."""

    theirs: Path
    ours: Path
    towers: tuple[str, str]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    root = tmp_path_factory.mktemp("identity")
    theirs = saved(drawn(), root / "theirs")
    return Original(theirs, root / "ours", towers(theirs, root / "ours"))


def test_every_layout_has_one_identity(original: Original, tmp_path: Path) -> None:
    ours, expected = original.ours, original.towers
    for number, layout in enumerate(layouts.LAYOUTS):
        folder = layouts.save(ours, layout, "float32", tmp_path / str(number))
        assert towers(folder, tmp_path / f"{number}-read") == expected, layout


def test_the_names_that_the_lab_gives_are_those_of_transformers(
    original: Original,
) -> None:
    stored = load_file(original.theirs / "model.safetensors")
    renamed = layouts.transformers_names(load_file(original.ours / layouts.WEIGHTS_FILE))
    assert renamed.keys() == stored.keys()
    assert all(torch.equal(renamed[name], values) for name, values in stored.items())


def test_a_value_and_the_preprocessing_each_change_it(original: Original, tmp_path: Path) -> None:
    """What the identity covers, one thing at a time."""
    ours, (image, text) = original.ours, original.towers
    config = json.loads((ours / layouts.CONFIG_FILE).read_text())
    config["preprocess_cfg"]["mean"] = [0.5, 0.5, 0.5]
    folder = layouts.save(ours, "open_clip safetensors", "float32", tmp_path / "other")
    (folder / layouts.CONFIG_FILE).write_text(json.dumps(config))
    other = towers(folder, tmp_path / "read")
    assert other[0] != image and other[1] == text
    rounded = layouts.save(ours, "open_clip safetensors", "bfloat16", tmp_path / "rounded")
    assert not {*towers(rounded, tmp_path / "read-rounded")} & {image, text}
