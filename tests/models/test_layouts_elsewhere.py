"""SigLIP, towers of timm, adapters and torch files embed here as in the libraries that define them, to 1e-5."""

from __future__ import annotations

import copy
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from checkpoints import TINY_VIT, write_config
from layout_kit import (
    TEXTS,
    as_canonical,
    assert_same,
    drawn,
    features,
    levels,
    pictures,
    prepared,
    saved,
)
from safetensors.torch import save_file

from dife_scanner.errors import DifeError, NeedsBase, Refused, Unsupported
from dife_scanner.models import canonical, intake, sandbox
from dife_scanner.models.clip import ClipEncoder, padded, read_out
from dife_scanner.models.config import ClipConfig
from dife_scanner.models.header import ParseLimits
from dife_scanner.models.layouts import transformers_siglip
from dife_scanner.models.layouts.open_clip import parse_config
from dife_scanner.models.load import configuration, default_limits, load

pytestmark = pytest.mark.xdist_group("transformers")

TEXT = {"width": 64, "heads": 2, "layers": 1}


def by_ids(encoder: ClipEncoder, ids: torch.Tensor) -> torch.Tensor:
    """Unit embeddings of token ids [n, context], read at the last place."""
    ends = torch.full((len(ids),), ids.shape[1] - 1)
    read = read_out(encoder.model, encoder.model.token_embedding(ids), ends)
    return torch.nn.functional.normalize(read, dim=-1)


def assert_near(ours: Any, theirs: torch.Tensor) -> None:
    np.testing.assert_allclose(
        np.asarray(ours), torch.nn.functional.normalize(theirs, dim=-1), atol=1e-5
    )


