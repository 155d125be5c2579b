"""Holds the digest that an attestation is bound to against that of OpenSSF model signing itself: `make model-signing`.

    python tests/peers/signing/compare.py PYTHON [--folders 20] [--seed 1]

PYTHON has `model_signing` installed, and nothing of ours. Folders are drawn: names with odd letters, files of git,
empty ones, folders in folders. One line per folder that differs; exit code 0 where none does.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from dife_scanner.app.model_digest import model_digest

THEIRS = """\
import pathlib, sys
from model_signing import hashing
from model_signing._signing.signing import Payload
for folder in sys.argv[1:]:
    payload = Payload(hashing.hash(pathlib.Path(folder)))
    print(payload.statement.pb.subject[0].digest["sha256"])
"""
NAMES = (
    *("model.safetensors", "config.json", "B", "b", "a-b", "a.b", "ü y.bin", ".hidden"),
    *(".gitignore", ".gitattributes", "README.md", "日本", "0"),
)
FOLDERS = ("", "a", "sub", "sub/deep", "sub-b", ".git", "sub/.git", "ü")


def drawn(folder: Path, rng: random.Random) -> Path:
    """A folder with a few files, of which some are empty and some are in folders below it."""
    for place in rng.sample(FOLDERS, rng.randint(1, 5)):
        (folder / place).mkdir(parents=True, exist_ok=True)
        for name in rng.sample(NAMES, rng.randint(0, 6)):
            if not (folder / place / name).exists():
                (folder / place / name).write_bytes(rng.randbytes(rng.choice((0, 1, 5000))))
    (folder / "weights.bin").write_bytes(rng.randbytes(100))
    return folder


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("python")
    options.add_argument("--folders", type=int, default=20)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as place:
        folders = [drawn(Path(place) / f"{number:04}", rng) for number in range(given.folders)]
        ours = [model_digest(folder) for folder in folders]
        command = [given.python, "-c", THEIRS, *map(str, folders)]
        theirs = subprocess.check_output(command, text=True).split()
        different = 0
        for folder, own, other in zip(folders, ours, theirs, strict=True):
            if own != other:
                different += 1
                listed = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
                print(f"FAIL {own} is not {other}: {listed}")
    print(f"{len(ours) - different} of {len(ours)} digests are those of model signing")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
