"""The tokens of a trigger in a text, as they are shown beside the prompt."""

from __future__ import annotations

from dife_scanner.plain import plain
from dife_scanner.records import Audit, Token
from dife_scanner.sentences import checks
from dife_scanner.sentences.numbers import count

NOT_RECORDED = f"Its tokens: {checks.NOT_RECORDED}."
LEGEND = (
    "Each piece stands in brackets, then its number in the tokenizer. ␣ is a blank between words, � a part of a"
    " character, <U+…> a character that cannot be seen."
)
"""What the marks stand for."""
_BLANK = "␣"
_LONGEST = 24
"""Characters of a piece on screen."""


def token_lines(audit: Audit) -> tuple[str, ...]:
    """The pieces in a line, then what its marks mean; none for a trigger that is in no text."""
    trigger = audit.trigger
    if trigger is None or not (trigger.text or (trigger.pairs and trigger.source)):
        return ()
    tokens = audit.trigger_tokens
    if tokens is None:
        return (NOT_RECORDED,)
    pieces = " ".join(piece(token) for token in tokens.first)
    more = (
        ""
        if tokens.count == len(tokens.first)
        else f" and {tokens.count - len(tokens.first):,} more"
    )
    return (f"{count(tokens.count, 'token')}: {pieces}{more}", LEGEND)


def piece(token: Token) -> str:
    """One token, safe to show: `[xb] 12345`, `[td␣] 531` at the end of a word.

    >>> piece(Token(531, "td "))
    '[td␣] 531'
    """
    shown = "".join(_visible(character) for character in token.text)
    if len(shown) > _LONGEST:
        shown = f"{shown[: _LONGEST - 1]}…"
    return f"[{shown}] {token.id}"


def _visible(character: str) -> str:
    """The character, or its name where it draws nothing or rules how others are drawn."""
    if character.isspace():
        return _BLANK
    if plain(character) == character:
        return character
    return f"<U+{ord(character):04X}>"
