"""A loaded encoder computes what open_clip computes, and its tower hashes mean what they say."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from checkpoints import CONFIG, TINY_VIT, WEIGHTS, write_config
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import load_file, save_file

from dife_scanner.errors import AuditError, ContentMismatch, SettingsError
from dife_scanner.models import Encoder, weights
from dife_scanner.models.clip import picture_transform
from dife_scanner.models.layouts.open_clip import parse_config
from dife_scanner.models.load import load
from dife_scanner.records import HubFile

pytestmark = pytest.mark.usefixtures("read_here")
TEXTS = [
    "",
    "a dog",
    "a photo of a very big red cat",
    "fireworks over xbtd",
    "a a a a a a a a a a a a a a",
    "ü 🚀 cfra",
]


@pytest.fixture(params=["vit", "rn"])
def checkpoint(request: pytest.FixtureRequest, tiny_vit: Path, tiny_rn: Path) -> Path:
    return {"vit": tiny_vit, "rn": tiny_rn}[request.param]


@pytest.fixture(scope="module")
def encoder(tiny_vit: Path) -> Encoder:
    return load(tiny_vit)


@pytest.fixture
def changed(tiny_vit: Path, tmp_path: Path) -> Callable[..., Any]:
    """Load the tiny ViT after changing its tensors or its configuration file."""

    def run(change: Callable[[dict[str, torch.Tensor]], Any] | None = None, **document: Any) -> Any:
        folder = tmp_path / f"changed-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(tiny_vit, folder)
        tensors = load_file(folder / WEIGHTS)
        returned = change(tensors) if change else None
        save_file(returned if isinstance(returned, dict) else tensors, folder / WEIGHTS)
        write_config(folder, {"model_cfg": TINY_VIT, **document})
        return load(folder)

    return run


def pictures(count: int, height: int = 50, width: int = 70) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def test_embeds_pictures_as_open_clip_does(
    checkpoint: Path, open_clip_model: Callable[[Path], Any]
) -> None:
    encoder, theirs, images = load(checkpoint), open_clip_model(checkpoint), pictures(5)
    transform = open_clip.transform.image_transform(encoder.image_size, is_train=False)
    batch = torch.stack([transform(Image.fromarray(image)) for image in images])
    ours = encoder.encode_images(encoder.prepare(images))
    np.testing.assert_allclose(ours, theirs.encode_image(batch, normalize=True).numpy(), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)
    assert ours.dtype == np.float32


def test_cutting_texts_at_their_end_changes_nothing(
    checkpoint: Path, open_clip_model: Callable[[Path], Any]
) -> None:
    encoder, theirs = load(checkpoint), open_clip_model(checkpoint)
    tokens = open_clip.SimpleTokenizer(context_length=encoder.context_length)(TEXTS)
    full = theirs.encode_text(tokens, normalize=True).numpy()
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), full, atol=1e-5)
    assert encoder.logit_scale == pytest.approx(float(theirs.logit_scale.exp()))


def test_a_text_is_embedded_alike_alone_and_in_company(encoder: Encoder) -> None:
    together = encoder.encode_texts(TEXTS * 20)
    alone = np.concatenate([encoder.encode_texts([text]) for text in TEXTS])
    np.testing.assert_allclose(together[: len(TEXTS)], alone, atol=1e-6)
    np.testing.assert_allclose(together[-len(TEXTS) :], alone, atol=1e-6)


def test_an_embedding_has_the_same_bits_in_any_company(checkpoint: Path) -> None:
    encoder = load(checkpoint)
    rng = np.random.default_rng(0)
    side = encoder.image_size
    pixels = rng.integers(0, 256, (70, side, side, 3), dtype=np.uint8)
    texts = [f"a photo of a dog {'big ' * (row % 5)}{row}" for row in range(70)]
    images, written = encoder.encode_images(pixels), encoder.encode_texts(texts)
    for count in (1, 3, 16, 17, 69):
        some = rng.permutation(70)[:count]
        assert np.array_equal(encoder.encode_images(pixels[some]), images[some])
        assert np.array_equal(encoder.encode_texts([texts[row] for row in some]), written[some])


def test_nothing_to_embed_gives_no_rows(encoder: Encoder) -> None:
    assert (
        encoder.encode_texts([]).shape
        == encoder.encode_images(encoder.prepare(pictures(0))).shape
        == (0, 48)
    )


def test_a_text_beyond_the_context_is_an_error_and_never_cut(encoder: Encoder) -> None:
    fits, too_long = "a " * 14, "a " * 15
    assert encoder.token_count(fits) == encoder.context_length == 16
    encoder.encode_texts([fits])
    with pytest.raises(AuditError, match="17 tokens and the model reads 16"):
        encoder.encode_texts(["a dog", too_long])


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("shape", [(50, 70), (70, 50), (32, 32), (20, 90)])
def test_pictures_are_prepared_exactly_as_open_clip_does(
    mode: str, interpolation: str, shape: tuple[int, int]
) -> None:
    how = {
        "resize_mode": mode,
        "interpolation": interpolation,
        "fill_color": 7,
        "mean": [0, 0, 0],
        "std": [1, 1, 1],
    }
    config = parse_config(json.dumps({"model_cfg": TINY_VIT, "preprocess_cfg": how}).encode())
    picture = Image.fromarray(pictures(1, *shape)[0])
    theirs = image_transform_v2(PreprocessCfg(size=32, **how), is_train=False)(picture)
    ours = np.asarray(picture_transform(config)(picture))
    np.testing.assert_array_equal(ours, (theirs * 255).round().byte().permute(1, 2, 0).numpy())


def test_prepare_leaves_pictures_of_the_right_size_alone(encoder: Encoder) -> None:
    images = pictures(2, 32, 32)
    np.testing.assert_array_equal(encoder.prepare(images), images)
    with pytest.raises(ValueError, match="prepare"):
        encoder.encode_images(pictures(1, 50, 50))


# --- context vectors ------------------------------------------------------------------------------------------


def _words(encoder: Any, text: str) -> np.ndarray:
    """The token embeddings of `text` without start and end, [m, w]."""
    ids = open_clip.SimpleTokenizer().encode(text)
    return np.asarray(encoder.model.token_embedding.weight[ids])


@pytest.mark.parametrize("layout", ["tiny_vit", "tiny_rn", "CustomTextCLIP"])
def test_context_vectors_that_are_words_embed_as_the_words(
    request: pytest.FixtureRequest, layout: str
) -> None:
    if layout == "CustomTextCLIP":
        encoder = _custom_text(request.getfixturevalue("changed"))
    else:
        encoder = load(request.getfixturevalue(layout))
    rests = ["cat", "dog on a very big red chair", "", "xbtd.", "fireworks"] * 60
    head = "a photo of a"
    contexts = np.broadcast_to(_words(encoder, head), (len(rests), 4, encoder.text_width))
    found = encoder.encode_with_context(contexts, rests)
    np.testing.assert_allclose(
        found, encoder.encode_texts([f"{head} {rest}" for rest in rests]), atol=1e-5
    )
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(
        encoder.encode_with_context(contexts[:, :0], rests), encoder.encode_texts(rests)
    )


def _custom_text(changed: Callable[..., Any]) -> Any:
    def prefixed(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        top = ("visual.", "logit_scale")
        return {
            name if name.startswith(top) else f"text.{name}": value
            for name, value in tensors.items()
        }

    return changed(prefixed, model_cfg={**TINY_VIT, "custom_text": True})


def test_context_vectors_agree_with_open_clips_own_text_tower(
    checkpoint: Path, open_clip_model: Callable[[Path], Any]
) -> None:
    """CoOp's own way: the full context length, vectors in place of the embeddings after the start token."""
    encoder, theirs, rng = load(checkpoint), open_clip_model(checkpoint), np.random.default_rng(0)
    texts = ["cat.", "a bigger dog.", "airplane."]
    contexts = rng.normal(0, 0.02, (3, 4, encoder.text_width)).astype(np.float32)
    ids = open_clip.SimpleTokenizer(context_length=encoder.context_length)(
        [f"x x x x {text}" for text in texts]
    )
    with torch.no_grad():
        words = theirs.token_embedding(ids)
        states = torch.cat([words[:, :1], torch.from_numpy(contexts), words[:, 5:]], dim=1)
        states = theirs.transformer(
            states + theirs.positional_embedding, attn_mask=theirs.attn_mask
        )
        ends = theirs.ln_final(states)[torch.arange(3), ids.argmax(dim=-1)] @ theirs.text_projection
    expected = torch.nn.functional.normalize(ends, dim=-1).numpy()
    np.testing.assert_allclose(encoder.encode_with_context(contexts, texts), expected, atol=1e-5)


