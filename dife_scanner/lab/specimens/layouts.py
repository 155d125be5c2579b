"""One checkpoint saved as the libraries around CLIP save theirs: other names, files, containers and types.

Of the two towers of an open_clip `CLIP` that are transformers. Its configuration goes along: what transformers' own
cannot say, such as an average over patches, would otherwise be lost, and repositories on the hub hold both.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

State = dict[str, "Tensor"]
CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILE = "open_clip_model.safetensors"
PRECISIONS = ("float32", "float16", "bfloat16")
_SHARDS = 2
_BLOCK = re.compile(r"transformer\.resblocks\.(\d+)\.(.+)")
_IN_BLOCK = {
    "attn.out_proj.": "self_attn.out_proj.",
    "ln_1.": "layer_norm1.",
    "ln_2.": "layer_norm2.",
    "mlp.c_fc.": "mlp.fc1.",
    "mlp.c_proj.": "mlp.fc2.",
}
_AROUND = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "class_embedding": "embeddings.class_embedding",
    "conv1.weight": "embeddings.patch_embedding.weight",
    "ln_final.": "final_layer_norm.",
    "ln_pre.": "pre_layrnorm.",
    "ln_post.": "post_layernorm.",
}
_PROJECTIONS = {
    "text_projection": "text_projection.weight",
    "visual.proj": "visual_projection.weight",
}


def save(folder: Path, layout: str, precision: str, dest: Path) -> Path:
    """Save the open_clip checkpoint in `folder` in a layout of `LAYOUTS` into the new folder `dest`, which is returned.

    `precision` is one of `PRECISIONS`.
    """
    import torch
    from safetensors.torch import load_file

    kind: torch.dtype = getattr(torch, precision)
    state = load_file(folder / WEIGHTS_FILE)
    for name, value in state.items():
        if value.is_floating_point():
            state[name] = value.float().to(kind)
    dest.mkdir(parents=True)
    shutil.copyfile(folder / CONFIG_FILE, dest / CONFIG_FILE)
    LAYOUTS[layout](state, dest)
    return dest


# --- open_clip ------------------------------------------------------------------------------------------------


def _plain(state: State, dest: Path) -> None:
    _save_safetensors(state, dest / WEIGHTS_FILE)


def _text_apart(state: State, dest: Path) -> None:
    """As its `CustomTextCLIP` names tensors."""
    named = {}
    for name, value in state.items():
        in_text = not name.startswith("visual.") and name != "logit_scale"
        named[f"text.{name}" if in_text else name] = value
    _save_safetensors(named, dest / WEIGHTS_FILE)


def _training_checkpoint(state: State, dest: Path) -> None:
    """As its training loop on several devices saves an epoch, an optimizer's state beside the weights."""
    import torch

    wrapped = {f"module.{name}": value for name, value in state.items()}
    scale = {"step": torch.tensor(9.0), "exp_avg": torch.zeros_like(state["logit_scale"])}
    groups = [{"lr": 1e-5, "betas": (0.9, 0.98), "params": [0]}]
    optimizer = {"state": {0: scale}, "param_groups": groups}
    content = {"epoch": 9, "name": "run", "state_dict": wrapped, "optimizer": optimizer}
    torch.save(content, dest / "epoch_9.pt")


# --- transformers ---------------------------------------------------------------------------------------------


def _transformers(state: State, dest: Path) -> None:
    _save_safetensors(transformers_names(state), dest / "model.safetensors")


def _transformers_bin(state: State, dest: Path) -> None:
    import torch

    torch.save(transformers_names(state), dest / "pytorch_model.bin")


def _transformers_sharded(state: State, dest: Path) -> None:
    """Names spread over files in turn, and the index that says which is where."""
    renamed = transformers_names(state)
    shards: list[State] = [{} for _ in range(_SHARDS)]
    for number, (name, value) in enumerate(sorted(renamed.items())):
        shards[number % _SHARDS][name] = value
    places: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        file = f"model-{number:05}-of-{_SHARDS:05}.safetensors"
        _save_safetensors(shard, dest / file)
        places |= dict.fromkeys(shard, file)
    size = sum(value.nbytes for value in renamed.values())
    index = {"metadata": {"total_size": size}, "weight_map": places}
    (dest / "model.safetensors.index.json").write_text(json.dumps(index))


def transformers_names(state: State) -> State:
    """The tensors as transformers' `CLIPModel` has them: queries, keys and values apart, projections transposed."""
    renamed = {}
    for name, value in state.items():
        if name in _PROJECTIONS:
            renamed[_PROJECTIONS[name]] = value.T
        elif name == "logit_scale":
            renamed[name] = value
        else:
            tower = "vision_model." if name.startswith("visual.") else "text_model."
            for theirs, part in _in_tower(name.removeprefix("visual."), value):
                renamed[tower + theirs] = part
    return renamed


def _in_tower(name: str, value: Tensor) -> list[tuple[str, Tensor]]:
    block = _BLOCK.fullmatch(name)
    if block is None:
        return [(_replaced(name, _AROUND), value)]
    layer, rest = f"encoder.layers.{block[1]}.", block[2]
    if not rest.startswith("attn.in_proj_"):
        return [(layer + _replaced(rest, _IN_BLOCK), value)]
    parameter = rest.removeprefix("attn.in_proj_")
    parts = zip("qkv", value.chunk(3), strict=True)
    return [(f"{layer}self_attn.{one}_proj.{parameter}", part) for one, part in parts]


def _replaced(name: str, beginnings: Mapping[str, str]) -> str:
    ours = next(one for one in beginnings if name.startswith(one))
    return beginnings[ours] + name.removeprefix(ours)


def _save_safetensors(state: State, path: Path) -> None:
    from safetensors.torch import save_file

    save_file({name: value.contiguous() for name, value in state.items()}, path, {"format": "pt"})


LAYOUTS: Mapping[str, Callable[[State, Path], None]] = {
    "open_clip safetensors": _plain,
    "open_clip safetensors, text apart": _text_apart,
    "open_clip training checkpoint": _training_checkpoint,
    "transformers safetensors": _transformers,
    "transformers sharded": _transformers_sharded,
    "transformers bin": _transformers_bin,
}
