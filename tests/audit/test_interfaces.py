"""Each interface on the bundled pictures, with an encoder that knows what they show, so that the answer is known."""

from dataclasses import replace

import numpy as np
import pytest
from oracle import OracleEncoder

from dife_scanner.audit import probes
from dife_scanner.audit.cache import CachedEncoder, Memory
from dife_scanner.audit.interfaces import (
    Against,
    NoPool,
    Outcomes,
    Pair,
    Populations,
    Side,
    Subject,
    cards,
    cell,
    interface,
    measure_all,
    measure_one,
    registry,
)
from dife_scanner.audit.plan import Plan
from dife_scanner.core import cards as framework
from dife_scanner.core.cards import CARDS, by_name
from dife_scanner.core.footprint import diagnose
from dife_scanner.core.validity import judge
from dife_scanner.errors import MeasurementError, ProbeError, UsageError
from dife_scanner.records import (
    ArtefactMissing,
    BranchSwap,
    Cell,
    EntryType,
    NotEvaluable,
    NotRun,
    SelectorControl,
    Trigger,
    TriggerKind,
)

TEXT = Trigger("xbtd", TriggerKind.TEXT, text="xbtd", source="automobile", target="airplane")
PATCH = Trigger("corner", TriggerKind.PATCH, size=0.2, x=0.8, y=0.8, target="airplane")


@pytest.fixture(scope="module")
def data():
    return probes.load(probes.bundled_folder(), "quick")


@pytest.fixture(scope="module")
def subject_of(data):
    """A subject over the bundled pictures at the quick budget; `OracleEncoder`s know what every picture shows."""

    def make(trigger, suspect, reference=None, draw=None, memory=None):
        condition = trigger.condition()
        memory = memory or Memory()
        pair = [CachedEncoder(one, memory) for one in (suspect, reference or OracleEncoder())]

        def both(split, templates):
            return Pair(
                *(Side(one, data.split(split), data.class_names, templates) for one in pair)
            )

        plan = Plan((trigger,), "quick")
        return Subject(
            trigger,
            condition,
            both(probes.TRAIN, probes.SEARCH_TEMPLATES),
            both(probes.TEST, probes.PROFILE_TEMPLATES),
            both(probes.TEST, probes.QUERY_TEMPLATES),
            Populations(draw or (lambda kind: plan.pool(kind, condition, data.class_names))),
            0,
        )

    return make


def _profile(subject):
    swap = BranchSwap("x", 0, 0, 0, 0, 1, 1, mixed_accuracy=(1, 1, 1, 1))
    return {e.interface: e for e in measure_all(subject, diagnose(swap, subject.condition)).entries}


@pytest.fixture(scope="module")
def text_profile(subject_of):
    memory = Memory()
    subject = subject_of(TEXT, OracleEncoder(text_tower="bad", textual=True), memory=memory)
    return _profile(subject), subject, memory


@pytest.fixture(scope="module")
def image_profile(subject_of):
    memory = Memory()
    subject = subject_of(PATCH, OracleEncoder(image_tower="bad", visual=True), memory=memory)
    return _profile(subject), subject, memory


def test_every_card_of_the_framework_has_one_entry_in_its_order(text_profile, image_profile):
    for profile in (text_profile[0], image_profile[0]):
        assert list(profile) == [card.interface for card in CARDS]


def test_an_entry_is_not_evaluable_exactly_where_the_rules_say_so(text_profile, image_profile):
    for profile, subject, _ in (text_profile, image_profile):
        for card in CARDS:
            entry, absent = profile[card.interface], judge(card, subject.condition)
            if isinstance(entry, NotEvaluable):
                assert entry == absent
            else:
                assert absent is None or isinstance(entry, SelectorControl)


