"""Which files of a checkpoint an audit reads, and what each is called in a private copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dife_scanner.errors import Unsupported
from dife_scanner.models import intake
from dife_scanner.models.layouts.open_clip import CONFIG_FILE, WEIGHT_FILES
from dife_scanner.models.stored import SAFETENSORS
from dife_scanner.records import Contents, HubFile, Manifest


@dataclass(frozen=True)
class Files:
    """The files of one checkpoint before they are copied, by their names in the copy."""

    where: Mapping[str, Path]
    announced: Mapping[str, HubFile]
    """What a hub, or an earlier look at a folder, said of each; nothing of some."""
    contents: Contents
    """Which of them is what, by these names."""


@dataclass(frozen=True)
class Parts:
    """The files of one checkpoint where they lie: what describes it, and its weights."""

    small: tuple[Path, ...]
    weights: tuple[Path, ...]
    totals: tuple[int | None, ...] = ()
    """Sizes of the weights in bytes where the files hold only their beginnings."""

    @property
    def is_canonical(self) -> bool:
        """Whether these are what open_clip writes, a configuration and one file of safetensors, read as they are."""
        has_config = any(path.name == CONFIG_FILE for path in self.small)
        return has_config and [path.suffix for path in self.weights] == [SAFETENSORS]

    @classmethod
    def of(cls, where: Mapping[str, Path], contents: Contents) -> Parts:
        """Those of the files at `where`, by name, that describe a checkpoint, and its weights."""
        small = [where[name] for name in (contents.config, contents.preprocessing) if name in where]
        return cls(tuple(small), tuple(where[name] for name in contents.weights))

    def config(self, name: str = CONFIG_FILE) -> Path:
        """The small file of that name. Raises `Unsupported` where there is none."""
        for path in self.small:
            if path.name == name:
                return path
        raise Unsupported(f"there is no {name}", "a checkpoint needs it")


def contents_of(found: Manifest) -> Contents:
    """Which file is what; manifests from before this was kept hold an open_clip checkpoint."""
    if found.contents.weights:
        return found.contents
    paths = [file.path for file in found.files]
    weights = [path for path in WEIGHT_FILES if path in paths]
    if not weights:
        weights = [path for path in paths if path.endswith(SAFETENSORS)]
        weights = [path for path in weights if path not in intake.LEARNER_FILES]
    learners = [path for path in intake.LEARNER_FILES if path in paths]
    return Contents(
        config=CONFIG_FILE if CONFIG_FILE in paths else "",
        weights=tuple(weights[:1]),
        learner=learners[0] if learners else "",
    )


def staged_names(contents: Contents) -> dict[str, str]:
    """What each file is called in a private copy, by its path in the repository.

    A file keeps its own name without its folders. Weights that somebody else named get open_clip's name where its
    configuration stands beside them. Raises `Unsupported` where two files would have one name.
    """
    names: dict[str, str] = {}
    for path in contents.paths:
        names[path] = PurePosixPath(path).name
    if contents.learner:
        names[contents.learner] = _learner_name(names[contents.learner])
    if _is_open_clip(contents):
        (weights,) = contents.weights
        if names[weights] not in WEIGHT_FILES:
            names[weights] = WEIGHT_FILES[0]
    if len(set(names.values())) < len(names):
        raise Unsupported(
            "two files of the checkpoint have the same name in different folders",
            "scan one of them",
        )
    return names


def _learner_name(name: str) -> str:
    return name if name in intake.LEARNER_FILES else intake.LEARNER_FILES[0]


def _is_open_clip(contents: Contents) -> bool:
    """One safetensors file beside open_clip's configuration, whatever it is called."""
    is_config = PurePosixPath(contents.config).name == CONFIG_FILE
    return is_config and len(contents.weights) == 1 and contents.weights[0].endswith(SAFETENSORS)


def files_of(found: Manifest, where: Mapping[str, Path]) -> Files:
    """The files of a checkpoint that lie at `where`, by their paths in the repository."""
    contents = contents_of(found)
    names = staged_names(contents)
    announced = {names[file.path]: file for file in found.files if file.path in where}
    named = Contents(
        config=names.get(contents.config, ""),
        weights=tuple(names[path] for path in contents.weights),
        index=names.get(contents.index, ""),
        preprocessing=names.get(contents.preprocessing, ""),
        tokenizer=tuple(names[path] for path in contents.tokenizer),
        learner=names.get(contents.learner, ""),
    )
    return Files({names[path]: there for path, there in where.items()}, announced, named)
