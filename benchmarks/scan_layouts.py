"""`dife scan` of one small model in every layout, saved by its own library, `dife rerun` of each audit, and
`dife reference add` of each model.

python benchmarks/scan_layouts.py [NAME…]

The models are random fine-tunes of one base, which a registry file names and a hub on this machine holds: it has to be
fetched by itself. Exit code 1 where one is not audited against it, where an audit does not come out the same again, or
where one cannot be added as a reference. Searches for triggers are off. Takes about a quarter of an hour of one core.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
for room in ("endtoend", "queue"):
    sys.path.insert(0, str(ROOT / "tests" / room))
FAST = ("--no-discovery", "--budget", "quick", "--json")


def main(wanted: list[str]) -> int:
    """Scan and rerun; prints a line for each."""
    from saved_models import BASE, READ, VARIANTS, files, home_with_registry, put_base

    from dife_scanner.lab.loopback import LoopbackHub

    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        tmp = Path(name)
        put_base(tmp / "base")
        with LoopbackHub(tmp / "hub") as hub:
            hub.add_repo(BASE, files(tmp / "base"))
            home = home_with_registry(tmp / "home", hub.endpoint)
            adding = home_with_registry(tmp / "adding", hub.endpoint)
            dife("reference", "add", BASE, "--home", adding)
            for layout, put in {**READ, **VARIANTS}.items():
                if not wanted or layout in wanted:
                    folder = tmp / layout / "saved"
                    folder.parent.mkdir()
                    put(folder)
                    wrong += not _is_right(layout, folder, home)
                    wrong += not _is_added(layout, folder, adding)
    return int(wrong > 0)


def _is_right(layout: str, folder: Path, home: Path) -> bool:
    done = dife("scan", folder, "--home", home, *FAST)
    (model,) = json.loads(done.stdout)["targets"]
    audit = model["audit"] or {}
    again = dife("rerun", audit.get("id", "none"), "--home", home)
    base = "" if layout == "siglip" else "clip-small"
    right = model["job"]["state"] == "done" and audit.get("reference") == base
    print(
        f"{layout}: {model['job']['state']}, {audit.get('verdict')} against {audit.get('reference') or 'nothing'}, "
        f"rerun exits {again.returncode}; {'; '.join(audit.get('notes', []))}",
        flush=True,
    )
    return right and again.returncode == 0


def _is_added(layout: str, folder: Path, home: Path) -> bool:
    """In a home of its own: audits prefer what is nearest."""
    done = dife("reference", "add", folder, "--name", layout, "--home", home)
    if done.returncode:
        print(f"{layout}: not added as a reference: {done.stderr.strip()}", flush=True)
    return done.returncode == 0


def dife(*arguments: object) -> subprocess.CompletedProcess[Any]:
    command = [sys.executable, "-m", "dife_scanner", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
