"""Strings of strangers in messages."""

import pytest

from dife_scanner.models.strict_json import HostileJsonError, read, shown


def test_a_long_string_is_cut_and_followed_by_three_dots_that_nobody_escapes():
    assert shown("a" * 81) == f"'{'a' * 80}'..."
    assert shown("a" * 80) == f"'{'a' * 80}'"
    assert shown("\x1b[2J\u2026", most=4) == "'\\x1b[2J'..."


def test_a_message_about_a_long_key_holds_no_escape_of_ours():
    key = "k" * 200
    with pytest.raises(HostileJsonError) as caught:
        read(f'{{"{key}": 1, "{key}": 2}}'.encode(), 10)
    assert str(caught.value) == f"the key '{'k' * 80}'... occurs twice, with different values"


@pytest.mark.parametrize(
    ("first", "second"), [("1", "true"), ("1", "1.0"), ('"1"', "1"), ("[]", "{}")]
)
def test_a_key_with_one_value_twice_is_read_and_with_two_is_hostile(first, second):
    assert read(f'{{"a": {first}, "a": {first}}}'.encode()) == read(f'{{"a": {first}}}'.encode())
    with pytest.raises(HostileJsonError, match="'a' occurs twice"):
        read(f'{{"a": {first}, "a": {second}}}'.encode())
