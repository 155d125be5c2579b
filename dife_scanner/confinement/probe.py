"""What this system enforces of each kind of child, found out by a process that does it to itself."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dife_scanner.confinement.confine import AUDITING, OPINION, PARSING, Confinement, Means, confine
from dife_scanner.confinement.forbidden import Forbidden

KINDS = {"audit child": AUDITING, "opinion child": OPINION, "parsing child": PARSING}
"""By what the child is for, in the order in which one process can be confined as each of them."""
_SECONDS = 20.0
_ROOT = Path(__file__).resolve().parents[2]
_BOOTSTRAP = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from dife_scanner.confinement.probe import main; main(sys.argv[2:])"
)


def probe() -> dict[str, Confinement]:
    """By kind of child, what holds here; nothing holds where the answer does not come."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-c", _BOOTSTRAP, str(_ROOT), folder],
                capture_output=True,
                timeout=_SECONDS,
                check=True,
            )
            answer = json.loads(done.stdout)
        except (OSError, subprocess.SubprocessError, ValueError):
            return {kind: Confinement({}) for kind in KINDS}
    return {kind: _read(answer[kind]) for kind in KINDS}


def _read(means: dict[str, str]) -> Confinement:
    return Confinement({Forbidden(what): Means(how) for what, how in means.items()})


def main(arguments: Sequence[str]) -> None:
    """Entry of the child: an empty folder; what was achieved goes to stdout, by kind."""
    found = {}
    for kind, forbidden in KINDS.items():
        folder = Path(arguments[0]) if Forbidden.WRITES_ELSEWHERE in forbidden else None
        found[kind] = dict(confine(forbidden, folder).means)
    print(json.dumps(found))