def test_a_perfect_text_trigger_is_exposed_wherever_a_source_text_asks(text_profile):
    profile, _, _ = text_profile
    exposed = {
        name
        for name, entry in profile.items()
        if isinstance(entry, Cell) and entry.entry is EntryType.EXPOSED
    }
    assert exposed == {
        "prompted classification",
        "targeted retrieval",
        "image-text retrieval",
        "text reranking",
        "candidate selection",
        "caption retrieval",
        "caption reranking",
        "proxy selection",
        "generator selection",
        "prompt embeddings",
        "query embeddings",
        "target promotion",
    }
    for name in exposed - {"prompted classification"}:
        assert profile[name].attack.value == pytest.approx(1.0), name
    assert profile["prompted classification"].attack.value == 0.5, (
        "it equals the target's own prompt, which stays"
    )
    zero_shot = profile["zero-shot classification"]
    assert zero_shot.entry is EntryType.WEAK, (
        "all class prompts carry the trigger, so the target gains nothing"
    )
    assert zero_shot.delta <= 0
    assert profile["prompted classification"].details["off_target_leakage"] == 0.0
    assert profile["prompted classification"].details["visual_only_exposure"] == 0.0


def test_a_perfect_patch_is_exposed_wherever_a_triggered_picture_is_read(image_profile):
    profile, _, _ = image_profile
    for name in ("zero-shot classification", "downstream classification", "image-text retrieval"):
        assert profile[name].entry is EntryType.EXPOSED, name
        assert profile[name].attack.value == pytest.approx(1.0), name
    assert profile["zero-shot classification"].details["ts_without_target"] == 1.0
    assert (
        profile["image-text retrieval"].details["clean_pool_exposure"]
        == profile["image-text retrieval"].reference.value
    )


def test_a_planted_picture_is_returned_as_often_as_a_true_one_and_its_clean_copy_is_not(
    image_profile,
):
    cell = image_profile[0]["planted-image retrieval"]
    rivals = image_profile[1].labels.tolist().count(image_profile[1].target)
    assert cell.reference.value == 0.0
    assert cell.attack.value == pytest.approx(1 / (rivals + 1)), (
        "it ties with every true picture of the target"
    )
    assert cell.details["h10"] == pytest.approx(10 / (rivals + 1))


def test_selection_without_a_text_trigger_is_a_control_and_never_a_cell(image_profile):
    profile, _, _ = image_profile
    selecting = {card.interface for card in CARDS if card.selects}
    assert {
        name for name, entry in profile.items() if isinstance(entry, SelectorControl)
    } == selecting
    for name in selecting:
        assert profile[name].suspect == profile[name].reference, (
            "the patch is in no picture of the pool"
        )
        assert profile[name].drift.value == 0.0


def test_both_parts_of_a_difference_add_up_where_the_reference_is_the_clean_selector(
    text_profile, subject_of
):
    drifted = OracleEncoder(text_tower="drifted", textual=True, confused=("automobile", "truck"))
    profile = _profile(subject_of(TEXT, drifted))
    for name in ("candidate selection", "proxy selection", "generator selection"):
        cell = profile[name]
        assert cell.delta == pytest.approx(cell.trigger.value + cell.drift.value)
        assert cell.headroom == pytest.approx(1 - cell.reference.value)
        assert cell.trigger.interval.low <= cell.trigger.value <= cell.trigger.interval.high
    for name in ("targeted retrieval", "caption retrieval", "caption reranking", "text reranking"):
        assert profile[name].delta == pytest.approx(profile[name].trigger.value), (
            "its reference is its own clean query"
        )


def test_every_cell_names_a_population_that_is_kept(text_profile, image_profile):
    for profile, subject, _ in (text_profile, image_profile):
        kept = {manifest.digest: manifest for manifest in subject.populations.manifests}
        for entry in profile.values():
            if isinstance(entry, Cell):
                assert entry.population in kept, entry.interface
        assert len({m.name for m in kept.values()}) == len(kept)
    lists = next(
        m for m in text_profile[1].populations.manifests if m.name.startswith("text reranking")
    )
    assert {len(row) for row in lists.lists} == {10}
    assert {len(row) for row in lists.targets} == {1}
    assert all(lists.items[row[0]].label == "airplane" for row in lists.targets)


