"""From a bill of materials of a whole environment keep what the scanner needs, without its developers' tools.

    python packaging/sbom.py ENVIRONMENT.json OUT.json

The first file is what `cyclonedx-py environment --pyproject` writes of the environment that runs this. It joins a
package also with those that only its unused extras ask for, so that packages are followed here once more. `make sbom`
does both.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FOR_DEVELOPERS = frozenset({"dev", "docs"})


def declared(project: Mapping[str, Any]) -> list[str]:
    """What a project asks for to run: its own requirements and those of its extras, without the developers'."""
    wanted = list(project["dependencies"])
    for extra, requirements in project.get("optional-dependencies", {}).items():
        if extra not in FOR_DEVELOPERS:
            wanted += requirements
    return wanted


def needed(
    wanted: Iterable[str], requires: Callable[[str], Iterable[str] | None] = metadata.requires
) -> set[str]:
    """Names of the packages that satisfy these requirements here, and of all that those require in turn.

    Raises `PackageNotFoundError` for one that is not installed.
    """
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(requirement, frozenset({""})) for requirement in map(Requirement, wanted)]
    while waiting:
        requirement, extras = waiting.pop()
        if not _applies(requirement, extras):
            continue
        package = (canonicalize_name(requirement.name), frozenset({"", *requirement.extras}))
        if package not in seen:
            seen.add(package)
            below = map(Requirement, requires(package[0]) or ())
            waiting += [(one, package[1]) for one in below]
    return {name for name, _ in seen}


def _applies(requirement: Requirement, extras: Iterable[str]) -> bool:
    """Whether a package with these extras asks for this here."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)


def only(document: Mapping[str, Any], names: set[str], release: str) -> dict[str, Any]:
    """The document with the components of these names, and with the version of what it is about."""
    about = {**document["metadata"]["component"], "version": release}
    components = []
    for component in document["components"]:
        if canonicalize_name(component["name"]) in names:
            components.append(component)
    kept = {about["bom-ref"], *(component["bom-ref"] for component in components)}
    dependencies = []
    for one in document["dependencies"]:
        if one["ref"] in kept:
            below = [reference for reference in one.get("dependsOn", []) if reference in kept]
            dependencies.append({"ref": one["ref"], "dependsOn": below})
    return {
        **document,
        "metadata": {**document["metadata"], "component": about},
        "components": components,
        "dependencies": dependencies,
    }


def main(source: Path, out: Path) -> None:
    """Read one document, write the other, and say how many packages it names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    document = json.loads(source.read_text(encoding="utf-8"))
    result = only(document, needed(declared(project)), metadata.version(project["name"]))
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{out}: {len(result['components'])} packages")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
