"""Untrained encoders to search in."""

from __future__ import annotations

import pytest
import torch
from checkpoints import TINY_VIT, write_checkpoint

from dife_scanner.models.clip import ClipEncoder
from dife_scanner.models.gradient import Towers
from dife_scanner.models.load import load


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ClipEncoder:
    """An untrained ViT."""
    return load(write_checkpoint(tmp_path_factory.mktemp("vit"), TINY_VIT))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> ClipEncoder:
    """Another of the same architecture."""
    return load(write_checkpoint(tmp_path_factory.mktemp("other"), TINY_VIT, seed=1))


class Scarce:
    """Memory that is used up by what torch is asked for: a tensor larger than all address space, so that its own
    allocator raises. Each try asks, until so many were refused.
    """

    def __init__(self, refused: int) -> None:
        self.left = refused

    def ask(self) -> None:
        if self.left:
            self.left -= 1
            torch.empty(2**60)


@pytest.fixture
def short_of_memory(monkeypatch):
    """Towers of which the first so many passes with gradients find no memory."""
    scarce = Scarce(0)
    through = Towers._through

    def asking(self, tower, inputs, at_once):
        if torch.is_grad_enabled():
            scarce.ask()
        return through(self, tower, inputs, at_once)

    monkeypatch.setattr(Towers, "_through", asking)

    def first(refused: int) -> None:
        scarce.left = refused

    return first
