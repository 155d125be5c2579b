"""SigLIP, towers of timm, CLIPA, adapters and torch files: what is read of them, and what is not."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from checkpoints import write_config
from layout_kit import as_canonical, assert_same, drawn, prepared, saved
from layout_models import CONTEXT, MODELS, OPEN_CLIPS, open_clip_model
from safetensors.torch import save_file

from dife_scanner.errors import DifeError, NeedsBase, Refused, Unsupported
from dife_scanner.models import canonical, intake, sandbox
from dife_scanner.models.config import ClipConfig, Preprocessing, TextConfig
from dife_scanner.models.conversion import PROJECTIONS
from dife_scanner.models.header import ParseLimits
from dife_scanner.models.layouts import timm_alone, transformers_siglip
from dife_scanner.models.layouts.open_clip import parse_config
from dife_scanner.models.load import configuration, default_limits, load
from dife_scanner.models.tensors import expected_tensors

pytestmark = [pytest.mark.xdist_group("transformers"), pytest.mark.usefixtures("read_here")]

TEXT = {"width": 64, "heads": 2, "layers": 1}


def assert_near(ours: Any, theirs: torch.Tensor) -> None:
    np.testing.assert_allclose(
        np.asarray(ours), torch.nn.functional.normalize(theirs, dim=-1), atol=1e-5
    )


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


def test_pictures_are_squashed_for_siglip_and_siglip_2_resizes_them_its_own_way() -> None:
    config = {"vision_config": {"num_patches": 16}, "text_config": {}}
    first = transformers_siglip.describe(config | {"model_type": "siglip"}, None)
    second = transformers_siglip.describe(
        config | {"model_type": "siglip2"}, {"max_num_patches": 16}
    )
    ways = []
    for said in (first, second):
        assert said.preprocessing is not None and said.vision is not None
        how = said.preprocessing
        ways.append((how.resize_mode, how.interpolation, said.vision.image_size))
    assert ways == [("squash", "bicubic", 224), ("squash", "bilinear", 64)]


@pytest.mark.parametrize("name", ["eva02_base_patch16_clip_224", "vit_base_patch16_224", "../x"])
def test_a_tower_of_timm_that_is_not_on_the_list_is_not_built(name: str) -> None:
    settings = {
        "embed_dim": 48,
        "vision_cfg": OPEN_CLIPS["ConvNeXt"]["vision_cfg"] | {"timm_model_name": name},
        "text_cfg": TEXT,
    }
    with pytest.raises((Refused, Unsupported), match=r"not on the list|out of its folder"):
        parse_config(json.dumps({"model_cfg": settings}).encode())


@torch.no_grad()
def test_clipas_texts_are_pieces_of_bert_with_zeros_for_separators(tmp_path: Path) -> None:
    """As open_clip's own tokenizer cuts them; the tower is read at its last place."""
    from open_clip.tokenizer import HFTokenizer

    theirs = open_clip_model("CLIPA")
    folder = tmp_path / "saved"
    MODELS["open_clip CLIPA"].save(theirs, folder)
    ours = prepared(folder, tmp_path / "ours")
    assert ours.config.text.strip_sep
    texts = ["", "a photo of a CAT!", "caa [SEP] aaa [MASK]"]
    tokens = HFTokenizer(str(folder), context_length=CONTEXT, strip_sep_token=True)(texts)
    assert_near(ours.encode_texts(texts), theirs.encode_text(tokens))


def test_every_clipa_of_open_clips_registry_is_read() -> None:
    names = [name for name in open_clip.list_models() if "CLIPA" in name]
    assert len(names) > 3
    for name in names:
        raw = json.dumps({"model_cfg": open_clip.get_model_config(name)})
        assert parse_config(raw.encode()).text.strip_sep


def test_words_of_bert_are_not_read_by_a_tower_that_looks_for_its_end(tmp_path: Path) -> None:
    text = {"hf_tokenizer_name": "bert-base-uncased", "vocab_size": 49410, "width": 64, "layers": 1}
    settings = OPEN_CLIPS["CLIPA"] | {"text_cfg": text}
    settings.pop("custom_text")
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


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_a_trunk_of_timm_without_its_head_has_the_head_of_its_base(head: str) -> None:
    """It once kept no head, and pictures were embedded as long as the trunk is wide."""
    body = {"architecture": "convnext_tiny", "num_classes": 0}
    said = timm_alone.describe(body, {}, "model.safetensors")
    base = ClipConfig(
        embed_dim=48,
        vision=replace(said.vision, head=head, head_bias=True),
        text=TextConfig(context_length=24, width=64, heads=2, layers=2),
        preprocessing=Preprocessing(),
    )
    config = said.only(image=True, text=False).completed(base, "a trunk")
    assert config.vision == base.vision
    behind = [name for name in expected_tensors(config) if name.startswith("visual.head.")]
    assert behind and PROJECTIONS.issuperset(behind)


def test_another_tower_that_timm_saved_is_called_by_its_name(tmp_path: Path) -> None:
    import timm

    tower = timm.create_model("convnext_atto", num_classes=3)
    save_file(tower.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "convnext_atto"}))
    files = [tmp_path / "config.json"], [tmp_path / "model.safetensors"]
    with pytest.raises(Unsupported, match="convnext_atto"):
        sandbox.plan_conversion(*files, ParseLimits(), base=base_config())


# --- adapters -------------------------------------------------------------------------------------------------


def test_an_adapter_is_merged_onto_its_base_as_peft_does(tmp_path: Path) -> None:
    """With patterns, a scale of another kind and a layer saved whole."""
    from peft import LoraConfig, get_peft_model

    settings: dict[str, Any] = {
        "r": 4,
        "lora_alpha": 8,
        "target_modules": ["fc1", "out_proj", "k_proj", "visual_projection"],
        "use_rslora": True,
        "alpha_pattern": {"fc1": 3},
        "rank_pattern": {"out_proj": 2},
        "modules_to_save": ["text_projection"],
    }
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
