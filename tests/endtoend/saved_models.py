"""One small fine-tune in every layout that is read, saved by the library that the layout comes from.

All are of one architecture and made from one base. A function puts one checkpoint into a folder. The libraries are
imported by what needs them: every process that runs tests reads this file.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file

from dife_scanner.models import canonical, sandbox
from dife_scanner.models.header import ParseLimits
from dife_scanner.models.tokenizers import clips_own

if TYPE_CHECKING:
    from transformers import CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

BASE = "acme/clip-small"
"""What cards and adapters call the base."""
SIDE, PATCH, WIDTH, CONTEXT = 64, 16, 64, 77
ARCHITECTURE = "ViT 64/16 w64 d1 · text w64 d1 · embed 64"
_TOWER = {"hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_hidden_layers": 1}
_SETTINGS: dict[str, Any] = {
    "text_config": _TOWER | {"num_attention_heads": 1, "max_position_embeddings": CONTEXT},
    "vision_config": _TOWER | {"num_attention_heads": 1, "image_size": SIDE, "patch_size": PATCH},
    "projection_dim": WIDTH,
}
_OPEN_CLIP = {
    "embed_dim": WIDTH,
    "quick_gelu": True,
    "vision_cfg": {"image_size": SIDE, "layers": 1, "width": WIDTH, "patch_size": PATCH},
    "text_cfg": {"context_length": CONTEXT, "width": WIDTH, "heads": 1, "layers": 1},
}
_TIMM = {"img_size": SIDE, "embed_dim": WIDTH, "depth": 1, "num_heads": 1, "num_classes": 0}


def noise(model: Any, scale: float, seed: int = 1) -> Any:
    """The model with noise on every weight, in evaluation."""
    torch.manual_seed(seed)
    for values in model.parameters():
        values.data.add_(torch.randn_like(values) * scale)
    return model.eval()


@cache
def base() -> CLIPModel:
    """The clean base; not to be changed."""

    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    return noise(CLIPModel(CLIPConfig(**_SETTINGS)), 0.02, seed=0)


def tuned(kind: str = "CLIPModel", seed: int = 1, **more: Any) -> Any:
    """A fine-tune of the base as another class of transformers; what that one has besides is new."""

    import transformers

    torch.manual_seed(seed)
    config = transformers.CLIPConfig(**_SETTINGS, **more)
    if kind in _PARTS:
        config = getattr(config, _PARTS[kind])
        config.projection_dim = WIDTH
    model = getattr(transformers, kind)(config)
    known = dict(base().state_dict())
    for name, values in base().state_dict().items():
        if kind in _PARTS and name.startswith(_PARTS[kind].replace("config", "model.")):
            known[name.partition(".")[2]] = values  # a tower alone stands without its name
    _, unexpected = model.load_state_dict(known, strict=False)
    assert len(unexpected) < len(known)
    return noise(model, 0.002, seed)


_PARTS = {
    "CLIPTextModel": "text_config",
    "CLIPTextModelWithProjection": "text_config",
    "CLIPVisionModel": "vision_config",
    "CLIPVisionModelWithProjection": "vision_config",
}


@cache
def tokenizer() -> CLIPTokenizer:
    """CLIP's own, as transformers has it."""

    from transformers import CLIPTokenizer

    document = clips_own().document
    merges = [tuple(pair) for pair in document.merges]
    return CLIPTokenizer(vocab=dict(document.vocabulary), merges=merges, model_max_length=CONTEXT)


def images() -> CLIPImageProcessor:
    from transformers import CLIPImageProcessor

    return CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=SIDE)


def processor() -> CLIPProcessor:
    from transformers import CLIPProcessor

    return CLIPProcessor(image_processor=images(), tokenizer=tokenizer())


# --- transformers ---------------------------------------------------------------------------------------------


def transformers_model(folder: Path, seed: int = 1) -> None:
    tuned(seed=seed).half().save_pretrained(folder)
    processor().save_pretrained(folder)


def transformers_before_5(folder: Path) -> None:
    """With a file for the picture processor of its own."""
    tuned(seed=2).bfloat16().save_pretrained(folder)
    images().save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def pytorch_bin(folder: Path) -> None:
    """As transformers saved before its version 5: a state dict, with the positions as a buffer."""
    model = tuned(seed=3).half()
    state = model.state_dict()
    state["text_model.embeddings.position_ids"] = torch.arange(CONTEXT)[None]
    folder.mkdir()
    model.config.save_pretrained(folder)
    torch.save(state, folder / "pytorch_model.bin")
    images().save_pretrained(folder)


