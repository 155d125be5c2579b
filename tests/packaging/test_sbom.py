"""The bill of our own dependencies names what the scanner runs with, and no tool of its developers."""

from __future__ import annotations

import importlib.util
import json
import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from bills import bom

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sbom():
    spec = importlib.util.spec_from_file_location("sbom_of_ours", ROOT / "packaging" / "sbom.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def component(name: str) -> dict:
    return {"bom-ref": f"{name}==1", "name": name, "version": "1", "type": "library"}


@pytest.fixture
def environment(tmp_path) -> Path:
    """What the tool says of an environment: the scanner with two packages, and a developers' tool."""
    below = {"root": ["NumPy==1", "pytest==1"], "NumPy==1": ["pytest==1"], "pytest==1": []}
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {"bom-ref": "root", "name": "dife-scanner", "type": "application"}
        },
        "components": [component(name) for name in ("NumPy", "pytest")],
        "dependencies": [{"ref": ref, "dependsOn": each} for ref, each in below.items()],
    }
    path = tmp_path / "environment.json"
    path.write_text(json.dumps(document))
    return path


def test_what_is_installed_here_is_followed_to_its_end_and_without_tools(sbom, project):
    names = sbom.needed(sbom.declared(project))
    assert {"torch", "numpy", "pyside6-essentials", "markupsafe"} <= names
    assert not {"pytest", "ruff", "mypy", "hypothesis", "transformers", "dife-scanner"} & names
    assert "sphinx" not in names


def test_an_extra_is_followed_only_where_it_is_asked_for(sbom):
    requires = {"a": ["b; extra == 'x'", "c"], "b": ["a"], "c": []}
    assert sbom.needed(["a"], requires.get) == {"a", "c"}
    assert sbom.needed(["a[x]"], requires.get) == {"a", "b", "c"}


def test_a_package_for_another_system_is_not_named(sbom):
    system = sys.platform
    wanted = [f"a; sys_platform == '{system}'", f"b; sys_platform != '{system}'"]
    assert sbom.needed(wanted, {"a": []}.get) == {"a"}


def test_a_package_that_is_missing_ends_it(sbom):
    with pytest.raises(PackageNotFoundError):
        sbom.needed(["no-such-package-of-anybody"])


def test_the_document_keeps_those_and_still_fits_its_schema(sbom, environment):
    document = sbom.only(json.loads(environment.read_text()), {"numpy"}, "0.1")
    bom(json.dumps(document))
    assert [one["name"] for one in document["components"]] == ["NumPy"]
    assert document["dependencies"] == [
        {"ref": "root", "dependsOn": ["NumPy==1"]},
        {"ref": "NumPy==1", "dependsOn": []},
    ]
    assert document["metadata"]["component"]["version"] == "0.1"
