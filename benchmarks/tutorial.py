"""Runs every command of docs/tutorial.md in its order, in a folder of its own: `make tutorial`.

Ends with 1 at the first command that fails, and prints how long each part took.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "tutorial.md"


def blocks(text: str) -> list[str]:
    """What stands between fences, as it stands."""
    return re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def main() -> int:
    commands = blocks(PAGE.read_text(encoding="utf-8"))
    programs = Path(sys.executable).parent
    surroundings = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    with tempfile.TemporaryDirectory(prefix="dife-tutorial-") as folder:
        for number, block in enumerate(commands, start=1):
            began = time.monotonic()
            print(block, flush=True)
            ended = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block], cwd=folder, env=surroundings, check=False
            )
            if ended.returncode:
                print(
                    f"part {number} of {len(commands)} ended with {ended.returncode}",
                    file=sys.stderr,
                )
                return 1
            print(
                f"part {number} of {len(commands)}: {time.monotonic() - began:.0f} s\n", flush=True
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
