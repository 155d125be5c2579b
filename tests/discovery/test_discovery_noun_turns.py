"""What a scan over nouns found: pairs of labelled classes to search closely, and leads that no picture shows."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from dife_scanner.discovery import noun_turns
from dife_scanner.discovery.noun_scan import TEMPLATES, NounDirections, Turns, random_tokens
from dife_scanner.discovery.noun_turns import LEAST_LEAD, MOST_LEAD_DRIFT, NounTurns
from dife_scanner.models.tokenizers import clips_own
from dife_scanner.records import Channel, NounLead, Search
from dife_scanner.store import codec

NOUNS = ("cat", "dog", "koala", "hedgehog", "taxi")
CLASSES = ("cat", "dog", "automobile")
TOKENS = tuple(random_tokens(range(4_998), 12))


class Tower:
    """A text tower with an axis for each noun; `turns` (source -> target) happen behind any token but `calm` ones."""

    tokenizer = clips_own()
    ordinary = torch.arange(4_998)

    def __init__(self, turns=(), calm=()):
        self.read = []
        self._turns, self._calm = dict(turns), set(calm)

    def tokens(self, rows):
        self.read.extend(rows)
        return torch.stack([self._embedded(tuple(row)) for row in rows])

    def _embedded(self, row):
        noun = next(
            noun
            for noun in NOUNS
            if row[-len(clips_own().encode(noun)) :] == clips_own().encode(noun)
            or clips_own().encode(noun)[0] in row
        )
        if row[0] not in self._calm:
            noun = self._turns.get(noun, noun)
        return torch.eye(len(NOUNS))[NOUNS.index(noun)]


def excess(*pairs):
    """What each token turns each noun into each other: nothing but these pairs, by .9."""
    table = torch.full((len(TOKENS), len(NOUNS), len(NOUNS)), -1.0)
    for source, target in pairs:
        table[:, NOUNS.index(source), NOUNS.index(target)] = torch.linspace(0.9, 0.5, len(TOKENS))
    return table


def turns_of(*pairs, moved=(), tower=None):
    clean = torch.eye(len(NOUNS))
    of_suspect = clean.clone()
    for noun in moved:  # clean nouns that the suspect has elsewhere
        of_suspect[NOUNS.index(noun)] += 0.6
    of_suspect = torch.nn.functional.normalize(of_suspect, dim=-1)
    zero = torch.zeros(len(NOUNS))
    turns = Turns(
        NOUNS, TOKENS, excess(*pairs), NounDirections(of_suspect, zero), NounDirections(clean, zero)
    )
    # A taxi is the nearest that the classes have to an automobile.
    prompts = torch.stack([clean[0], clean[1], torch.tensor([0.1, 0.0, 0.0, 0.0, 0.8])])
    suspect = SimpleNamespace(towers=tower or Tower(pairs))
    base = SimpleNamespace(towers=Tower(), class_prompts=prompts)
    return NounTurns(turns, suspect, base)


def test_labelled_nouns_and_those_nearest_to_a_class_are_searched_closely_with_the_tokens_that_turn_them():
    found = turns_of(("cat", "dog"), ("taxi", "dog"), ("koala", "dog"))
    pairs = found.class_turns()
    assert {(turn.source, turn.target) for turn in pairs} == {(0, 1), (2, 1)}
    for turn in pairs:
        assert turn.tokens[0] == (TOKENS[0],) and len(turn.tokens) <= len(TOKENS)


def test_nouns_that_no_class_stands_for_become_leads_and_others_do_not():
    (lead,) = turns_of(("koala", "hedgehog"), ("cat", "dog")).leads()
    assert (lead.source, lead.target) == ("koala", "hedgehog")
    assert lead.beyond_base >= LEAST_LEAD and len(lead.tokens) == noun_turns._TOLD_TOKENS
    # one of the two labelled: nobody could confirm that either
    (lead,) = turns_of(("cat", "hedgehog")).leads()
    assert (lead.source, lead.target) == ("cat", "hedgehog")


def test_a_lead_holds_on_templates_and_tokens_that_the_scan_did_not_use():
    tower = Tower({"koala": "hedgehog"}, calm=set(range(5_000)) - set(TOKENS))
    assert turns_of(("koala", "hedgehog"), tower=tower).leads() == ()
    assert not {row[0] for row in tower.read} & set(TOKENS)
    assert not {*noun_turns.HELD_OUT_TEMPLATES} & {*TEMPLATES}


@pytest.mark.parametrize("moved", ["koala", "hedgehog"])
def test_nouns_that_the_fine_tuning_moved_are_no_leads(moved):
    """As fine-tunes do that teach words: what they blurred, nonsense turns."""
    found = turns_of(("koala", "hedgehog"), moved=[moved])
    assert float(found._drifts().max()) > MOST_LEAD_DRIFT
    assert found.leads() == ()


def test_below_the_threshold_nothing_is_searched_and_nothing_is_a_lead():
    tower = Tower({"koala": "hedgehog", "cat": "dog"})
    found = turns_of(tower=tower)
    assert found.class_turns() == [] and found.leads() == () and tower.read == []


def test_a_search_without_leads_is_stored_as_before_they_were_recorded():
    search = Search("texts", Channel.TEXT, ("strings",), 0, 0.0, 1, 0.5, {"noun-scan": 0.1})
    assert "leads" not in codec.to_json(search) and "not_converged" not in codec.to_json(search)
    lead = NounLead("koala", "hedgehog", ("pho",), 0.9)
    kept = Search("texts", Channel.TEXT, ("strings",), 0, 0.0, 1, 0.5, {}, (lead,), "patch: …")
    assert codec.from_json(Search, codec.to_json(kept)) == kept