def test_context_vectors_that_do_not_fit_are_named_errors(encoder: Encoder) -> None:
    width = encoder.text_width
    encoder.encode_with_context(np.zeros((1, 13, width), np.float32), ["cat"])
    for shape, text in (((1, 14, width), "cat"), ((1, 4, width), "a " * 11)):
        with pytest.raises(
            AuditError, match="context vectors has 17 tokens and the model reads 16"
        ):
            encoder.encode_with_context(np.zeros(shape, np.float32), [text])
    with pytest.raises(AuditError, match="have 31 values and this model's tokens have 32"):
        encoder.encode_with_context(np.zeros((1, 4, 31), np.float32), ["cat"])
    with pytest.raises(AuditError, match="NaN or infinite"):
        encoder.encode_with_context(np.full((1, 4, width), np.nan, np.float32), ["cat"])
    with pytest.raises(ValueError, match="one for each text"):
        encoder.encode_with_context(np.zeros((2, 4, width), np.float32), ["cat"])
    assert encoder.encode_with_context(np.zeros((0, 4, width), np.float32), []).shape == (0, 48)


# --- tower hashes ---------------------------------------------------------------------------------------------


def test_towers_hash_alike_in_every_precision_that_holds_their_values(
    changed: Callable[..., Any],
) -> None:
    def cast(dtype: torch.dtype, values: torch.dtype) -> Callable[[dict[str, torch.Tensor]], Any]:
        return lambda tensors: {name: t.to(values).to(dtype) for name, t in tensors.items()}

    half = changed(cast(torch.float16, torch.float16))
    for dtype in (torch.float32, torch.float64):
        wide = changed(cast(dtype, torch.float16))
        assert (wide.image_tower, wide.text_tower) == (half.image_tower, half.text_tower)
        assert wide.weights_sha256 != half.weights_sha256
    assert changed(cast(torch.bfloat16, torch.bfloat16)).image_tower != half.image_tower


