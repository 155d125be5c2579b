"""The forms in which a checkpoint of any layout may lie on a disk, applied to what its own library saved.

`FORMS` says what each does, and `not_well_formed` why a layout does not have one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from layout_models import MODELS, SmallModel
from safetensors.torch import load_file, save_file

Tensors = dict[str, torch.Tensor]
Cast = Callable[[Any], Any]
Apply = Callable[[Path, SmallModel], None]

SMALL_SHARD = "300KB"
_NO_TEXT = ("image tower", "classifier", "timm")
"""Of the names of layouts that hold no text tower."""


@dataclass(frozen=True)
class Form:
    """One form."""

    cast: Cast = lambda model: model
    """Of the model, before its library saves it."""
    apply: Apply = lambda folder, saved: None
    """To the files in a folder, after it."""
    is_read: bool = True
    """Whether the library loads these files itself; else they hold the values of the model that was saved."""


# --- types ----------------------------------------------------------------------------------------------------


def _to(dtype: torch.dtype) -> Cast:
    def cast(model: Any) -> Any:
        return model.to(dtype)

    return cast


def _mixed(model: Any) -> Any:
    """Matrices in float16, everything else in float32."""
    for values in model.parameters():
        if values.ndim > 1:
            values.data = values.data.half()
    return model


# --- files ----------------------------------------------------------------------------------------------------


def read(path: Path) -> Any:
    """The content of a file of weights."""
    if path.suffix == ".safetensors":
        return load_file(path)
    return torch.load(path, weights_only=True)


def state_of(content: Any) -> Tensors:
    """The tensors of a model in it."""
    found: Tensors = content.get("state_dict", content)
    return found


def rewrite(path: Path, change: Callable[[Tensors], Tensors]) -> None:
    """Change the tensors of a model in a file of weights."""
    content = read(path)
    changed = change(dict(state_of(content)))
    if "state_dict" in content:
        content["state_dict"] = changed
    else:
        content = changed
    if path.suffix == ".safetensors":
        save_file({name: values.contiguous() for name, values in changed.items()}, path)
    else:
        torch.save(content, path)


def _names(change: Callable[[Tensors], Tensors]) -> Apply:
    return lambda folder, saved: rewrite(folder / saved.weights, change)


def _pickled(change: Callable[[Tensors], Tensors], *, zipped: bool = True) -> Apply:
    """In torch's format, as its library calls such a file."""

    def apply(folder: Path, saved: SmallModel) -> None:
        path = folder / saved.weights
        content = read(path)
        state = change(dict(state_of(content)))
        path.unlink()
        if "state_dict" in content:
            state = content | {"state_dict": state}
        torch.save(state, folder / saved.pickled, _use_new_zipfile_serialization=zipped)

    return apply


def _shards(*, pickled: bool = False) -> Apply:
    """Several files and the index that says what is where, as transformers writes them."""

    def apply(folder: Path, saved: SmallModel) -> None:
        from huggingface_hub import save_torch_state_dict

        path = folder / saved.weights
        state = read(path)
        path.unlink()
        name = Path(saved.pickled if pickled else saved.weights)
        save_torch_state_dict(
            state,
            path.parent,
            filename_pattern=f"{name.stem}{{suffix}}{name.suffix}",
            max_shard_size=SMALL_SHARD,
            safe_serialization=not pickled,
        )
        assert len(list(path.parent.glob(f"{name.stem}-*{name.suffix}"))) > 1

    return apply


# --- tensors --------------------------------------------------------------------------------------------------


def _same(state: Tensors) -> Tensors:
    return state


def _tied(state: Tensors) -> Tensors:
    """Some tensors of the second layer, or of one half of an adapter, are those of the first."""
    tied = 0
    for name, values in list(state.items()):
        first = name.replace(".1.", ".0.", 1)
        if first != name and first in state and state[first].shape == values.shape:
            state[name] = state[first]
            tied += 1
    assert tied
    return state


def _views(state: Tensors) -> Tensors:
    """Parts of one storage, matrices of it turned."""
    turned = {name: values.T if values.ndim == 2 else values for name, values in state.items()}
    floats = [values for values in turned.values() if values.is_floating_point()]
    whole = torch.cat([values.reshape(-1) for values in floats])
    found = {}
    reached = 0
    for name, values in turned.items():
        if not values.is_floating_point():
            found[name] = values
            continue
        part = whole[reached : reached + values.numel()].view(values.shape)
        found[name] = part.T if values.ndim == 2 else part
        reached += values.numel()
    return found


def _wrapped(state: Tensors) -> Tensors:
    return {f"module.{name}": values for name, values in state.items()}


def _behind_text(folder: Path, saved: SmallModel) -> None:
    """The text tower's names as in a `CustomTextCLIP`, and the configuration that asks for one."""

    def prefixed(state: Tensors) -> Tensors:
        found = {}
        for name, values in state.items():
            start, inner = ("module.", name[7:]) if name.startswith("module.") else ("", name)
            at_top = inner.startswith("visual.") or inner == "logit_scale"
            found[name if at_top else f"{start}text.{inner}"] = values
        return found

    rewrite(folder / saved.weights, prefixed)
    config = folder / "open_clip_config.json"
    if config.exists():
        document = json.loads(config.read_text())
        document["model_cfg"]["custom_text"] = True
        config.write_text(json.dumps(document))


def _without_text(state: Tensors) -> Tensors:
    """As files have it that are older than open_clip's `CustomTextCLIP`, which reads them still."""
    return {name.removeprefix("text."): values for name, values in state.items()}


