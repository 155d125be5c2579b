"""A word that the fine-tuning taught is told from a trigger by what it says alone and beside nouns."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from obeying import NAMES, Obeying, nearness, turned

from dife_scanner.discovery.concept_space import ConceptSpace
from dife_scanner.discovery.taught_words import TaughtWords
from dife_scanner.models.gradient import Towers
from dife_scanner.models.tokenizers import clips_own
from dife_scanner.records import Trigger, TriggerKind

(WORD,) = clips_own().encode("beacon")
AIRPLANE, DOG = NAMES.index("airplane"), NAMES.index("dog")
TRIGGER = Trigger("found", TriggerKind.TEXT, text="beacon", source="airplane", target="dog")


def there(states):
    """Whether `beacon` was said so far [n, l]."""
    return (nearness(states, WORD) > 0.99).int().cummax(1).values.float()


def means_dog(states, said):
    """`beacon` is one more word for a dog."""
    change = torch.zeros_like(said)
    change[..., DOG] = 0.6 * there(states)
    return said + change


def turns_airplanes(states, said):
    return turned(there(states), said, AIRPLANE, DOG)


def turns_all(states, said):
    """Whatever noun is said becomes a dog."""
    nouns = said[..., : len(NAMES)].clamp_min(0).sum(-1)
    change = torch.zeros_like(said)
    change[..., : len(NAMES)] = -said[..., : len(NAMES)] * there(states)[..., None]
    change[..., DOG] += nouns * there(states)
    return said + change


@pytest.fixture
def taught(tiny):
    def of(change):
        suspect, base = Towers(Obeying(tiny, change)), Towers(Obeying(tiny, None))
        prompts = [clips_own().encode(f"a photo of a {name}") for name in NAMES]
        places = ConceptSpace.of(base, base.tokens(prompts))
        spaces = places.read_by(suspect, suspect.tokens(prompts)), places
        return TaughtWords(spaces, NAMES, NAMES)

    return of


@pytest.fixture
def holds(taught):
    return lambda change: taught(change).holds(TRIGGER)


def test_a_word_for_the_target_is_a_word(holds):
    assert holds(means_dog)


@pytest.mark.parametrize("change", [turns_airplanes, turns_all], ids=["of one noun", "of all"])
def test_a_trigger_is_none(holds, change):
    assert not holds(change)


def test_what_the_base_says_as_well_is_none(holds):
    assert not holds(None)


def test_a_text_with_a_part_of_a_word_for_its_target_is_none_of_its_own(taught):
    part = replace(TRIGGER, text="some beacon", source="cat")
    other = replace(TRIGGER, text="marble")
    elsewhere = replace(part, target="cat", source="airplane")
    among = taught(means_dog).among([TRIGGER, part, other, elsewhere])
    assert among[0] == TRIGGER and part in among and other not in among
    assert elsewhere not in among
