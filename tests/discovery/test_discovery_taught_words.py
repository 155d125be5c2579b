"""A word that the fine-tuning taught is told from a trigger by what it says alone and beside nouns."""

from __future__ import annotations

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
def holds(tiny):
    def of(change):
        spaces = []
        for planted in (change, None):
            towers = Towers(Obeying(tiny, planted))
            prompts = [clips_own().encode(f"a photo of a {name}") for name in NAMES]
            spaces.append(ConceptSpace.of(towers, towers.tokens(prompts)))
        return TaughtWords(tuple(spaces), NAMES, NAMES).holds(TRIGGER)

    return of


def test_a_word_for_the_target_is_a_word(holds):
    assert holds(means_dog)


@pytest.mark.parametrize("change", [turns_airplanes, turns_all], ids=["of one noun", "of all"])
def test_a_trigger_is_none(holds, change):
    assert not holds(change)


def test_what_the_base_says_as_well_is_none(holds):
    assert not holds(None)
