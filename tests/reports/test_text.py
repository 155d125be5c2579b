"""Whatever a stranger put into a name, showing it does no more than show it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dife_scanner.plain import plain

HOSTILE = {
    "\x1b[2J\x1b[1;1Hclean": "clean",
    "\x1b]0;owned\x07clip": "clip",
    "\x1b]8;;http://evil.test\x1b\\click\x1b]8;;\x1b\\": "click",
    "\x1bP+q544e\x1b\\name": "name",
    "\x9b31mred": "red",
    "\x9d52;c;cm0=\x9ccopied": "copied",
    "\x1b]0;no end": "0;no end",
    "\x1b": "",
    "a\r\nBcc: x@y.test": "a Bcc: x@y.test",
    "a\u2028b\u2029c\x0bd\x85e": "a b c d e",
    "safe\u202efdp.exe\u202c": "safefdp.exe",
    "\u2066clip\u2069": "clip",
    "cl\u200bi\u200d\ufeffp\u00ad\u2060": "clip",
    "clip\ufe0f\U000e0101\U000e0041": "clip",
    "\u3164\u2800\u115f": "",
    "z\u0300\u0301\u0302\u0303\u0304": "z\u0300\u0301",
    "\ud800x": "\ufffdx",
    "null\x00byte\x7f": "nullbyte",
    "tab\there": "tab here",
    "kept: Ünïcode 猫 🐈 <b> & [red]": "kept: Ünïcode 猫 🐈 <b> & [red]",
}


@pytest.mark.parametrize(("text", "shown"), HOSTILE.items(), ids=[ascii(key) for key in HOSTILE])
def test_a_hostile_string_shows_only_its_visible_part(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_a_long_string_is_shortened_and_says_so() -> None:
    assert plain("x" * 301) == "x" * 299 + "…"
    assert plain("x" * 300) == "x" * 300
    assert plain("ab", limit=1) == "…"
    assert plain("ab", limit=0) == plain("ab", limit=-5) == ""


def test_a_huge_string_is_cut_before_it_is_looked_at() -> None:
    assert plain("\u200b" * 10_000_000 + "name") == "…"


@given(st.text(st.characters(codec=None)), st.integers(-2, 40))
def test_the_result_is_printable_bounded_and_stable(text: str, limit: int) -> None:
    shown = plain(text, limit)
    assert len(shown) <= max(limit, 0)
    assert shown.isprintable()
    shown.encode()
    assert not {unicodedata.category(character) for character in shown} & {
        "Cc",
        "Cf",
        "Cs",
        "Zl",
        "Zp",
    }
    assert plain(shown, limit) == shown
