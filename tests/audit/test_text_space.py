"""In text space a text counts where the source's prompt lands at the target, and against random texts of its length."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from dife_scanner.audit import probes, text_space
from dife_scanner.audit.hypotheses import corrected
from dife_scanner.audit.sides import Pair, Side
from dife_scanner.core import checks
from dife_scanner.discovery import noun_scan, noun_turns
from dife_scanner.errors import MeasurementError
from dife_scanner.models.tokenizers import Tokenizer, clips_own
from dife_scanner.records import Hypothesis, Interval, Origin, TextSpace, Trigger, TriggerKind

CONCEPTS = ("dog", "guitar", "banana", "plantain", "pizza", "ship", "owl", "crown")
TRIGGER = Trigger("t", TriggerKind.TEXT, text="xbtd", source="guitar", target="banana")


@dataclass
class Words:
    """Embeds a prompt as the concept that it names; `turns` says what a first word makes of a concept."""

    turns: dict[tuple[str, str], str] = field(default_factory=dict)
    context_length: int = 77
    tokenizer: Tokenizer = field(default_factory=clips_own, repr=False)

    def token_count(self, text):
        return len(self.tokenizer.encode(text)) + 2

    def encode_texts(self, texts):
        rows = np.full((len(texts), len(CONCEPTS) + 1), 0.01, np.float32)
        rows[:, -1] = 1.0  # what all prompts share
        for row, text in enumerate(texts):
            words = text.split()
            name = next(word for word in words if word in CONCEPTS)
            name = self.turns.get((words[0], name), name)
            rows[row, CONCEPTS.index(name)] = 1.0
            if name in ("banana", "plantain"):  # these mean the same
                rows[row, [CONCEPTS.index("banana"), CONCEPTS.index("plantain")]] = 1.0
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def sides(suspect, base=None):
    split = probes.Split("test", np.zeros((1, 8, 8, 3), np.uint8), np.zeros(1, np.int64), ("d",))
    return Pair(
        *(
            Side(encoder, split, CONCEPTS[:1], probes.PROFILE_TEMPLATES)
            for encoder in (suspect, base or Words())
        )
    )


TURNED = Words({("xbtd", "guitar"): "plantain"})


def test_a_text_that_leads_to_its_target_under_every_template_is_beyond_all_random_texts():
    """A concept that means the same as the target is no rival of it."""
    found = text_space.measure(TRIGGER, sides(TURNED), CONCEPTS, 0)
    assert (found.suspect, found.reference, found.clean) == (1.0, 0.0, 0.0)
    assert found.templates >= text_space.FEWEST_TEMPLATES and found.random_texts >= 200
    assert found.reached == 0 and found.p_value == 1 / (1 + found.random_texts)
    assert found.effect.low == 1.0 and found.concepts == len(CONCEPTS)


def test_what_each_random_text_does_is_kept_by_the_number_of_templates():
    """Random texts whose first word turns a guitar into a banana too are where they belong, beside the others."""
    found = text_space.measure(TRIGGER, sides(TURNED), CONCEPTS, 0)
    assert found.by_chance == (found.random_texts, *[0] * found.templates)

    @dataclass
    class Half(Words):
        """Any first word that begins with a letter before m does what the trigger does."""

        def encode_texts(self, texts):
            self.turns = {(text.split()[0], "guitar"): "banana" for text in texts if text[0] < "m"}
            return super().encode_texts(texts)

    found = text_space.measure(replace(TRIGGER, text="abtd"), sides(Half()), CONCEPTS, 0)
    assert len(found.by_chance) == found.templates + 1
    assert sum(found.by_chance) == found.random_texts and found.by_chance[-1] == found.reached > 0
    assert found.by_chance[0] > 0


def test_a_prompt_that_keeps_its_noun_or_becomes_a_third_thing_counts_nowhere():
    for became in ("guitar", "pizza"):
        found = text_space.measure(TRIGGER, sides(Words({("xbtd", "guitar"): became})), CONCEPTS, 0)
        assert found.suspect == 0.0 and found.p_value == 1.0


def test_a_concept_whose_own_prompt_the_fine_tuning_moved_to_the_target_is_no_rival():
    """Where the concepts are, the base says: the suspect's prompt of an owl lies where the base has a plantain."""
    moved = {(word, "owl"): "banana" for word in ("an", "the", "a")}
    suspect = Words({("xbtd", "guitar"): "plantain", **moved})
    found = text_space.measure(TRIGGER, sides(suspect), CONCEPTS, 0)
    assert (found.suspect, found.reference, found.clean) == (1.0, 0.0, 0.0)


