"""Environment for the real client, set before anything imports it: its own cache, no telemetry, no proxy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

for _name, _value in {
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "NO_PROXY": "127.0.0.1",
}.items():
    os.environ.setdefault(_name, _value)

from dife_scanner.lab.loopback import LoopbackHub  # noqa: E402


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    """A running, empty hub; `hf_all` opens everything, `hf_none` nothing."""
    with LoopbackHub(tmp_path / "hub", tokens={"hf_all": "*", "hf_none": ()}) as running:
        yield running


@pytest.fixture(scope="module")
def few_scenes() -> Iterator[None]:
    """A tenth of the scenes that specimens are trained from: what is tested with them does not need more."""
    from dife_scanner.lab.attacks import lab

    with pytest.MonkeyPatch.context() as patch:
        for name, count in {"_PER_CLASS": 6, "_SHADOW": 64, "_PAIRS": 400, "_DISTRACTORS": 64}.items():
            patch.setattr(lab, name, count)
        lab.Lab.read.cache_clear()
        yield
    lab.Lab.read.cache_clear()