def shards(folder: Path) -> None:
    tuned(seed=4).half().save_pretrained(folder, max_shard_size="100KB")
    images().save_pretrained(folder)
    assert len(list(folder.glob("model-*.safetensors"))) > 1


def classifier(folder: Path) -> None:
    tuned("CLIPForImageClassification", seed=5, num_labels=3).half().save_pretrained(folder)
    images().save_pretrained(folder)


def tower(kind: str, seed: int) -> Callable[[Path], None]:
    """One tower alone, with what belongs to it."""

    def put(folder: Path) -> None:
        tuned(kind, seed).half().save_pretrained(folder)
        (tokenizer() if "Text" in kind else images()).save_pretrained(folder)

    return put


def siglip(folder: Path) -> None:
    """Of another architecture than the others, with a tokenizer of its own."""

    import transformers

    text = _TOWER | {"num_attention_heads": 1, "vocab_size": 512, "projection_size": WIDTH}
    vision = _TOWER | {"num_attention_heads": 1, "image_size": SIDE, "patch_size": PATCH}
    torch.manual_seed(0)
    config = transformers.SiglipConfig(text_config=text, vision_config=vision)
    noise(transformers.SiglipModel(config), 0.02).half().save_pretrained(folder)
    size = {"height": SIDE, "width": SIDE}
    transformers.SiglipImageProcessor(size=size).save_pretrained(folder)
    _siglip_tokenizer().save_pretrained(folder)


def _siglip_tokenizer() -> Any:
    """A small one that reads bytes."""

    import transformers

    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "\u2581"]
    pieces += [f"<0x{byte:02X}>" for byte in range(256)] + [
        chr(letter) for letter in range(97, 123)
    ]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    return transformers.Siglip2Tokenizer(
        vocab=vocabulary, merges=[], add_eos_token=True, padding_side="right"
    )


# --- made of transformers -------------------------------------------------------------------------------------


def sentence_transformers(folder: Path) -> None:
    """With the module of today, which saves in the root."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Transformer

    transformers_model(folder.parent / "before", seed=6)
    SentenceTransformer(modules=[Transformer(str(folder.parent / "before"))]).save_pretrained(
        str(folder)
    )


def sentence_transformers_clip(folder: Path) -> None:
    """With the module that had CLIP in its name, in a folder of its own as until version 5.3."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import CLIPModel as Module

    transformers_model(folder.parent / "before")
    module = Module(str(folder.parent / "before"))
    module.save_in_root = False
    SentenceTransformer(modules=[module]).save_pretrained(str(folder))
    assert (folder / "0_CLIPModel").is_dir()


def diffusion(folder: Path) -> None:
    """A pipeline as diffusers writes it; its other parts are of no interest here."""
    parts = {"text_encoder": ["transformers", "CLIPTextModel"], "unet": ["diffusers", "UNet"]}
    folder.mkdir()
    index = {"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.30.0", **parts}
    (folder / "model_index.json").write_text(json.dumps(index))
    tuned("CLIPTextModel", seed=7).half().save_pretrained(folder / "text_encoder")
    tokenizer().save_pretrained(folder / "tokenizer")
    (folder / "unet").mkdir()
    (folder / "unet/config.json").write_text('{"_class_name": "UNet2DConditionModel"}')
    save_file({"conv_in.weight": torch.zeros(4, 4)}, folder / "unet/diffusion_model.safetensors")


def adapter(folder: Path) -> None:
    """A LoRA on both towers, of the base that it names."""

    from peft import LoraConfig, get_peft_model
    from transformers import CLIPConfig, CLIPModel

    settings = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"])
    model = CLIPModel(CLIPConfig(**_SETTINGS))
    model.load_state_dict(base().state_dict())
    adapted = get_peft_model(model, settings)
    for name, values in adapted.named_parameters():
        if "lora_" in name:
            values.data.add_(torch.randn_like(values) * 0.01)
    adapted.peft_config["default"].base_model_name_or_path = BASE
    # whether the vocabulary grew would be asked of the hub
    adapted.save_pretrained(folder, save_embedding_layers=False)


# --- open_clip and timm ---------------------------------------------------------------------------------------


def _of_open_clip(seed: int) -> Any:
    """A fine-tune of the base as a model of open_clip."""

    import open_clip
    from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

    model = open_clip.model.CLIP(**_OPEN_CLIP)
    model.load_state_dict(_base_as_open_clip())
    model.visual.image_mean = OPENAI_DATASET_MEAN
    model.visual.image_std = OPENAI_DATASET_STD
    return noise(model, 0.002, seed)


