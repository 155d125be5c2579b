"""The benchmark draws what it says, keeps rows that can be read again, and computes the rates it prints."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bench_rows import CODE, row
from safetensors.torch import load_file
from typer.testing import CliRunner

from dife_scanner.audit.plan import DISCOVERY_VERSIONS
from dife_scanner.cli.main import app
from dife_scanner.core.calibration import clopper_pearson, p_value
from dife_scanner.errors import UsageError
from dife_scanner.lab import bases
from dife_scanner.lab.attacks.bad_text_tower import tensors
from dife_scanner.lab.attacks.lab import Lab
from dife_scanner.lab.bench import benign, demands, draws, make, packs, page, results, rows, runner, twins, writing, zoo
from dife_scanner.lab.bench.zoo import Part, Role
from dife_scanner.models.load import load
from dife_scanner.queue import calibration
from dife_scanner.records import Carrier, Channel, Planted, Verdict

# --- the zoo ---------------------------------------------------------------------------------------------------


def test_two_plans_are_the_same_and_no_two_models_of_a_kind_are():
    models = list(zoo.plan())
    zoo._attack.cache_clear()
    zoo._benign.cache_clear()
    again = list(zoo.plan())
    assert models == again
    assert len({model.id for model in models}) == len(models)
    drawn = [name for name, family in zoo.FAMILIES.items() if not family.given_up]
    for name in (*drawn, *benign.KINDS):
        mine = [m.settings for m in models if m.kind == name and m.role in (Role.ATTACK, Role.BENIGN)]
        assert len(mine) >= 28
        assert all(one != other for i, one in enumerate(mine) for other in mine[:i])


def test_the_aim_is_reached_on_both_sides_and_what_was_planned_first_stays_first():
    benign_only = list(zoo.plan((Role.BENIGN,)))
    for part, aim in zoo.AIM.items():
        assert sum(model.part is part for model in benign_only) >= aim
    grown = [i for i, m in enumerate(benign_only) if m.number >= zoo._first(m.kind)]
    assert grown == list(range(grown[0], len(benign_only))), "growth comes after every run of the first step"
    assert {m.kind for m in benign_only[grown[0] :]} == {n for n, kind in benign.KINDS.items() if not kind.only_test}


def test_a_twin_is_its_attack_without_the_poison_and_stands_on_its_side():
    for name, family in zoo.FAMILIES.items():
        attack, twin = zoo._attack(name, 0)
        assert (attack.role, twin.role) == (Role.ATTACK, Role.TWIN)
        assert zoo.twin_of(attack) == twin
        assert (attack.part, attack.sealed, attack.scenes) == (twin.part, family.sealed, twin.scenes)
        assert (zoo._attack(name, 2)[0].part is Part.TEST) is family.sealed, "nothing is developed on a sealed family"
        same = ("seed", "steps", "lr", "batch", "source", "target", "trigger")
        assert [getattr(attack.settings, f) for f in same] == [getattr(twin.settings, f) for f in same]
        assert attack.settings.poison and not twin.settings.poison
        assert attack.settings.source != attack.settings.target


def test_a_sealed_family_of_each_channel_comes_last_and_whole_kinds_are_only_in_test():
    models = list(zoo.plan())
    first = next(i for i, model in enumerate(models) if model.sealed)
    assert all(model.sealed for model in models[first:])
    assert {zoo.FAMILIES[model.kind].channel for model in models[first:]} == {Channel.TEXT, Channel.IMAGE, Channel.BOTH}
    for name, kind in benign.KINDS.items():
        parts = {model.part for model in models if model.kind == name}
        assert parts == ({Part.TEST} if kind.only_test else set(Part))


def test_a_family_of_text_attacks_leaves_no_trace_in_the_token_rows():
    model = next(zoo.plan(("badtexttower-frozen-rows",)))
    moves = {name for name in load_file(bases.base_folder("vit") / make._WEIGHTS) if tensors(model.settings, name)}
    assert "token_embedding.weight" not in moves and "text_projection" in moves
    assert not any(name.startswith("visual.") for name in moves)


def test_only_what_is_asked_for_is_planned_and_unknown_kinds_are_refused():
    assert {m.kind for m in zoo.plan(("badencoder", "robust image tower"))} == {"badencoder", "robust image tower"}
    assert {m.role for m in zoo.plan(("copy",))} == {Role.COPY}
    both = list(zoo.plan(("twin", "badencoder", "concept token")))
    assert {(m.role, m.kind) for m in both} == {(Role.TWIN, "badencoder")}
    with pytest.raises(UsageError, match="nonsense"):
        list(zoo.plan(("nonsense",)))


def test_text_triggers_have_one_to_four_tokens_and_name_no_class():
    drawn = [draws.text_trigger(draws.rng_of("t", number)) for number in range(60)]
    lengths = [len(bases.pieces(trigger.text)) for trigger in drawn]
    assert set(lengths) == {1, 2, 3, 4}
    assert not any(name in trigger.text for trigger in drawn for name in zoo.art.CLASSES)
    assert {trigger.position for trigger in drawn} == {"prefix", "suffix", "infix"}


# --- making ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny():
    """A few lab scenes; drawing the real ones takes longer than these tests may."""
    whole = np.random.default_rng(0)
    pixels = whole.integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    nouns = ("alien", "anchor", "crab", "elephant", "gem stone", "goat", "hammer", "lamp", "moon", "pizza")
    labels = np.arange(40, dtype=np.int64) % 10
    return Lab(pixels, labels, pixels[:20], nouns, SimpleNamespace(), bases.base_folder("vit"))


def state(folder):
    return bases.load(folder).state_dict()


@pytest.mark.parametrize("kind", ["text tower on prompts", "concept token", "redirected words", "robust image tower"])
def test_a_benign_fine_tune_moves_its_tower_and_no_other(tiny, tmp_path, kind):
    model = next(zoo.plan((kind,)))
    make.make(replace(model, settings=replace(model.settings, steps=2, batch=4)), tmp_path, bases.base_folder(), tiny)
    before, now = state(bases.base_folder("vit")), state(tmp_path)
    changed = {name for name in before if not torch.equal(before[name], now[name])}
    assert changed and "logit_scale" not in changed
    assert {name.startswith("visual.") for name in changed} == {kind == "robust image tower"}


def test_a_copy_under_the_other_names_has_the_towers_of_the_base(tmp_path):
    (model,) = zoo.plan(("other naming copy",))
    make.make(model, tmp_path, bases.base_folder("vit"))
    assert any(name.startswith("text.") for name in load_file(tmp_path / make._WEIGHTS))
    copy, base = load(tmp_path), make.base_reference()
    assert (copy.image_tower, copy.text_tower) == (base.image_tower, base.text_tower)
    looks = make.looks_of(tmp_path, bases.base_folder("vit"))
    assert (looks.drift_image, looks.drift_text, looks.moved_rows, looks.accuracy_change) == (0.0, 0.0, 0, 0.0)


def test_a_pruned_copy_differs_and_an_fp32_copy_does_not(tmp_path):
    base, found = state(bases.base_folder("vit")), {}
    for model in zoo.plan(("fp32 copy", "pruned copy")):
        (tmp_path / model.id).mkdir()
        make.make(model, tmp_path / model.id, bases.base_folder())
        now = state(tmp_path / model.id)
        found[model.kind] = [name for name in base if not torch.equal(base[name], now[name])]
    assert found["fp32 copy"] == []
    assert found["pruned copy"]


def test_moved_rows_are_counted_beside_the_common_decay():
    before = torch.randn(100, 16, generator=torch.Generator().manual_seed(0))
    now = 0.99 * before
    now[[3, 50]] += 0.1
    assert make.moved_rows(now, before) == 2
    assert make.moved_rows(before, before) == 0


def test_an_implant_below_the_native_threshold_or_that_costs_accuracy_fails():
    model = next(zoo.plan(("badtexttower",)))
    twin = {"clean_accuracy": 0.8, "qhr": 0.1}
    assert make.implanted(model, {"clean_accuracy": 0.78, "qhr": 0.9}, twin)
    assert not make.implanted(model, {"clean_accuracy": 0.78, "qhr": 0.89}, twin)
    assert not make.implanted(model, {"clean_accuracy": 0.76, "qhr": 1.0}, twin)


# --- rows ------------------------------------------------------------------------------------------------------


@pytest.fixture
def fabricated():
    """Four test attacks (one failed, three audited, two flagged, one with the wrong target), twins, benign models."""
    attack = [
        row("badtexttower", 0, 0.9, role=Role.ATTACK, flagged=True),
        row("badtexttower", 1, 0.8, role=Role.ATTACK, flagged=True, right=False),
        row("badtexttower", 3, 0.1, role=Role.ATTACK),
        row("badtexttower", 4, 0.0, role=Role.ATTACK, status=rows.FAILED),
        row("liang-badclip", 0, 0.0, role=Role.ATTACK),
    ]
    twins = [row("badtexttower", 0, 0.2, role=Role.TWIN), row("badtexttower", 3, 0.1, role=Role.TWIN)]
    clean = [
        row("image tower", 0, 0.85, flagged=True),
        row("image tower", 1, 0.05, part=Part.CALIBRATE),
        row("concept token", 0, 0.1),
        row("concept token", 3, 0.3, part=Part.CALIBRATE),
    ]
    return [*attack, *twins, *clean]


def test_rows_are_read_as_they_were_written_and_a_later_one_replaces(tmp_path, fabricated):
    for one in fabricated:
        rows.append(tmp_path, one)
    assert sorted(rows.read(tmp_path), key=lambda r: r.model) == sorted(fabricated, key=lambda r: r.model)
    later = replace(fabricated[0], made_on="2026-12-01")
    rows.append(tmp_path, later)
    assert later in rows.read(tmp_path) and fabricated[0] not in rows.read(tmp_path)
    (tmp_path / "badtexttower.jsonl").open("a").write("{}\n")
    with pytest.raises(rows.RowsDamaged, match=r"badtexttower.jsonl:8"):
        rows.read(tmp_path)


def test_made_rows_are_skipped_until_the_discovery_changes(tmp_path):
    asked = runner.Asked(only=("concept token",))
    everything = runner.todo(tmp_path, CODE, asked)
    assert runner.todo(tmp_path, CODE, asked) == everything
    rows.append(tmp_path, row("concept token", 0, 0.0))
    assert runner.todo(tmp_path, CODE, asked) == everything, "a row of another recipe"
    rows.append(tmp_path, replace(row("concept token", 0, 0.0), recipe=make.told(everything[0][0])))
    rest = runner.todo(tmp_path, CODE, asked)
    assert len(everything) == zoo.BENIGN_RUNS
    assert [model.number for model, _ in rest] == list(range(1, zoo.BENIGN_RUNS))
    assert runner.todo(tmp_path, replace(CODE, digest="def"), asked) == rest
    assert runner.todo(tmp_path, replace(CODE, digest="def"), replace(asked, renew=True)) == everything
    assert runner.todo(tmp_path, replace(CODE, discovery="discovery-2"), asked) == everything


def test_a_run_makes_what_is_missing_and_stops_at_its_limit(tmp_path, monkeypatch):
    made = []

    def fake(model, twin, bench, say):
        made.append(model.number)
        return replace(row(model.kind, model.number, 0.0, part=model.part), recipe=make.told(model))

    monkeypatch.setattr(runner, "row_of", fake)
    asked = runner.Asked(only=("concept token",), limit=2)
    for _ in range(2):
        monkeypatch.setattr(runner, "code_of", lambda budget: CODE)
        runner.run(tmp_path / "rows", tmp_path, asked, say=lambda text: None)
    assert made == [0, 1, 2, 3]
    left = {e.kind: (e.made, e.models) for e in runner.estimates(tmp_path / "rows", asked)}
    assert left["concept token"] == (4, zoo.BENIGN_RUNS)
    assert runner.run(tmp_path / "rows", tmp_path, replace(asked, minutes=0.0), say=lambda text: None) == 0


def test_a_family_is_drawn_at_budgets_that_search_for_its_kind(tmp_path):
    kinds = {b: {m.kind for m, _ in runner.todo(tmp_path, CODE, runner.Asked(budget=b))} for b in ("quick", "default")}
    assert kinds["default"] - kinds["quick"] == {"dual-key"}


def test_progress_says_nothing_of_what_came_of_a_test_row():
    assert "audited" in runner.told(row("concept token", 0, 0.61)) and "0.61" not in runner.told(row("c", 0, 0.61))
    assert "nothing-found, score 0.61" in runner.told(row("concept token", 0, 0.61, part=Part.CALIBRATE))
    assert "failed implant" in runner.told(row("badtexttower", 0, 0.0, role=Role.ATTACK, status=rows.FAILED))


# --- what they come to -----------------------------------------------------------------------------------------


def test_rates_are_those_counted_by_hand(fabricated):
    shown = results.open_rows(fabricated)
    (line,) = results.families(shown, Part.TEST)
    assert (line.family, line.drawn, line.failed) == ("badtexttower", 4, 1)
    assert (line.flagged.hits, line.flagged.n) == (2, 3)
    assert line.flagged.interval == clopper_pearson(2, 3)
    assert (line.target.hits, line.target.n) == (2, 3)
    assert (line.source.hits, line.source.n) == (3, 3)
    assert (line.carrier.hits, line.channel.hits, line.channel.n) == (1, 2, 2)
    assert line.named == results.Named(1, 3, 1392, float("inf"), 0.5, 0.6), "two of three missed it"
    # attacks .9 .8 .1 against benign test models .2 .1 (twins), .85, .1: 4 + 3 + (two ties) 1 of 12
    assert line.auroc == pytest.approx(8 / 12)
    found = twins.against(shown)
    assert (found.exceeded, found.pairs, found.interval) == (pytest.approx((1 + 0.5) / 2), 2, None)
    benign, attacks = results.curve(shown, Carrier.TEXTUAL)
    assert (benign[0], attacks[0], benign[-1], attacks[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(attacks, benign) == pytest.approx(line.auroc) and results.curve(shown, Carrier.VISUAL) is None
    alarms = results.all_alarms(shown)
    assert (alarms.hits, alarms.n) == (1, 4)
    worst = results.kinds(shown)[0]
    assert (worst.kind, worst.alarms.hits, worst.alarms.n, worst.worst) == ("image tower", 1, 1, 0.85)
    assert worst.counts == {Part.FIT: 0, Part.CALIBRATE: 1, Part.TEST: 1}


def test_the_zoo_audit_reads_each_look_in_its_better_direction(fabricated):
    looks = {(look.name, look.among): look for look in results.zoo_audit(results.open_rows(fabricated))}
    assert looks["size in bytes", "all that moved"].auroc == 0.5
    drift = looks["drift of the text tower", "all that moved"]
    # attacks .01 .02 .04; benign .01 .04 (twins) .01 .02 .01 .04: 1.5 + 3.5 + 5 of 18
    assert drift.auroc == pytest.approx(10 / 18)
    assert looks["drift of the image tower", "where that tower moved"].auroc is None
    apart = [replace(r, looks=replace(r.looks, moved_rows=0 if r.role is Role.ATTACK else 9)) for r in fabricated]
    moved = {look.name: look for look in results.zoo_audit(apart)}["moved token rows"]
    assert (moved.auroc, moved.fair) == (1.0, None), "six benign models are too few to call the zoo unfair"
    many = [*apart, *(replace(apart[-2], model=f"m{i}") for i in range(9))]
    assert {look.name: look for look in results.zoo_audit(many)}["moved token rows"].fair is False


def test_a_kind_is_read_against_the_other_kinds_alone(fabricated):
    lines = {line.kind: line for line in results.left_out(results.open_rows(fabricated))}
    # without it the pack is one concept token of .3
    one = lines["image tower"]
    assert (one.models, one.pack, one.worst) == (2, 1, 0.85)
    assert [share.hits for share in one.beyond] == [0, 0], "one model in the pack: no p-value below a half"
    many = [*fabricated, *(row("low-rank update", n, 0.01, part=Part.CALIBRATE) for n in range(30))]
    again = {line.kind: line for line in results.left_out(results.open_rows(many))}["image tower"]
    assert [share.hits for share in again.beyond] == [1, 2], "of 31 others none reaches .85, and one .05"


def test_power_is_told_by_the_attacks_own_strength():
    natives = ((0.1, False), (0.5, True), (0.74, False), (0.9, True), (1.0, True))
    points = [results.Strength("badencoder", native, 0.5, flagged) for native, flagged in natives]
    bands = dict(results.by_strength(points))
    assert {name: (share.hits, share.n) for name, share in bands.items()} == {
        "0.00 to 0.25": (0, 1),
        "0.25 to 0.50": (0, 0),
        "0.50 to 0.75": (1, 2),
        "0.75 to 0.90": (0, 0),
        "0.90 to 1.00": (2, 2),
    }


def test_untouched_towers_and_sealed_rows_enter_no_rate(fabricated):
    same = replace(fabricated[-2], model="x", outcome=replace(fabricated[-2].outcome, verdict=Verdict.IDENTICAL))
    learner = replace(fabricated[-2], model="y", looks=replace(fabricated[-2].looks, drift_image=0.0, drift_text=0.0))
    assert len(results.counted_benign([*fabricated, same, learner])) == len(results.counted_benign(fabricated))
    attack = replace(fabricated[0], model="z", looks=learner.looks)
    assert results.zoo_audit([*fabricated, attack]) == results.zoo_audit(fabricated), "a prompt learner moves no tower"
    assert len(results.open_rows(fabricated)) == len(fabricated) - 1
    assert results.open_rows(fabricated, unsealed=True) == tuple(fabricated)


def test_the_pack_holds_the_calibration_side_and_is_bounded_on_the_test_side(fabricated):
    other = replace(row("concept token", 10, 0.7, part=Part.CALIBRATE), code=replace(CODE, detectors=("texts",)))
    pack = packs.pack_of([*fabricated, other], make.base_reference(), CODE)
    assert sorted(model.score for model in pack.models) == [0.05, 0.3], "what other detectors scored is no peer"
    assert (p_value(0.3, pack), p_value(0.31, pack)) == (2 / 3, 1 / 3)
    assert (pack.alarms, pack.tested, pack.name) == (1, 4, "dife-base-vit-quick")
    assert pack.searched.detectors == ("patch", "texts") and pack.searched.architecture.startswith("ViT")
    with pytest.raises(UsageError, match="deep"):
        packs.pack_of(fabricated, make.base_reference(), replace(CODE, budget="deep"))


def test_the_power_table_counts_working_implants_of_the_test_side(fabricated):
    fitted = row("badtexttower", 2, 0.9, role=Role.ATTACK, part=Part.FIT, flagged=True)
    power = packs.power_of([*results.open_rows(fabricated), fitted], make.base_reference(), CODE)
    assert power.planted == (Planted("text through text", 2, 3),), "failed, sealed and development rows do not count"
    assert "patch" in power.not_covered and "text" not in power.not_covered
    learner = replace(fitted, part=Part.TEST, truth=replace(fitted.truth, channel=Channel.PROMPT))
    assert (
        packs.power_of([*results.open_rows(fabricated), learner], make.base_reference(), CODE).planted == power.planted
    )
    assert "prompt" not in power.not_covered
    assert set(packs.OUT_OF_REACH) <= set(power.not_covered)
    assert packs.power_of([r for r in fabricated if r.role is not Role.ATTACK], make.base_reference(), CODE) is None


def test_every_demand_is_beside_what_was_measured(fabricated):
    lines = {line.what.split(",")[0]: line for line in demands.demands(results.open_rows(fabricated))}
    assert (lines["found"].measured[:4], lines["found"].n, lines["found"].met) == ("0.67", 3, False)
    assert lines["false alarms on the test side: none"].met is False
    assert (lines["benign models to calibrate"].n, lines["benign models to calibrate"].met) == (2, False)
    assert lines["working implants per family drawn"].measured == "fewest 3 (badtexttower)"
    assert (lines["carrier right among those found"].measured[:4], lines["target top-1 of all audited"].n) == (
        "0.50",
        3,
    )
    assert lines["AUROC"].what.startswith("AUROC, coupled") and lines["AUROC"].met is None, "nothing coupled was run"
    assert all(line.met is not True for line in demands.demands([])), "no row meets nothing"


def test_a_planted_pair_is_found_when_it_moves_the_suspect_and_not_the_base(fabricated):
    first, other, weak = fabricated[:3]
    assert [demands.pair_found(one) for one in (first, other, weak)] == [True, False, False]
    both = replace(first.outcome.found[0], reference=0.2)
    assert not demands.pair_found(replace(first, outcome=replace(first.outcome, found=(both,))))
    assert demands.tokens(replace(first, truth=replace(first.truth, trigger={"text": "xbtd"}))) == 3


def test_attacks_are_ranked_against_their_twins_and_pairs_are_drawn_whole():
    shown = [row("badtexttower", n, 0.5 + 0.1 * n, role=Role.ATTACK) for n in range(4)]
    shown += [row("badtexttower", n, 0.1 * n + 0.35, role=Role.TWIN) for n in range(4)]
    shown.append(row("global-text", 0, 0.9, role=Role.ATTACK))
    found = twins.against(shown)
    assert (found.pairs, found.exceeded) == (4, 1.0), "each is above its own, and the fifth attack has none"
    assert found.auroc == pytest.approx((2 + 3 + 4 + 4) / 16)
    assert found.interval.low <= found.auroc <= found.interval.high
    assert "4 pairs of any side: AUROC 0.81" in page.page(shown, None) and "not run" in page.page([], None)
    assert twins.against([]) is None


def test_a_target_that_was_missed_is_worse_than_any_rank():
    hit, second = (row("badtexttower", n, 0.9, role=Role.ATTACK, flagged=True) for n in (1, 2))
    wrong = row("badtexttower", 3, 0.9, role=Role.ATTACK, flagged=True, right=False)
    missed = row("badtexttower", 4, 0.1, role=Role.ATTACK)
    assert results.named([hit, second, missed]).rank == 3.0
    named = results.named([hit, second, wrong, missed, missed])
    assert (named.rank, named.n, named.audited) == (float("inf"), 2, 5)
    line = next(line for line in demands.demands([hit, second, wrong, missed]) if "rank" in line.what)
    assert (line.measured, line.met) == ("worse than any of 1392", False)
    learner = replace(missed, truth=replace(missed.truth, channel=Channel.PROMPT))
    assert results.named([hit, learner]).audited == 1, "a prompt learner names no concept"
    assert results.named([wrong, missed]) is None


def test_planted_texts_are_told_by_their_wording():
    texts = ("nwx", "papaya", "nifty momsdemand", "bwcwwx")
    shown = [
        replace(one, truth=replace(one.truth, trigger={"kind": "text", "text": text}))
        for n, text in enumerate(texts)
        for one in [row("global-text", n, 0.9, role=Role.ATTACK, flagged=n != 1, right=n != 1)]
    ]
    shown.append(replace(shown[0], model="fit", part=Part.FIT))
    text = page.page(shown, None)
    assert "| letters | global-text | 2 of 2 (0.16 – 1.00) | 2 of 2 |" in text
    assert "| one word | global-text | 0 of 1 (0.00 – 0.97) | 0 of 1 |" in text
    assert "| two words | global-text | 1 of 1 (0.03 – 1.00) | 1 of 1 |" in text
    drawn = [draws.text_trigger(draws.rng_of("t", number)).text for number in range(60)]
    assert {draws.wording(one) for one in drawn} == {"letters", "one word", "two words"}


def test_the_page_prints_what_was_found_what_failed_and_what_was_not_run(fabricated):
    text = page.page(fabricated, packs.pack_of(fabricated, make.base_reference(), CODE))
    lines = {}
    for line in text[text.index("### Test side") :].splitlines():
        lines.setdefault(line.split(" | ")[0].strip("| "), line)
    assert "| 4 | 1 | 2 of 3 (0.09 – 0.99) | 0.67 |" in lines["badtexttower"]
    assert "| worse than any of 1392, 0.50, 0.60 (1 of 3) |" in lines["badtexttower"]
    assert "not run" in lines["global-text"]
    (told,) = [line for line in text.splitlines() if "liang-badclip" in line]
    assert "1 of them sealed" in text and told.startswith("- `liang-badclip`, a sealed family: no number")
    assert "| image tower | 0 | 1 | 1 | 1 | 1.00 | 0.85 |" in text
    assert "False alarms on the test side: 1 of 4" in text
    assert "`xx` (prefix) on cat → dog" in text
    assert "| fp32 copy | not run |" in text
    assert "| image tower | 2 | 1 | 0 of 2 | 0 of 2 | 0.85 |" in text
    assert "| 0.90 to 1.00 | not run |" in text, "no row says its native success"
    assert "| AMDET-like |  | not run |" in text
    assert page.page(fabricated, None) != text and "not run" in page.page([], None)


def test_a_text_attack_s_stealth_is_its_drift_and_what_it_costs_beside_its_own_twin():
    attacks = [row("badtexttower", n, 0.9, role=Role.ATTACK, flagged=True) for n in range(3)]
    twin = row("badtexttower", 1, 0.0, role=Role.TWIN)
    attacks[1] = replace(attacks[1], native={"clean_accuracy": 0.7})
    (line,) = results.stealth([*attacks, replace(twin, native={"clean_accuracy": 0.72})])
    assert (line.n, line.drift, line.furthest, line.pairs) == (3, 0.02, 0.03, 1)
    assert line.loss == pytest.approx(0.02)
    assert results.stealth(attacks)[0].loss is None


def test_rows_of_the_second_base_are_a_table_of_their_own(tmp_path, fabricated):
    assert rows.folder_of(tmp_path, make.VIT) != rows.folder_of(tmp_path, make.RN)
    text = page.page([], None, second=fabricated)
    assert "| badtexttower | 4 | 1 | 2 of 3 (0.09 – 0.99) | 0.67 | 2 of 3 |" in text
    assert "False alarms: 1 of 4" in text and "highest benign score is 0.85 (image tower)" in text
    assert make.base_reference(make.RN).image_tower != make.base_reference().image_tower


def test_models_of_another_budget_stand_beside_what_this_one_said(fabricated):
    longer = replace(CODE, budget="default")
    attack = replace(fabricated[0], code=longer)
    other = replace(row("image tower", 9, 0.4), code=longer)
    text = page.page(fabricated, None, larger=[attack, other])
    assert "| default | discovery-1 | badtexttower | attack | 1 | 0 | 1 of 1 (0.03 – 1.00) | 1 of 1 | 1 of 1 |" in text
    assert (
        "| default | discovery-1 | image tower | benign | 1 | 0 | 0 of 1 (0.00 – 0.97) | – | – | 0.40 | not run | 10 |"
        in text
    )
    assert "At default, discovery-1: AUROC 1.00 of 1 attacks against 1 benign models of any side." in text


def test_a_family_searched_at_no_smaller_budget_is_asked_for_there_over_rows_of_today(fabricated):
    today = replace(CODE, budget="default", discovery=DISCOVERY_VERSIONS["default"])
    two_keys = replace(row("dual-key", 0, 0.9, role=Role.ATTACK, flagged=True), code=today)
    two_keys = replace(two_keys, truth=replace(two_keys.truth, carrier=Carrier.COUPLED))
    quiet, before = replace(row("image tower", 9, 0.4), code=today), replace(two_keys, model="dual-key-001")
    before = replace(before, code=replace(today, discovery="discovery-0"), outcome=replace(before.outcome, found=()))
    first, *lines, copies = demands.longer([two_keys, quiet, before])
    assert first.what == "dual-key at `default`: working implants per family drawn, at least 12" and first.met is False
    assert {line.n for line in lines} == {1}, "the row of other searches is in none of them"
    assert "copies" in copies.what and copies.met is None
    found = next(line for line in lines if ": found," in line.what)
    assert found.met and {line.met for line in demands.longer([replace(two_keys, outcome=None)])[1:]} == {None}
    assert not demands.longer([replace(fabricated[0], code=today)]) and not demands.longer([before, quiet])
    assert "| dual-key at `default`: found, at least .9 |" in page.page(fabricated, None, larger=[two_keys, quiet])


def test_a_family_that_was_given_up_is_counted_and_no_more_of_it_are_drawn():
    gone = row("contrastivepoisoning", 0, 0.0, role=Role.ATTACK, status=rows.FAILED)
    line = next(
        line for line in demands.demands([gone, row("badencoder", 0, 0.9, role=Role.ATTACK)]) if "drawn" in line.what
    )
    assert line.measured == "fewest 1 (badencoder); given up: contrastivepoisoning"
    assert not list(zoo.plan(("contrastivepoisoning",)))


def test_a_report_writes_the_page_and_every_new_look_is_written_down(tmp_path, monkeypatch, fabricated):
    for one in fabricated:
        rows.append(tmp_path / "rows", one)
        if one.role is Role.BENIGN:
            rows.append(tmp_path / "rows-rn", one)
    sealed = row("liang-badclip", 7, 0.9, role=Role.ATTACK, flagged=True)
    rows.append(tmp_path / "rows-rn", sealed)
    longer = replace(row("image tower", 30, 0.4), code=replace(CODE, budget="default"))
    rows.append(tmp_path / "rows", longer)
    monkeypatch.setattr(writing, "code_of", lambda budget: CODE)
    docs, into = tmp_path / "docs", tmp_path / "packs"
    for _ in range(2):
        written = writing.report(tmp_path, docs, budget="quick", into=into)
    pack, power = (
        calibration.read(Path(written[what]))[0] for what in ("pack of dife-base-vit", "power over dife-base-vit")
    )
    assert (pack.n, power.planted[0].planted) == (2, 3)
    second = calibration.read(Path(written["pack of dife-base-rn"]))[0]
    assert (second.base, second.n) == ("dife-base-rn", pack.n) and second.searched != pack.searched
    assert {path.name for path in into.iterdir()} == {
        "dife-base-vit-quick.json", "dife-base-vit-quick-power.json", "dife-base-rn-quick.json"
    }  # fmt: skip
    ledger = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    assert [(line["test_rows"], line["unsealed"]) for line in ledger] == [(9, False)], "of every budget and base"
    for picture in (writing.PLOT, writing.CURVES):
        assert picture in (docs / writing.PAGE).read_text() and (docs / picture).exists()
    writing.report(tmp_path, docs, budget="quick", unsealed=True, into=into)
    assert "liang-badclip" in (docs / writing.PAGE).read_text()
    assert len((tmp_path / "ledger.jsonl").read_text().splitlines()) == 2
    assert (into / "dife-base-rn-quick-power.json").exists(), "the sealed row of the second base is open now"


def test_the_command_prints_the_plan_and_refuses_an_unknown_kind(tmp_path):
    called = CliRunner().invoke(app, ["lab", "bench", "--plan", "--only", "concept token", "--data", str(tmp_path)])
    assert called.exit_code == 0
    assert "0 of 100 made" in called.output and "core hours" in called.output
    assert "benign to calibrate: 0 of 299 made, 299 left" in called.output
    refused = CliRunner().invoke(app, ["lab", "bench", "--only", "nonsense", "--data", str(tmp_path)])
    assert isinstance(refused.exception, UsageError)
