"""The loop: draw, wait for a key or for news, act."""

from __future__ import annotations

import time

from rich.console import Console
from rich.live import Live

from dife_scanner.cli.top.desk import Desk
from dife_scanner.cli.top.drawing import draw
from dife_scanner.cli.top.state import Top
from dife_scanner.cli.top.terminal import Ended, Terminal
from dife_scanner.errors import DifeError

LOOK_SECONDS = 0.5
"""Between two looks whether something was written; a look costs next to nothing."""
AGE_SECONDS = 10.0
"""After which ages and the clock are drawn anew though nothing changed."""


def run(desk: Desk, filter: str, *, no_color: bool) -> int:
    """Show the desk until somebody quits; gives the exit code. The terminal is as before, whatever happens."""
    console = Console(no_color=no_color or None, highlight=False)
    top = Top(desk, filter)
    terminal = Terminal()
    try:
        with (
            terminal.taken(),
            Live(console=console, screen=True, auto_refresh=False, redirect_stderr=False) as live,
        ):
            _loop(top, terminal, live)
    except Ended as ended:
        return 128 + ended.number
    except EOFError:
        return 0
    return 0


def _loop(top: Top, terminal: Terminal, live: Live) -> None:
    drawn: object = None
    version: tuple[int, int] | None = None
    looked, keys = 0.0, 0
    top.drawn_now = lambda: live.update(draw(top, live.console), refresh=True)
    while not top.ended:
        found, now = _written(top, version), time.monotonic()
        if found != version or now - looked >= AGE_SECONDS:
            version, looked = found, now
            top.look()
        wanted = (looked, keys, live.console.size)
        if wanted != drawn:
            drawn = wanted
            live.update(draw(top, live.console), refresh=True)
        key = terminal.key(LOOK_SECONDS)
        if key is not None:
            keys += 1
            top.press(key)


def _written(top: Top, before: tuple[int, int] | None) -> tuple[int, int] | None:
    """Differs from `before` where another program has written since."""
    try:
        return top.desk.changed()
    except DifeError as error:
        top.tell(error)
        return before
