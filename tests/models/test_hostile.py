"""Every bad checkpoint ends in the error that fits, with words, and not one line of it is ever run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hostile import CONFIGS, FILES, HEADERS, Case

CASES = HEADERS | CONFIGS | FILES


@pytest.fixture(scope="module")
def run(tiny_vit: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    program = Path(__file__).with_name("hostile.py")
    scratch = tmp_path_factory.mktemp("hostile")
    command = [sys.executable, str(program), str(tiny_vit), str(scratch)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=200,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_the_corpus_is_large_and_its_names_are_unique() -> None:
    assert len(CASES) == len(HEADERS) + len(CONFIGS) + len(FILES) >= 100


@pytest.mark.parametrize(("name", "case"), CASES.items(), ids=CASES.keys())
def test_each_case_gets_its_own_error_and_words(run: dict[str, Any], name: str, case: Case) -> None:
    error, message = run["outcomes"][name]
    assert error == case.error, message
    assert case.words in message.lower()


def test_no_message_can_act_on_a_terminal(run: dict[str, Any]) -> None:
    for name, (_, message) in run["outcomes"].items():
        assert message.isascii() and message.isprintable(), name
        assert len(message) < 500, name


def test_nothing_was_executed_imported_or_connected(run: dict[str, Any]) -> None:
    assert run["events"] == []
    assert any(event.startswith("pickle.find_class") for event in run["control"])


def test_nothing_is_left_behind(run: dict[str, Any]) -> None:
    assert run["left"] == []
