"""What adds nothing is taken away, so that a checkpoint has the form and the towers of its base; the rest stays."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from checkpoints import CONFIG, TINY_VIT, WEIGHTS, write_config
from safetensors.torch import load_file, save_file

from dife_scanner.checkpoints import Prepared, local_files, prepare
from dife_scanner.errors import Unsupported
from dife_scanner.hub.manifest import local_manifest
from dife_scanner.models.load import default_limits, load

ROWS = 49_408


def saved(folder: Path, changes: dict[str, Any], value: float = 1.0) -> Path:
    """The tiny model with these changes of its configuration; what the changes add has this value."""
    settings = copy.deepcopy(TINY_VIT)
    for tower, more in changes.items():
        settings[tower] |= more
    torch.manual_seed(0)
    plain = open_clip.model.CLIP(**copy.deepcopy(TINY_VIT)).state_dict()
    tensors = open_clip.model.CLIP(**copy.deepcopy(settings)).state_dict()
    for name, added in tensors.items():
        added.fill_(value)
        if name in plain:
            rows = added if added.shape == plain[name].shape else added[: len(plain[name])]
            rows.copy_(plain[name])
    folder.mkdir()
    save_file(tensors, folder / WEIGHTS)
    write_config(folder, {"model_cfg": settings})
    return folder


def brought_in(folder: Path) -> Prepared:
    return prepare(
        local_files(local_manifest(folder)), folder.with_name("prepared"), default_limits()
    )


SCALES = {"vision_cfg": {"ls_init_value": 1e-5}, "text_cfg": {"ls_init_value": 1e-5}}


@pytest.mark.parametrize(
    ("changes", "notes"),
    [(SCALES, ["image tower", "text tower"]), ({"text_cfg": {"vocab_size": ROWS + 2}}, ["(2)"])],
    ids=["layer scales of ones", "rows that no text reaches"],
)
def test_a_checkpoint_with_what_adds_nothing_has_the_towers_of_its_base(
    changes: dict[str, Any], notes: list[str], tmp_path: Path
) -> None:
    plain = load(saved(tmp_path / "plain", {}))
    found = brought_in(saved(tmp_path / "escaped", changes))
    assert found.config == plain.config
    assert len(found.notes) == len(notes)
    assert all(part in note for part, note in zip(notes, found.notes, strict=True))
    ours = load(found.folder)
    assert (ours.image_tower, ours.text_tower) == (plain.image_tower, plain.text_tower)


def test_a_layer_scale_that_does_something_stays(tmp_path: Path) -> None:
    folder = saved(tmp_path / "scaled", SCALES)
    tensors = load_file(folder / WEIGHTS)
    tensors["visual.transformer.resblocks.1.ls_2.gamma"][3] = 1.001
    save_file(tensors, folder / WEIGHTS)
    found = brought_in(folder)
    assert found.config.vision.layer_scale and not found.config.text.layer_scale
    assert "visual.transformer.resblocks.0.ls_1.gamma" in load_file(found.weights)


def test_rows_that_a_tokenizer_reaches_are_not_cut_off(tmp_path: Path) -> None:
    folder = saved(tmp_path / "added", {"text_cfg": {"vocab_size": ROWS + 1}})
    document = json.loads((folder / CONFIG).read_text())
    document["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "somebody/tokens"
    (folder / CONFIG).write_text(json.dumps(document))
    body = {"model": {"type": "BPE", "vocab": {"a": 0, "zebraffe": ROWS}, "merges": []}}
    (folder / "tokenizer.json").write_text(json.dumps(body))
    with pytest.raises(Unsupported, match="1 tokens more than CLIP's"):
        brought_in(folder)
