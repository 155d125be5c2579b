"""Tries the wheel as a stranger would: `make try-wheel`.

The source archive and the wheel are built, and the wheel made from the archive has to be, byte for byte, the one made
from the tree. It is then installed into a new environment outside of the tree, without any extra, and `dife demo` runs
there. Everything is deleted afterwards; about 7 GB of room are needed meanwhile.
"""

from __future__ import annotations

import filecmp
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]
OF_THE_DEVELOPER = ("PYTHONPATH", "VIRTUAL_ENV", "DIFE_HOME")
"""Variables by which the new environment might see this tree, or a home that is there."""


def build(folder: Path) -> Path:
    """Wheel of the tree, after the one made from the source archive was found equal to it."""
    straight = folder / "straight"
    by_archive = folder / "by-archive"
    make = [sys.executable, "-m", "build"]
    subprocess.run([*make, "--wheel", "--outdir", straight, TREE], check=True)
    subprocess.run([*make, "--outdir", by_archive, TREE], check=True)
    (wheel,) = straight.glob("*.whl")
    (again,) = by_archive.glob("*.whl")
    (archive,) = by_archive.glob("*.tar.gz")
    if not filecmp.cmp(wheel, again, shallow=False):
        raise SystemExit(f"{again.name} made from {archive.name} differs from that of the tree")
    print(
        f"{wheel.name}: {megabytes(wheel)} MB, the same from {archive.name} ({megabytes(archive)} MB)"
    )
    return wheel


def megabytes(path: Path) -> int:
    """Size of a file, or of all files below a folder, in MB."""
    files = [path] if path.is_file() else [at for at in path.rglob("*") if at.is_file()]
    return round(sum(at.lstat().st_size for at in files) / 1e6)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="dife-wheel-") as name:
        folder = Path(name)
        wheel = build(folder)
        surroundings = {
            key: value for key, value in os.environ.items() if key not in OF_THE_DEVELOPER
        }
        environment = folder / "environment"
        began = time.monotonic()
        venv.create(environment, with_pip=True)
        pip = [environment / "bin" / "pip", "install", "--quiet", "--no-cache-dir"]
        subprocess.run([*pip, wheel], check=True, cwd=folder, env=surroundings)
        installed = time.monotonic()
        print(f"installed in {installed - began:.0f} s, {megabytes(environment)} MB", flush=True)
        where = "import dife_scanner; print(dife_scanner.__file__)"
        python = environment / "bin" / "python"
        ran = subprocess.check_output(
            [python, "-c", where], text=True, cwd=folder, env=surroundings
        )
        if not Path(ran.strip()).is_relative_to(environment):
            raise SystemExit(f"the new environment runs {ran.strip()}, which is not its own")
        demo = [environment / "bin" / "dife", "demo", "--keep", folder / "demo-home"]
        subprocess.run(demo, check=True, cwd=folder, env=surroundings)
        print(f"dife demo: {time.monotonic() - installed:.0f} s")


if __name__ == "__main__":
    main()
