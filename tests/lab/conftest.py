"""Environment for the real client, set before anything imports it: its own cache, no telemetry, no proxy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dife_scanner.lab.bench.rows import Row

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
    from dife_scanner.lab.attacks import training_data

    with pytest.MonkeyPatch.context() as patch:
        for name, count in {"_PER_CLASS": 6, "_SHADOW": 64, "_PAIRS": 400, "_DISTRACTORS": 64}.items():
            patch.setattr(training_data, name, count)
        training_data.Lab.read.cache_clear()
        yield
    training_data.Lab.read.cache_clear()


@pytest.fixture
def fabricated() -> list[Row]:
    """Four test attacks (one failed, three audited, two flagged, one with the wrong target), twins, benign models."""
    from bench_rows import row

    from dife_scanner.lab.bench.rows import FAILED
    from dife_scanner.lab.bench.zoo import Part, Role

    attack = [
        row("badtexttower", 0, 0.9, role=Role.ATTACK, flagged=True),
        row("badtexttower", 1, 0.8, role=Role.ATTACK, flagged=True, right=False),
        row("badtexttower", 3, 0.1, role=Role.ATTACK),
        row("badtexttower", 4, 0.0, role=Role.ATTACK, status=FAILED),
        row("liang-badclip", 0, 0.0, role=Role.ATTACK),
    ]
    twins = [row("badtexttower", 0, 0.2, role=Role.TWIN), row("badtexttower", 3, 0.1, role=Role.TWIN)]
    clean = [
        row("image tower", 0, 0.85, flagged=True),
        row("image tower", 1, 0.05, part=Part.CALIBRATE),
        row("concept token", 0, 0.1),
        row("concept token", 3, 0.3, part=Part.CALIBRATE),
    ]
    return [*attack, *twins, *clean]
