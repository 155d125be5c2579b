"""A small random model in every layout: how its own library makes, saves and loads it, and what it embeds there.

One tower alone and an adapter are asked as parts of a whole: of a model of their library with the base's weights, in
which their own take the place of the base's. The libraries are slow to import, so functions do it.
"""

from __future__ import annotations

import copy
import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from layout_kit import PARTS, SIDE, SMALL, drawn, features, levels, noise
from PIL import Image

from dife_scanner.models.clip import ClipEncoder, padded
from dife_scanner.models.config import OPENAI_MEAN, OPENAI_STD
from dife_scanner.models.tokenizers import clips_own

Embedded = tuple[torch.Tensor, torch.Tensor]
"""Pictures and texts, not yet of length one."""
Ask = Callable[[Any, np.ndarray, Sequence[str], ClipEncoder], Embedded]
"""Asks a model of a library for pictures uint8 [n, s, s, 3] and texts, read and prepared as our encoder does."""

BASE = "acme/clip-small"
"""What adapters call their base."""
CONTEXT = 24
SIGLIPS_CONTEXT = 40
"""Its small tokenizer makes more of a text."""
PATCH = 16
EMBED = 48


@dataclass(frozen=True)
class SmallModel:
    """One layout."""

    make: Callable[[], Any]
    """The model as its library builds it, in float32; the same each time."""
    save: Callable[[Any, Path], None]
    """By its library, in the types that the model has, with what belongs to it."""
    load: Callable[[Path], Any]
    """By its library, in float32, from a folder as `save` leaves it, the files in whatever form."""
    ask: Ask
    weights: str
    """The file of weights that `save` leaves."""
    pickled: str
    """What its library calls a pickled one; empty where it reads none."""
    base: str = ""
    """The layout of the base that a part needs."""


# --- asking ---------------------------------------------------------------------------------------------------


def ids_of(encoder: ClipEncoder, texts: Sequence[str]) -> torch.Tensor:
    return padded([encoder._tokens(text) for text in texts], encoder.context_length)


def ask_transformers(
    model: Any, pixels: np.ndarray, texts: Sequence[str], encoder: ClipEncoder
) -> Embedded:
    images = model.get_image_features(pixel_values=levels(pixels, encoder))
    words = model.get_text_features(input_ids=ids_of(encoder, texts))
    return features(images), features(words)


def ask_siglip_2(
    model: Any, pixels: np.ndarray, texts: Sequence[str], encoder: ClipEncoder
) -> Embedded:
    """On pictures that its own processor cuts into patches."""
    patches = _siglip_2_processor()(images=list(pixels), return_tensors="pt")
    words = model.get_text_features(input_ids=ids_of(encoder, texts))
    return features(model.get_image_features(**patches)), features(words)


def ask_open_clip(
    model: Any, pixels: np.ndarray, texts: Sequence[str], encoder: ClipEncoder
) -> Embedded:
    return model.encode_image(levels(pixels, encoder)), model.encode_text(ids_of(encoder, texts))


def ask_sentences(
    model: Any, pixels: np.ndarray, texts: Sequence[str], encoder: ClipEncoder
) -> Embedded:
    """With the library's own preprocessing and tokenizer."""
    images = model.encode([Image.fromarray(picture) for picture in pixels])
    return torch.from_numpy(images), torch.from_numpy(model.encode(list(texts)))


# --- transformers ---------------------------------------------------------------------------------------------

OPENAIS: dict[str, Any] = {
    "text_config": SMALL["text_config"] | {"num_attention_heads": 1, "intermediate_size": 256},
    "vision_config": SMALL["vision_config"]
    | {"hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 512},
    "projection_dim": EMBED,
}
"""With heads of 64 values, as everything has that comes without a configuration."""


@cache
def clips_tokenizer() -> Any:
    """CLIP's own, as transformers has it."""
    from transformers import CLIPTokenizer

    document = clips_own().document
    vocabulary = {piece: int(number) for piece, number in document.vocabulary}
    merges = [tuple(pair) for pair in document.merges]
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CONTEXT)


