"""Debian's Chromium without a screen, which opens pages as their readers' programs do."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

needed = pytest.mark.skipif(not shutil.which("chromium"), reason="no Chromium is installed")


def dom(page: Path) -> str:
    """The document as it stands once the page was loaded and whatever runs in it has run."""
    return _opened(page, "--dump-dom")


def picture(page: Path, out: Path, size: tuple[int, int] = (900, 1000)) -> Path:
    """What of the page is to be seen in a window of `size` pixels, written to `out` as PNG."""
    _opened(page, f"--screenshot={out}", f"--window-size={size[0]},{size[1]}")
    return out


def _opened(page: Path, *options: str) -> str:
    profile = f"--user-data-dir={page.parent / 'chromium'}"
    fixed = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", profile]
    done = subprocess.run(
        ["chromium", *fixed, *options, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    return done.stdout
