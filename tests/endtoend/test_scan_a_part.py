"""`dife scan` of a part of a checkpoint with the real audit: the bundled base's text tower alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from calling import dife
from safetensors.numpy import load_file
from saved_models import BASE, READ, files, home_with_registry, put_base, tokenizer

from dife_scanner.baselines.home import bases_folder
from dife_scanner.lab.loopback import LoopbackHub

if TYPE_CHECKING:
    import transformers

pytestmark = [pytest.mark.xdist_group("transformers"), pytest.mark.timeout(600)]

PLACES = {
    "attn.out_proj": "self_attn.out_proj",
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
OUTSIDE = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}


def text_tower(weights: dict[str, np.ndarray]) -> transformers.CLIPTextModel:
    """The text tower of weights that have the shapes of the bundled base's, as a model of transformers."""
    import transformers

    state = {theirs: weights[ours] for ours, theirs in OUTSIDE.items()}
    for name, values in weights.items():
        if not name.startswith("transformer.resblocks."):
            continue
        layer, _, rest = name.removeprefix("transformer.resblocks.").partition(".")
        kind = rest.rpartition("_")[2]
        if rest.startswith("attn.in_proj_"):
            for letter, part in zip("qkv", np.split(values, 3), strict=True):
                state[f"encoder.layers.{layer}.self_attn.{letter}_proj.{kind}"] = part
            continue
        owner, _, parameter = rest.rpartition(".")
        state[f"encoder.layers.{layer}.{PLACES[owner]}.{parameter}"] = values
    config = transformers.CLIPTextConfig(
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=32,
        projection_dim=128,
        hidden_act="gelu",
    )
    model = transformers.CLIPTextModel(config)
    model.load_state_dict({name: torch.from_numpy(values) for name, values in state.items()})
    return model


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, audit_server: None) -> Path:
    return tmp_path_factory.mktemp("parts") / "home"


def test_the_text_encoder_of_a_diffusion_model_with_a_bases_tower_is_identical(
    home: Path, tmp_path: Path
) -> None:
    weights = load_file(bases_folder() / "vit" / "open_clip_model.safetensors")
    folder = tmp_path / "pipeline"
    text_tower(weights).save_pretrained(folder / "text_encoder")
    tokenizer().save_pretrained(folder / "tokenizer")
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    done = dife("scan", folder, "--home", home, "--no-discovery", "--budget", "quick", "--json")
    (model,) = json.loads(done.stdout)["targets"]
    audit = model["audit"]
    assert (done.returncode, audit["verdict"]) == (0, "identical"), model
    assert audit["reference"] == "dife-base-vit"
    note = "it holds the text tower without its projection: that and the image tower come from dife-base-vit"
    assert any(note in one for one in audit["notes"])


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    with LoopbackHub(tmp_path / "hub") as serving:
        put_base(tmp_path / "base")
        serving.add_repo(BASE, files(tmp_path / "base"))
        yield serving


@pytest.mark.parametrize("part", ["adapter", "vision-tower"])
def test_a_plan_counts_the_base_that_a_part_needs(
    hub: LoopbackHub, tmp_path: Path, part: str
) -> None:
    """The adapter names it; of the tower, whose files are here, a few values are compared."""
    home = home_with_registry(tmp_path / "home", hub.endpoint)
    READ[part](tmp_path / "part")
    done = dife("scan", tmp_path / "part", "--plan", "--home", home, "--json")
    plan = json.loads(done.stdout)
    (target,) = plan["targets"]
    assert (target["state"], target["base"]) == ("queued", BASE), target
    assert plan["bytes"] == target["base_bytes"] > 1e6
