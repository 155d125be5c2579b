"""How Sphinx makes a site of these pages: `make docs`.

The table of contents is read from the lists of `index.md`, so that a page is listed once. Pages of what the code
knows best are written before each build, into `docs/generated/`: `reference_pages.py`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))
import reference_pages

from dife_scanner import __version__

project = "DIFE Scanner"
author = "The DIFE Scanner authors"
version = release = __version__
extensions = ["myst_parser"]
html_theme = "furo"
html_title = f"DIFE Scanner {__version__}"
html_show_copyright = False
exclude_patterns = ["reproduction/**"]
myst_heading_anchors = 4
nitpicky = True

_SECTION = re.compile(r"^\*\*([\w-]+)\*\*:.*\n\n((?:(?:- |  ).*\n)+)", re.MULTILINE)
"""A bold word that begins a line, and the list below it."""


def _with_contents(_: Sphinx, name: str, source: list[str]) -> None:
    """Adds a table of contents, which the page does not show, for each list of the index."""
    if name != "index":
        return
    for section, listed in _SECTION.findall(source[0]):
        pages = re.findall(r"\]\(([\w/-]+)\.md\)", listed)
        if section == "Reference":
            pages += reference_pages.NAMES
        lines = "\n".join(dict.fromkeys(pages))
        source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {section}\n\n{lines}\n```\n"


def setup(app: Sphinx) -> None:
    """Called by Sphinx before it reads anything."""
    reference_pages.write(Path(__file__).parent)
    app.connect("source-read", _with_contents)
