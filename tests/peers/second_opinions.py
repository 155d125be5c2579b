"""The real picklescan and modelaudit, asked as the scanner asks them: without network, processes and writes.

The files are made here; nothing unpickles them, and what they would run is `true`.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dife_scanner.models.opinions import SCANNERS, OpinionLimits, ask

if TYPE_CHECKING:
    from run import Report

LIMITS = OpinionLimits(seconds=120, memory_mib=4096)


class _Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("true",))


class _Suspicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return (argparse.Namespace, ())


def _pickled(made: object) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(pickle.dumps(made))


def _zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(_Runs()))
        archive.writestr("archive/version", "3\n")


def _safetensors(path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))


def _pinned() -> list[str]:
    """What is installed, in the order of asking."""
    folder = Path(__file__).parent / "scanners"
    return [(folder / f"{scanner.name}.txt").read_text().strip() for scanner in SCANNERS]


CASES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "harmless.pkl": (_pickled({"a": [1, 2]}), "clean-by-its-rules", "clean-by-its-rules"),
    "runs.pkl": (_pickled(_Runs()), "malicious", "malicious"),
    "runs.bin": (_zipped, "malicious", "malicious"),
    "runs.safetensors": (_pickled(_Runs()), "malicious", "malicious"),
    "namespace.pkl": (_pickled(_Suspicious()), "suspicious", "suspicious"),
    "weights.safetensors": (_safetensors, "not-run", "clean-by-its-rules"),
    "torn.pkl": (
        lambda path: path.write_bytes(pickle.dumps({"a": list(range(1000))})[:-500]),
        "not-run",
        "suspicious",
    ),
}
"""By file: how it is made, what picklescan says, what modelaudit says."""


def compare(report: Report, programs: dict[str, Path], work: Path) -> None:
    """Each file on its own, then all of them together; `programs` are the scanners', by name."""
    files = work / "files"
    scratch = work / "scratch"
    for folder in (files, scratch):
        folder.mkdir(parents=True)
    for name, (make, *expected) in CASES.items():
        make(files / name)
        said = ask([files / name], programs, LIMITS, scratch)
        report.check(f"{name}: opinions", [opinion.verdict.value for opinion in said], expected)
    together = ask(sorted(files.iterdir()), programs, LIMITS, scratch)
    report.check(
        "all files: the worst counts", {one.verdict.value for one in together}, {"malicious"}
    )
    report.check("versions", [f"{one.tool}=={one.version}" for one in together], _pinned())
    report.check("nothing is left behind", list(scratch.iterdir()), [])
