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

from dife_scanner.errors import AuditError, Unreadable, Unsupported
from dife_scanner.models.clip import ClipEncoder
from dife_scanner.models.gradient import Towers
from dife_scanner.models.load import load
from dife_scanner.models.tokenizers import clips_own

pytestmark = pytest.mark.usefixtures("read_here")
Tensors = dict[str, torch.Tensor]
TEXTS = ["a photo of a dog", "fireworks over xbtd"]


def saved(good: Path, folder: Path, change: Callable[[Tensors], Tensors]) -> Path:
    """A copy of a checkpoint with its tensors changed by `change`."""
    shutil.copytree(good, folder)
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS)
    return folder


def towers(encoder: ClipEncoder) -> tuple[str, str]:
    return encoder.image_tower, encoder.text_tower


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
    "another wrapper": lambda found: {f"module_{name}": one for name, one in found.items()},
    "seven characters, once the first name says module": lambda found: {
        ("module." if name == "logit_scale" else "wrapped") + name: one
        for name, one in found.items()
    },
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


def test_counters_that_torch_makes_up_may_be_missing(tiny_rn: Path, tmp_path: Path) -> None:
    folder = saved(
        tiny_rn,
        tmp_path / "odd",
        lambda found: {name: one for name, one in found.items() if "num_batches" not in name},
    )
    theirs = CLIP(**copy.deepcopy(TINY_RN))
    load_checkpoint(theirs, str(folder / WEIGHTS))
    same(load(folder), theirs)


@pytest.mark.parametrize("bias", [None, torch.tensor(-9.0), torch.tensor([float("nan")])])
@pytest.mark.parametrize("configured", [{}, {"init_logit_bias": -10}])
def test_a_bias_that_no_embedding_depends_on_changes_nothing(
    tiny_vit: Path, tmp_path: Path, bias: torch.Tensor | None, configured: dict[str, Any]
) -> None:
    extra = {} if bias is None else {"logit_bias": bias}
    folder = saved(tiny_vit, tmp_path / "odd", lambda found: found | extra)
    write_config(folder, {"model_cfg": TINY_VIT | configured})
    found = load(folder)
    assert found.config == load(tiny_vit).config
    assert towers(found) == towers(load(tiny_vit))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30, -1e30])
def test_an_unusable_scale_is_that_of_a_new_model(
    tiny_vit: Path, tmp_path: Path, value: float
) -> None:
    folder = saved(
        tiny_vit, tmp_path / "odd", lambda found: found | {"logit_scale": torch.tensor(value)}
    )
    found = load(folder)
    assert found.logit_scale == pytest.approx(1 / 0.07)
    assert towers(found) == towers(load(tiny_vit))


def test_a_token_without_values_spoils_only_texts_that_hold_it(
    tiny_vit: Path, tmp_path: Path
) -> None:
    (fireworks,) = clips_own().encode("fireworks")

    def spoilt(found: Tensors) -> Tensors:
        found["token_embedding.weight"][fireworks, 3] = float("nan")
        return found

    found = load(saved(tiny_vit, tmp_path / "odd", spoilt))
    np.testing.assert_array_equal(
        found.encode_texts(TEXTS[:1]), load(tiny_vit).encode_texts(TEXTS[:1])
    )
    with pytest.raises(AuditError, match="not finite"):
        found.encode_texts(TEXTS)
    rows = Towers(found).token_rows
    assert not rows[fireworks].any() and bool(rows.isfinite().all())


def resized(folder: Path, **towers: dict[str, Any]) -> Any:
    """open_clip's model of a checkpoint whose configuration asks for other sizes."""
    configured = copy.deepcopy(TINY_VIT)
    for tower, sizes in towers.items():
        configured[tower] |= sizes
    write_config(folder, {"model_cfg": configured})
    theirs = CLIP(**copy.deepcopy(configured))
    load_checkpoint(theirs, str(folder / WEIGHTS))
    return theirs


@pytest.mark.parametrize(
    "sizes",
    [
        {"vision_cfg": {"image_size": 64}},
        {"text_cfg": {"context_length": 24}},
        {"vision_cfg": {"image_size": 16}, "text_cfg": {"context_length": 9}},
    ],
)
def test_position_embeddings_are_interpolated_as_open_clip_does(
    tiny_vit: Path, tmp_path: Path, sizes: dict[str, Any]
) -> None:
    folder = saved(tiny_vit, tmp_path / "odd", lambda found: found)
    theirs = resized(folder, **sizes)
    same(load(folder), theirs)


def test_positions_stored_twice_are_the_same_model(tiny_vit: Path, tmp_path: Path) -> None:
    def twice(found: Tensors) -> Tensors:
        doubled = found["positional_embedding"].repeat_interleave(2, 0)
        return found | {"positional_embedding": doubled}

    folder = saved(tiny_vit, tmp_path / "odd", twice)
    np.testing.assert_allclose(
        load(folder).encode_texts(TEXTS), load(tiny_vit).encode_texts(TEXTS), atol=1e-5
    )


def test_positions_of_no_square_picture_are_unsupported(tiny_vit: Path, tmp_path: Path) -> None:
    def short(found: Tensors) -> Tensors:
        positions = found["visual.positional_embedding"][:4].clone()
        return found | {"visual.positional_embedding": positions}

    folder = saved(tiny_vit, tmp_path / "odd", short)
    with pytest.raises(RuntimeError):  # open_clip does not load it either
        resized(folder)
    with pytest.raises(Unsupported, match="positional_embedding' has the shape"):
        load(folder)


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