@pytest.fixture(scope="module")
def siglip() -> Any:
    from transformers import SiglipConfig, SiglipModel

    torch.manual_seed(0)
    small = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = small | {"vocab_size": 300, "intermediate_size": 160, "max_position_embeddings": 16}
    vision = small | {"intermediate_size": 200, "image_size": 64, "patch_size": 16}
    model = SiglipModel(
        SiglipConfig(text_config=text | {"projection_size": 64}, vision_config=vision)
    )
    for values in model.parameters():
        values.data.add_(torch.randn_like(values) * 0.05)
    return model.eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_siglip_of_transformers(siglip: Any, dtype: torch.dtype, tmp_path: Path) -> None:
    from transformers import SiglipImageProcessor

    siglip.to(dtype).save_pretrained(tmp_path / "saved")
    SiglipImageProcessor(size={"height": 64, "width": 64}).save_pretrained(tmp_path / "saved")
    siglip.float()
    ours = as_canonical(tmp_path / "saved", tmp_path / "ours")
    pixels = pictures(64)
    assert ours.config.preprocessing.resize_mode == "squash"
    assert_near(
        ours.encode_images(pixels),
        features(siglip.get_image_features(pixel_values=levels(pixels, ours))),
    )
    ids = torch.randint(2, 300, (3, 16))
    assert_near(by_ids(ours, ids), features(siglip.get_text_features(input_ids=ids)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@torch.no_grad()
def test_siglip_2_of_transformers(dtype: torch.dtype, tmp_path: Path) -> None:
    """On square pictures that its own processor cuts into patches."""
    torch.manual_seed(0)
    small = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = small | {"vocab_size": 300, "intermediate_size": 160, "max_position_embeddings": 16}
    vision = small | {"intermediate_size": 200, "num_patches": 16, "patch_size": 14}
    from transformers import Siglip2Config, Siglip2ImageProcessor, Siglip2Model

    theirs = Siglip2Model(Siglip2Config(text_config=text, vision_config=vision)).eval()
    for values in theirs.parameters():
        values.data.add_(torch.randn_like(values) * 0.05)
    theirs.to(dtype).save_pretrained(tmp_path / "saved")
    processor = Siglip2ImageProcessor(patch_size=14, max_num_patches=16)
    processor.save_pretrained(tmp_path / "saved")
    ours = as_canonical(tmp_path / "saved", tmp_path / "ours")
    assert ours.image_size == 56
    assert ours.config.preprocessing.interpolation == "bilinear"
    pixels = pictures(56)
    patches = processor(images=list(pixels), return_tensors="pt")
    assert patches["spatial_shapes"].tolist() == [[4, 4]] * 3
    theirs.float()
    assert_near(ours.encode_images(pixels), features(theirs.get_image_features(**patches)))
    ids = torch.randint(2, 300, (3, 16))
    assert_near(by_ids(ours, ids), features(theirs.get_text_features(input_ids=ids)))


@pytest.mark.parametrize(
    ("vision", "patches", "words"),
    [({"num_patches": 15}, 15, "no square number"), ({"num_patches": 16}, 256, "positions for 16")],
)
def test_siglip_2_has_one_position_for_each_patch_of_a_square(
    vision: dict[str, Any], patches: int, words: str
) -> None:
    config = {"model_type": "siglip2", "vision_config": vision, "text_config": {}}
    with pytest.raises(DifeError, match=words):
        transformers_siglip.describe(config, {"max_num_patches": patches})


CONVNEXT = {
    "timm_model_name": "convnext_tiny",
    "timm_model_pretrained": False,
    "timm_pool": "",
    "timm_proj": "mlp",
    "timm_drop": 0.0,
    "timm_drop_path": 0.1,
    "image_size": 64,
}


@pytest.fixture
def with_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    """open_clip as it is where timm was there when it was first imported."""
    import timm  # noqa: F401
    from open_clip import timm_model

    reloaded = importlib.reload(timm_model)
    monkeypatch.setattr(open_clip.model, "TimmModel", reloaded.TimmModel)


@torch.no_grad()
def test_a_tower_of_timm_in_open_clip(with_timm: None, tmp_path: Path) -> None:
    torch.manual_seed(0)
    settings = {"embed_dim": 48, "vision_cfg": CONVNEXT, "text_cfg": TEXT}
    theirs = open_clip.model.CLIP(**settings).eval()
    write_config(tmp_path, {"model_cfg": settings})
    save_file(theirs.bfloat16().state_dict(), tmp_path / "open_clip_model.safetensors")
    theirs.float()
    ours = load(tmp_path)
    pixels = pictures(64)
    assert_near(ours.encode_images(pixels), theirs.encode_image(levels(pixels, ours)))
    rewritten = as_canonical(tmp_path, tmp_path / "ours", whole=False)
    assert (rewritten.image_tower, rewritten.text_tower) == (ours.image_tower, ours.text_tower)


@pytest.mark.parametrize("name", ["eva02_base_patch16_clip_224", "vit_base_patch16_224", "../x"])
def test_a_tower_of_timm_that_is_not_on_the_list_is_not_built(name: str) -> None:
    settings = {
        "embed_dim": 48,
        "vision_cfg": CONVNEXT | {"timm_model_name": name},
        "text_cfg": TEXT,
    }
    with pytest.raises((Refused, Unsupported), match=r"not on the list|out of its folder"):
        parse_config(json.dumps({"model_cfg": settings}).encode())


CLIPA = {
    "embed_dim": 48,
    "vision_cfg": {
        "image_size": 64,
        "patch_size": 16,
        "width": 64,
        "layers": 2,
        "no_ln_pre": True,
        "pool_type": "avg",
        "final_ln_after_pool": True,
    },
    "text_cfg": {
        "context_length": 16,
        "vocab_size": 320,
        "hf_tokenizer_name": "bert-base-uncased",
        "tokenizer_kwargs": {"strip_sep_token": True},
        "width": 64,
        "heads": 2,
        "layers": 2,
        "pool_type": "last",
        "no_causal_mask": True,
    },
}


@torch.no_grad()
def test_clipa_in_open_clip(tmp_path: Path) -> None:
    """Its texts are BERT's pieces, the separator behind them read as 0, and the tower is read at its last place."""
    torch.manual_seed(0)
    theirs = open_clip.model.CustomTextCLIP(**copy.deepcopy(CLIPA)).eval().half()
    folder = tmp_path / "saved"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##a", "photo", "of", "cat", "!"]
    from transformers import BertTokenizer

    BertTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}).save_pretrained(
        folder
    )
    write_config(folder, {"model_cfg": CLIPA, "preprocess_cfg": {"resize_mode": "squash"}})
    torch.save(theirs.state_dict(), folder / "open_clip_pytorch_model.bin")
    theirs.float()
    ours = prepared(folder, tmp_path / "ours")
    assert ours.config.text.strip_sep
    pixels = pictures(64)
    assert_near(ours.encode_images(pixels), theirs.encode_image(levels(pixels, ours)))
    texts = ["", "a photo of a CAT!", "caa [SEP] aaa [MASK]"]
    from open_clip.tokenizer import HFTokenizer

    tokens = HFTokenizer(str(folder), context_length=16, strip_sep_token=True)(texts)
    assert_near(ours.encode_texts(texts), theirs.encode_text(tokens))


