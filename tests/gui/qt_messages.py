"""What Qt may say while the window is tested."""

ALLOWED_MESSAGES = {
    "This plugin does not support propagateSizeHints": "the screenless platform has no window manager to tell sizes",
    "This plugin does not support raise": "it has no order of windows either",
    "This plugin does not support grabbing the keyboard": "the list of candidates below the filter asks for that",
}
"""Messages of Qt that fail no test, and why."""
MOST_ALLOWED = 5
