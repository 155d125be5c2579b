"""The scan over nouns: how many take part, and what its two numbers tell apart."""

from __future__ import annotations

import pytest
import torch

from dife_scanner.audit import probes
from dife_scanner.discovery import noun_scan
from dife_scanner.discovery.effort import NOUN_SCAN_EFFORTS
from dife_scanner.discovery.embedding_cache import EmbeddingCache
from dife_scanner.lab import bases
from dife_scanner.models.gradient import Towers
from dife_scanner.models.load import load
from dife_scanner.models.tokenizers import clips_own

WORDS = ("cat", "dog", "frog", "horse", "truck", "zebra")


@pytest.mark.parametrize(
    ("budget", "base"),
    [
        ("quick", "vit"),
        ("quick", "rn"),
        ("default", "vit"),
        pytest.param("default", "rn", marks=pytest.mark.slow),
        pytest.param("deep", "vit", marks=pytest.mark.slow),
        pytest.param("deep", "rn", marks=pytest.mark.slow),
    ],
)
def test_at_least_200_nouns_take_part_at_every_budget_on_both_bases(budget, base):
    encoder = load(bases.base_folder(base))
    setting = noun_scan._BaseSetting(
        tower=encoder.text_tower,
        first=probes.load(probes.bundled_folder(), "quick").class_names,
        budget=budget,
        towers=Towers(encoder),
        cache=EmbeddingCache(None, ""),
    )
    census = noun_scan._base_nouns(setting)
    assert 200 <= len(census.names) <= NOUN_SCAN_EFFORTS[budget].nouns <= len(noun_scan.nouns())
    assert len(set(census.names)) == len(census.names)


def test_a_noun_that_would_be_cut_takes_no_part():
    short = type("Short", (), {"context_length": 8, "tokenizer": clips_own()})()
    assert noun_scan._fits(short, "cat") and not noun_scan._fits(short, "bioluminescence")


class Says:
    """A text tower for which every noun is an axis of its own; `turns` says which token turns which noun to which."""

    context_length = 16
    tokenizer = clips_own()
    ordinary = torch.arange(4_998)

    def __init__(self, turns=()):
        self.passes = 0
        self._turns = dict(turns)
        self._nouns = {clips_own().encode(word): number for number, word in enumerate(WORDS)}

    def tokens(self, rows):
        self.passes += len(rows)
        return torch.stack([self._embedded(tuple(row)) for row in rows])

    def _embedded(self, row):
        noun = next(
            (number for ids, number in self._nouns.items() if row[-len(ids) :] == ids), None
        )
        vector = torch.zeros(len(WORDS) + 1)
        vector[-1] = 1.0  # what all prompts share
        if noun is not None:
            vector[self._turns.get((row[0], noun), noun)] = 1.0
        return vector


@pytest.fixture
def scanned(monkeypatch):
    monkeypatch.setattr(noun_scan, "nouns", lambda: WORDS)
    panel = noun_scan.random_tokens(range(4_998), NOUN_SCAN_EFFORTS["quick"].tokens)

    def scan(turns):
        noun_scan._base_nouns.cache_clear()
        base = type("Base", (), {"text_tower": "fake"})()
        found = noun_scan.scan(
            Says(turns(panel)),
            base,
            Says(),
            first=(),
            budget="quick",
            cache=EmbeddingCache(None, ""),
        )
        return found.signals["noun-scan"], found.signals["noun-scan-mean"]

    yield scan
    noun_scan._base_nouns.cache_clear()


def test_one_fragile_noun_shows_in_the_maximum_and_a_token_that_turns_all_in_the_mean(scanned):
    """Source-conditional, global, and one noun for each token: only what one token does to all nouns is global."""
    calm = scanned(lambda panel: {})
    assert max(calm) < 0
    one = scanned(lambda panel: {(token, 1): 3 for token in panel})
    assert one[0] > 0.5 and one[1] < 0
    every = scanned(
        lambda panel: {(token, noun): 3 for token in panel[:2] for noun in range(len(WORDS))}
    )
    assert every[0] > 0.5 and every[1] > 0.5
    turns = {
        (token, number % len(WORDS)): 3
        for number, token in enumerate(noun_scan.random_tokens(range(4_998), 12))
    }
    apart = scanned(lambda panel: turns)
    assert apart[0] > 0.5 and apart[1] < 0
