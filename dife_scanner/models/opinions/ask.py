"""Run each scanner that is there on a private copy, and read what it says."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from dife_scanner.models.opinions.interface import (
    NotUnderstoodError,
    OpinionLimits,
    Said,
    Scanner,
    together,
)
from dife_scanner.models.opinions.modelaudit import Modelaudit
from dife_scanner.models.opinions.picklescan import Picklescan
from dife_scanner.models.opinions.run import NotRunError, run
from dife_scanner.plain import plain
from dife_scanner.records import Opinion, OpinionVerdict

SCANNERS: tuple[Scanner, ...] = (Picklescan(), Modelaudit())
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+!-]{0,40}")


class Chosen(Protocol):
    """Who is to be asked; `settings.Opinions` has it. A path is empty where the program is the one on the PATH."""

    @property
    def ask(self) -> str: ...
    @property
    def picklescan(self) -> str: ...
    @property
    def modelaudit(self) -> str: ...


def find(chosen: Chosen) -> dict[str, Path]:
    """The program of each scanner that is to be asked, by its name: those that are named or found."""
    if chosen.ask == "never":
        return {}
    named = {"picklescan": chosen.picklescan, "modelaudit": chosen.modelaudit}
    found = {}
    for scanner in SCANNERS:
        path = named[scanner.name] or shutil.which(scanner.name)
        if path:
            found[scanner.name] = Path(path).expanduser().absolute()
    return found


def ask(
    files: Sequence[Path],
    programs: Mapping[str, Path],
    limits: OpinionLimits,
    scratch: Path,
    check: Callable[[], None] = lambda: None,
) -> tuple[Opinion, ...]:
    """The opinion of every scanner that is there about these files, at least one; nothing that one does raises.

    Each works in a folder of its own in `scratch`, which is removed. `check` is called several times a second; what it
    raises ends the scanner and goes through.
    """
    opinions = []
    for scanner in SCANNERS:
        program = programs.get(scanner.name)
        if program is None:
            continue
        parts = []
        for arguments in scanner.arguments(files):
            command = [str(program), *arguments]
            parts.append(_said(scanner, command, limits, scratch, check))
        said = _without_paths(together(parts), files)
        version = _version(scanner.name, program)
        opinions.append(Opinion(scanner.name, version, said.verdict, said.details, said.why_not))
    return tuple(opinions)


def _said(
    scanner: Scanner,
    command: Sequence[str],
    limits: OpinionLimits,
    scratch: Path,
    check: Callable[[], None],
) -> Said:
    """What one run says, or why it says nothing."""
    try:
        with tempfile.TemporaryDirectory(prefix="opinion-", dir=scratch) as folder:
            code, answer = run(command, Path(folder), limits, check)
        return scanner.read(code, answer)
    except (NotRunError, NotUnderstoodError) as error:
        return Said(OpinionVerdict.NOT_RUN, why_not=plain(str(error), 300))
    except OSError as error:
        return Said(OpinionVerdict.NOT_RUN, why_not=f"no folder for it: {error.strerror}")


def _without_paths(said: Said, files: Sequence[Path]) -> Said:
    """With the names of the files in place of where the private copy lay."""
    folders = {str(file.parent) for file in files}
    details = []
    for detail in said.details:
        for folder in folders:
            detail = detail.replace(f"{folder}/", "")
        details.append(detail)
    return replace(said, details=tuple(details))


def _version(name: str, program: Path) -> str:
    """Of the package that lies beside a program, without running anything; empty where there is none."""
    pattern = f"lib/python*/site-packages/{name}-*.dist-info"
    for folder in program.resolve().parent.parent.glob(pattern):
        version = folder.name.removeprefix(f"{name}-").removesuffix(".dist-info")
        if _VERSION.fullmatch(version):
            return version
    return ""
