"""Untrained encoders to search in."""

from __future__ import annotations

import pytest
from checkpoints import TINY_VIT, write_checkpoint

from dife_scanner.models.clip import ClipEncoder
from dife_scanner.models.load import load


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ClipEncoder:
    """An untrained ViT."""
    return load(write_checkpoint(tmp_path_factory.mktemp("vit"), TINY_VIT))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> ClipEncoder:
    """Another of the same architecture."""
    return load(write_checkpoint(tmp_path_factory.mktemp("other"), TINY_VIT, seed=1))
