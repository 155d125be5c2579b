"""What the pages name is there: files, rooms, modules, and what is written behind a module's dot."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PLACES = [ROOT, ROOT / "dife_scanner", ROOT / "gui", ROOT / "gui" / "dife_gui", ROOT / "tests"]
"""Where a path on a page may begin."""
OF_THE_READER = {"tagging.py", "FILE.py", "reproduce.py"}
"""Files that a page tells its reader to write."""


def rooms() -> set[str]:
    """First parts by which a path on a page is known to be one of this tree."""
    folders = [path for place in PLACES for path in place.iterdir() if path.is_dir()]
    return {folder.name for folder in folders if folder.name[0].isalpha()}


def named_in(text: str) -> set[str]:
    """Paths that begin with a room, wherever they stand, and names of Python files in backticks."""
    begins = "|".join(sorted(rooms(), key=len, reverse=True))
    paths = re.findall(rf"(?<![\w/.:-])(?:{begins})/[\w./*-]*", text)
    quotes = " ".join(re.findall(r"`([^`\n]+)`", text))
    quoted = re.findall(r"(?<![\w/.-])[\w/-]+\.py\b", quotes)
    return {path.rstrip(".") for path in (*paths, *quoted)} - OF_THE_READER


def is_there(name: str) -> bool:
    """Whether a path is in the tree: as it stands, as a module, or as a name that a module defines."""
    module, _, defined = name.rpartition(".")
    for place in PLACES:
        if any(place.glob(name.rstrip("/"))) or (place / f"{name}.py").is_file():
            return True
        source = place / f"{module}.py"
        if module and source.is_file():
            return bool(
                re.search(
                    rf"^(?:def|class) {defined}\b|^{defined}\b", source.read_text(), re.MULTILINE
                )
            )
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_on_a_page_is_in_the_tree(page):
    assert sorted(name for name in named_in(page.read_text()) if not is_there(name)) == []


def test_a_path_that_is_not_there_is_seen():
    text = (
        "`core/metrics.py` `audit/interfaces/<one>` and/or `core/validity.judge`,"
        " `audit/profile` audit/profile.py `core/validity.judged` `nosuch.py`"
    )
    wrong = {name for name in named_in(text) if not is_there(name)}
    assert wrong == {"audit/profile", "audit/profile.py", "core/validity.judged", "nosuch.py"}
    assert is_there("core/validity.judge") and is_there("audit/interfaces/")


def test_the_readme_is_one_screen_and_says_where_the_rest_is():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 50
    links = re.findall(r"\]\(([\w/.-]+)\)", text)
    assert {"docs/tutorial.md", "docs/verdicts.md", "docs/index.md"} <= set(links)
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_every_picture_of_the_window_is_shown_and_all_of_them_are_small() -> None:
    folder = ROOT / "docs" / "window"
    there = {file.name for file in folder.glob("*.png")}
    page = (ROOT / "docs" / "window.md").read_text(encoding="utf-8")
    assert there == set(re.findall(r"\(window/([\w-]+\.png)\)", page))
    for name in there:
        page_name = name.rsplit("-", 2)[0]
        for scheme in ("light", "dark"):
            assert f"{page_name}-{scheme}-100.png" in there
            assert f"{page_name}-{scheme}-200.png" in there
    assert sum(file.stat().st_size for file in folder.glob("*.png")) <= 2_500_000
