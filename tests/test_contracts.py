"""Every import contract is seen to catch a deliberate violation, and holds on the code as it is."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from graphlib import CycleError, TopologicalSorter
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
    "figures-pure": ("dife_scanner/figures/bars.py", "import matplotlib"),
    "window-not-core": ("gui/dife_gui/feed.py", "import dife_scanner.core.metrics"),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as c; c()",
        "--no-cache",
    ]
    return subprocess.run(
        command,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{folder}:{folder / 'gui'}"},
        capture_output=True,
        text=True,
        check=False,
    )


def contracts():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def copied(folder: Path) -> Path:
    shutil.copytree(
        ROOT / "dife_scanner",
        folder / "dife_scanner",
        ignore=shutil.ignore_patterns("assets", "*.pyc"),
    )
    shutil.copytree(ROOT / "gui", folder / "gui", ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.fixture
def copy(tmp_path):
    return copied(tmp_path)


@pytest.fixture(scope="module")
def violated(tmp_path_factory):
    """What is said of each contract, by its name, where all violations are in one copy."""
    copy = copied(tmp_path_factory.mktemp("violated"))
    for file, line in VIOLATIONS.values():
        path = copy / file
        path.write_text(path.read_text() + f"\n{line}\n")
    done = lint(copy)
    assert done.returncode == 1, done.stdout[-2000:]
    _, told = done.stdout.split("Broken contracts\n")
    parts = re.split(r"^(.+)\n-+\n", told, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_contract_has_a_violation_here():
    assert {contract["id"] for contract in contracts()} == set(VIOLATIONS)


def test_the_code_keeps_its_contracts(copy):
    done = lint(copy)
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_violation_is_caught(violated, name):
    file, line = VIOLATIONS[name]
    module = file.removeprefix("gui/").removesuffix(".py").replace("/", ".")
    (contract,) = (one for one in contracts() if one["id"] == name)
    assert f"{module} -> {line.removeprefix('import ')} (l." in violated[contract["name"]]


# --- import circles -------------------------------------------------------------------------------------------


def modules_of(folder: Path) -> dict[str, Path]:
    """Every module of both packages by its dotted name; a package stands for its `__init__`."""
    found = {}
    for top in (folder / "dife_scanner", folder / "gui" / "dife_gui"):
        for path in sorted(top.rglob("*.py")):
            parts = path.relative_to(top.parent).with_suffix("").parts
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


@cache  # most files of a copy are those of the code as it is
def imported_in(text: str) -> tuple[tuple[str, str], ...]:
    """What a file imports anywhere in it: at the top, for types only, or inside a function, as (module, name in it)."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found.extend((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import, which this test does not follow"
            found.extend((str(node.module), alias.name) for alias in node.names)
    return tuple(found)


def imported_by(path: Path, modules: dict[str, Path]) -> set[str]:
    """The modules that a file imports.

    `from package import name` counts as the module of that name, or as the package where `name` is no module.
    """
    found = set()
    for module, name in imported_in(path.read_text()):
        inner = f"{module}.{name}"
        found.add(inner if inner in modules else module)
    return found & set(modules)


def circle(folder: Path) -> list[str]:
    """One circle of imports, each module imported by the one after it; empty where there is none."""
    modules = modules_of(folder)
    try:
        TopologicalSorter(
            {name: imported_by(path, modules) for name, path in modules.items()}
        ).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_module_imports_itself_by_way_of_others():
    assert circle(ROOT) == []


@pytest.mark.parametrize(
    "line",
    [
        "import dife_scanner.lab.bases.run",
        "if TYPE_CHECKING:\n    from dife_scanner.lab.bases.run import Run",
        "def late():\n    from dife_scanner.lab.bases import run",
    ],
)
def test_a_circle_of_imports_is_seen_wherever_the_import_stands(copy, line):
    path = copy / "dife_scanner/lab/bases/distillation.py"
    path.write_text(path.read_text() + f"\n\n{line}\n")
    assert {"dife_scanner.lab.bases.distillation", "dife_scanner.lab.bases.run"} == set(
        circle(copy)
    )
