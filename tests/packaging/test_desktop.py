"""The desktop entry: valid, found for links to findings, and it starts what the package installs."""

from __future__ import annotations

import configparser
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import resvg_py
from dife_gui.links import finding_of, link_of

ROOT = Path(__file__).parents[2]
ENTRY = ROOT / "packaging" / "desktop" / "dife-scanner.desktop"
ICON = ENTRY.with_suffix(".svg")
PNG = b"\x89PNG"


def needs(program: str) -> pytest.MarkDecorator:
    absent = not shutil.which(program)
    return pytest.mark.skipif(absent, reason=f"the program {program} is not installed")


@pytest.fixture(scope="module")
def entry() -> configparser.SectionProxy:
    parser = configparser.RawConfigParser()
    parser.optionxform = str
    parser.read(ENTRY)
    return parser["Desktop Entry"]


@needs("desktop-file-validate")
def test_the_entry_is_valid_without_a_hint():
    done = subprocess.run(
        ["desktop-file-validate", str(ENTRY)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs("update-desktop-database")
def test_a_desktop_finds_it_for_links_to_findings(tmp_path):
    shutil.copy(ENTRY, tmp_path)
    subprocess.run(["update-desktop-database", str(tmp_path)], check=True)
    handlers = (tmp_path / "mimeinfo.cache").read_text().splitlines()
    scheme = link_of("fp1:00ff").partition("://")[0]
    assert f"x-scheme-handler/{scheme}={ENTRY.name};" in handlers


def test_it_starts_the_window_of_the_command_that_is_installed(entry):
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    link = link_of("fp1:00ff")
    program, command, given = shlex.split(entry["Exec"].replace("%u", link))
    assert program in scripts and program == entry["TryExec"]
    assert command == "gui" and finding_of(given) == "fp1:00ff"


def test_the_window_belongs_to_the_entry_by_its_name():
    source = (ROOT / "gui" / "dife_gui" / "app.py").read_text()
    assert f'setDesktopFileName("{ENTRY.stem}")' in source


def test_the_icon_is_drawn_and_needs_nothing_else(entry):
    text = ICON.read_text()
    assert entry["Icon"] == ICON.stem
    assert "href" not in text and "<script" not in text
    assert bytes(resvg_py.svg_to_bytes(svg_string=text)).startswith(PNG)