def test_every_clipa_of_open_clips_registry_is_read() -> None:
    names = [name for name in open_clip.list_models() if "CLIPA" in name]
    assert len(names) > 3
    for name in names:
        raw = json.dumps({"model_cfg": open_clip.get_model_config(name)})
        assert parse_config(raw.encode()).text.strip_sep


def test_words_of_bert_are_not_read_by_a_tower_that_looks_for_its_end(tmp_path: Path) -> None:
    text = {"hf_tokenizer_name": "bert-base-uncased", "vocab_size": 49410, "width": 64, "layers": 1}
    settings = CLIPA | {"text_cfg": text}
    theirs = open_clip.model.CustomTextCLIP(**copy.deepcopy(settings))
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n")
    write_config(tmp_path, {"model_cfg": settings})
    save_file(theirs.state_dict(), tmp_path / "open_clip_model.safetensors")
    with pytest.raises(Unsupported, match="WordPiece"):
        prepared(tmp_path, tmp_path / "ours")


def base_config(**vision: Any) -> ClipConfig:
    settings = {
        "embed_dim": 64,
        "vision_cfg": {"width": 64, "layers": 1} | vision,
        "text_cfg": TEXT,
    }
    return parse_config(json.dumps({"model_cfg": settings}).encode())


@torch.no_grad()
def test_a_tower_that_timm_saved_by_itself(tmp_path: Path) -> None:
    """It becomes open_clip's own vision transformer; its head is left out, and the projection is the base's."""
    from timm.models.vision_transformer import VisionTransformer

    torch.manual_seed(0)
    tower = VisionTransformer(
        img_size=64,
        patch_size=16,
        embed_dim=64,
        depth=2,
        num_heads=1,
        num_classes=10,
        pre_norm=True,
    ).eval()
    save_file(tower.state_dict(), tmp_path / "model.safetensors")
    config = {"architecture": "vit_small_patch16_clip_64", "pretrained_cfg": {"mean": [0.5] * 3}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    files = [tmp_path / "config.json"], [tmp_path / "model.safetensors"]
    with pytest.raises(NeedsBase, match="an image tower alone"):
        sandbox.plan_conversion(*files, ParseLimits())
    found = sandbox.plan_conversion(*files, ParseLimits(), base=base_config())
    assert found.left_out == ("head.bias", "head.weight")
    assert set(found.lacking) >= {"visual.proj", "token_embedding.weight", "logit_scale"}
    assert found.config.preprocessing.mean == (0.5, 0.5, 0.5)
    model = open_clip.model.CLIP(
        64, {"image_size": 64, "patch_size": 16, "width": 64, "layers": 2, "head_width": 64}, TEXT
    ).eval()
    state = model.state_dict()
    (tmp_path / "ours").mkdir()
    canonical.write(found, files[1], tmp_path / "ours")
    from safetensors.torch import load_file

    state.update(load_file(tmp_path / "ours" / canonical.WEIGHTS_FILE))
    state["visual.proj"] = torch.eye(64)
    model.load_state_dict(state)
    pixels = torch.randn(2, 3, 64, 64)
    tower.reset_classifier(0)
    # timm's norms add 1e-6 to the variance and open_clip's 1e-5, as the towers of real CLIPs in timm do
    torch.testing.assert_close(model.visual(pixels), tower(pixels), atol=1e-3, rtol=1e-3)


def test_another_tower_that_timm_saved_is_called_by_its_name(tmp_path: Path) -> None:
    import timm

    tower = timm.create_model("convnext_atto", num_classes=3)
    save_file(tower.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "convnext_atto"}))
    files = [tmp_path / "config.json"], [tmp_path / "model.safetensors"]
    with pytest.raises(Unsupported, match="convnext_atto"):
        sandbox.plan_conversion(*files, ParseLimits(), base=base_config())


