"""Every key that `dife top` knows, once: what is pressed and the help page are both from this table.

Where the window has the same action, it has the same key.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dife_scanner.settings import Keys


@dataclass(frozen=True)
class Key:
    """Keys that do the same."""

    names: tuple[str, ...]
    """As `terminal.Terminal.key` gives them."""
    does: str
    """In words."""
    action: str
    """Name of the method of `state.Top`."""
    shown: str = ""
    """As printed on the help page, where that is not the first name."""


KEYS: tuple[Key, ...] = (
    Key(("j", "down"), "next line", "next_line", "j  ↓"),
    Key(("k", "up"), "previous line", "previous_line", "k  ↑"),
    Key(("pagedown", "ctrl-d", "ctrl-f"), "a screen down", "page_down", "PgDn"),
    Key(("pageup", "ctrl-u", "ctrl-b"), "a screen up", "page_up", "PgUp"),
    Key(("g", "home"), "first line", "first_line", "g"),
    Key(("G", "end"), "last line", "last_line", "G"),
    Key(("enter", "right"), "one finding in full; again: every number", "open", "Enter"),
    Key(("esc", "left"), "back; in the list: remove the marks", "back", "Esc"),
    Key(("1",), "overview", "show_overview"),
    Key(("2",), "queue", "show_queue"),
    Key(("3",), "findings", "show_findings"),
    Key(("tab", "]"), "next page", "next_page", "Tab  ]"),
    Key(("shift-tab", "["), "previous page", "previous_page", "["),
    Key(("/",), "filter findings, as in `dife findings`", "ask_filter"),
    Key(("x",), "filter off, and on again", "switch_filter"),
    Key((" ",), "mark a finding", "mark", "Space"),
    Key(("v",), "mark from the last mark to here", "mark_range"),
    Key(("c",), "confirm; with marks: all of them, once asked", "confirm"),
    Key(("f",), "false positive; asks for a note", "false_positive"),
    Key(("a",), "accept the risk; asks for a note and a last day", "accept_risk"),
    Key(("t",), "note that you are on it", "take_on"),
    Key(("n",), "decide with a note; asks for the state", "decide_with_note"),
    Key(("b",), "decide about all marked, or all that the filter shows", "decide_about_many"),
    Key(
        ("d",),
        "decide for a deployment: decision, reason, owner, end; with marks: all of them",
        "decide_for_deployment",
    ),
    Key(("o",), "decide as before about what is like it", "take_over"),
    Key(("u",), "take back your last decision of this run for a deployment", "take_back"),
    Key(("*",), "mark all with this effect on an equal tower", "mark_alike"),
    Key(("z", "ctrl-z"), "take back your last decision of this run", "undo"),
    Key(("Z",), "decide again what you took back last", "redo"),
    Key(("r",), "in the queue: queue a stuck job again", "retry"),
    Key(("+",), "in the queue: let a waiting job go first", "put_first"),
    Key(("p",), "in the queue: pause it, or let it go on", "pause"),
    Key(("f5", "ctrl-l"), "read again, draw again", "refresh", "F5"),
    Key(("?",), "this help", "show_help"),
    Key(("q",), "quit", "quit", "q  Ctrl-C"),
)


def bound(keys: Keys) -> tuple[Key, ...]:
    """The same keys, with those that somebody chose in their settings in place of the first name of each."""
    chosen = keys.model_dump()
    made: list[Key] = []
    for key in KEYS:
        if key.action in chosen:
            key = replace(key, names=(chosen[key.action], *key.names[1:]))
        made.append(key)
    return tuple(made)


def actions(keys: tuple[Key, ...]) -> dict[str, str]:
    """By key, what it does."""
    return {name: key.action for key in keys for name in key.names}