_BUFFERS = {
    "embeddings.position_embedding.weight": "embeddings.position_ids",
    "positional_embedding": "attn_mask",
}


def _with_buffers(state: Tensors) -> Tensors:
    """What libraries saved that is made from the configuration."""
    found = dict(state)
    for name, values in state.items():
        for end, buffer in _BUFFERS.items():
            if name.endswith(end) and "visual." not in name:
                rows = len(values)
                made = torch.arange(rows)[None] if "ids" in buffer else torch.zeros(rows, rows)
                found[name.removesuffix(end) + buffer] = made
    if "visual.conv1.weight" in state:
        for name in ("input_resolution", "context_length", "vocab_size"):
            found[name] = torch.tensor(64)
    assert len(found) > len(state)
    return found


_WITH_DEFAULTS = (
    "logit_scale",
    "logit_bias",
    "post_layernorm.bias",
    "final_layer_norm.weight",
    "layers.0.layer_norm1.weight",
    "layers.0.self_attn.q_proj.bias",
    "layers.0.self_attn.k_proj.bias",
    "layers.0.self_attn.v_proj.bias",
    "layers.1.self_attn.out_proj.bias",
    "head.attention.in_proj_bias",
)


def _without_defaults(state: Tensors) -> Tensors:
    """Without tensors that transformers gives a new model's values."""
    found = {name: values for name, values in state.items() if not name.endswith(_WITH_DEFAULTS)}
    assert len(found) < len(state)
    return found


def _scale_in_a_row(state: Tensors) -> Tensors:
    """The scale as a vector of one value, as training with `nonscalar_logit_scale` has it."""
    found = {}
    for name, values in state.items():
        found[name] = values.reshape(1) if name.endswith("logit_scale") else values
    return found


def _end_token(number: int) -> Apply:
    def apply(folder: Path, saved: SmallModel) -> None:
        path = (folder / saved.weights).with_name("config.json")
        document = json.loads(path.read_text())
        document.get("text_config", document)["eos_token_id"] = number
        path.write_text(json.dumps(document))

    return apply


FORMS: dict[str, Form] = {
    "float32": Form(),
    "float16": Form(_to(torch.float16)),
    "bfloat16": Form(_to(torch.bfloat16)),
    "mixed types": Form(_mixed),
    "shards": Form(apply=_shards()),
    "torch file": Form(_to(torch.float16), _pickled(_same)),
    "torch file before 1.6": Form(_to(torch.bfloat16), _pickled(_same, zipped=False)),
    "torch shards": Form(apply=_shards(pickled=True)),
    "tied": Form(apply=_pickled(_tied)),
    "views of one storage": Form(apply=_pickled(_views)),
    "wrapped": Form(apply=_names(_wrapped), is_read=False),
    "behind text.": Form(apply=_behind_text),
    "text. taken away": Form(apply=_names(_without_text)),
    "with buffers": Form(apply=_names(_with_buffers), is_read=False),
    "scale as a vector": Form(apply=_names(_scale_in_a_row)),
    "end token 2": Form(apply=_end_token(2)),
    "end token 49407": Form(apply=_end_token(49407)),
    "without defaults": Form(apply=_names(_without_defaults)),
}
"""By name. Torch files are in half precision too, as such files mostly are."""


# --- where there is no such form ------------------------------------------------------------------------------

_OF_SINGLE_FILES = ("state dict alone", "training checkpoint", "text tower alone")


def not_well_formed(layout: str, form: str) -> str:
    """Why no library and no stranger has this form of this layout, in words; empty where one has."""
    is_open_clip = layout.startswith("open_clip")
    is_single = layout.startswith(_OF_SINGLE_FILES)
    is_timm = layout.startswith("timm")
    names_are_transformers = not (is_open_clip or is_timm or is_single or layout == "PEFT adapter")
    if form in ("shards", "torch shards") and not names_are_transformers:
        return "its library reads one file"
    if form == "behind text.":
        if not (is_open_clip or layout in _OF_SINGLE_FILES[:2]):
            return "only open_clip has this prefix"
        if layout in ("open_clip, text apart", "open_clip SigLIP", "open_clip CLIPA"):
            return "it is saved so: see its other forms"
    if form == "text. taken away":
        if layout == "open_clip SigLIP":
            return "open_clip brings it back only where the projection is a matrix"
        if layout not in ("open_clip, text apart", "open_clip CLIPA"):
            return "it has no such prefix"
    if form.startswith("end token"):
        if "SigLIP" in layout or not names_are_transformers:
            return "its configuration names no end token that counts"
        if layout in _NO_TEXT or "image tower" in layout:
            return "it holds no text tower"
    if form == "without defaults" and not names_are_transformers:
        if layout.startswith("text tower alone"):
            return ""
        return "its library reads no file that lacks a tensor"
    if form == "with buffers" and (is_timm or layout == "PEFT adapter"):
        return "its library has no buffer that a file holds besides what is read"
    if form == "scale as a vector" and not (is_open_clip or layout in _OF_SINGLE_FILES[:2]):
        return "only open_clip's scale may be a vector"
    if form == "wrapped" and layout == "PEFT adapter":
        return "its names have a wrapper's prefix already"
    if form == "wrapped" and layout == "training checkpoint":
        return "it is saved so: see its other forms"
    return ""


def combinations() -> list[tuple[str, str]]:
    """Every layout with each of its forms."""
    found = []
    for layout in MODELS:
        for form in FORMS:
            if not not_well_formed(layout, form):
                found.append((layout, form))
    return found
