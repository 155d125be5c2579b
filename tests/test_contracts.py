"""Every import contract is seen to catch a deliberate violation, and holds on the code as it is."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

VIOLATIONS = {
    "layers": ("dife_scanner/store/db.py", "import dife_scanner.audit.pipeline"),
    "core-pure": ("dife_scanner/core/metrics.py", "import torch"),
    "one-hub-client": ("dife_scanner/hub/manifest.py", "import huggingface_hub"),
    "sql-in-store": ("dife_scanner/alerts/rules.py", "import sqlite3"),
    "window": ("gui/dife_gui/feed.py", "import dife_scanner.queue.worker"),
    "weights-need-no-store": ("dife_scanner/hub/part.py", "import dife_scanner.store.db"),
    "triggers-pure": ("dife_scanner/triggers/stamp.py", "import torch"),
    "window-not-core": ("gui/dife_gui/feed.py", "import dife_scanner.core.metrics"),
}


def lint(folder: Path, *only: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]
    for name in only:
        command += ["--contract", name]
    return subprocess.run(
        command,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{folder}:{folder / 'gui'}"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(ROOT / "dife_scanner", tmp_path / "dife_scanner", ignore=shutil.ignore_patterns("assets", "*.pyc"))
    shutil.copytree(ROOT / "gui", tmp_path / "gui", ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_contract_has_a_violation_here():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert {contract["id"] for contract in contracts} == set(VIOLATIONS)


def test_the_code_keeps_its_contracts(copy):
    done = lint(copy)
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_violation_is_caught(copy, name):
    file, line = VIOLATIONS[name]
    path = copy / file
    path.write_text(path.read_text() + f"\n{line}\n")
    done = lint(copy, name)
    assert done.returncode == 1 and "BROKEN" in done.stdout, done.stdout[-2000:]
