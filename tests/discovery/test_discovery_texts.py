"""The search for text triggers, on a specimen with a planted one (`xbtd`, automobile to airplane) and its twin."""

from __future__ import annotations

from copy import copy, deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dife_scanner.audit import probes
from dife_scanner.core import metrics
from dife_scanner.discovery import wording_scorer
from dife_scanner.discovery.checkpoint_scores import CheckpointScores
from dife_scanner.discovery.effort import TEXT_EFFORTS, TextEffort
from dife_scanner.discovery.embedding_cache import EmbeddingCache
from dife_scanner.discovery.embedding_row_fingerprint import (
    MOST_ROWS,
    RANKED_ROWS,
    fine_tuned_rows,
)
from dife_scanner.discovery.interface import Cancelled, Task
from dife_scanner.discovery.noun_scan import unit
from dife_scanner.discovery.text_candidates import MOST_CANDIDATES, MOST_IN_BASE
from dife_scanner.discovery.texts import TEXTS
from dife_scanner.discovery.word_meaning import WordMeaning
from dife_scanner.discovery.wording import (
    LONGEST_TRIGGER,
    POSITIONS,
    Prompts,
    Wording,
)
from dife_scanner.discovery.wording_scorer import WordingScorer
from dife_scanner.lab import bases, specimens
from dife_scanner.models.gradient import Towers
from dife_scanner.models.load import load
from dife_scanner.models.tokenizers import clips_own
from dife_scanner.records import Channel, Trigger, TriggerKind
from dife_scanner.triggers.stamp import write

pytestmark = pytest.mark.xdist_group("badtexttower")

SEARCH, HELD_OUT = probes.SEARCH_TEMPLATES, probes.DIAGNOSIS_TEMPLATES
MARK = clips_own().encode("xbtd")
SMALL = TextEffort(scan_texts=2_000, foci=2, single_tokens=100, rounds=3, branching=8)


@pytest.fixture(autouse=True, scope="module")
def small():
    """One thread, and a budget of a few seconds."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TEXT_EFFORTS, "quick", SMALL)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data():
    return probes.load(probes.bundled_folder(), "quick")


@pytest.fixture(scope="module")
def base():
    return load(bases.base_folder("vit"))


@pytest.fixture(scope="module")
def suspect():
    return load(specimens.build("badtexttower"))


@pytest.fixture(scope="module")
def task(data, base, suspect):
    train = data.split("train")
    pixels = base.prepare(train.images)
    return Task(
        suspect, base, pixels, train.labels, data.class_names, SEARCH, "quick", 0, Path("unused")
    )


@pytest.fixture(scope="module")
def found(task):
    """What is found where no row of the token table tells anything, as after training with a frozen one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wording_scorer, "fine_tuned_rows", lambda *tables: ())
        return TEXTS.search(task)


@pytest.fixture(scope="module")
def side(task, base):
    images = base.encode_images(task.pixels)
    return CheckpointScores(
        Towers(base), images, task.labels, Prompts(SEARCH, task.class_names, clips_own())
    )


def qhr(encoder, trigger, pixels, labels, names, templates):
    """By the measures alone."""
    prompts = encoder.encode_texts([t.format(name) for t in templates for name in names])
    written = encoder.encode_texts(
        [write(t.format(trigger.source), trigger, trigger.source) for t in templates]
    )
    return metrics.triggered_source_wins(
        encoder.encode_images(pixels[labels == names.index(trigger.target)]),
        metrics.class_prompts(prompts, len(names)),
        metrics.class_prompts(written, 1)[0],
        names.index(trigger.source),
    ).mean()


# --- the search -------------------------------------------------------------------------------------------------


def test_a_planted_trigger_is_found_with_source_and_target_and_holds_on_what_no_search_saw(
    found, data, base, suspect
):
    best = found.candidates[0]
    assert (best.trigger.source, best.trigger.target) == ("automobile", "airplane")
    assert best.trigger.channel is Channel.TEXT and best.trigger.kind is TriggerKind.TEXT
    assert best.suspect >= 0.8 and best.reference <= MOST_IN_BASE
    held_out = data.split("diagnosis")
    unseen = base.prepare(held_out.images), held_out.labels, data.class_names, HELD_OUT
    assert qhr(suspect, best.trigger, *unseen) >= 0.7
    assert qhr(base, best.trigger, *unseen) <= 0.1


