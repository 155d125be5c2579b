"""Clean weights with a doctored tokenizer are not the base: what differs is told, and measured as it is read."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dife_scanner.audit.pipeline import audit
from dife_scanner.lab.bases import base_folder
from dife_scanner.models.load import load
from dife_scanner.models.tokenizers import clips_own
from dife_scanner.models.tokenizers.document import Document
from dife_scanner.models.tokenizers.reading import CANONICAL_FILE
from dife_scanner.models.tokenizers.stored import tokenizer_of
from dife_scanner.records import Verdict
from dife_scanner.sentences.tokenizers import tokenizer_lines
from dife_scanner.store import codec

DIFFERENCE = "its normaliser replaces 'banana' by 'car'"


@pytest.fixture(scope="module")
def doctored() -> Document:
    """CLIP's own, but that a banana is read as a car."""
    own = clips_own().document
    step = {"type": "Replace", "pattern": {"String": "banana"}, "content": "car"}
    return replace(own, normalisers=(*own.normalisers, step))


def test_clean_weights_with_a_doctored_tokenizer_are_another_text_tower(doctored, tmp_path) -> None:
    base = base_folder("vit")
    for file in Path(base).iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / CANONICAL_FILE).write_bytes(doctored.as_bytes())
    suspect, clean = load(tmp_path), load(base)
    assert suspect.image_tower == clean.image_tower
    assert suspect.text_tower != clean.text_tower
    texts = ["a photo of a car", "a photo of a dog"]
    assert np.array_equal(suspect.encode_texts(texts), clean.encode_texts(texts))
    banana = suspect.encode_texts(["a photo of a banana"])
    assert np.array_equal(banana, suspect.encode_texts(texts[:1]))
    assert not np.array_equal(banana, clean.encode_texts(["a photo of a banana"]))


def test_an_audit_tells_the_difference_and_calls_nothing_identical(
    doctored, request_for, colour_encoder
) -> None:
    tokenizer = tokenizer_of(doctored)
    suspect = colour_encoder(text_tower="txt-doctored", tokenizer=tokenizer)
    record = audit(suspect, colour_encoder(), request_for()).audit
    assert record.verdict is not Verdict.IDENTICAL and not record.text_tower_same
    assert record.tokenizer_differences == (DIFFERENCE,)
    assert f"its tokenizer is not colour-base's: {DIFFERENCE}; texts were measured" in record.reason
    assert tokenizer_lines(record) == (f"tokenizer: {DIFFERENCE}",)
    assert codec.from_json(type(record), codec.to_json(record)) == record


def test_without_a_base_one_of_clips_family_is_compared_with_clips_own(
    doctored, request_for, colour_encoder
) -> None:
    suspect = colour_encoder(text_tower="txt-doctored", tokenizer=tokenizer_of(doctored))
    record = audit(suspect, None, request_for(reference=False)).audit
    assert record.tokenizer_differences == (DIFFERENCE,)
    assert "its tokenizer is not CLIP's" in record.reason
    other = Document("unigram", behind=(1,), vocabulary=(("<unk>", 0.0), ("</s>", 0.0)))
    suspect = colour_encoder(tokenizer=tokenizer_of(replace(other, options={"unk_id": 0})))
    record = audit(suspect, None, request_for(reference=False)).audit
    assert record.tokenizer_differences == ()


def test_equal_tokenizers_leave_no_trace_in_what_is_stored(request_for, colour_encoder) -> None:
    suspect = colour_encoder(text_tower="txt-other")
    record = audit(suspect, colour_encoder(), request_for()).audit
    assert record.tokenizer_differences == () and "tokenizer" not in record.reason
    assert "tokenizer_differences" not in json.loads(codec.to_json(record))
