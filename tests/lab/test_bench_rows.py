"""Rows of the benchmark can be read again, a run makes what is missing, and rates are those of the rows."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench_rows import CODE, row

from dife_scanner.core.calibration import clopper_pearson, p_value
from dife_scanner.errors import UsageError
from dife_scanner.lab.bench import commit as commit_of
from dife_scanner.lab.bench import make, packs, results, rows, runner, zoo
from dife_scanner.lab.bench.page import demands
from dife_scanner.lab.bench.page import document as page
from dife_scanner.lab.bench.results import twins
from dife_scanner.lab.bench.zoo import Part, Role, build, draws, open_models
from dife_scanner.records import Carrier, Channel, Planted, Verdict


def test_rows_are_read_as_they_were_written_and_a_later_one_replaces(tmp_path, fabricated):
    for one in fabricated:
        rows.append(tmp_path, one)
    assert sorted(rows.read(tmp_path), key=lambda r: r.model) == sorted(
        fabricated, key=lambda r: r.model
    )
    later = replace(fabricated[0], made_on="2026-12-01")
    rows.append(tmp_path, later)
    assert later in rows.read(tmp_path) and fabricated[0] not in rows.read(tmp_path)
    (tmp_path / "badtexttower.jsonl").open("a").write("{}\n")
    with pytest.raises(rows.RowsDamaged, match=r"badtexttower.jsonl:8"):
        rows.read(tmp_path)


def test_made_rows_are_skipped_until_the_discovery_changes(tmp_path):
    options = runner.RunOptions(only=("concept token",))
    everything = runner.todo(tmp_path, CODE, options)
    assert runner.todo(tmp_path, CODE, options) == everything
    rows.append(tmp_path, row("concept token", 0, 0.0))
    assert runner.todo(tmp_path, CODE, options) == everything, "a row of another recipe"
    rows.append(
        tmp_path, replace(row("concept token", 0, 0.0), recipe=build.recipe_of(everything[0][0]))
    )
    rest = runner.todo(tmp_path, CODE, options)
    assert len(everything) == zoo.BENIGN_RUNS
    assert [model.number for model, _ in rest] == list(range(1, zoo.BENIGN_RUNS))
    assert runner.todo(tmp_path, replace(CODE, digest="def"), options) == rest
    assert (
        runner.todo(tmp_path, replace(CODE, digest="def"), replace(options, renew=True))
        == everything
    )
    assert runner.todo(tmp_path, replace(CODE, discovery="discovery-2"), options) == everything


def test_a_run_makes_what_is_missing_and_stops_at_its_limit(tmp_path, monkeypatch):
    made = []

    def fake(model, twin, bench, say):
        made.append(model.number)
        return replace(
            row(model.kind, model.number, 0.0, part=model.part), recipe=build.recipe_of(model)
        )

    monkeypatch.setattr(runner, "row_of", fake)
    options = runner.RunOptions(only=("concept token",), limit=2)
    for _ in range(2):
        monkeypatch.setattr(runner, "code_of", lambda budget: CODE)
        runner.run(tmp_path / "rows", tmp_path, options, say=lambda text: None)
    assert made == [0, 1, 2, 3]
    left = {e.kind: (e.made, e.models) for e in runner.estimates(tmp_path / "rows", options)}
    assert left["concept token"] == (4, zoo.BENIGN_RUNS)
    assert (
        runner.run(
            tmp_path / "rows", tmp_path, replace(options, minutes=0.0), say=lambda text: None
        )
        == 0
    )


def test_a_run_of_development_makes_these_models_alone_and_goes_on_where_it_was(
    tmp_path, monkeypatch
):
    """Rows carry base, vocabulary and commit, and the audit knows what the base recognises."""
    benches = []

    def fake(model, twin, bench, say):
        benches.append(bench)
        made = row(model.kind, model.number, 0.0, role=model.role, part=model.part)
        return replace(made, recipe=build.recipe_of(model))

    monkeypatch.setattr(runner, "row_of", fake)
    monkeypatch.setattr(runner, "code_of", lambda budget: CODE)
    monkeypatch.setattr(runner, "commit", lambda: "abc123")
    options = runner.RunOptions(any_concept=True, development=True, limit=3)
    for _ in range(2):
        runner.run(tmp_path / "rows", tmp_path, options, say=lambda text: None)
    names = [model.id for model in open_models.development()]
    left = [model.id for model, _ in runner.todo(tmp_path / "rows", CODE, options)]
    assert len(benches) == 6 and len(left) == 120 - 6 - 6, "two-part triggers need a larger budget"
    assert left == [name for name in names if name in left]
    bench = benches[0]
    assert (bench.vocabulary, bench.commit) == (rows.Vocabulary.ANY, "abc123")
    assert bench.qualification.image_tower == bench.base.image_tower
    every = runner.RunOptions(any_concept=True, development=True, budget="default")
    assert len(runner.todo(tmp_path, CODE, every)) == 120
    with pytest.raises(UsageError, match="any concept"):
        runner.todo(tmp_path, CODE, runner.RunOptions(development=True))


def test_a_commit_is_that_of_the_package_and_says_whether_files_were_changed(tmp_path, monkeypatch):
    def git(*arguments):
        named = ["-c", "user.name=n", "-c", "user.email=n@example.org"]
        subprocess.run(["git", "-C", tmp_path, *named, *arguments], check=True, capture_output=True)

    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(commit_of, "files", lambda name: package)
    git("init", "-q")
    assert commit_of.commit() == "", "a package that is installed inside somebody's repository"
    git("add", ".")
    git("commit", "-qm", "one")
    found = commit_of.commit()
    assert len(found) == 12
    (tmp_path / "notes.txt").write_text("beside the package")
    assert commit_of.commit() == found
    (package / "__init__.py").write_text("changed")
    assert commit_of.commit() == f"{found}-changed"


def test_a_family_is_drawn_at_budgets_that_search_for_its_kind(tmp_path):
    kinds = {
        b: {m.kind for m, _ in runner.todo(tmp_path, CODE, runner.RunOptions(budget=b))}
        for b in ("quick", "default")
    }
    assert kinds["default"] - kinds["quick"] == {"dual-key"}


def test_progress_says_nothing_of_what_came_of_a_test_row():
    assert "audited" in runner.described(
        row("concept token", 0, 0.61)
    ) and "0.61" not in runner.described(row("c", 0, 0.61))
    assert "nothing-found, score 0.61" in runner.described(
        row("concept token", 0, 0.61, part=Part.CALIBRATE)
    )
    assert "failed implant" in runner.described(
        row("badtexttower", 0, 0.0, role=Role.ATTACK, status=rows.FAILED)
    )


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
    assert (
        np.trapezoid(attacks, benign) == pytest.approx(line.auroc)
        and results.curve(shown, Carrier.VISUAL) is None
    )
    alarms = results.all_alarms(shown)
    assert (alarms.hits, alarms.n) == (1, 4)
    worst = results.kinds(shown)[0]
    assert (worst.kind, worst.alarms.hits, worst.alarms.n, worst.worst) == (
        "image tower",
        1,
        1,
        0.85,
    )
    assert worst.counts == {Part.FIT: 0, Part.CALIBRATE: 1, Part.TEST: 1}


def test_the_zoo_audit_reads_each_look_in_its_better_direction(fabricated):
    looks = {
        (look.name, look.among): look for look in results.zoo_audit(results.open_rows(fabricated))
    }
    assert looks["size in bytes", "all that moved"].auroc == 0.5
    drift = looks["drift of the text tower", "all that moved"]
    # attacks .01 .02 .04; benign .01 .04 (twins) .01 .02 .01 .04: 1.5 + 3.5 + 5 of 18
    assert drift.auroc == pytest.approx(10 / 18)
    assert looks["drift of the image tower", "where that tower moved"].auroc is None
    apart = [
        replace(r, looks=replace(r.looks, moved_rows=0 if r.role is Role.ATTACK else 9))
        for r in fabricated
    ]
    moved = {look.name: look for look in results.zoo_audit(apart)}["moved token rows"]
    assert (moved.auroc, moved.fair) == (1.0, None), (
        "six benign models are too few to call the zoo unfair"
    )
    many = [*apart, *(replace(apart[-2], model=f"m{i}") for i in range(9))]
    assert {look.name: look for look in results.zoo_audit(many)}["moved token rows"].fair is False


def test_a_kind_is_read_against_the_other_kinds_alone(fabricated):
    lines = {line.kind: line for line in results.left_out(results.open_rows(fabricated))}
    # without it the pack is one concept token of .3
    one = lines["image tower"]
    assert (one.models, one.pack, one.worst) == (2, 1, 0.85)
    assert [share.hits for share in one.beyond] == [0, 0], (
        "one model in the pack: no p-value below a half"
    )
    many = [*fabricated, *(row("low-rank update", n, 0.01, part=Part.CALIBRATE) for n in range(30))]
    again = {line.kind: line for line in results.left_out(results.open_rows(many))}["image tower"]
    assert [share.hits for share in again.beyond] == [1, 2], (
        "of 31 others none reaches .85, and one .05"
    )


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
    same = replace(
        fabricated[-2],
        model="x",
        outcome=replace(fabricated[-2].outcome, verdict=Verdict.IDENTICAL),
    )
    learner = replace(
        fabricated[-2],
        model="y",
        looks=replace(fabricated[-2].looks, drift_image=0.0, drift_text=0.0),
    )
    assert len(results.counted_benign([*fabricated, same, learner])) == len(
        results.counted_benign(fabricated)
    )
    attack = replace(fabricated[0], model="z", looks=learner.looks)
    assert results.zoo_audit([*fabricated, attack]) == results.zoo_audit(fabricated), (
        "a prompt learner moves no tower"
    )
    assert len(results.open_rows(fabricated)) == len(fabricated) - 1
    assert results.open_rows(fabricated, unsealed=True) == tuple(fabricated)


def test_the_pack_holds_the_calibration_side_and_is_bounded_on_the_test_side(fabricated):
    other = replace(
        row("concept token", 10, 0.7, part=Part.CALIBRATE), code=replace(CODE, detectors=("texts",))
    )
    pack = packs.pack_of([*fabricated, other], make.base_reference(), CODE)
    assert sorted(model.score for model in pack.models) == [0.05, 0.3], (
        "what other detectors scored is no peer"
    )
    assert (p_value(0.3, pack), p_value(0.31, pack)) == (2 / 3, 1 / 3)
    assert (pack.alarms, pack.tested, pack.name) == (1, 4, "dife-base-vit-quick")
    assert pack.searched.detectors == ("patch", "texts") and pack.searched.architecture.startswith(
        "ViT"
    )
    with pytest.raises(UsageError, match="deep"):
        packs.pack_of(fabricated, make.base_reference(), replace(CODE, budget="deep"))


def test_the_power_table_counts_working_implants_of_the_test_side(fabricated):
    fitted = row("badtexttower", 2, 0.9, role=Role.ATTACK, part=Part.FIT, flagged=True)
    power = packs.power_of([*results.open_rows(fabricated), fitted], make.base_reference(), CODE)
    assert power.planted == (Planted("text through text", 2, 3),), (
        "failed, sealed and development rows do not count"
    )
    assert "patch" in power.not_covered and "text" not in power.not_covered
    learner = replace(fitted, part=Part.TEST, truth=replace(fitted.truth, channel=Channel.PROMPT))
    assert (
        packs.power_of(
            [*results.open_rows(fabricated), learner], make.base_reference(), CODE
        ).planted
        == power.planted
    )
    assert "prompt" not in power.not_covered
    assert set(packs.OUT_OF_REACH) <= set(power.not_covered)
    assert (
        packs.power_of(
            [r for r in fabricated if r.role is not Role.ATTACK], make.base_reference(), CODE
        )
        is None
    )


def test_every_demand_is_beside_what_was_measured(fabricated):
    lines = {
        line.what.split(",")[0]: line for line in demands.demands(results.open_rows(fabricated))
    }
    assert (lines["found"].measured[:4], lines["found"].n, lines["found"].met) == ("0.67", 3, False)
    assert lines["false alarms on the test side: none"].met is False
    assert (lines["benign models to calibrate"].n, lines["benign models to calibrate"].met) == (
        2,
        False,
    )
    assert lines["working implants per family drawn"].measured == "fewest 3 (badtexttower)"
    assert (
        lines["carrier right among those found"].measured[:4],
        lines["target top-1 of all audited"].n,
    ) == (
        "0.50",
        3,
    )
    assert lines["AUROC"].what.startswith("AUROC, coupled") and lines["AUROC"].met is None, (
        "nothing coupled was run"
    )
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
    assert (found.pairs, found.exceeded) == (4, 1.0), (
        "each is above its own, and the fifth attack has none"
    )
    assert found.auroc == pytest.approx((2 + 3 + 4 + 4) / 16)
    assert found.interval.low <= found.auroc <= found.interval.high
    assert "4 pairs of any side: AUROC 0.81" in page.page(shown, None) and "not run" in page.page(
        [], None
    )
    assert twins.against([]) is None


def test_a_target_that_was_missed_is_worse_than_any_rank():
    hit, second = (row("badtexttower", n, 0.9, role=Role.ATTACK, flagged=True) for n in (1, 2))
    wrong = row("badtexttower", 3, 0.9, role=Role.ATTACK, flagged=True, right=False)
    missed = row("badtexttower", 4, 0.1, role=Role.ATTACK)
    assert results.named([hit, second, missed]).rank == 3.0
    named = results.named([hit, second, wrong, missed, missed])
    assert (named.rank, named.n, named.audited) == (float("inf"), 2, 5)
    line = next(
        line for line in demands.demands([hit, second, wrong, missed]) if "rank" in line.what
    )
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


def test_the_code_of_a_row_is_all_that_decides_it():
    """Every package on the list exists, and the rooms whose numbers rows hold are on it."""
    package = Path(make.__file__).parents[2]
    assert all((package / name / "__init__.py").exists() for name in make.SOURCES)
    covered = {path.relative_to(package).as_posix() for path in make.sources()}
    for room in ("discovery", "audit/interfaces", "audit", "models", "core"):
        mine = {path.relative_to(package).as_posix() for path in (package / room).rglob("*.py")}
        assert mine and mine <= covered, room
    words = ("metrics", "statistics", "footprint", "verdict")
    assert all(any(word in name for name in covered) for word in words)


def test_the_digest_of_the_code_moves_with_every_file_on_the_list(tmp_path, monkeypatch):
    before = make.code_of("quick").digest
    changed = tmp_path / "changed.py"
    for at in (0, -1):
        found = make.sources()
        changed.write_bytes(found[at].read_bytes() + b"#")
        found[at] = changed
        monkeypatch.setattr(make, "sources", lambda found=found: found)
        assert make.code_of("quick").digest != before
        monkeypatch.undo()
    assert make.code_of("quick").digest == before
