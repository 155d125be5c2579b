"""Broken and hostile bytes against every parser of what a stranger wrote: no crash, no hang, no memory.

    python benchmarks/fuzz.py [--only torch] [--minutes 10] [--seed 1] [--folder .lab/fuzz] [--fresh]

Each target runs in a child of its own for so many minutes and goes on where it was stopped: input number n of a seed is
always the same bytes. An input fails that raises anything but this program's errors, takes more than ten seconds of
processor time, or brings the child beyond 200 MB. Such inputs are kept in the folder; each becomes a test.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from dife_scanner.lab.hostile.fuzzing import TARGETS

_GRACE_SECONDS = 120


def main() -> int:
    options = _options()
    if options.fresh:
        shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    failed = 0
    for target in options.only or list(TARGETS):
        failed += _run(target, options)
    return 1 if failed else 0


def _run(target: str, options: argparse.Namespace) -> int:
    """How many inputs failed, as far as the child came."""
    state = options.folder / f"{target}-{options.seed}.json"
    first = json.loads(state.read_text())["next"] if state.exists() else 0
    command = [
        sys.executable, "-m", "dife_scanner.lab.hostile.fuzzing",
        target, str(options.seed), str(first), str(options.minutes * 60), str(options.folder),
    ]  # fmt: skip
    done = subprocess.run(
        command, stdout=subprocess.PIPE, timeout=options.minutes * 60 + _GRACE_SECONDS, check=False
    )
    if done.returncode:
        print(f"{target}: the child ended with {done.returncode} after input {first}")
        return 1
    found = json.loads(done.stdout)
    state.write_text(json.dumps({"next": found["next"]}) + "\n")
    ends = ", ".join(f"{count} {end}" for end, count in sorted(found["ends"].items()))
    print(
        f"{target}: inputs {first} to {found['next']}: {ends}; the slowest {found['slowest']:.2f} s, "
        f"{found['megabytes']} MB at most, {len(found['failed'])} failed"
    )
    for file in found["failed"]:
        print(f"  {file}")
    return len(found["failed"])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", action="append", choices=sorted(TARGETS))
    parser.add_argument("--minutes", type=float, default=10, help="for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(".lab/fuzz"))
    parser.add_argument("--fresh", action="store_true", help="forget earlier runs")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