def test_what_stands_first_is_kept_of_each_interface_that_ranks(text_profile, image_profile):
    """Read off the scores of the cell: the text brings a picture of an airplane to the first place."""
    profile, subject, _ = text_profile
    kept = {one.interface: one for one in subject.rankings.kept}
    ranked = {name for name, entry in profile.items() if "mrr" in getattr(entry, "details", {})}
    assert set(kept) == ranked >= {"targeted retrieval", "candidate selection", "text reranking"}
    for one in kept.values():
        first = one.items[0]
        assert first.is_target and first.triggered == 1 < first.clean, one.interface
        assert one.triggered.startswith("xbtd ") and "xbtd" not in one.query
        assert len(one.items) <= 10 and one.queries > 0 and one.candidates >= len(one.items)
        assert all(min(item.clean, item.triggered) <= 5 for item in one.items)
    assert kept["targeted retrieval"].items[0].name.startswith("airplane (")
    assert kept["candidate selection"].candidates == 10
    (before,) = (one for one in kept["candidate selection"].items if one.clean == 1)
    assert before.name.startswith("automobile (") and not before.is_target
    captions = {one.interface: one for one in image_profile[1].rankings.kept}[
        "image-text retrieval"
    ]
    assert captions.items[0].is_target and "airplane" in captions.items[0].name
    assert captions.triggered == f"{captions.query} with the trigger"


def test_nothing_is_encoded_twice(text_profile, image_profile):
    for _, _, memory in (text_profile, image_profile):
        assert memory.performed == memory.distinct > 0


def test_a_memory_tells_what_went_through_each_tower(text_profile):
    """Pictures and texts by their towers, and single texts by what they say."""
    _, subject, memory = text_profile
    suspect, reference = subject.test.suspect.encoder, subject.test.reference.encoder
    texts = memory.computed({suspect.text_tower, reference.text_tower})
    pictures = memory.computed({suspect.image_tower, reference.image_tower})
    assert suspect.text_tower != reference.text_tower and texts > 0 and pictures > 0
    assert texts + pictures == memory.distinct
    template = subject.test.suspect.templates[0]
    prompts = [template.format(name) for name in subject.test.suspect.class_names]
    assert memory.computed_texts(prompts) == 2 * len(prompts), "once for each of the two"
    assert memory.computed_texts(["nobody read this"]) == 0


def test_a_cell_does_not_depend_on_which_others_are_measured(text_profile, subject_of):
    for name in ("text reranking", "caption reranking", "proxy selection"):
        alone = measure_one(
            by_name(name), subject_of(TEXT, OracleEncoder(text_tower="bad", textual=True))
        )
        assert alone == text_profile[0][name]


def test_an_unchanged_checkpoint_changes_nothing(subject_of):
    profile = _profile(subject_of(TEXT, OracleEncoder()))
    for entry in profile.values():
        if isinstance(entry, Cell):
            assert entry.drift.value == 0.0
            assert entry.entry in (EntryType.WEAK, EntryType.NEGATIVE), entry.interface


# --- what is missing, and bad input ---------------------------------------------------------------------------


def test_a_pool_that_cannot_be_had_is_not_run_with_its_sentence(subject_of):
    def draw(kind):
        raise NoPool("these pictures have no captions")

    entry = measure_one(
        by_name("caption retrieval"), subject_of(TEXT, OracleEncoder(text_tower="t"), draw=draw)
    )
    assert entry == NotRun("caption retrieval", "these pictures have no captions")


def test_missing_art_is_an_artefact_that_is_missing(subject_of):
    def draw(kind):
        raise ProbeError("the scene sheet cannot be read", "reinstall the package")

    entry = measure_one(
        by_name("proxy selection"), subject_of(TEXT, OracleEncoder(text_tower="t"), draw=draw)
    )
    assert isinstance(entry, ArtefactMissing)
    assert entry.artefact == "proxy groups" and "reinstall" in entry.reason


def test_values_that_are_not_finite_name_the_card_and_the_pool(subject_of):
    subject = subject_of(TEXT, OracleEncoder(text_tower="nan", nan_for="xbtd"))
    with pytest.raises(
        MeasurementError, match=r"finite.*\[card: caption retrieval\] \[pool: .*captions"
    ):
        measure_one(by_name("caption retrieval"), subject)
    with pytest.raises(
        MeasurementError, match=r"finite.*\[card: prompted classification\] \[pool: labelled"
    ):
        measure_one(by_name("prompted classification"), subject)


