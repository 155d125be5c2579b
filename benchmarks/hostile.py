"""Hostile files against the readers: our own corpus and modelaudit's published fixtures, with proof that nothing ran.

    python benchmarks/hostile.py [--sdist modelaudit-0.2.54.tar.gz] [--raise]

Every file is read in a child under an audit hook, which has to see nothing; as a control, each payload of our own is
unpickled in such a child, where the hook has to see it. Results are compared with `benchmarks/hostile-floor.json`: no
count may fall below it. `--raise` lifts the floor to what was reached; to lower it, edit the file.

modelaudit's fixtures come from its sdist, which pip fetches into a folder that is deleted afterwards. Where it cannot
be fetched this is said, and only our own corpus is checked.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from dife_scanner.lab.hostile.corpus import STOPPED, cases
from dife_scanner.lab.hostile.watched import FIND_CLASS

FLOOR = Path(__file__).with_name("hostile-floor.json")
SDIST = "modelaudit==0.2.54"
_ASSETS = "/tests/assets/"
_SECONDS = 600

HOSTILE = (
    "exploits/*", "pickles/*", "samples/pickles/malicious_*", "samples/pickles/nested_pickle_*",
    "samples/pickles/decode_exec_chain.pkl", "samples/pickles/dill_func.pkl", "samples/pytorch/malicious_*",
    "samples/archives/path_traversal.zip", "scenarios/security_scenarios/*.pkl",
)  # fmt: skip
"""Fixtures that unpickling, or unpacking, runs or writes: each has to be refused or to meet a limit."""
SAFE = (
    "samples/pickles/safe_*", "samples/pickles/simple_nested.pkl", "samples/pytorch/safe_*", "samples/archives/safe_*",
    "samples/safetensors/*", "scenarios/license_scenarios/*", "samples/pipeline.skops",
)  # fmt: skip
"""Fixtures that run nothing and may not be called hostile. One safetensors file has Python in its metadata, a text."""


def main() -> int:
    options = _options()
    results = {"own corpus": _own_corpus(), "own controls": _own_controls()}
    with tempfile.TemporaryDirectory() as folder:
        fixtures = _fixtures(Path(folder), options.sdist)
        if fixtures is None:
            print(f"modelaudit: {SDIST} cannot be fetched here; its fixtures were not read")
        else:
            results["modelaudit"] = _modelaudit(fixtures)
    for name, counts in results.items():
        print(f"{name}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    return _against_the_floor(results, lift=options.lift)


# --- our own --------------------------------------------------------------------------------------------------


def _own_corpus() -> Counter[str]:
    found = _watched("read")
    counts: Counter[str] = Counter()
    for case in cases():
        one = found[case.name]
        as_expected = one["outcome"] in case.outcome
        kind = "hostile" if case.outcome <= STOPPED else "honest"
        counts[f"{kind} as expected"] += as_expected
        counts["ran something"] += bool(one["seen"])
        if not as_expected or one["seen"]:
            print(f"{case.name}: {one['outcome']} ({one['why']}), the hook saw {one['seen']}")
    return counts


def _own_controls() -> Counter[str]:
    found = _watched("control")
    counts: Counter[str] = Counter()
    for case in cases():
        if not case.payload:
            continue
        seen = set(found[case.name])
        tripped = bool(seen - {FIND_CLASS, "import"}) if case.acts else FIND_CLASS in seen
        counts["payloads seen by the hook"] += tripped
        counts["payloads not seen"] += not tripped
        if not tripped:
            print(f"control, {case.name}: the hook saw only {sorted(seen)}")
    return counts


def _watched(*arguments: str) -> dict[str, Any]:
    """What `watched` prints, run in a folder of its own."""
    command = [sys.executable, "-m", "dife_scanner.lab.hostile.watched", *arguments]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_SECONDS, check=True
        )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# --- modelaudit's ---------------------------------------------------------------------------------------------


def _fixtures(folder: Path, sdist: Path | None) -> Path | None:
    """The folder with modelaudit's fixtures; None where its sdist cannot be fetched."""
    archive = sdist or _fetched(folder)
    if archive is None:
        return None
    with tarfile.open(archive) as packed:
        members = [member for member in packed if _ASSETS in member.name and member.isfile()]
        packed.extractall(folder / "unpacked", members, filter="data")
    return next((folder / "unpacked").glob("*/tests/assets"))


def _fetched(folder: Path) -> Path | None:
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-binary", ":all:", "--no-deps",
        "--dest", str(folder), SDIST,
    ]  # fmt: skip
    if subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode:
        return None
    return next(folder.glob("modelaudit-*.tar.gz"), None)


def _modelaudit(fixtures: Path) -> Counter[str]:
    paths = sorted(path for path in fixtures.rglob("*") if path.is_file() and path.suffix != ".py")
    found = _watched("read", *map(str, paths))
    counts: Counter[str] = Counter()
    for path in paths:
        name = str(path.relative_to(fixtures))
        one = found[str(path)]
        what = _judged(name, one["outcome"])
        counts[what] += 1
        counts["ran something"] += bool(one["seen"])
        print(f"  {name}: {one['outcome']} {one['why']}")
        if what.startswith("wrong") or one["seen"]:
            print(f"{name}: {what}, the hook saw {one['seen']}")
    return counts


def _judged(name: str, outcome: str) -> str:
    """Which count a fixture belongs to. Files of other formats (templates, HDF5 …) only must not be read as weights."""
    if any(fnmatch(name, pattern) for pattern in HOSTILE):
        return "hostile as expected" if outcome in STOPPED else "wrong: hostile, not stopped"
    if any(fnmatch(name, pattern) for pattern in SAFE):
        return "wrong: called hostile" if outcome in STOPPED else "honest as expected"
    return "wrong: another format, read" if outcome == "read" else "of other formats, not read"


# --- the floor ------------------------------------------------------------------------------------------------


def _against_the_floor(results: dict[str, Counter[str]], *, lift: bool) -> int:
    """0 where nothing ran, nothing is wrong, and no count fell."""
    floor: dict[str, dict[str, int]] = json.loads(FLOOR.read_text()) if FLOOR.exists() else {}
    bad = [
        f"{corpus}: {count} {what}"
        for corpus, counts in results.items()
        for what, count in counts.items()
        if count and what.startswith(("ran", "wrong", "payloads not"))
    ]
    for corpus, counts in results.items():
        for what, least in floor.get(corpus, {}).items():
            if counts[what] < least:
                bad.append(f"{corpus}: {counts[what]} {what}, the floor is {least}")
    for line in bad:
        print(f"FAILED {line}")
    if lift and not bad:
        _lift(floor, results)
    return 1 if bad else 0


def _lift(floor: dict[str, dict[str, int]], results: dict[str, Counter[str]]) -> None:
    for corpus, counts in results.items():
        kept = floor.setdefault(corpus, {})
        for what, count in counts.items():
            if count and not what.startswith(("ran", "wrong", "payloads not")):
                kept[what] = max(count, kept.get(what, 0))
    FLOOR.write_text(json.dumps(floor, indent=2) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sdist", type=Path, help="modelaudit's sdist, where it is here already")
    parser.add_argument("--raise", dest="lift", action="store_true", help="lift the floor")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
