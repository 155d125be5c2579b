"""Strings of strangers in messages."""

import pytest

from dife_scanner.models.strict_json import NotStrictError, read, shown


def test_a_long_string_is_cut_and_followed_by_three_dots_that_nobody_escapes():
    assert shown("a" * 81) == f"'{'a' * 80}'..."
    assert shown("a" * 80) == f"'{'a' * 80}'"
    assert shown("\x1b[2J\u2026", most=4) == "'\\x1b[2J'..."


def test_a_message_about_a_long_key_holds_no_escape_of_ours():
    key = "k" * 200
    with pytest.raises(NotStrictError) as caught:
        read(f'{{"{key}": 1, "{key}": 2}}'.encode(), 10)
    assert str(caught.value) == f"the key '{'k' * 80}'... occurs twice"
