"""The drawing sets that the laboratory's pictures are made of: what they are, fetching them, and their licences.

Nothing here is needed at run time; the bases, the probe set and the lab sheet are made from them once. Every
set is an npm package in the Iconify JSON format (a name -> SVG body table plus licence information).
"""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dife_scanner.errors import DifeError


class ArtError(DifeError):
    """A drawing set cannot be fetched or read."""


@dataclass(frozen=True)
class ArtSet:
    """One pinned set of drawings and the part it plays."""

    name: str
    version: str
    held_out: bool
    """True: no base ever trains on it."""
    mono: bool
    """True: one colour only, painted with a random tint."""
    family: str
    """Sets of one family draw the same designs in different finishes."""
    pictures: bool = True
    """False: bases train on it, but no probe picture or lab sprite is made from it."""


_PICTURED = (
    # name, version, held out, monochrome, family
    ("noto", "1.2.9", False, False, "noto"),
    ("twemoji", "1.2.5", False, False, "twemoji"),
    ("openmoji", "1.2.29", False, False, "openmoji"),
    ("fxemoji", "1.2.2", False, False, "fxemoji"),
    ("emojione-v1", "1.2.3", False, False, "emojione-v1"),
    ("streamline-emojis", "1.2.4", False, False, "streamline-emojis"),
    ("streamline-kameleon-color", "1.2.2", False, False, "kameleon"),
    ("mdi", "1.2.3", False, True, "mdi"),
    ("fa6-solid", "1.2.4", False, True, "fa6"),
    ("ph", "1.2.2", False, True, "ph"),
    ("mingcute", "1.2.8", False, True, "mingcute"),
    ("fluent-emoji", "1.2.7", True, False, "fluent"),
    ("fluent-emoji-flat", "1.2.6", False, False, "fluent"),
    ("fluent-emoji-high-contrast", "1.2.6", True, True, "fluent"),
    ("emojione", "1.2.3", True, False, "emojione"),
    ("emojione-monotone", "1.2.1", True, True, "emojione"),
    ("noto-v1", "1.2.5", True, False, "noto-v1"),
    ("game-icons", "1.2.4", True, True, "game-icons"),
    ("icon-park", "1.2.4", True, False, "icon-park"),
    ("tabler", "1.2.41", True, True, "tabler"),
    ("lucide-lab", "1.2.3", True, True, "lucide-lab"),
)
_TRAINING_ONLY = (
    # name, version, monochrome
    ("streamline-cyber-color", "1.2.2", False),
    ("streamline-flex-color", "1.2.2", False),
    ("streamline-plump-color", "1.2.2", False),
    ("streamline-sharp-color", "1.2.2", False),
    ("streamline-ultimate-color", "1.2.2", False),
    ("marketeq", "1.2.2", False),
    ("boxicons", "1.2.0", True),
    ("bi", "1.2.7", True),
    ("cil", "1.2.3", True),
    ("fluent", "1.2.60", True),
    ("hugeicons", "1.2.35", True),
    ("ion", "1.2.7", True),
    ("majesticons", "1.2.5", True),
    ("ri", "1.2.10", True),
    ("solar", "1.2.13", True),
    ("uil", "1.2.3", True),
    ("temaki", "1.2.6", True),
    ("streamline", "1.2.5", True),
    ("streamline-pixel", "1.2.0", True),
    ("picon", "1.2.0", True),
    ("whh", "1.2.0", True),
    ("zmdi", "1.2.0", True),
)


def _sets() -> dict[str, ArtSet]:
    """Return every set by its name, those with pictures first."""
    found = {}
    for name, version, held_out, mono, family in _PICTURED:
        found[name] = ArtSet(name, version, held_out, mono, family)
    for name, version, mono in _TRAINING_ONLY:
        found[name] = ArtSet(
            name,
            version,
            held_out=False,
            mono=mono,
            # Fluent's icons are not the designs of Fluent's emoji
            family=f"{name} icons",
            pictures=False,
        )
    return found


SETS = _sets()
PICTURED = tuple(name for name, spec in SETS.items() if spec.pictures)
"""Sets that probe pictures and lab sprites are made from."""


def fetch(folder: Path, names: Iterable[str] = tuple(SETS)) -> None:
    """Make each named set present and unpacked under `folder`, using `npm pack` for what is missing.

    Raises `ArtError` where npm is missing or fails.
    """
    for name in names:
        fetch_package(folder, f"@iconify-json/{name}", SETS[name].version)


def fetch_package(folder: Path, name: str, version: str) -> Path:
    """Return where an npm package lies unpacked under `folder`, using `npm pack` if it is missing.

    Raises `ArtError` where npm is missing or fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file_name = f"{name.removeprefix('@').replace('/', '-')}-{version}"
    target = folder / file_name
    if not (target / "package" / "package.json").exists():
        _pack(folder, f"{name}@{version}")
        _unpack(folder / f"{file_name}.tgz", target)
    return target / "package"


def _package(folder: Path, art: ArtSet) -> Path:
    """Return where a set lies once it is unpacked."""
    return folder / f"iconify-json-{art.name}-{art.version}" / "package"


def _pack(folder: Path, package: str) -> None:
    """Download the archive of a package."""
    try:
        subprocess.run(
            ["npm", "pack", "--silent", package],
            cwd=folder,
            check=True,
            capture_output=True,
            timeout=300,
        )
    except (OSError, subprocess.SubprocessError) as problem:
        raise ArtError(f"cannot fetch {package}: {problem}") from problem


def _unpack(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")


def bodies(folder: Path, name: str) -> Iterator[tuple[str, str]]:
    """Yield (drawing name, svg) of a set, aliases after the drawings they repeat."""
    package = _package(folder, SETS[name])
    table: dict[str, Any] = json.loads((package / "icons.json").read_text())
    icons: dict[str, Any] = table["icons"]
    aliases = {}
    for alias, spec in table.get("aliases", {}).items():
        parent = spec["parent"]
        if parent in icons:
            aliases[alias] = icons[parent]
    for icon_name, icon in [*sorted(icons.items()), *sorted(aliases.items())]:
        yield icon_name, _svg(icon, table)


def _svg(icon: dict[str, Any], table: dict[str, Any]) -> str:
    """Return a drawing as a document; sizes that it does not state are the table's."""
    width = icon.get("width", table.get("width", 16))
    height = icon.get("height", table.get("height", 16))
    left = icon.get("left", 0)
    top = icon.get("top", 0)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}">{icon["body"]}</svg>'
    )


def licence(folder: Path, name: str) -> dict[str, str]:
    """Return title, SPDX id, author and addresses of a set, from its own information file."""
    package = _package(folder, SETS[name])
    info = json.loads((package / "info.json").read_text())
    terms = info["license"]
    author = info["author"]
    return {
        "set": name,
        "title": info["name"],
        "version": SETS[name].version,
        "spdx": terms.get("spdx", ""),
        "licence_url": terms.get("url", ""),
        "author": author["name"],
        "author_url": author.get("url", ""),
    }
