"""What saving programs leave in a checkpoint is read as open_clip reads it, or has a reason; it is never hostile."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from checkpoints import CONFIG, TINY_RN, TINY_VIT, WEIGHTS, split, with_header, write_config
from open_clip.factory import load_checkpoint
from open_clip.model import CLIP
from PIL import Image
from safetensors.torch import load_file, save_file

from dife_scanner.errors import Unreadable, Unsupported
from dife_scanner.models.clip import ClipEncoder
from dife_scanner.models.header import ParseLimits
from dife_scanner.models.load import load
from dife_scanner.models.sandbox import inspect_files
from dife_scanner.models.weights import read_weights

Tensors = dict[str, torch.Tensor]
TEXTS = ["a photo of a dog", "fireworks over xbtd"]


def saved(good: Path, folder: Path, change: Callable[[Tensors], Tensors]) -> Path:
    """A copy of a checkpoint with its tensors changed by `change`."""
    shutil.copytree(good, folder)
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS)
    return folder


def towers(encoder: ClipEncoder) -> tuple[str, str]:
    return encoder.image_tower, encoder.text_tower


def bias(folder: Path) -> float:
    """The logit bias that a checkpoint in `folder` is loaded with; an audit does not use it."""
    found = inspect_files(folder / CONFIG, folder / WEIGHTS, ParseLimits())
    return float(read_weights(folder / WEIGHTS, found)["logit_bias"])


def same(ours: ClipEncoder, theirs: Any) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, ours.image_size, ours.image_size, 3))
    transform = open_clip.transform.image_transform(ours.image_size, is_train=False)
    pictures = [transform(Image.fromarray(one.astype(np.uint8))) for one in pixels]
    tokens = open_clip.SimpleTokenizer(context_length=ours.context_length)(TEXTS)
    with torch.no_grad():
        images = theirs.eval().encode_image(torch.stack(pictures), normalize=True).numpy()
        texts = theirs.encode_text(tokens, normalize=True).numpy()
    np.testing.assert_allclose(ours.encode_images(pixels.astype(np.uint8)), images, atol=1e-5)
    np.testing.assert_allclose(ours.encode_texts(TEXTS), texts, atol=1e-5)
    assert ours.logit_scale == pytest.approx(theirs.logit_scale.exp().item())


BUFFERS: Tensors = {
    "input_resolution": torch.tensor(32),
    "context_length": torch.tensor(16),
    "vocab_size": torch.tensor(49408),
    "attn_mask": torch.zeros(16, 16),
    "text.transformer.embeddings.position_ids": torch.arange(16)[None],
    "converted_by": torch.zeros(0),
}
"""What OpenAI's own files, old versions of transformers and converters leave."""

AS_OPEN_CLIP: dict[str, Callable[[Tensors], Tensors]] = {
    "several devices": lambda found: {f"module.{name}": one for name, one in found.items()},
    "a scale with two axes": lambda found: (
        found | {"logit_scale": found["logit_scale"].reshape(1, 1)}
    ),
    "a text tower of its own": lambda found: {
        name if name.startswith(("visual.", "logit_")) else f"text.{name}": one
        for name, one in found.items()
    },
}


@pytest.mark.parametrize("change", AS_OPEN_CLIP.values(), ids=AS_OPEN_CLIP.keys())
def test_what_open_clip_loads_is_loaded_alike(
    tiny_vit: Path, tmp_path: Path, change: Callable[[Tensors], Tensors]
) -> None:
    folder = saved(tiny_vit, tmp_path / "odd", change)
    kind = (
        open_clip.CustomTextCLIP if "text.text_projection" in load_file(folder / WEIGHTS) else CLIP
    )
    theirs = kind(**copy.deepcopy(TINY_VIT))
    load_checkpoint(theirs, str(folder / WEIGHTS))
    same(load(folder), theirs)


def test_buffers_that_no_loader_reads_are_passed_over(tiny_vit: Path, tmp_path: Path) -> None:
    folder = saved(tiny_vit, tmp_path / "odd", lambda found: found | BUFFERS)
    theirs = CLIP(**copy.deepcopy(TINY_VIT))
    left = theirs.load_state_dict(load_file(folder / WEIGHTS), strict=False)
    assert sorted(left.unexpected_keys) == sorted(BUFFERS) and not left.missing_keys
    same(load(folder), theirs)
    assert towers(load(folder)) == towers(load(tiny_vit))


def test_counters_and_a_bias_that_open_clip_makes_up_may_be_missing(
    tiny_rn: Path, tmp_path: Path
) -> None:
    folder = saved(
        tiny_rn,
        tmp_path / "odd",
        lambda found: {name: one for name, one in found.items() if "num_batches" not in name},
    )
    configured = {**TINY_RN, "init_logit_bias": -10}
    write_config(folder, {"model_cfg": configured})
    theirs = CLIP(**copy.deepcopy(configured))
    load_checkpoint(theirs, str(folder / WEIGHTS))
    assert theirs.logit_bias.item() == 0 == bias(folder)
    same(load(folder), theirs)


def test_a_bias_is_read_where_the_configuration_has_one_and_unsupported_elsewhere(
    tiny_vit: Path, tmp_path: Path
) -> None:
    folder = saved(
        tiny_vit, tmp_path / "odd", lambda found: found | {"logit_bias": torch.tensor(-9.0)}
    )
    with pytest.raises(AttributeError):  # open_clip does not load it either
        load_checkpoint(CLIP(**copy.deepcopy(TINY_VIT)), str(folder / WEIGHTS))
    with pytest.raises(Unsupported, match="the first is 'logit_bias'") as caught:
        load(folder)
    assert "open_clip does not load it" in caught.value.advice
    write_config(folder, {"model_cfg": TINY_VIT | {"init_logit_bias": -10}})
    assert bias(folder) == -9


def test_the_header_and_the_configuration_of_another_writer(tiny_vit: Path, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    shutil.copytree(tiny_vit, folder)
    header, data = split((folder / WEIGHTS).read_bytes())
    header["__metadata__"] = None
    (folder / WEIGHTS).write_bytes(with_header(header, data))
    (folder / CONFIG).write_bytes(b"\xef\xbb\xbf" + (folder / CONFIG).read_bytes())
    assert towers(load(folder)) == towers(load(tiny_vit))


def test_what_only_the_library_notices_has_words_too(tiny_vit: Path, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    shutil.copytree(tiny_vit, folder)
    header, data = split((folder / WEIGHTS).read_bytes())
    name = next(iter(header))
    text = json.dumps(header[name])[:-1] + ', "notes": ' + "[" * 200 + "]" * 200 + "}"
    raw = json.dumps(header).replace(json.dumps(header[name]), text)
    (folder / WEIGHTS).write_bytes(with_header(raw.encode(), data))
    with pytest.raises(Unreadable, match="not read by the safetensors library"):
        load(folder)
