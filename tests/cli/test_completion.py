"""A shell that was told how completes commands and options."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """\
#!{python}
import sys
sys.argv[0] = "dife"
from dife_scanner.cli import main
main()
"""


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("dife fin", ["findings"]), ("dife report --form", ["--format"])],
)
def test_bash_completes_what_was_typed(tmp_path: Path, typed: str, offered: list[str]) -> None:
    program = tmp_path / "dife"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'gui'}"}
    words = typed.split()
    asked = (
        "source <(_DIFE_COMPLETE=source_bash dife);"
        f" COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _dife_completion dife;"
        " printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(
        ["bash", "-c", asked], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == offered, done.stderr