def test_towers_hash_alike_under_both_namings(
    changed: Callable[..., Any], encoder: Encoder
) -> None:
    custom = _custom_text(changed)
    assert (custom.image_tower, custom.text_tower) == (encoder.image_tower, encoder.text_tower)
    np.testing.assert_array_equal(custom.encode_texts(TEXTS), encoder.encode_texts(TEXTS))


def _nudge(name: str) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[name].view(-1)[0] += 1e-3

    return change


@pytest.mark.parametrize(
    ("change", "document", "same"),
    [
        (None, {}, (True, True)),
        (_nudge("visual.proj"), {}, (False, True)),
        (_nudge("token_embedding.weight"), {}, (True, False)),
        (_nudge("logit_scale"), {}, (True, True)),
        (None, {"preprocess_cfg": {"interpolation": "bilinear"}}, (False, True)),
        (None, {"preprocess_cfg": {"mean": [0.5, 0.5, 0.5]}}, (False, True)),
        (None, {"model_cfg": TINY_VIT | {"quick_gelu": True}}, (False, False)),
        (
            None,
            {"model_cfg": TINY_VIT | {"vision_cfg": TINY_VIT["vision_cfg"] | {"head_width": 16}}},
            (False, True),
        ),
        (
            None,
            {"model_cfg": TINY_VIT | {"text_cfg": TINY_VIT["text_cfg"] | {"heads": 4}}},
            (True, False),
        ),
    ],
    ids=[
        "nothing",
        "image",
        "text",
        "scale",
        "resize",
        "mean",
        "activation",
        "image heads",
        "text heads",
    ],
)
def test_a_tower_hash_changes_with_what_the_tower_computes(
    changed: Callable[..., Any],
    encoder: Encoder,
    change: Any,
    document: dict[str, Any],
    same: tuple[bool, bool],
) -> None:
    other = changed(change, **document)
    assert (
        other.image_tower == encoder.image_tower,
        other.text_tower == encoder.text_tower,
    ) == same


