"""The identity of an artefact: the files of a checkpoint that are loaded, by what they hold. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import PurePosixPath

from dife_scanner.records import Artefact, ArtefactFile, Contents, Manifest

_START = "artefact 1"
"""What a hash is of, and its version."""


def artefact(manifest: Manifest, hashes: Mapping[str, str] | None = None) -> Artefact | None:
    """The artefact of a manifest; `hashes` are the sha256 of files whose listing does not say it, by path.

    `None` where that of some file is not known, and for manifests from before it was kept which file is what.
    """
    known = {file.path: file.sha256 for file in manifest.files if file.sha256}
    known |= hashes or {}
    found = []
    for role, path in _roles(manifest.contents):
        if path not in known:
            return None
        found.append(ArtefactFile(role, path, known[path].lower()))
    if not manifest.contents.weights:
        return None
    return Artefact(_id(found), tuple(found))


def _roles(contents: Contents) -> Iterator[tuple[str, str]]:
    """What each file is, and its path. A tokenizer's are told apart by their names, shards by their order."""
    for number, path in enumerate(contents.weights, 1):
        yield f"weights {number}", path
    single = {
        "configuration": contents.config,
        "index": contents.index,
        "preprocessing": contents.preprocessing,
        "prompt learner": contents.learner,
    }
    for role, path in single.items():
        if path:
            yield role, path
    for path in sorted(contents.tokenizer):
        yield f"tokenizer {PurePosixPath(path).name}", path


def _id(files: list[ArtefactFile]) -> str:
    lines = sorted(f"{file.role}\0{file.sha256}" for file in files)
    return "art1:" + sha256("\n".join([_START, *lines]).encode()).hexdigest()
