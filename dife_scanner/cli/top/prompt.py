"""One line at the foot of the screen into which something is typed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MOST_CHARACTERS = 20_000
"""As long as a filter may be."""


@dataclass
class Prompt:
    """A question and what was typed so far; `press` says whether it is over."""

    question: str
    then: Callable[[str], None]
    """Gets what was typed, at Enter."""
    text: str = ""
    yes_or_no: bool = False
    """Whether one key answers: `then` is called at `y`, and anything else is a no."""

    def press(self, key: str) -> bool:
        """Take a key; `True` where this line is done with, answered or left."""
        if self.yes_or_no:
            if key in ("y", "Y"):
                self.then(key)
            return True
        if key == "enter":
            self.then(self.text.strip())
            return True
        if key == "backspace":
            self.text = self.text[:-1]
        elif key == "ctrl-u":
            self.text = ""
        elif key == "ctrl-w":
            self.text = self.text.rstrip().rpartition(" ")[0]
        elif len(key) == 1 and len(self.text) < MOST_CHARACTERS:
            self.text += key
        return key == "esc"
