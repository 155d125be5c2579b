"""The clean bases that are known by name: what cards call them, and where each is fetched from.

The entries ship as data, `assets/registry/clean-bases.json`; an organisation adds files of the same form for bases of
its own (`references.registry`). An entry says where a base is published, not that nobody has touched it: unless it is
pinned, what the first fetch brings is trusted from then on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from dife_scanner.errors import NotFound, SettingsError
from dife_scanner.plain import plain
from dife_scanner.records import Layout

_KEYS = frozenset(
    {"name", "aliases", "model", "architecture", "places", "source", "unread", "usual"}
)
_PLACE_KEYS = frozenset({"repository", "layout", "revision", "sha256"})
_REPOSITORY = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_POSITIONS = re.compile(r"^(ViT|RN) \d+")
_JOINTS = re.compile(r"[_.\s-]+")
_PART = " · "
_QUICK_GELU = f"{_PART}quick_gelu"


@dataclass(frozen=True)
class Place:
    """One repository that holds the weights of a base."""

    repository: str
    layout: Layout
    """As it is published; what it really is decides the look at it."""
    revision: str = ""
    """Commit, only where a public source states it."""
    sha256: str = ""
    """Of the weights, only where a public source states it."""


@dataclass(frozen=True)
class Base:
    """A published CLIP that others are made from."""

    name: str
    """As its publisher calls it, e.g. `openai/clip-vit-base-patch32`."""
    aliases: tuple[str, ...]
    """What else it is called: repositories with the same weights, `ViT-B-32:openai`, `ViT-B/32`."""
    model: str
    """Its architecture's name in open_clip; empty where open_clip has none."""
    architecture: str
    """As in `records.Manifest.architecture`; empty where only its own configuration tells."""
    places: tuple[Place, ...]
    """Where it can be fetched, the best first."""
    source: tuple[str, ...]
    """The public pages that these facts are from."""
    unread: str = ""
    """Why this version cannot audit it, and so does not fetch it; empty where it can."""
    usual: bool = False
    """Whether checkpoints of its architecture are mostly made from this one."""

    @property
    def short(self) -> str:
        """Its name without the publisher: what the reference is called."""
        return self.name.rpartition("/")[2]

    @property
    def names(self) -> tuple[str, ...]:
        """Everything it may be called in a claim, its own name first."""
        repositories = (place.repository for place in self.places)
        return tuple(dict.fromkeys((self.name, *self.aliases, *repositories)))


class Registry:
    """Bases by any of their names."""

    def __init__(self, bases: Iterable[Base]) -> None:
        """Raises `SettingsError` where two bases share a name."""
        self.bases = tuple(bases)
        self._by_name: dict[str, Base] = {}
        self._by_short: dict[str, Base] = {}
        for base in self.bases:
            for name in base.names:
                _put(self._by_name, name.lower(), base)
            _put(self._by_short, base.short.lower(), base)

    def resolve(self, claim: str) -> Base | None:
        """The base that a claim names, if there is one: `org/name`, an alias, or the name without the publisher.

        >>> shipped().resolve("ViT-B-32:openai").name
        'openai/clip-vit-base-patch32'
        """
        called = claim.strip().partition("@")[0].removeprefix("hf-hub:").lower()
        found = self._by_name.get(called)
        if found or "/" in called:
            return found
        return self._by_short.get(called)

    def named_like(self, repository: str) -> Base | None:
        """The base whose name stands in a repository's: a copy, a conversion or a fine-tune that says so."""
        called = _plain_name(repository)
        for short in sorted(self._by_short, key=len, reverse=True):
            if f"-{_plain_name(short)}-" in f"-{called}-":
                return self._by_short[short]
        return None

    def of_architecture(self, architecture: str) -> tuple[Base, ...]:
        """Those whose tensors have the same names and shapes but for positions; of an unknown architecture none.

        That of one tower alone fits every base with such a tower. Those with as many positions come first.
        """
        wanted = _parts(architecture)
        if not wanted:
            return ()
        fitting = [base for base in self.bases if wanted <= _parts(base.architecture)]
        exact = architecture.removesuffix(_QUICK_GELU)
        fitting.sort(key=lambda base: not base.architecture.startswith(exact))
        return tuple(fitting)

    def base(self, name: str) -> Base:
        """The base of this name. Raises `NotFound`."""
        found = self.resolve(name)
        if found is None:
            raise NotFound(
                f"no clean base is called {plain(name, 100)}",
                "`dife reference list --registry` shows those that are known",
            )
        return found


