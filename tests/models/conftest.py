from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import TINY_RN, TINY_VIT, write_checkpoint
from open_clip.model import CLIP
from queue_fixtures import read_here

__all__ = ["read_here"]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models this small only wait for each other's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("vit"), TINY_VIT)


@pytest.fixture(scope="session")
def tiny_rn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("rn"), TINY_RN)


@pytest.fixture
def open_clip_model() -> Callable[[Path], Any]:
    """The same checkpoint built and filled by open_clip and torch alone: the independent implementation."""

    def build(folder: Path) -> Any:
        from safetensors.torch import load_file

        config = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
        model = CLIP(**copy.deepcopy(config))
        model.load_state_dict(load_file(folder / "open_clip_model.safetensors"))
        return model.eval().requires_grad_(False)

    torch.manual_seed(0)
    return build