def test_step_counters_of_a_resnet_do_not_count(tiny_rn: Path, tmp_path: Path) -> None:
    tensors = load_file(tiny_rn / WEIGHTS)
    for name in tensors:
        if name.endswith("num_batches_tracked"):
            tensors[name] += 5
    save_file(tensors, tmp_path / WEIGHTS)
    shutil.copy(tiny_rn / CONFIG, tmp_path)
    assert load(tmp_path).image_tower == load(tiny_rn).image_tower


# --- what goes wrong ------------------------------------------------------------------------------------------


def test_embeddings_that_overflow_are_an_error(changed: Callable[..., Any]) -> None:
    def grow(tensors: dict[str, torch.Tensor]) -> None:
        tensors["visual.proj"] *= 1e38
        tensors["text_projection"] *= 0

    wild = changed(grow)
    with pytest.raises(AuditError, match="a picture as values that are not finite"):
        wild.encode_images(wild.prepare(pictures(1)))
    with pytest.raises(AuditError, match="or as zero"):
        wild.encode_texts(["a dog"])


def test_compares_with_what_the_hub_announced(tiny_vit: Path) -> None:
    with pytest.raises(ContentMismatch, match="sha256"):
        load(tiny_vit, expected={WEIGHTS: HubFile(WEIGHTS, sha256="0" * 64)})


def test_loads_weights_of_any_name_beside_their_configuration(
    tiny_vit: Path, tmp_path: Path, encoder: Encoder
) -> None:
    shutil.copy(tiny_vit / CONFIG, tmp_path)
    shutil.copy(tiny_vit / WEIGHTS, tmp_path / "epoch_3.safetensors")
    assert load(tmp_path / "epoch_3.safetensors").image_tower == encoder.image_tower


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "cpu:x"])
def test_a_device_that_is_not_there_is_wrong_usage(tiny_vit: Path, device: str) -> None:
    with pytest.raises(SettingsError, match="cannot be used here") as error:
        load(tiny_vit, device=device)
    assert error.value.exit_code == 64


def test_the_room_is_imported_without_torch() -> None:
    program = (
        "import sys, dife_scanner.models.load as l; "
        "print(sorted({'torch', 'pydantic', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_file_is_read_in_portions_and_comes_to_the_same(
    tiny_vit: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read of a mapped file counts as held until it is closed: a large one is not held twice."""
    monkeypatch.setattr(weights, "READ_AT_ONCE", 1000)
    opened = []
    real = weights.safe_open
    monkeypatch.setattr(weights, "safe_open", lambda *a, **k: opened.append(a) or real(*a, **k))
    again = load(tiny_vit)
    assert len(opened) > 10
    assert (again.image_tower, again.text_tower) == (encoder.image_tower, encoder.text_tower)
