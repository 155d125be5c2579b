"""What the container files claim: no root, nothing fetched beside packages, pinned bases, a root that is only read."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "packaging" / "container"
FILES = sorted(FOLDER.glob("Containerfile*"))
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


def instructions(file: Path) -> list[tuple[str, str]]:
    """The instructions of a container file, each with what follows its word."""
    text = file.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def of_kind(file: Path, word: str) -> list[str]:
    return [rest for name, rest in instructions(file) if name == word]


@each_file
def test_it_says_first_that_it_was_not_built(file):
    assert file.read_text().startswith("# Not built: ")


@each_file
def test_it_runs_as_a_user_without_rights_and_keeps_state_in_a_volume(file):
    last = [name for name, _ in instructions(file)]
    assert of_kind(file, "USER") == ["10001:10001"]
    assert last.index("USER") > max(at for at, name in enumerate(last) if name == "RUN")
    assert of_kind(file, "VOLUME") == ["/var/lib/dife"]


@each_file
def test_each_base_has_a_whole_version_as_its_tag(file):
    for base in of_kind(file, "FROM"):
        assert re.fullmatch(r"\S+:\d+\.\d+\.\d+-\S+( AS \w+)?", base), base


@each_file
def test_files_come_from_the_source_tree_only_and_these_are_all_that_the_wheel_needs(file):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert of_kind(file, "ADD") == []
    copied = [rest.split() for rest in of_kind(file, "COPY") if not rest.startswith("--from=")]
    sources = {source for words in copied for source in words[:-1]}
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    needed = {package.partition("/")[0] for package in packages}
    needed |= {"pyproject.toml", project["project"]["readme"]}
    assert sources == needed | set(project["project"]["license-files"])
    let_in = (ROOT / ".dockerignore").read_text().splitlines()
    assert sources == {line[1:] for line in let_in if line.startswith("!")}


def test_every_service_reads_its_root_only_and_has_no_rights():
    services = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    built = {service["build"]["dockerfile"] for service in services.values()}
    assert built == {str(file.relative_to(ROOT)) for file in FILES}
    for service in services.values():
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["volumes"] == ["dife:/var/lib/dife"]
        assert "privileged" not in service
