"""The reference is written from the code: nothing is missing on its pages, and no table in a page is an older one."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from typer.main import get_command

from dife_scanner import discovery, settings
from dife_scanner.cli.commands import app
from dife_scanner.core import checks
from dife_scanner.core.cards import CARDS
from dife_scanner.records import JobState, TriageState, Verdict

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
TABLES = {
    "filters.md": {"findings", "audits", "models", "decisions"},
    "keys.md": {"window", "terminal"},
}


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    """The module that writes them, which lies beside the pages."""
    spec = importlib.util.spec_from_file_location("reference_pages", DOCS / "reference_pages.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def written(pages: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Each page as the site has it, by name."""
    folder = tmp_path_factory.mktemp("docs")
    pages.write(folder)
    return {path.stem: path.read_text() for path in (folder / pages.FOLDER).glob("*.md")}


def test_every_command_is_on_its_page(written: dict[str, str]) -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert len(commands) > 20
    for name in commands:
        assert f"`dife {name}`" in written["every-command"]


def test_every_setting_is_on_its_page(written: dict[str, str]) -> None:
    page = written["every-setting"]
    for name in settings.Settings.model_fields:
        if name != "home":
            assert f"{name} =" in page or f"[{name}]" in page or f"[{name}." in page, name


def test_every_card_and_detector_and_word_is_on_its_page(written: dict[str, str]) -> None:
    for card in CARDS:
        assert f"## {card.interface}\n" in written["every-card"]
    for detector in discovery.DETECTORS:
        assert f"| `{detector.name}` | {detector.channel} |" in written["every-detector"]
    assert "| `scan_texts` | Texts of the wide scan" in written["every-detector"]
    assert " |  | " not in written["every-word"]  # each vocabulary says what it is about
    for word in (*JobState, *Verdict, *TriageState):
        assert f"`{word}`" in written["every-word"]
    for check in checks.CHECKS:
        assert f"| `{check.name}` | {check.kind} |" in written["every-word"]


def test_every_schema_is_on_its_page(written: dict[str, str]) -> None:
    schemas = sorted((ROOT / "dife_scanner" / "assets" / "schemas").glob("*.json"))
    assert len(schemas) > 10
    for path in schemas:
        assert f"| `{path.name}` |" in written["every-schema"]
        for field in json.loads(path.read_text()).get("properties", {}):
            assert f"`{field}`" in written["every-schema"]


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_of_a_page_are_those_of_the_code(pages: ModuleType, name: str) -> None:
    text = (DOCS / name).read_text()
    again, there = pages.with_tables(text)
    assert there == TABLES[name]
    assert text == again, "run python docs/reference_pages.py"


def test_a_table_that_is_older_is_written_anew(pages: ModuleType) -> None:
    text = (DOCS / "keys.md").read_text()
    older = text.replace("| `/` | filter |\n", "")
    assert older != text
    assert pages.with_tables(older)[0] == text