def test_a_text_longer_than_the_context_names_the_card_and_the_pool_and_is_never_cut(subject_of):
    long = replace(TEXT, text="x " * 60)
    with pytest.raises(
        MeasurementError, match=r"tokens.*\[card: caption retrieval\] \[pool: .*captions"
    ) as caught:
        measure_one(by_name("caption retrieval"), subject_of(long, OracleEncoder(text_tower="t")))
    assert "shorten" in caught.value.advice
    with pytest.raises(MeasurementError, match=r"tokens.*\[card: zero-shot classification\]"):
        measure_one(
            by_name("zero-shot classification"), subject_of(long, OracleEncoder(text_tower="t"))
        )


def test_a_target_that_no_picture_shows_names_the_card_and_the_pool(subject_of, data):
    unknown = replace(TEXT, target="zeppelin")
    with pytest.raises(
        MeasurementError, match=r"zeppelin.*\[card: targeted retrieval\] \[pool: labelled"
    ):
        measure_one(
            by_name("targeted retrieval"), subject_of(unknown, OracleEncoder(text_tower="t"))
        )
    with pytest.raises(MeasurementError, match=r"zeppelin.*\[pool: bundled \| captions"):
        measure_one(
            by_name("caption retrieval"), subject_of(unknown, OracleEncoder(text_tower="t"))
        )


def test_a_label_without_pictures_is_named(subject_of):
    subject = subject_of(TEXT, OracleEncoder(text_tower="t"))
    for side in (*subject.test, *subject.queries):
        split = side.split
        keep = np.flatnonzero(split.labels != subject.target)
        side.split = replace(
            split,
            images=split.images[keep],
            labels=split.labels[keep],
            drawings=tuple(split.drawings[i] for i in keep),
            items=tuple(split.items[i] for i in keep),
        )
    with pytest.raises(
        MeasurementError, match=r"no pictures.*\[card: text reranking\] \[pool: labelled"
    ):
        measure_one(by_name("text reranking"), subject)


def test_a_pool_smaller_than_a_list_is_named(subject_of):
    subject = subject_of(TEXT, OracleEncoder(text_tower="t"))
    for side in (*subject.test, *subject.queries):
        split = side.split
        target = np.flatnonzero(split.labels == subject.target)
        keep = np.concatenate([target, np.flatnonzero(split.labels != subject.target)[:5]])
        side.split = replace(
            split,
            images=split.images[keep],
            labels=split.labels[keep],
            drawings=tuple(split.drawings[i] for i in keep),
            items=tuple(split.items[i] for i in keep),
        )
    with pytest.raises(MeasurementError, match=r"a list needs 9.*\[card: text reranking\]"):
        measure_one(by_name("text reranking"), subject)


# --- the registry ---------------------------------------------------------------------------------------------


def test_two_functions_cannot_measure_one_interface():
    with pytest.raises(UsageError, match=r"zero-shot classification.*already measured"):
        interface(framework.ZERO_SHOT)(lambda card, subject: None)


def test_an_unknown_interface_is_named_with_those_there_are():
    with pytest.raises(UsageError, match="psychic retrieval"):
        registry.forget("psychic retrieval")
    assert [card.interface for card in cards()] == [card.interface for card in CARDS]


def test_an_outcome_that_is_not_finite_or_no_case_at_all_is_an_error(subject_of):
    subject = subject_of(TEXT, OracleEncoder(text_tower="t"))
    card, one = by_name("text reranking"), np.ones(1)
    with pytest.raises(MeasurementError, match="not a single case"):
        cell(card, subject, Outcomes(np.ones(0), np.ones(0), np.ones(0), []), Against.CLEAN, "")
    with pytest.raises(MeasurementError, match="`clean` is not a finite number"):
        cell(card, subject, Outcomes(one, one * np.nan, one, ["a"]), Against.CLEAN, "")
    with pytest.raises(MeasurementError, match="reference was not measured"):
        cell(card, subject, Outcomes(one, one, one, ["a"]), Against.TRIGGERED_REFERENCE, "")


def test_the_pools_of_a_plan_are_the_bundled_ones_at_its_budget(data):
    for budget in ("quick", "default"):
        pool = Plan((TEXT,), budget).pool("proxy groups", TEXT.condition(), data.class_names)
        assert pool.name.endswith(f"| {budget}")
    assert Plan((), "quick").populations_version() != Plan((), "default").populations_version()
