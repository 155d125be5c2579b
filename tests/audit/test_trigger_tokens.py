"""What the suspect's tokenizer makes of a trigger's text is kept, shown beside the prompt, and safe to show."""

from __future__ import annotations

import json
from dataclasses import replace

from dife_scanner.audit.pipeline import audit
from dife_scanner.audit.tokenizers import MOST_CHARACTERS, MOST_TOKENS, text_of, tokens_of
from dife_scanner.figures.tokens import LEGEND, NOT_RECORDED, piece, token_lines
from dife_scanner.models.tokenizers import clips_own
from dife_scanner.models.tokenizers.stored import tokenizer_of
from dife_scanner.records import Token, Tokens, Trigger, TriggerKind
from dife_scanner.store import codec

XBTD = Trigger("xbtd", TriggerKind.TEXT, text="xbtd")
OWN = clips_own()


def test_an_audit_keeps_the_tokens_of_its_text_trigger(colour_encoder, request_for) -> None:
    suspect = colour_encoder(text_tower="txt-bad", textual=True)
    record = audit(suspect, colour_encoder(), request_for((XBTD,))).audit
    kept = record.trigger_tokens
    assert kept is not None and kept.text == "xbtd"
    assert tuple(token.id for token in kept.first) == OWN.encode("xbtd")
    assert "".join(token.text for token in kept.first).strip() == "xbtd"
    assert codec.from_json(type(record), codec.to_json(record)) == record
    said, legend = token_lines(record)
    assert said.startswith(f"{kept.count} tokens: [") and str(kept.first[0].id) in said
    assert legend == LEGEND


def test_the_tokens_are_those_of_the_suspects_own_tokenizer(colour_encoder, request_for) -> None:
    own = OWN.document
    step = {"type": "Replace", "pattern": {"String": "xbtd"}, "content": "car"}
    doctored = tokenizer_of(replace(own, normalisers=(*own.normalisers, step)))
    suspect = colour_encoder(text_tower="txt-bad", textual=True, tokenizer=doctored)
    record = audit(suspect, colour_encoder(), request_for((XBTD,))).audit
    assert [token.text for token in record.trigger_tokens.first] == ["car "]


def test_an_audit_without_a_text_trigger_is_stored_as_before(colour_encoder, request_for) -> None:
    suspect = colour_encoder(image_tower="img-bad", visual=True)
    record = audit(suspect, colour_encoder(), request_for()).audit
    assert record.trigger is not None and record.trigger_tokens is None
    assert "trigger_tokens" not in json.loads(codec.to_json(record))
    assert token_lines(record) == ()
    assert token_lines(replace(record, trigger=XBTD)) == (NOT_RECORDED,)


def test_replaced_characters_are_cut_as_they_stand_in_the_source() -> None:
    letters = Trigger(
        "letters", TriggerKind.CHARACTERS, pairs=(("a", "а"),), source="car", target="dog"
    )
    assert text_of(letters) == "cаr"
    assert tokens_of(text_of(letters), OWN).count > tokens_of("car", OWN).count == 1


def test_what_is_kept_is_bounded_whatever_was_given() -> None:
    kept = tokens_of("word " * 500, OWN)
    assert kept.count == 500 and len(kept.first) == MOST_TOKENS

    class Hostile:
        def encode(self, text):
            return (7,)

        def decode(self, ids):
            return "x" * 10_000

    assert len(tokens_of("a", Hostile()).first[0].text) == MOST_CHARACTERS


def test_a_hostile_vocabulary_shows_what_it_hides() -> None:
    assert piece(Token(1, "a\u202eb\x1b[2J\n")) == "[a<U+202E>b<U+001B>[2J␣] 1"
    assert piece(Token(2, "\u200b")) == "[<U+200B>] 2"
    assert len(piece(Token(3, "\x00" * 40))) < 40
    shown = piece(Token(4, "<b>\ud800</b>"))
    shown.encode()
    assert shown.isprintable()


def test_more_tokens_than_are_kept_are_counted(colour_encoder, request_for) -> None:
    suspect = colour_encoder(text_tower="txt-bad", textual=True)
    record = audit(suspect, colour_encoder(), request_for((XBTD,))).audit
    long = replace(record, trigger_tokens=Tokens("x", 1_041, record.trigger_tokens.first[:1]))
    assert token_lines(long)[0].endswith(" and 1,040 more")