def siglips_tokenizer() -> Any:
    """A small one of SigLIP 2's kind, that reads bytes."""
    from transformers import Siglip2Tokenizer

    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "\u2581"]
    pieces += [f"<0x{byte:02X}>" for byte in range(256)]
    pieces += [chr(letter) for letter in range(ord("a"), ord("z") + 1)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    return Siglip2Tokenizer(vocab=vocabulary, merges=[], add_eos_token=True, padding_side="right")


def _clips_processor() -> Any:
    from transformers import CLIPImageProcessor

    return CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=SIDE)


def _siglip_processor() -> Any:
    from transformers import SiglipImageProcessor

    return SiglipImageProcessor(size={"height": SIDE, "width": SIDE})


def _siglip_2_processor() -> Any:
    from transformers import Siglip2ImageProcessor

    return Siglip2ImageProcessor(patch_size=PATCH, max_num_patches=(SIDE // PATCH) ** 2)


def siglip_settings(context: int = SIGLIPS_CONTEXT) -> dict[str, Any]:
    """Of a small SigLIP; its own tokenizer has so many pieces."""
    small = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {"vocab_size": 512, "intermediate_size": 160, "max_position_embeddings": context}
    vision = {"intermediate_size": 200, "image_size": SIDE, "patch_size": PATCH}
    return {
        "text_config": small | text | {"projection_size": 64},
        "vision_config": small | vision,
    }


def siglip(kind: str = "SiglipModel", context: int = SIGLIPS_CONTEXT) -> Any:
    """A small model of one of its classes."""
    import transformers

    torch.manual_seed(0)
    config = transformers.SiglipConfig(**siglip_settings(context))
    if kind in PARTS:
        config = getattr(config, PARTS[kind])
    return noise(getattr(transformers, kind)(config), 0.05)


def siglip_2(context: int = SIGLIPS_CONTEXT) -> Any:
    from transformers import Siglip2Config, Siglip2Model

    settings = siglip_settings(context)
    settings["vision_config"]["num_patches"] = (SIDE // PATCH) ** 2
    del settings["vision_config"]["image_size"]
    torch.manual_seed(0)
    return noise(Siglip2Model(Siglip2Config(**settings)), 0.05)


def _load_transformers(kind: str) -> Callable[[Path], Any]:
    def load(folder: Path) -> Any:
        import transformers

        return getattr(transformers, kind).from_pretrained(folder, dtype=torch.float32).eval()

    return load


def _saving(*others: Callable[[], Any]) -> Callable[[Any, Path], None]:
    """Saves a model of transformers, and these beside it."""

    def save(model: Any, folder: Path) -> None:
        model.save_pretrained(folder)
        for other in others:
            other().save_pretrained(folder)

    return save


def _of_transformers(
    kind: str, make: Callable[[], Any], ask: Ask, *others: Callable[[], Any]
) -> SmallModel:
    return SmallModel(
        make,
        _saving(*others),
        _load_transformers(kind),
        ask,
        "model.safetensors",
        "pytorch_model.bin",
    )


def _in_whole(whole: Callable[[], Any], ask: Ask) -> Ask:
    """Asks a model of which `part` is a part: the tensors that it has take the place of the whole's."""

    def asked(
        part: Any, pixels: np.ndarray, texts: Sequence[str], encoder: ClipEncoder
    ) -> Embedded:
        model = whole()
        known = model.state_dict()
        for name, values in part.state_dict().items():
            (place,) = [one for one in _places(part, name) if one in known] or [""]
            if place:
                known[place] = values
            else:
                assert name.startswith("classifier.")
        model.load_state_dict(known)
        return ask(model.eval(), pixels, texts, encoder)

    return asked


def _places(part: Any, name: str) -> tuple[str, ...]:
    tower = "text_model" if "Text" in type(part).__name__ else "vision_model"
    return name, f"{tower}.{name}"


def _part_of_transformers(
    kind: str,
    make: Callable[..., Any],
    base: str,
    ask: Ask,
    *others: Callable[[], Any],
) -> SmallModel:
    return SmallModel(
        lambda: make(kind),
        _saving(*others),
        _load_transformers(kind),
        ask,
        "model.safetensors",
        "pytorch_model.bin",
        base,
    )


# --- made of transformers -------------------------------------------------------------------------------------

OLD_FOLDER = "0_CLIPModel"


def _sentences() -> Any:
    """The CLIP that its module holds; `_save_sentences` makes the module of it."""
    return drawn()


def _save_sentences(model: Any, folder: Path, *, in_root: bool = True) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import CLIPModel
    from transformers import CLIPProcessor

    before = folder.with_name(f"{folder.name}-before")
    model.save_pretrained(before)
    CLIPProcessor(_clips_processor(), clips_tokenizer()).save_pretrained(before)
    module = CLIPModel(str(before))
    module.save_in_root = in_root
    SentenceTransformer(modules=[module], device="cpu").save_pretrained(str(folder))
    assert (folder / OLD_FOLDER).is_dir() is not in_root


def _save_sentences_apart(model: Any, folder: Path) -> None:
    """As until version 5.3: the CLIP in a folder of its own."""
    _save_sentences(model, folder, in_root=False)


def _load_sentences(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu").float()


def _save_pipeline(model: Any, folder: Path) -> None:
    """A pipeline as diffusers writes it; its other parts are of no interest here."""
    model.save_pretrained(folder / "text_encoder")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "text_encoder": ["transformers", "CLIPTextModel"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))


def _adapter() -> Any:
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(
        r=4,
        lora_alpha=8,
        target_modules=["q_proj", "fc1", "visual_projection"],
        alpha_pattern={"fc1": 3},
        modules_to_save=["text_projection"],
    )
    adapted = get_peft_model(drawn(), settings)
    torch.manual_seed(1)
    for name, values in adapted.named_parameters():
        if "lora_" in name or "modules_to_save" in name:
            values.data.add_(torch.randn_like(values) * 0.05)
    return adapted.eval()


def _save_adapter(model: Any, folder: Path) -> None:
    """The library asks a hub for a base that it is told of, so its name is put there afterwards."""
    model.save_pretrained(folder)
    config = folder / "adapter_config.json"
    document = json.loads(config.read_text())
    config.write_text(json.dumps(document | {"base_model_name_or_path": BASE}))


def _load_adapter(folder: Path) -> Any:
    from peft import PeftModel

    return PeftModel.from_pretrained(drawn(), folder).float().merge_and_unload().eval()


# --- open_clip ------------------------------------------------------------------------------------------------

_TEXT = {"context_length": CONTEXT, "width": 64, "heads": 2, "layers": 2}
_WORDS = _TEXT | {"vocab_size": 512, "no_causal_mask": True, "pool_type": "last"}
OPEN_CLIPS: dict[str, dict[str, Any]] = {
    "ViT": {
        "embed_dim": EMBED,
        "vision_cfg": {
            "image_size": SIDE,
            "layers": 2,
            "width": 64,
            "head_width": 32,
            "patch_size": PATCH,
        },
        "text_cfg": _TEXT,
    },
    "ResNet": {
        "embed_dim": EMBED,
        "quick_gelu": True,
        "vision_cfg": {
            "image_size": SIDE,
            "layers": [1, 2, 1, 1],
            "width": 16,
            "patch_size": None,
        },
        "text_cfg": _TEXT,
    },
    "ConvNeXt": {
        "embed_dim": EMBED,
        "vision_cfg": {
            "timm_model_name": "convnext_tiny",
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "mlp",
            "timm_drop": 0.0,
            "timm_drop_path": 0.1,
            "image_size": SIDE,
        },
        "text_cfg": _TEXT,
    },
    "SigLIP": {
        "embed_dim": 768,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": {
            "image_size": 224,
            "timm_model_name": "vit_base_patch16_siglip_224",
            "timm_model_pretrained": False,
            "timm_pool": "map",
            "timm_proj": "none",
        },
        "text_cfg": _WORDS
        | {
            "context_length": SIGLIPS_CONTEXT,
            "hf_tokenizer_name": "timm/ViT-B-16-SigLIP",
            "tokenizer_kwargs": {"clean": "canonicalize"},
            "proj_bias": True,
        },
    },
    "CLIPA": {
        "embed_dim": EMBED,
        "custom_text": True,
        "vision_cfg": {
            "image_size": SIDE,
            "patch_size": PATCH,
            "width": 64,
            "layers": 2,
            "no_ln_pre": True,
            "pool_type": "avg",
            "final_ln_after_pool": True,
        },
        "text_cfg": _WORDS
        | {
            "hf_tokenizer_name": "bert-base-uncased",
            "tokenizer_kwargs": {"strip_sep_token": True},
        },
    },
    "as OpenAI builds": {
        "embed_dim": EMBED,
        "quick_gelu": True,
        "vision_cfg": {"image_size": SIDE, "patch_size": PATCH, "width": 128, "layers": 2},
        "text_cfg": _TEXT | {"heads": 1},
    },
}
"""What `open_clip_config.json` says of each."""


def open_clip_model(name: str, *, text_apart: bool = False) -> Any:
    """A model of `OPEN_CLIPS`; the text tower apart where the library is told so."""
    models = open_clip_with_timm()
    settings = copy.deepcopy(OPEN_CLIPS[name])
    apart = bool(settings.pop("custom_text", False)) or text_apart
    torch.manual_seed(0)
    model = (models.CustomTextCLIP if apart else models.CLIP)(**settings)
    model.visual.image_mean, model.visual.image_std = OPENAI_MEAN, OPENAI_STD
    return noise(model, 0.02)


def open_clip_with_timm() -> Any:
    """open_clip's models as they are where timm was there when they were first imported; here they came without."""
    import timm  # noqa: F401
    from open_clip import model, timm_model

    if timm_model.timm is None:
        model.TimmModel = importlib.reload(timm_model).TimmModel
    return model


def _as_described(name: str, text_apart: bool) -> dict[str, Any]:
    return OPEN_CLIPS[name] | ({"custom_text": True} if text_apart else {})


def save_open_clip(
    name: str, tokenizer: Callable[[], Any], *, text_apart: bool = False
) -> Callable[[Any, Path], None]:
    """As it pushes models to a hub."""

    def save(model: Any, folder: Path) -> None:
        push = import_module("open_clip.push_to_hf_hub")
        settings = _as_described(name, text_apart)
        push.save_for_hf(model, tokenizer(), settings, str(folder), safe_serialization=True)

    return save


def load_open_clip(folder: Path) -> Any:
    import open_clip

    return open_clip.create_model(f"local-dir:{folder}", precision="fp32").eval()


def _open_clip(
    name: str, tokenizer: Callable[[], Any] = clips_tokenizer, *, text_apart: bool = False
) -> SmallModel:
    return SmallModel(
        lambda: open_clip_model(name, text_apart=text_apart),
        save_open_clip(name, tokenizer, text_apart=text_apart),
        load_open_clip,
        ask_open_clip,
        "open_clip_model.safetensors",
        "open_clip_pytorch_model.bin",
    )


def berts_tokenizer() -> Any:
    """A few of BERT's pieces."""
    from transformers import BertTokenizer

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##a", "photo", "of", "cat", "!"]
    return BertTokenizer(vocab={piece: number for number, piece in enumerate(pieces)})


# --- a file of tensors alone ----------------------------------------------------------------------------------


def _save_state(model: Any, folder: Path) -> None:
    folder.mkdir()
    torch.save(model.state_dict(), folder / "clip.pth")


def _load_state(folder: Path) -> Any:
    from open_clip.factory import load_checkpoint, load_state_dict

    (file,) = folder.iterdir()
    apart = "text.positional_embedding" in load_state_dict(str(file))
    model = open_clip_model("as OpenAI builds", text_apart=apart)
    load_checkpoint(model, str(file))
    return model.float()


def _save_epoch(model: Any, folder: Path) -> None:
    """What open_clip's training leaves."""
    folder.mkdir()
    names = {f"module.{name}": values for name, values in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters()).state_dict()
    content = {"epoch": 3, "name": "run", "state_dict": names, "optimizer": optimizer}
    torch.save(content, folder / "epoch_3.pt")


def _as_openai_in_transformers(kind: str = "CLIPModel") -> Any:
    import transformers

    torch.manual_seed(0)
    config = transformers.CLIPConfig(**OPENAIS)
    if kind in PARTS:
        config = getattr(config, PARTS[kind])
        config.projection_dim = EMBED
    return noise(getattr(transformers, kind)(config), 0.02)


def _save_comfy(model: Any, folder: Path) -> None:
    """A text tower alone, as ComfyUI loads it."""
    from safetensors.torch import save_file

    folder.mkdir()
    state = {}
    for name, values in model.state_dict().items():
        named = name if name.startswith("text_") else f"text_model.{name}"
        state[named] = values.contiguous()
    save_file(state, folder / "clip_l.safetensors")


def _load_comfy(folder: Path) -> Any:
    """As a text tower of transformers, whose names it has."""
    from safetensors.torch import load_file

    (file,) = folder.iterdir()
    state = load_file(file) if file.suffix == ".safetensors" else torch.load(file)
    model = _as_openai_in_transformers("CLIPTextModelWithProjection")
    wanted = model.state_dict()
    for name in wanted:
        wanted[name] = state[name if name in state else f"text_model.{name}"]
    model.load_state_dict(wanted)
    return model.float()


# --- timm alone -----------------------------------------------------------------------------------------------

_TIMM: Mapping[str, dict[str, Any]] = {
    "vit_base_patch16_clip_quickgelu_224": {
        "img_size": SIDE,
        "embed_dim": 128,
        "depth": 2,
        "num_heads": 2,
    },
    "vit_base_patch16_siglip_224": {},
    "convnext_tiny": {},
}


def timm_tower(name: str) -> Any:
    import timm

    torch.manual_seed(0)
    tag = {"tag": "clip_laion2b"}  # by which its publisher says that it was trained as a CLIP
    settings = _TIMM[name] | {"num_classes": 0, "pretrained_cfg_overlay": tag}
    return noise(timm.create_model(name, **settings), 0.02)


def _save_timm(model: Any, folder: Path) -> None:
    hub = import_module("timm.models._hub")
    hub.save_for_hf(model, folder, safe_serialization=True)


def _load_timm(name: str) -> Callable[[Path], Any]:
    def load(folder: Path) -> Any:
        from timm.models import load_checkpoint

        (file,) = (one for one in folder.iterdir() if one.suffix in (".safetensors", ".bin"))
        model = timm_tower(name)
        load_checkpoint(model, str(file))
        return model.float()

    return load


def _behind_clips_projection(
    tower: Any, pixels: np.ndarray, texts: Sequence[str], encoder: ClipEncoder
) -> Embedded:
    base = _as_openai_in_transformers()
    _, words = ask_transformers(base, pixels, texts, encoder)
    return base.visual_projection(tower(levels(pixels, encoder))), words


def _as_trunk(name: str) -> Ask:
    """In a model of open_clip that has towers of timm."""

    def asked(
        tower: Any, pixels: np.ndarray, texts: Sequence[str], encoder: ClipEncoder
    ) -> Embedded:
        model = open_clip_model(name)
        model.visual.trunk.load_state_dict(tower.state_dict())
        return ask_open_clip(model, pixels, texts, encoder)

    return asked


def _timm(name: str, base: str, ask: Ask) -> SmallModel:
    return SmallModel(
        lambda: timm_tower(name),
        _save_timm,
        _load_timm(name),
        ask,
        "model.safetensors",
        "pytorch_model.bin",
        base,
    )


# --- all ------------------------------------------------------------------------------------------------------

_IN_CLIP = _in_whole(drawn, ask_transformers)
_IN_SIGLIP = _in_whole(siglip, ask_transformers)
_IN_OPENAIS = _in_whole(_as_openai_in_transformers, ask_transformers)

MODELS: dict[str, SmallModel] = {
    "transformers": _of_transformers("CLIPModel", drawn, ask_transformers, _clips_processor),
    "transformers SigLIP": _of_transformers(
        "SiglipModel", siglip, ask_transformers, _siglip_processor, siglips_tokenizer
    ),
    "transformers SigLIP 2": _of_transformers(
        "Siglip2Model", siglip_2, ask_siglip_2, _siglip_2_processor, siglips_tokenizer
    ),
    "image tower with projection": _part_of_transformers(
        "CLIPVisionModelWithProjection", drawn, "transformers", _IN_CLIP, _clips_processor
    ),
    "image tower": _part_of_transformers(
        "CLIPVisionModel", drawn, "transformers", _IN_CLIP, _clips_processor
    ),
    "text tower with projection": _part_of_transformers(
        "CLIPTextModelWithProjection", drawn, "transformers", _IN_CLIP
    ),
    "text tower": _part_of_transformers("CLIPTextModel", drawn, "transformers", _IN_CLIP),
    "SigLIP image tower": _part_of_transformers(
        "SiglipVisionModel", siglip, "transformers SigLIP", _IN_SIGLIP, _siglip_processor
    ),
    "SigLIP text tower": _part_of_transformers(
        "SiglipTextModel", siglip, "transformers SigLIP", _IN_SIGLIP, siglips_tokenizer
    ),
    "classifier": _part_of_transformers(
        "CLIPForImageClassification", drawn, "transformers", _IN_CLIP, _clips_processor
    ),
    "SigLIP classifier": _part_of_transformers(
        "SiglipForImageClassification",
        siglip,
        "transformers SigLIP",
        _IN_SIGLIP,
        _siglip_processor,
    ),
    "sentence-transformers": SmallModel(
        _sentences,
        _save_sentences,
        _load_sentences,
        ask_sentences,
        "model.safetensors",
        "pytorch_model.bin",
    ),
    "sentence-transformers, own folder": SmallModel(
        _sentences,
        _save_sentences_apart,
        _load_sentences,
        ask_sentences,
        f"{OLD_FOLDER}/model.safetensors",
        f"{OLD_FOLDER}/pytorch_model.bin",
    ),
    "stable diffusion": SmallModel(
        lambda: drawn("CLIPTextModel"),
        _save_pipeline,
        lambda folder: _load_transformers("CLIPTextModel")(folder / "text_encoder"),
        _IN_CLIP,
        "text_encoder/model.safetensors",
        "text_encoder/pytorch_model.bin",
        "transformers",
    ),
    "PEFT adapter": SmallModel(
        _adapter,
        _save_adapter,
        _load_adapter,
        ask_transformers,
        "adapter_model.safetensors",
        "adapter_model.bin",
        "transformers",
    ),
    "open_clip": _open_clip("ViT"),
    "open_clip, text apart": _open_clip("ViT", text_apart=True),
    "open_clip ResNet": _open_clip("ResNet"),
    "open_clip ConvNeXt": _open_clip("ConvNeXt"),
    "open_clip SigLIP": _open_clip("SigLIP", siglips_tokenizer),
    "open_clip CLIPA": _open_clip("CLIPA", berts_tokenizer),
    "timm": _timm(
        "vit_base_patch16_clip_quickgelu_224", "as OpenAI builds", _behind_clips_projection
    ),
    "timm SigLIP": _timm("vit_base_patch16_siglip_224", "open_clip SigLIP", _as_trunk("SigLIP")),
    "timm ConvNeXt": _timm("convnext_tiny", "open_clip ConvNeXt", _as_trunk("ConvNeXt")),
    "state dict alone": SmallModel(
        lambda: open_clip_model("as OpenAI builds"),
        _save_state,
        _load_state,
        ask_open_clip,
        "clip.pth",
        "clip.pth",
    ),
    "training checkpoint": SmallModel(
        lambda: open_clip_model("as OpenAI builds"),
        _save_epoch,
        _load_state,
        ask_open_clip,
        "epoch_3.pt",
        "epoch_3.pt",
    ),
    "text tower alone, as ComfyUI has it": SmallModel(
        lambda: _as_openai_in_transformers("CLIPTextModelWithProjection"),
        _save_comfy,
        _load_comfy,
        _IN_OPENAIS,
        "clip_l.safetensors",
        "clip_l.pth",
        "as OpenAI builds",
    ),
}
"""By name. Where texts are cut by CLIP's own tokenizer, it is not saved along unless the library needs it there."""

BASES: dict[str, SmallModel] = {
    "as OpenAI builds": _of_transformers(
        "CLIPModel", _as_openai_in_transformers, ask_transformers, _clips_processor
    ),
    **MODELS,
}
"""What parts need, by name."""