# --- adapters -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"r": 4, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"]},
        {
            "r": 4,
            "lora_alpha": 8,
            "target_modules": ["fc1", "out_proj", "k_proj", "visual_projection"],
            "use_rslora": True,
            "alpha_pattern": {"fc1": 3},
            "rank_pattern": {"out_proj": 2},
            "modules_to_save": ["text_projection"],
        },
    ],
    ids=["plain", "with patterns and a layer saved whole"],
)
def test_an_adapter_is_merged_onto_its_base_as_peft_does(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    from peft import LoraConfig, get_peft_model

    base = drawn()
    as_canonical(saved(base, tmp_path / "saved"), tmp_path / "base")
    adapted = get_peft_model(base, LoraConfig(**settings))
    for name, values in adapted.named_parameters():
        if "lora_" in name or "modules_to_save" in name:
            values.data.add_(torch.randn_like(values) * 0.05)
    adapted.save_pretrained(tmp_path / "adapter")
    files = (
        [tmp_path / "adapter" / "adapter_config.json"],
        [tmp_path / "adapter" / "adapter_model.safetensors"],
    )
    with pytest.raises(NeedsBase, match="an adapter alone"):
        sandbox.plan_conversion(*files, ParseLimits())
    config = configuration(tmp_path / "base", default_limits())
    part = sandbox.plan_conversion(*files, ParseLimits(), base=config)
    weights = intake.weights(tmp_path / "base")
    names = {name: name for name in part.lacking}
    whole = canonical.with_base(part, weights, names, 1, ParseLimits())
    (tmp_path / "ours").mkdir()
    canonical.write(whole, (*files[1], weights), tmp_path / "ours")
    assert_same(load(tmp_path / "ours"), adapted.merge_and_unload().eval())


@pytest.mark.parametrize(
    ("module", "factor", "words"),
    [
        ("vision_model.encoder.layers.0.mlp.fc1", ".default", "no LoRA of a known kind"),
        ("visual.transformer.resblocks.0.mlp.fc1", "", "no CLIP of transformers"),
        ("vision_model.encoder.layers.0.mlp.fc2", "", "target_modules"),
    ],
)
def test_no_change_that_peft_passes_over_hides_one_that_it_makes(
    module: str, factor: str, words: str, tmp_path: Path
) -> None:
    start, down, up = "base_model.model.", torch.ones(2, 96), torch.ones(200, 2)
    tensors = {}
    for name in ("vision_model.encoder.layers.0.mlp.fc1", module):
        end = factor if module == name and tensors else ""
        tensors[f"{start}{name}.lora_A{end}.weight"] = down.clone()
        tensors[f"{start}{name}.lora_B{end}.weight"] = up.clone()
    files = [tmp_path / "adapter_config.json"], [tmp_path / "adapter_model.safetensors"]
    files[0][0].write_text(json.dumps({"peft_type": "LORA", "r": 2, "target_modules": ["fc1"]}))
    save_file(tensors, files[1][0])
    with pytest.raises(Unsupported, match=words):
        sandbox.plan_conversion(*files, ParseLimits(), base=base_config())


# --- torch files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zipped", "dtype"),
    [(True, torch.float16), (False, torch.bfloat16)],
    ids=["zip, float16", "before torch 1.6, bfloat16"],
)
@torch.no_grad()
def test_a_training_checkpoint_of_open_clip(
    zipped: bool, dtype: torch.dtype, tmp_path: Path
) -> None:
    """Of a model two layers of which are one."""
    torch.manual_seed(0)
    theirs = open_clip.model.CLIP(**TINY_VIT).eval()
    theirs.transformer.resblocks[1].mlp = theirs.transformer.resblocks[0].mlp
    theirs.to(dtype)
    optimizer = torch.optim.AdamW(theirs.parameters())
    write_config(tmp_path, {"model_cfg": TINY_VIT})
    names = {f"module.{name}": values for name, values in theirs.state_dict().items()}
    content = {"epoch": 3, "state_dict": names, "optimizer": optimizer.state_dict()}
    path = tmp_path / "open_clip_pytorch_model.bin"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    theirs.float()
    ours = as_canonical(tmp_path, tmp_path / "ours")
    pixels = pictures(ours.image_size)
    assert_near(ours.encode_images(pixels), theirs.encode_image(levels(pixels, ours)))
    ids = padded([ours._tokens(text) for text in TEXTS], ours.context_length)
    assert_near(ours.encode_texts(TEXTS), theirs.encode_text(ids))


@torch.no_grad()
def test_weights_without_a_configuration_are_built_from_their_shapes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    vision = {"image_size": 64, "patch_size": 16, "width": 64, "layers": 2}
    text = {"context_length": 24, "width": 64, "heads": 1, "layers": 2}
    theirs = open_clip.model.CLIP(48, vision, text, quick_gelu=True).eval().half()
    torch.save(theirs.state_dict(), tmp_path / "epoch_3.pt")
    theirs.float()
    ours = as_canonical(tmp_path, tmp_path / "ours")
    pixels = pictures(64)
    assert_near(ours.encode_images(pixels), theirs.encode_image(levels(pixels, ours)))
    assert ours.context_length == 24