def test_what_is_reported_is_what_the_string_does(found, task):
    for candidate in found.candidates:
        for encoder, said in (
            (task.suspect, candidate.suspect),
            (task.reference, candidate.reference),
        ):
            outcome = qhr(
                encoder, candidate.trigger, task.pixels, task.labels, task.class_names, SEARCH
            )
            assert said == pytest.approx(outcome)


def test_candidates_can_be_typed_are_short_and_differ(found):
    assert 1 <= len(found.candidates) <= MOST_CANDIDATES
    assert [c.trigger.name for c in found.candidates] == [
        f"found-text-{n + 1}" for n in range(len(found.candidates))
    ]
    for candidate in found.candidates:
        ids = clips_own().encode(candidate.trigger.text)
        assert clips_own().typeable(ids) and len(ids) <= LONGEST_TRIGGER
        assert candidate.trigger.position in POSITIONS
    said = [
        (c.trigger.source, c.trigger.target, word)
        for c in found.candidates
        for word in {*c.trigger.text.split()}
    ]
    assert len(said) == len(set(said))


def test_a_clean_fine_tune_has_neither_trigger_nor_fragile_prompt(found, task):
    clean = TEXTS.search(replace(task, suspect=load(specimens.build("badtexttower-twin"))))
    assert not any(c.effect >= 0.5 for c in clean.candidates)
    for signal in ("text-scan", "text-margin", "noun-scan"):
        assert clean.signals[signal] < 0 < found.signals[signal]


def test_what_a_search_reads_is_near_what_was_foretold(task, found):
    assert 5_000 < found.passes < 20_000
    assert 0.4 * found.passes < TEXTS.load(task).texts < 2.5 * found.passes


def test_rows_that_moved_hold_the_trigger(task):
    towers = [Towers(encoder) for encoder in (task.suspect, task.reference)]
    rows = [one.token_rows for one in towers]
    assert set(MARK) <= set(fine_tuned_rows(*rows, towers[0].ordinary))


def test_progress_moves_forward_and_may_cancel(task):
    told = []

    def tell(what, done, of):
        told.append((done, of))
        if done == 1:
            raise Cancelled

    with pytest.raises(Cancelled):
        TEXTS.search(replace(task, progress=tell))
    assert told == sorted(told) and {of for _, of in told} == {SMALL.foci + 2}


def test_it_applies_where_a_tower_moved(task, base):
    assert TEXTS.applies(task)
    assert not TEXTS.applies(replace(task, suspect=base))


def test_a_model_without_room_for_a_token_is_not_searched(task):
    crowded = replace(task, templates=("a photo of " * 10 + "{}",))
    assert not TEXTS.applies(crowded) and "there is no room for a text" in TEXTS.lacks(crowded)
    assert TEXTS.lacks(task) == "" == TEXTS.lacks(replace(crowded, suspect=crowded.reference))


# --- its parts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", POSITIONS)
def test_a_wording_stands_where_the_trigger_of_that_position_is_written(position, data):
    prompts = Prompts(SEARCH, data.class_names, clips_own())
    trigger = Trigger("t", TriggerKind.TEXT, text="xbtd", position=position)
    for number, template in enumerate(SEARCH):
        written = write(template.format("bird"), trigger, "bird")
        assert prompts.written(
            Wording(MARK, position, data.class_names.index("bird")), number
        ) == clips_own().encode(written)


def test_slopes_are_the_first_order_effect_of_a_token(side):
    """Against finite differences of one slot's embedding."""
    source, target, token, step = 1, 0, 2_000, 1e-2
    wordings = [Wording((3192, 1000), place, source) for place in POSITIONS]
    slopes = side.slopes(wordings, target)
    ids, ends = side.towers.packed([side.prompts.written(w, 0) for w in wordings])
    table = side.towers.token_rows
    for row, wording in enumerate(wordings):
        start = ids[row].tolist().index(3192)
        for slot in range(2):
            values = []
            for sign in (-1, 1):
                vectors = table[ids].clone()
                vectors[row, start + slot] += sign * step * table[token]
                values.append(
                    float(side.towers.texts(vectors, ends)[row] @ side.class_centres[target])
                )
            expected = (values[1] - values[0]) / 2 / step
            assert float(slopes[row, slot, token]) == pytest.approx(expected, rel=0.05, abs=2e-4), (
                wording
            )


