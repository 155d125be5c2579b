"""Texts that every audit asks a base for are embedded once, and a search cannot tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import TINY_VIT, write_checkpoint

from dife_scanner.audit.cache import CachedEncoder, Memory
from dife_scanner.discovery import Task, embedding_cache, texts
from dife_scanner.discovery.effort import TEXT_EFFORTS, TextEffort
from dife_scanner.discovery.embedding_cache import EmbeddingCache
from dife_scanner.discovery.noun_scan import _base_nouns
from dife_scanner.discovery.pictures import can_invert
from dife_scanner.models.gradient import Towers
from dife_scanner.models.load import load

ROWS = [(n, n + 1) for n in range(1000, 1040)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return load(write_checkpoint(tmp_path_factory.mktemp("vit"), TINY_VIT))


@pytest.fixture
def read(monkeypatch):
    """How many texts went through a tower, whatever a search says."""
    rows = []

    def counted(name):
        through = getattr(Towers, name)
        monkeypatch.setattr(
            Towers, name, lambda self, *given: rows.append(len(given[0])) or through(self, *given)
        )

    counted("texts")
    counted("batch_of_tokens")

    def count():
        total = sum(rows)
        rows.clear()
        return total

    return count


def test_what_is_kept_is_what_was_embedded_bit_for_bit_and_counts_as_passes(tiny, tmp_path, read):
    one, two = Towers(tiny), Towers(tiny)
    first = EmbeddingCache(tmp_path / "texts", "tower").tokens(one, ROWS)
    assert read() == len(ROWS)
    again = EmbeddingCache(tmp_path / "texts", "tower").tokens(two, ROWS)
    assert torch.equal(first, again) and read() == 0 and one.passes == two.passes == len(ROWS)
    for other, rows in (("other", ROWS), ("tower", ROWS[:-1])):
        EmbeddingCache(tmp_path / "texts", other).tokens(one, rows)
        assert read() == len(rows)
    EmbeddingCache(None, "tower").tokens(one, ROWS)
    assert read() == len(ROWS)


def test_a_search_takes_gradients_of_an_encoder_that_remembers(tiny):
    kept = CachedEncoder(tiny, Memory(), counted=False)
    assert torch.equal(Towers(kept).tokens(ROWS), Towers(tiny).tokens(ROWS))
    pixels = np.zeros((6, 32, 32, 3), np.uint8)
    task = Task(kept, kept, pixels, np.arange(6) % 3, ("a", "b", "c"), ("{}",), "quick", 0, Path())
    assert can_invert(task)


def test_a_damaged_file_is_embedded_again(tiny, tmp_path, read):
    keep = EmbeddingCache(tmp_path, "tower")
    right = keep.tokens(Towers(tiny), ROWS)
    (file,) = tmp_path.glob("*.npy")
    bad = right.numpy().copy()
    bad[0] = np.nan
    np.save(tmp_path / "bad", bad)
    for content in (b"", file.read_bytes()[:-7], (tmp_path / "bad.npy").read_bytes()):
        file.write_bytes(content)
        read()
        assert torch.equal(keep.tokens(Towers(tiny), ROWS), right) and read() == len(ROWS)
        assert len(np.load(file)) == len(ROWS)


def test_the_oldest_goes_when_there_is_too_much(tiny, tmp_path, monkeypatch):
    import os

    keep = EmbeddingCache(tmp_path, "tower")
    keep.tokens(Towers(tiny), ROWS)
    (old,) = tmp_path.iterdir()
    os.utime(old, (1, 1))
    monkeypatch.setattr(embedding_cache, "MOST_BYTES", old.stat().st_size + 10)
    keep.tokens(Towers(tiny), ROWS[:20])
    assert not old.exists() and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("moved", ["image", "text"])
def test_a_second_audit_of_a_base_reads_fewer_texts_and_comes_to_the_same_end(
    tiny, tmp_path, read, monkeypatch, moved
):
    import copy

    effort = TextEffort(scan_texts=600, foci=1, single_tokens=20, rounds=1, branching=4)
    monkeypatch.setitem(TEXT_EFFORTS, "quick", effort)
    suspect = copy.copy(tiny)
    setattr(suspect, f"{moved}_tower", "moved")
    pixels = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    names, templates = ("airplane", "cat", "dog"), ("a photo of the {}",)
    task = Task(suspect, tiny, pixels, np.arange(6) % 3, names, templates, "quick", 0, tmp_path)
    runs, took = [], []
    for where in (None, tmp_path / "texts", tmp_path / "texts"):
        _base_nouns.cache_clear()
        runs.append(texts.TEXTS.search(replace(task, embedding_cache=where)))
        took.append(read())
    assert runs[0] == runs[1] == runs[2]
    panel, scan, nouns = 512 + len(names), 600, 3000
    saved = took[1] - took[2]
    assert took[0] == took[1] and saved >= panel + (scan if moved == "image" else nouns)


def test_what_is_read_again_outlasts_what_is_not(tiny, tmp_path, monkeypatch):
    import os

    keep = EmbeddingCache(tmp_path, "tower")
    keep.tokens(Towers(tiny), ROWS)
    (read_again,) = tmp_path.iterdir()
    keep.tokens(Towers(tiny), ROWS[:30])
    for file in tmp_path.iterdir():
        os.utime(file, (1, 1) if file == read_again else (2, 2))
    keep.tokens(Towers(tiny), ROWS)
    monkeypatch.setattr(embedding_cache, "MOST_BYTES", 2 * read_again.stat().st_size)
    keep.tokens(Towers(tiny), ROWS[:35])
    assert read_again.exists() and len(list(tmp_path.iterdir())) == 2


def test_what_would_push_out_everything_else_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(embedding_cache, "MOST_BYTES", 1000)
    embedding_cache._write(tmp_path / "small.npy", np.zeros((10, 10), np.float32))
    embedding_cache._write(tmp_path / "large.npy", np.zeros((100, 10), np.float32))
    assert [file.name for file in tmp_path.iterdir()] == ["small.npy"]