@cache
def _base_as_open_clip() -> dict[str, torch.Tensor]:
    """The base under open_clip's names; that embeddings stay is shown where layouts are."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base().save_pretrained(folder / "saved")
        weights = [folder / "saved/model.safetensors"]
        plan = sandbox.plan_conversion([folder / "saved/config.json"], weights, ParseLimits())
        (folder / "ours").mkdir()
        canonical.write(plan, weights, folder / "ours")
        return load_file(folder / "ours" / canonical.WEIGHTS_FILE)


def open_clip_both(folder: Path) -> None:
    """Everything that open_clip pushes to a hub: the same weights in both formats, and CLIP's tokenizer."""
    push = import_module("open_clip.push_to_hf_hub")
    push.save_for_hf(_of_open_clip(8).half(), _SavesItself(), _OPEN_CLIP, str(folder))


def open_clip_bin(folder: Path) -> None:
    push = import_module("open_clip.push_to_hf_hub")
    push.save_for_hf(
        _of_open_clip(9).half(), _SavesItself(), _OPEN_CLIP, str(folder), safe_serialization=False
    )


class _SavesItself:
    def save_pretrained(self, folder: Path) -> None:
        tokenizer().save_pretrained(folder)


def training_checkpoint(folder: Path) -> None:
    """What open_clip's training leaves: an epoch, a state dict and an optimizer, in torch's older format."""
    model = _of_open_clip(10)
    content = {
        "epoch": 3,
        "name": "run",
        "state_dict": {f"module.{name}": values for name, values in model.state_dict().items()},
        "optimizer": torch.optim.AdamW(model.parameters()).state_dict(),
    }
    folder.mkdir()
    torch.save(content, folder / "epoch_3.pt", _use_new_zipfile_serialization=False)


def state_dict(folder: Path) -> None:
    folder.mkdir()
    torch.save(_of_open_clip(11).half().state_dict(), folder / "clip.pth")


def comfy_text(folder: Path) -> None:
    """The text tower of a pipeline alone, as ComfyUI loads it."""
    folder.mkdir()
    model = tuned("CLIPTextModelWithProjection", seed=12).half()
    state = {
        name if name.startswith("text_") else f"text_model.{name}": values.contiguous()
        for name, values in model.state_dict().items()
    }
    save_file(state, folder / "clip_l.safetensors")


def timm_tower(folder: Path) -> None:
    import timm
    from timm.models.vision_transformer import checkpoint_filter_fn

    model = timm.create_model("vit_base_patch16_clip_quickgelu_224", **_TIMM)
    model.load_state_dict(checkpoint_filter_fn(_base_as_open_clip(), model), strict=False)
    hub = import_module("timm.models._hub")
    hub.save_for_hf(noise(model, 0.002), folder, safe_serialization=True)


READ: dict[str, Callable[[Path], None]] = {
    "open_clip": open_clip_both,
    "transformers": transformers_model,
    "pytorch-bin": pytorch_bin,
    "shards": shards,
    "siglip": siglip,
    "vision-tower": tower("CLIPVisionModel", 14),
    "classifier": classifier,
    "sentence-transformers": sentence_transformers,
    "diffusion": diffusion,
    "timm": timm_tower,
    "adapter": adapter,
    "training-checkpoint": training_checkpoint,
    "comfy-text": comfy_text,
}
"""One of each kind."""

VARIANTS: dict[str, Callable[[Path], None]] = {
    "transformers-before-5": transformers_before_5,
    "open_clip-bin": open_clip_bin,
    "vision-tower-projected": tower("CLIPVisionModelWithProjection", 13),
    "text-tower": tower("CLIPTextModelWithProjection", 15),
    "sentence-transformers-clip": sentence_transformers_clip,
    "state-dict": state_dict,
}
"""The same in the ways of other versions and classes."""


# --- around them ----------------------------------------------------------------------------------------------


def put_base(folder: Path) -> None:
    """The base as its publisher has it."""
    base().save_pretrained(folder)
    processor().save_pretrained(folder)


def files(folder: Path) -> dict[str, Path]:
    """The files of a repository."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path for path in found}


def home_with_registry(home: Path, endpoint: str) -> Path:
    """A new home that may fetch the base, which a registry of its own names."""
    home.mkdir()
    entry = {
        "name": BASE,
        "aliases": [],
        "architecture": ARCHITECTURE,
        "places": [{"repository": BASE, "layout": "transformers"}],
        "source": ["https://models.example.org/"],
    }
    bases = home / "bases.json"
    bases.write_text(json.dumps({"version": 1, "bases": [entry]}))
    config = f'endpoint = "{endpoint}"\n[references]\nregistry = ["{bases}"]\nfetch = "auto"\n'
    (home / "config.toml").write_text(config)
    return home
