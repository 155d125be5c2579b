"""A search over texts is made of the base's token ids, whatever tokenizer the suspect brings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dife_scanner.discovery.embedding_row_fingerprint import fine_tuned_rows
from dife_scanner.discovery.interface import Task
from dife_scanner.discovery.wording import Wording, too_long_prompts
from dife_scanner.discovery.wording_scorer import WordingScorer
from dife_scanner.models.clip import ClipEncoder
from dife_scanner.models.tokenizers import clips_own
from dife_scanner.models.tokenizers.stored import tokenizer_of
from dife_scanner.records import Position


@pytest.fixture(scope="module")
def task(tiny, other, tmp_path_factory) -> Task:
    """Two untrained encoders; the suspect reads a dog as a cat."""
    own = clips_own().document
    step = {"type": "Replace", "pattern": {"String": "dog"}, "content": "cat"}
    tokenizer = tokenizer_of(replace(own, normalisers=(*own.normalisers, step)))
    towers = (other.image_tower, "doctored")
    weights = type("Weights", (), {"sha256": "0" * 64})()
    suspect = ClipEncoder(other.model, other.config, towers, weights, tokenizer)
    rng = np.random.default_rng(0)
    return Task(
        suspect=suspect,
        reference=tiny,
        pixels=rng.integers(0, 255, (6, 32, 32, 3), np.uint8),
        labels=np.array([0, 1, 2, 0, 1, 2]),
        class_names=("cat", "dog", "ship"),
        templates=("a photo of a {}",),
        budget="quick",
        seed=0,
        folder=tmp_path_factory.mktemp("files"),
    )


def test_both_sides_read_the_same_ids(task) -> None:
    assert too_long_prompts(task) == ""
    scorer = WordingScorer(task)
    scorer.read()
    dog = task.reference.tokenizer.encode("a photo of a dog")
    assert scorer.suspect.prompts.plain(0, 1) == scorer.base.prompts.plain(0, 1) == dog
    wordings = [Wording((token,), Position.PREFIX, 1) for token in scorer.random_tokens(4)]
    assert scorer.margins(wordings).shape == (4, 3)


def test_what_is_found_is_measured_as_the_suspect_reads_it(task) -> None:
    cat, dog = task.suspect.encode_texts(["a photo of a cat", "a photo of a dog"])
    assert np.array_equal(cat, dog)
    assert task.tokenizer is task.reference.tokenizer


def test_rows_that_only_the_suspect_has_are_no_part_of_the_comparison() -> None:
    base = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    suspect = torch.cat([base, torch.ones(3, 8)])
    suspect[4] += 1.0
    assert fine_tuned_rows(suspect, base, torch.arange(23)) == (4,)
