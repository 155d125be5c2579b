"""Measures a base of the world again, from its files: `python -m dife_scanner.lab.bases.measure FOLDER --art ART`.

Prints the accuracy among the ten classes and among 400 concepts by drawing set, and the nonsense shift, as JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from dife_scanner.lab.bases.checkpoint import load
from dife_scanner.lab.bases.evaluation import measured
from dife_scanner.lab.bases.training import held_out_of
from dife_scanner.lab.pictures import world


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(prog="python -m dife_scanner.lab.bases.measure")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--art", type=Path, required=True, help="drawing sets, as for training")
    given = parser.parse_args(arguments)
    held_out = held_out_of(given.art, world.WIDE)
    print(json.dumps(measured(load(given.folder), held_out), indent=1))


if __name__ == "__main__":
    main()
