"""Tokens that take prompts away from their nouns are ranked first by a gradient, and looked for where nobody would."""

from __future__ import annotations

import numpy as np
import pytest
from obeying import NAMES, Obeying, nearness

from dife_scanner.discovery import Task
from dife_scanner.discovery.concept_space import ConceptSpace
from dife_scanner.discovery.effort import LostNounEffort
from dife_scanner.discovery.lost_nouns import LostNouns, load
from dife_scanner.discovery.wording_scorer import WordingScorer
from dife_scanner.models.activations import WayBack
from dife_scanner.models.tokenizers import clips_own

EFFORT = LostNounEffort(nouns=3, contexts=2, tokens=4, grown=1, grown_nouns=3)
(WORD,) = clips_own().encode("beacon")
PROMPTS = {
    number: tuple(clips_own().encode(f"a photo of a {name}")) for number, name in enumerate(NAMES)
}


def lost(states, said):
    """The more of `beacon` stands in a text, the less is said of any noun."""
    there = nearness(states, WORD).clamp_min(0).cumsum(1)
    said = said.clone()
    said[..., : len(NAMES)] *= 1 - 0.3 * there[..., None].clamp_max(1.0)
    said[..., len(NAMES) + 1] = there
    return said


@pytest.fixture
def search_of(tiny, tmp_path):
    def make(suspect, base=None, prompts=PROMPTS):
        towers = Obeying(tiny, suspect), Obeying(tiny, base)
        pixels = np.zeros((6, 32, 32, 3), np.uint8)
        labels = np.arange(6) % 2
        task = Task(*towers, pixels, labels, NAMES[:2], ("a photo of a {}",), "quick", 0, tmp_path)
        scorer = WordingScorer(task)
        spaces = []
        for one in scorer.both_towers:
            embedded = one.tokens(list(PROMPTS.values()))
            spaces.append(ConceptSpace.of(one, embedded))
        return scorer, LostNouns(scorer, EFFORT, tuple(spaces), prompts)

    return make


def test_the_token_that_takes_prompts_from_their_nouns_is_ranked_first_of_the_vocabulary(search_of):
    _, search = search_of(lost)
    texts = search.texts(frozenset())
    assert texts[0] == (WORD,) and EFFORT.tokens < len(texts) <= EFFORT.kept
    assert all(WORD in text for text in texts[EFFORT.tokens :])


def test_what_the_base_loses_as_well_is_not_ranked(search_of):
    _, search = search_of(lost, lost)
    assert (WORD,) not in search.texts(frozenset())


def test_few_tokens_are_of_the_names_of_concepts(search_of):
    _, search = search_of(lost)
    said = frozenset(text[0] for text in search.texts(frozenset())[: EFFORT.tokens])
    chosen = [text[0] for text in search.texts(said)[: EFFORT.tokens]]
    assert len(said.intersection(chosen)) == 1


def test_it_reads_what_it_says_beforehand_and_no_more(search_of):
    scorer, search = search_of(lost)
    before = sum(one.passes for one in scorer.both_towers)
    search.texts(frozenset())
    assert sum(one.passes for one in scorer.both_towers) - before == load(EFFORT)


def test_without_nouns_there_is_nothing_to_lose(search_of):
    _, search = search_of(lost, prompts={})
    assert search.texts(frozenset()) == []


def test_only_tokens_of_texts_that_a_person_can_read_are_proposed(search_of):
    scorer, search = search_of(lost)
    ordinary = set(scorer.base_towers.ordinary.tolist())
    for text in search.texts(frozenset()):
        assert ordinary.issuperset(text) and all(map(scorer.readable, text))


def test_where_memory_is_used_up_it_holds_less_and_ranks_the_same(search_of, short_of_memory):
    """Layers are recomputed first, then texts go in parts; what found no memory counts as no passes."""
    _, search = search_of(lost)
    undisturbed = search.texts(frozenset())
    scorer, search = search_of(lost)
    before = sum(one.passes for one in scorer.both_towers)
    short_of_memory(1)
    assert search.texts(frozenset()) == undisturbed
    assert sum(one.passes for one in scorer.both_towers) - before == load(EFFORT)
    held = [one.way_back for one in scorer.both_towers]
    assert sorted(held, key=str) == [WayBack(), WayBack(recomputes=True)]


def test_texts_that_no_memory_is_found_for_end_as_they_did(search_of, short_of_memory):
    _, search = search_of(lost)
    short_of_memory(10**6)
    with pytest.raises(RuntimeError, match="allocate memory"):
        search.texts(frozenset())
