"""An audit that is killed at ten random moments and gone on with each time: the same verdict and numbers, bit for bit.

python benchmarks/killed_audits.py [NAME]            badencoder, at `quick`, real searches
python benchmarks/killed_audits.py NAME --kills 3 --seed 2

First the audit runs undisturbed, which says how long it takes. Then a second one, that keeps its work elsewhere, dies
by `kill -9` at moments drawn over that time, and goes on each time. Where it ends before it is killed, another begins.
The last goes on to its end. Of each, all values that `dife rerun` compares are compared with the undisturbed one's.
Told of each kill: how long before it anything was kept last. One thread.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from real_size import rehearsed, request

from dife_scanner.lab.grown.making import BASE
from dife_scanner.records import Audit
from dife_scanner.reports import rerun
from dife_scanner.store import codec


def main() -> int:
    given = _options()
    if given.into:
        _audit(given.name, given.into)
        return 0
    rehearsed()  # specimens that are not there are made before anything is timed
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as scratch:
        began = time.monotonic()
        folder = Path(scratch) / "undisturbed"
        undisturbed = _ended(_started(given.name, folder), folder)
        whole = time.monotonic() - began
        print(f"undisturbed: {undisturbed.verdict}, {whole:.0f} s", flush=True)
        killed = _Killed(given.name, Path(scratch))
        while killed.times < given.kills:
            killed.kill(rng.uniform(0, whole))
        killed.end()
    same = [_is_same(undisturbed, one) for one in killed.audits]
    return 0 if all(same) else 1


def _is_same(undisturbed: Audit, killed: Audit) -> bool:
    """Whether all values are equal, which is printed."""
    compared = rerun.compare(undisturbed, killed)
    same = compared.identical and killed.verdict is undisturbed.verdict
    said = "equal" if same else "NOT EQUAL"
    print(f"gone on with: {killed.verdict}, {compared.compared} values compared: {said}")
    for one in compared.differences:
        print(f"  {one}")
    return same


class _Killed:
    """Audits that are killed and gone on with, one after the other: each comes to its end once."""

    def __init__(self, name: str, scratch: Path) -> None:
        self._name = name
        self._scratch = scratch
        self.times = 0
        self.audits: list[Audit] = []

    @property
    def _folder(self) -> Path:
        return self._scratch / f"killed-{len(self.audits)}"

    def kill(self, after: float) -> None:
        """Start, or go on, and kill after so many seconds; where it ends before that, the next begins."""
        began = time.time()
        child = _started(self._name, self._folder)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(after)
            self.audits.append(_ended(child, self._folder))
            return
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        self.times += 1
        kept = [one.stat().st_mtime for one in (self._folder / "discovery").rglob("*.*")]
        ago = time.time() - max([began, *kept])
        print(
            f"kill {self.times}: after {after:.0f} s, {ago:.0f} s since anything was kept",
            flush=True,
        )

    def end(self) -> None:
        """Go on to the end."""
        self.audits.append(_ended(_started(self._name, self._folder), self._folder))


def _audit(name: str, folder: Path) -> None:
    """One audit, in this process; its record is written when it has ended."""
    import torch

    from dife_scanner.audit.pipeline import run

    torch.set_num_threads(1)
    folders = rehearsed()
    found = run(request(name, folders[name], folders[BASE], folder / "cache")).audit
    part = folder / "audit.part"
    part.write_text(codec.to_json(found))
    part.replace(folder / "audit.json")


def _started(name: str, folder: Path) -> subprocess.Popen[bytes]:
    temporary = folder / "tmp"  # what a killed process leaves goes with everything else
    temporary.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, name, "--into", str(folder)]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    return subprocess.Popen(command, start_new_session=True, env=environment)


def _ended(child: subprocess.Popen[bytes], folder: Path) -> Audit:
    """What an audit comes to."""
    if child.wait():
        raise SystemExit(f"the audit ended with exit code {child.returncode}")
    return codec.from_json(Audit, (folder / "audit.json").read_bytes())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", default="badencoder")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