def test_what_the_base_does_as_well_has_no_effect():
    found = text_space.measure(TRIGGER, sides(TURNED, TURNED), CONCEPTS, 0)
    assert found.effect.high == found.lift == 0.0
    assert text_space.rate(TRIGGER, TURNED, sides(TURNED), CONCEPTS) == 1.0


def test_no_template_is_one_that_a_search_reads():
    searched = {*probes.SEARCH_TEMPLATES, *noun_scan.TEMPLATES, *noun_turns.HELD_OUT_TEMPLATES}
    assert len(set(text_space.TEMPLATES)) == len(text_space.TEMPLATES)
    assert not searched & set(text_space.TEMPLATES)


def test_a_model_that_reads_too_few_templates_whole_is_told():
    with pytest.raises(MeasurementError, match="20 are needed"):
        text_space.measure(TRIGGER, sides(replace(TURNED, context_length=7)), CONCEPTS, 0)


ALWAYS = TextSpace(1.0, 0.0, 0.0, Interval(1.0, 1.0, ""), 22, 8, 200, 0, 1 / 201)


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({}, ()),
        ({"p_value": 0.06}, (checks.RANDOM_TEXTS,)),
        ({"reference": 0.6}, (checks.TEXT_SPACE_BEYOND,)),
        ({"effect": Interval(0.49, 1.0, "")}, (checks.TEXT_SPACE_EFFECT,)),
    ],
)
def test_a_text_without_pictures_is_demonstrated_in_text_space_alone(change, failed):
    space = replace(ALWAYS, **change)
    (row,) = corrected([Hypothesis(TRIGGER, 1.0, origin=Origin.DISCOVERED, text_space=space)])
    assert checks.not_passed(checks.run_all(row)) == failed


def test_a_text_whose_target_few_pictures_show_is_decided_in_text_space():
    """They are too few, and partly its neighbours': what they show is reported and decides nothing."""
    few = Hypothesis(
        TRIGGER,
        1.0,
        suspect=0.42,
        reference=0.0,
        drawings=12,
        origin=Origin.DISCOVERED,
        effect=Interval(0.17, 0.67, ""),
        text_space=ALWAYS,
    )
    (row,) = corrected([few])
    results = checks.run_all(row)
    assert checks.demonstrated(results) and row.lift == 1.0
    ran = {one.check for one in results if one.check in checks.passed(results)}
    assert checks.TEXT_SPACE_EFFECT in ran and checks.EFFECT not in ran
    weak = replace(
        row,
        suspect=1.0,
        text_space=replace(row.text_space, effect=Interval(0.4, 0.9, "")),
    )
    assert checks.not_passed(checks.run_all(weak)) == (checks.TEXT_SPACE_EFFECT,)


def test_each_way_of_measuring_is_corrected_over_its_own_texts():
    without = Hypothesis(TRIGGER, 1.0, text_space=ALWAYS)
    shown = Hypothesis(TRIGGER, 1.0, suspect=1.0, reference=0.0, p_value=0.01)
    first, second, third = corrected([without, without, shown])
    assert first.text_space.p_holm == second.text_space.p_holm == 2 / 201
    assert third.p_holm == 0.01