def registry(further: Sequence[Path] = ()) -> Registry:
    """The bases that ship with the package, and those of `further` files. Raises `SettingsError` for a bad file."""
    if not further:
        return shipped()
    bases = list(shipped().bases)
    for path in further:
        bases += _read(path)
    return Registry(bases)


@cache
def shipped() -> Registry:
    """The bases that ship with the package."""
    return Registry(
        _read(Path(str(files("dife_scanner") / "assets" / "registry" / "clean-bases.json")))
    )


def _parts(architecture: str) -> frozenset[str]:
    """What decides names and shapes of tensors: everything but the number of positions and the activation."""
    shape = _POSITIONS.sub(r"\1", architecture).removesuffix(_QUICK_GELU)
    return frozenset(shape.split(_PART)) - {""}


def _plain_name(repository: str) -> str:
    """A repository's name without its owner, however its words are joined."""
    return _JOINTS.sub("-", repository.rpartition("/")[2].lower())


def _put(known: dict[str, Base], name: str, base: Base) -> None:
    before = known.setdefault(name, base)
    if before is not base:
        raise SettingsError(
            f"two clean bases are called {name}: {before.name} and {base.name}",
            "give each base of references.registry a name of its own",
        )


# --- the form of a file ---------------------------------------------------------------------------------------


def _read(path: Path) -> list[Base]:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(
            f"the registry of bases {path} cannot be read: {error}", "correct references.registry"
        ) from error
    if not isinstance(body, dict) or not isinstance(body.get("bases"), list):
        raise _bad(path, "it has no list `bases`")
    return [_base(entry, path) for entry in body["bases"]]


def _base(entry: Any, path: Path) -> Base:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise _bad(path, "a base has no name")
    name = entry["name"]
    unknown = sorted(entry.keys() - _KEYS)
    if unknown:
        raise _bad(path, f"{name} has the unknown field `{plain(unknown[0], 40)}`")
    if not _REPOSITORY.fullmatch(name):
        raise _bad(path, f"{plain(name, 80)} is not written as organisation/name")
    source = _texts(entry, "source", path)
    if not source:
        raise _bad(path, f"{name} has no source")
    places = tuple(_place(place, name, path) for place in _list(entry, "places", path))
    if not places:
        raise _bad(path, f"{name} has no place to be fetched from")
    return Base(
        name=name,
        aliases=_texts(entry, "aliases", path),
        model=str(entry.get("model", "")),
        architecture=str(entry.get("architecture", "")),
        places=places,
        source=source,
        unread=str(entry.get("unread", "")),
        usual=entry.get("usual") is True,
    )


def _place(place: Any, name: str, path: Path) -> Place:
    if not isinstance(place, dict) or place.keys() - _PLACE_KEYS:
        raise _bad(path, f"{name} has a place of another form")
    repository, layout = str(place.get("repository", "")), str(place.get("layout", ""))
    revision, sha256 = str(place.get("revision", "")), str(place.get("sha256", ""))
    if not _REPOSITORY.fullmatch(repository):
        raise _bad(path, f"{name}: a place is not written as organisation/name")
    if layout not in set(Layout):
        raise _bad(path, f"{name}: {plain(layout, 40)!r} is no layout")
    if revision and not _COMMIT.fullmatch(revision):
        raise _bad(path, f"{name}: a revision is 40 hexadecimal digits")
    if sha256 and not _SHA256.fullmatch(sha256):
        raise _bad(path, f"{name}: a sha256 is 64 hexadecimal digits")
    return Place(repository, Layout(layout), revision, sha256)


def _texts(entry: dict[str, Any], key: str, path: Path) -> tuple[str, ...]:
    found = _list(entry, key, path)
    if not all(isinstance(one, str) and one.strip() for one in found):
        raise _bad(path, f"{entry['name']}: `{key}` is a list of texts")
    return tuple(found)


def _list(entry: dict[str, Any], key: str, path: Path) -> list[Any]:
    found = entry.get(key, [])
    if not isinstance(found, list):
        raise _bad(path, f"{entry['name']}: `{key}` is a list")
    return found


def _bad(path: Path, why: str) -> SettingsError:
    return SettingsError(
        f"the registry of bases {path} is not valid: {why}", "docs/references.md shows the form"
    )
