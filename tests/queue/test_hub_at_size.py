"""The benchmark of a hub at its real size, at a small one: nothing is lost, and no window of the hub is overdrawn."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "hub_at_size.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hub_at_size", BENCHMARK)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hub_at_size"] = module
    spec.loader.exec_module(module)
    return module


def measured(benchmark: ModuleType, folder: Path, **changes: Any) -> dict[str, Any]:
    given = {"models": 8_000, "clip": 280, "churn": 0.2, "quota": 1000, "days": 2 / 24, **changes}
    found: dict[str, Any] = benchmark.measure(folder, argparse.Namespace(**given))
    return found


def test_three_days_without_us_lose_nothing(benchmark: ModuleType, tmp_path: Path) -> None:
    found = measured(benchmark, tmp_path)
    assert found["missing"] == [0, 0, 0] and found["refused"] == 0
    assert found["first"]["new"] == 280
    assert 0 < found["after_three_days"]["new"] <= 280
    assert found["after_three_days"]["passes"] == 1
    assert found["steady"]["requests"] == 4 * len(benchmark.SOURCES)


def test_a_reading_that_a_window_cuts_off_goes_on_in_the_next(
    benchmark: ModuleType, tmp_path: Path
) -> None:
    window = benchmark.WINDOW_SECONDS
    # at its beginning the hub asks for a wait that is beyond our patience: the pass ends, and nobody sleeps here
    clock = (benchmark.time.time() - 7 * benchmark.DAY) // window * window
    with (
        benchmark.SimulatedHub(20_000, 2_000, 25, clock) as hub,
        benchmark.open_store(tmp_path) as store,
    ):
        run = benchmark.Run(store, hub, 0.0)
        first = run.first()
        assert first.passes > 1 and hub.refused == 0
        assert max(hub.windows.values()) <= 25, "what is used up is not asked for"
        assert first.new == 2_000 and run.missing() == 0
