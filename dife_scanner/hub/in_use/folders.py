"""From a path to the models in use: which kind of place it is, and which of its files are read."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from dife_scanner.errors import UsageError
from dife_scanner.hub import listing
from dife_scanner.hub.in_use.found import Found, UnreadableError, each_once, entry
from dife_scanner.hub.in_use.lists import bom, is_bom, json_of, plain_list
from dife_scanner.hub.in_use.python import python
from dife_scanner.hub.in_use.structured import configuration, notebook
from dife_scanner.records import InUse

Reader = Callable[[str, str], Found]

LIST_BYTES = 64 * 1024**2
"""Of a list or a bill of materials that somebody names."""
SOURCE_BYTES = 4 * 1024**2
"""Of one file in a source tree; notebooks carry pictures."""
MAX_FILES = 50_000
"""Looked at in one source tree, whether they are read or not."""
MAX_DEPTH = 30
MAX_CACHED = 20_000
"""Repositories and revisions of a cache."""
_NOT_SOURCE = frozenset(
    {"node_modules", "site-packages", "__pycache__", "venv", "env", "build", "dist"}
)
"""Folders of other people's code, which names models that nobody here loads."""
_CACHED = re.compile(r"models--(.+?)--(.+)")
_IN_TREES: dict[str, Reader] = {
    ".py": python,
    ".ipynb": notebook,
    ".yaml": configuration,
    ".yml": configuration,
    ".toml": configuration,
    ".json": configuration,
}


def read(paths: Iterable[Path]) -> Found:
    """The models that these lists, bills of materials, caches and source trees name, each once.

    Raises `UsageError` for a path that is not there, or is none of these.
    """
    found = Found()
    for path in paths:
        found += _read_one(path.expanduser())
    return Found(each_once(found.entries), found.skipped)


def _read_one(path: Path) -> Found:
    if path.is_dir():
        cache = _cache_in(path)
        return _cached(cache) if cache else _source_tree(path)
    try:
        text = _text(path, LIST_BYTES)
        return _reader(path, text)(text, path.name)
    except UnreadableError as error:
        raise UsageError(
            f"{path} cannot be read as a list of models: {error}",
            "give a text file with one org/name a line, a CycloneDX document, a cache or a source tree",
        ) from error


def _reader(path: Path, text: str) -> Reader:
    """How a file that somebody named is read."""
    if path.suffix == ".json":
        return bom if is_bom(json_of(text)) else configuration
    return _IN_TREES.get(path.suffix, plain_list)


def _text(path: Path, most: int) -> str:
    """A regular file as text. Raises `UnreadableError`; no link is followed and no pipe waited for."""
    flags = os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0) | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags), "rb") as stream:
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise UnreadableError("not a regular file")
            content = stream.read(most + 1)
    except FileNotFoundError as error:
        raise UnreadableError("it is not there") from error
    except OSError as error:
        raise UnreadableError("it cannot be opened") from error
    if len(content) > most:
        raise UnreadableError("too large")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError("not text in UTF-8") from error


# --- a source tree ----------------------------------------------------------------------------------------------


def _source_tree(root: Path) -> Found:
    """What Python files, notebooks and configurations below `root` name; what is not read is counted."""
    entries: list[InUse] = []
    skipped: Counter[str] = Counter()
    for path in _files(root, skipped):
        reader = _IN_TREES.get(path.suffix)
        if reader is None:
            continue
        try:
            found = reader(_text(path, SOURCE_BYTES), path.relative_to(root).as_posix())
        except UnreadableError as error:
            skipped[f"file: {error}"] += 1
            continue
        entries += _not_local(found.entries, (root, path.parent))
        skipped.update(found.skipped)
    return Found(each_once(entries), dict(skipped))


def _files(root: Path, skipped: Counter[str]) -> Iterator[Path]:
    """Files below `root` by name, links left out; `MAX_FILES` and `MAX_DEPTH` at most."""
    looked_at = 0
    for folder, inside, names in os.walk(root):
        at = Path(folder)
        inside[:] = sorted(name for name in inside if _is_source(name))
        if len(at.relative_to(root).parts) >= MAX_DEPTH and inside:
            skipped["folder: nested too deep"] += len(inside)
            inside.clear()
        for name in sorted(names):
            looked_at += 1
            if looked_at > MAX_FILES:
                skipped["more files than are looked at"] += 1
                return
            yield at / name


def _is_source(name: str) -> bool:
    return not name.startswith(".") and name not in _NOT_SOURCE


def _not_local(entries: Iterable[InUse], folders: tuple[Path, ...]) -> list[InUse]:
    """Those that are no path within the tree: `models/clip` may be a folder there."""
    found: list[InUse] = []
    for one in entries:
        if not any((folder / one.repo_id).exists() for folder in folders):
            found.append(one)
    return found


# --- a cache of the hub -----------------------------------------------------------------------------------------


def _cache_in(path: Path) -> Path | None:
    """The folder with `models--org--name` in it: this one, or its `hub` as in the home of the hub's client."""
    for folder in (path, path / "hub"):
        if folder.is_dir() and any(_CACHED.fullmatch(name) for name in _names(folder)):
            return folder
    return None


def _cached(cache: Path) -> Found:
    """Every revision in a cache, and unpinned where it was a branch: whoever loads it again gets the newest."""
    entries: list[InUse | None] = []
    for name in _names(cache):
        matched = _CACHED.fullmatch(name)
        if matched is None:
            continue
        repo_id = f"{matched[1]}/{matched[2]}"
        place = f"{cache.name}/{name}"
        if "main" in _names(cache / name / "refs"):
            entries.append(entry(repo_id, place=place))
        for revision in _names(cache / name / "snapshots"):
            if listing.is_sha(revision):
                entries.append(entry(repo_id, revision, place))
    return Found(each_once([one for one in entries if one is not None]))


def _names(folder: Path) -> list[str]:
    """The names in a folder, sorted; none where it is no folder or cannot be read."""
    found: list[str] = []
    try:
        with os.scandir(folder) as inside:
            for item in inside:
                found.append(item.name)
                if len(found) >= MAX_CACHED:
                    break
    except OSError:
        return []
    return sorted(found)