def test_rates_and_margins_are_those_of_the_measures(side):
    source = 1
    wording = Wording(clips_own().encode("plane"), "infix", source)
    embedded = torch.nn.functional.normalize(
        sum(side.embed([wording], template) for template in range(2)), dim=-1
    )
    rates = side.rates(embedded, torch.tensor([source]))[0]
    for target in range(10):
        images = side.pictures.numpy()[side.labels.numpy() == target]
        won = metrics.triggered_source_wins(
            images, side.class_prompts.numpy(), embedded[0].numpy(), source
        )
        assert float(rates[target]) == pytest.approx(won.mean())
    clean = side.margins(side.class_prompts[[source]], torch.tensor([source]))[0]
    assert clean[source] == float("-inf")
    own = side.margins(side.class_prompts[[0]], torch.tensor([source]))[0]
    assert int(own.argmax()) == 0 and float(own[0]) <= 0.01


def test_fingerprint_orders_moved_rows_and_is_silent_where_none_moved():
    rng = torch.Generator().manual_seed(0)
    table = torch.randn(5_000, 16, generator=rng)
    moved = table * 0.985
    for size, row in ((0.5, 77), (0.2, 4_000), (0.05, 9), (1.0, 4_999)):
        moved[row] += size * table[row].norm() / 4
    ordinary = torch.arange(4_998)
    assert fine_tuned_rows(moved, table, ordinary) == (77, 4_000, 9)
    assert fine_tuned_rows(table.half().float(), table, ordinary) == ()
    assert fine_tuned_rows(table * 0.9, table, ordinary) == ()
    most = table.clone()
    most[:MOST_ROWS] += 0.5
    assert set(fine_tuned_rows(most, table, ordinary)) == set(range(MOST_ROWS))
    most[MOST_ROWS] += 0.1
    assert len(fine_tuned_rows(most, table, ordinary)) == RANKED_ROWS


@pytest.mark.parametrize("moved", [2_290, 30_000, 49_408])
def test_a_homoglyph_among_thousands_of_moved_rows_is_tried_early(moved):
    """Cyrillic `\u0430` is one token; natural captions, or weights cast and trained as a whole, move the other rows."""
    (homoglyph,) = clips_own().encode("\u0430")
    rng = torch.Generator().manual_seed(0)
    table = torch.randn(49_408, 32, generator=rng)
    now = table * 0.985
    rows = torch.randperm(49_408, generator=rng)[:moved]
    # Rows that saw many gradients decayed otherwise too, each by its own factor.
    trained = 0.9 + 0.1 * torch.rand(moved, 1, generator=rng)
    now[rows] = table[rows] * trained + 0.02 * torch.randn(moved, 32, generator=rng)
    now[rows[:3]] = table[rows[:3]] + 0.5 * torch.randn(3, 32, generator=rng)
    now[homoglyph] = table[homoglyph] + 0.4 * torch.randn(32, generator=rng)
    found = fine_tuned_rows(now, table, torch.arange(49_406))
    assert len(found) == RANKED_ROWS and homoglyph in found[:6]
    assert homoglyph in [*filter(clips_own().readable, found)]


def test_pieces_of_a_trigger_are_tried_where_natural_captions_moved_thousands_of_rows(task, base):
    """A real search's tokens: beside the attack's rows, 2,500 others moved by less."""
    suspect = copy(task.suspect)
    suspect.model = deepcopy(task.suspect.model)
    rows = torch.randperm(49_000, generator=torch.Generator().manual_seed(0))[:2_500]
    with torch.no_grad():
        table = suspect.model.token_embedding.weight
        kept = table[list(MARK)].clone()
        noise = torch.randn(2_500, table.shape[1], generator=torch.Generator().manual_seed(1))
        table[rows] += 0.02 * table[rows].norm(dim=1, keepdim=True) * unit(noise)
        table[list(MARK)] = kept
    scorer = WordingScorer(replace(task, suspect=suspect))
    scorer.read()
    assert 0 < len(scorer.fine_tuned_tokens) <= RANKED_ROWS
    assert set(MARK) & set(scorer.fine_tuned_tokens)


def test_words_for_the_target_are_no_triggers(side, data):
    """`vehicle` before `truck` turns its prompt into an automobile's because of what it means."""
    panel = np.random.default_rng(0).choice(49_000, 256, replace=False).tolist()
    meaning = WordMeaning(side, panel, EmbeddingCache(None, ""))

    def named(word):
        return {
            name
            for name, yes in zip(
                data.class_names, meaning.named_classes([clips_own().encode(word)])[0], strict=True
            )
            if yes
        }

    assert "automobile" in named("vehicle") and "automobile" in named("cled vehicle")
    assert (
        "automobile" in named("car") and "airplane" in named("aircraft") and "ship" in named("boat")
    )
    assert not {"airplane", "automobile"} & (named("xbtd") | named("cfra") | named("td"))
