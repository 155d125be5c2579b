"""Trigger files as somebody writes them, and the files they point to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dife_scanner.records import Trigger
from dife_scanner.triggers import known, learner


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A 16 × 16 patch and overlay, a perturbation of 32 × 32 and a prompt learner of four vectors."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(tmp_path / "patch.png")
    Image.fromarray(rng.integers(0, 256, (16, 16, 4), dtype=np.uint8)).save(
        tmp_path / "overlay.png"
    )
    np.save(tmp_path / "perturbation.npy", rng.uniform(-1, 1, (32, 32, 3)).astype(np.float32))
    learner.save(
        learner.PromptLearner(rng.normal(size=(4, 32)).astype(np.float32)),
        tmp_path / "learner.safetensors",
    )
    return tmp_path


@pytest.fixture
def entry(folder: Path) -> Callable[..., Trigger]:
    """The last trigger of a file made of these lines, beside the files of `folder`."""

    def read(kind: str, lines: str = "", before: str = "") -> Trigger:
        path = folder / "triggers.toml"
        path.write_text(
            f'format = 1\n{before}\n[[trigger]]\nname = "it"\nkind = "{kind}"\n{lines}\n'
        )
        return known.read(path)[-1]

    return read


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
