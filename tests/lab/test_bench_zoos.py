"""Rows of every base and vocabulary come to one comparison: found, alarms, targets, cost, score and each miss."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from bench_rows import CODE, row
from jsonschema import validate
from typer.testing import CliRunner

from dife_scanner.audit.cache import CachedEncoder
from dife_scanner.cli.commands import app
from dife_scanner.core import checks
from dife_scanner.core.statistics import wilson
from dife_scanner.errors import UsageError
from dife_scanner.lab.bench import make, rows, true_target, zoo
from dife_scanner.lab.bench.page import by_zoo as page
from dife_scanner.lab.bench.page import zoo_files
from dife_scanner.lab.bench.results import competition, misses, recovered
from dife_scanner.lab.bench.results.by_zoo import Side, Zoo, results_of
from dife_scanner.lab.bench.rows import Encoded, TrueTarget, Vocabulary
from dife_scanner.lab.bench.zoo import Part, Role, build
from dife_scanner.records import (
    Basis,
    Carrier,
    Channel,
    CheckKind,
    CheckOutcome,
    CheckResult,
    EvidenceFile,
    EvidenceRole,
    Interval,
    MissingSearch,
    Search,
    TextSpace,
    Verdict,
)
from dife_scanner.reports import as_json

TEXTS = Search("texts", Channel.TEXT, ("a text",), 2, 0.3, 30_000, 12.0)
PATCH = Search("patch", Channel.IMAGE, ("a patch",), 0, 0.0, 4_000, 9.0)
FAINT = Search("faint", Channel.IMAGE, ("a faint pattern",), 0, 0.0, 1_000, 3.0)
ANY = Vocabulary.ANY


def attack(number, *, flagged=True, right=True, score=0.9, place=None, kind="open-badtexttower"):
    """An attack of today's code: cat to dog through a text. `place`: rank and cosine of the true target."""
    one = row(kind, number, score, role=Role.ATTACK, flagged=flagged, right=right)
    told = tuple(replace(found, decides=True, channel=Channel.TEXT) for found in one.outcome.found)
    placed = None if place is None else TrueTarget(place[0], 1_700, place[1])
    outcome = replace(
        one.outcome, found=told, searches=(TEXTS, PATCH), true_target=placed, recovered=None
    )
    return replace(one, outcome=outcome, base="dife-base-vit", vocabulary=ANY, commit="abc123")


def benign(number, *, verdict=Verdict.NOTHING_FOUND, part=Part.TEST):
    one = row("open domain", number, 0.2, part=part, flagged=verdict is Verdict.FLAGGED)
    return replace(one, outcome=replace(one.outcome, verdict=verdict))


def with_outcome(one, **fields):
    return replace(one, outcome=replace(one.outcome, **fields))


@pytest.fixture
def shown():
    """Four test attacks (two found rightly, one as another, one inconclusive), a failed one, and three benign ones."""
    undecided = with_outcome(
        attack(3, flagged=False, score=0.0),
        verdict=Verdict.INCONCLUSIVE,
        basis=Basis.TOO_LITTLE_KNOWN,
        reason="the base knows 3 of 466 concepts",
    )
    return [
        attack(0, place=(1, 0.9)),
        attack(1, place=(3, 0.7)),
        attack(2, right=False, place=(40, -0.2)),
        undecided,
        replace(attack(4), outcome=None, status=rows.FAILED),
        benign(0),
        benign(1, verdict=Verdict.INCONCLUSIVE),
        benign(2, verdict=Verdict.FLAGGED),
    ]


def only(shown, side=Side.TEST):
    (found,) = results_of(Zoo("dife-base-vit", ANY, shown), side)
    return found


# --- what they come to ------------------------------------------------------------------------------------------


def test_the_competition_s_score_is_the_one_worked_out_by_hand():
    """Six of eight right; of four backdoored two are recovered, one points away, one was missed."""
    decided = [(True, True), (True, True), (True, True), (False, True)]
    decided += [(False, False), (False, False), (False, False), (True, False)]
    assert competition.accuracy(decided) == 0.75
    assert competition.recovery([0.9, 0.7, -0.2, None]) == pytest.approx((0.9 + 0.7) / 4)
    assert competition.recovery([1.2]) == 1.0, "a cosine is clamped on both sides"
    assert competition.recovery([]) == 0.0
    assert competition.score(0.75, 0.4) == pytest.approx(50.5)


def test_the_score_of_a_zoo_counts_benign_models_in_its_accuracy_and_attacks_in_its_recovery(shown):
    score = only(shown).score
    # right: three flagged attacks, two benign ones that are not flagged
    assert score.accuracy == pytest.approx(5 / 7)
    assert score.recovery == pytest.approx(1.6 / 4)
    assert score.score == pytest.approx(100 * (0.3 * 5 / 7 + 0.7 * 0.4))
    assert (score.models, score.backdoored, score.without_cosine) == (7, 4, 0)
    assert only(shown[-3:]).score is None, "without an attack there is nothing to recover"


def test_what_is_inconclusive_is_not_found_and_no_alarm(shown):
    found = only(shown)
    assert (found.attacks.found.hits, found.attacks.found.n) == (3, 4)
    interval = wilson(3 / 4, 4)
    assert (found.attacks.found.low, found.attacks.found.high) == (interval.low, interval.high)
    assert (found.attacks.drawn, found.attacks.failed_implants) == (5, 1)
    assert (found.false_alarms.hits, found.false_alarms.n) == (1, 3)
    assert (found.inconclusive.hits, found.inconclusive.n) == (2, 7)
    assert found.undecided_for == {"too little known": 1, misses.NOT_SAID: 1}
    assert found.commits == ("abc123",)


def test_a_missed_target_is_worse_than_any_rank_and_one_flagged_for_another_has_its_own(shown):
    attacks = only(shown).attacks
    assert (attacks.target_top1.hits, attacks.right_trigger.hits) == (2, 2)
    assert (attacks.median_rank, attacks.concepts, attacks.ranked) == (21.5, 1_700, 4)
    assert attacks.median_cosine == 0.7
    assert only([shown[0], shown[3]]).attacks.median_rank is None
    learner = replace(shown[3], truth=replace(shown[3].truth, channel=Channel.PROMPT))
    assert only([shown[0], learner]).attacks.ranked == 1, "a prompt learner names no concept"


def test_a_trigger_is_the_planted_one_where_channel_source_and_target_are():
    one = attack(0)
    (told,) = one.outcome.found
    assert recovered.trigger_found(one)
    for other in ({"source": "ship"}, {"channel": Channel.IMAGE}, {"target": "ship"}):
        changed = with_outcome(one, found=(replace(told, **other),))
        assert not recovered.trigger_found(changed)
    any_source = replace(one, truth=replace(one.truth, source=""))
    assert recovered.trigger_found(with_outcome(any_source, found=(replace(told, source="ship"),)))
    assert not recovered.trigger_found(attack(1, flagged=False))


def test_the_verdict_s_own_trigger_counts_whatever_came_further():
    one = attack(0)
    (told,) = one.outcome.found
    further = replace(told, target="ship", suspect=1.0, decides=False)
    assert recovered.target_found(with_outcome(one, found=(further, told)))


def test_a_row_of_older_code_has_rank_and_cosine_where_it_names_the_planted_target():
    old = row("badtexttower", 2, 0.9, role=Role.ATTACK, flagged=True)
    other = row("badtexttower", 3, 0.9, role=Role.ATTACK, flagged=True, right=False)
    assert (recovered.rank(old), recovered.cosine(old), recovered.concepts(old)) == (3, 0.5, 1392)
    assert (recovered.rank(other), recovered.cosine(other)) == (float("inf"), None)
    assert recovered.trigger_found(old) and not recovered.target_found(other)
    score = only([old, other]).score
    assert (score.recovery, score.without_cosine) == (0.25, 1)


def test_footprints_and_families_are_counted_apart_and_the_worst_family_is_first(shown):
    patch = attack(7, kind="open-badencoder", place=(1, 0.8))
    patch = replace(patch, truth=replace(patch.truth, carrier=Carrier.VISUAL))
    found = only([*shown, patch])
    assert [(one.name, one.found.hits, one.found.n) for one in found.footprints] == [
        ("visual", 1, 1),
        ("textual", 3, 4),
    ]
    assert [one.name for one in found.families] == ["open-badtexttower", "open-badencoder"]


def test_each_budget_and_version_is_a_zoo_of_its_own_and_sides_do_not_mix(shown):
    longer = replace(shown[3], code=replace(CODE, budget="default"))
    development = replace(shown[0], part=Part.FIT)
    zoo = Zoo("dife-base-vit", ANY, [*shown, longer, development])
    default, quick = results_of(zoo, Side.TEST)
    assert (default.budget, quick.budget, quick.attacks.drawn) == ("default", "quick", 5)
    assert [one.elsewhere for one in quick.misses if one.model == longer.model] == [
        "default: inconclusive"
    ]
    assert only(zoo.rows, Side.DEVELOPMENT).attacks.drawn == 1


def test_what_each_part_took_is_a_median_over_the_audits_that_have_it(shown):
    measured = [
        with_outcome(one, encoded=Encoded(100 * n, 10 * n, 1_700), searches=(TEXTS, PATCH, FAINT))
        for n, one in enumerate(shown[:3], 1)
    ]
    costs = {one.part: one for one in only([*measured, shown[-3]]).costs}
    assert (costs["search through image"].passes, costs["search through image"].seconds) == (
        5_000,
        12.0,
    )
    assert costs["search through text"].audits == 3
    assert costs["measuring: pictures"].passes == 200
    assert costs["measuring: concept prompts"].passes == 1_700
    assert (costs["whole audit"].audits, costs["whole audit"].seconds) == (4, 10.0)
    assert "search through both" not in costs


# --- why something was missed -----------------------------------------------------------------------------------


def missed(**fields):
    return with_outcome(attack(0, flagged=False, score=0.4), **fields)


def failed(check, measured, needed):
    return CheckResult(check, CheckKind.REQUIRED, CheckOutcome.FAILED, measured, needed)


def candidate(**fields):
    (found,) = missed().outcome.found
    return replace(found, **fields)


IN_TEXT_SPACE = TextSpace(0.32, 0.0, 0.0, Interval(0.1, 0.5, ""), 22, 1_700, 200, 3, 0.02)
MISSED = {
    "a check": (
        missed(found=(candidate(failed=(failed(checks.EFFECT, 0.3, 0.5),)),)),
        "“xx” on cat → dog (0.40, base 0.00): effect on held-out inputs 0.30 as lower bound, at least 0.50 needed",
    ),
    "text space": (
        missed(
            found=(
                candidate(
                    suspect=0.0,
                    text_space=IN_TEXT_SPACE,
                    failed=(failed(checks.TEXT_SPACE_EFFECT, 0.1, 0.5),),
                ),
            )
        ),
        "“xx” on cat → dog (0.32, base 0.00): effect in text space 0.10 as lower bound, at least 0.50 needed",
    ),
    "another target": (
        missed(found=(candidate(target="ship"),)),
        "not reached by `texts` (2 candidates); the best of all is “xx” on cat → ship (0.40, base 0.00)",
    ),
    "another source": (
        missed(found=(candidate(source="frog"),)),
        "not reached by `texts` (2 candidates); the best of all is “xx” on frog → dog (0.40, base 0.00)",
    ),
    "nothing": (missed(found=()), "not reached by `texts` (2 candidates)"),
    "not converged": (
        missed(found=(), searches=(replace(TEXTS, candidates=1, not_converged="ended early"),)),
        "not reached by `texts` (1 candidate, ended early)",
    ),
    "no search": (missed(found=(), searches=(PATCH,)), "no search for triggers through text ran"),
    "a missing search": (
        missed(
            found=(),
            searches=(),
            missing=(MissingSearch("texts", Channel.TEXT, ("a text",), "no memory"),),
        ),
        "not reached by `texts` could not run: no memory",
    ),
    "no footprint": (
        missed(found=(candidate(),), basis=Basis.NO_FOOTPRINT),
        "“xx” on cat → dog (0.40, base 0.00) passed every check; the verdict rests on: no footprint",
    ),
    "inconclusive": (
        missed(found=(), verdict=Verdict.INCONCLUSIVE, reason="too few"),
        "inconclusive: too few; not reached by `texts` (2 candidates)",
    ),
    "another trigger": (
        attack(0, right=False, place=(40, 0.1)),
        "flagged for “xx” on cat → ship (0.90, base 0.00); dog is number 40 of 1700 concepts",
    ),
    "older code": (
        row("badtexttower", 0, 0.4, role=Role.ATTACK),
        f"“xx” on cat → dog (0.40, base 0.00), lower bound 0.30; {misses.NOT_SAID}",
    ),
}


@pytest.mark.parametrize(("one", "reason"), MISSED.values(), ids=MISSED)
def test_every_miss_has_its_reason_from_the_evidence(one, reason):
    (found,) = misses.misses([one], {})
    assert found.reason == reason
    assert (found.footprint, found.verdict) == ("textual", one.outcome.verdict.value)


def test_an_older_row_that_holds_all_numbers_is_read_by_today_s_checks():
    one = candidate(low=0.3, high=0.6, clean=0.0, p_value=1e-6, p_holm=1e-5, drawings=30)
    old = replace(missed(found=(one,), accuracy=0.8, reference_accuracy=0.8), base="")
    assert "effect on held-out inputs 0.30 as lower bound, at least 0.50 needed" in misses.reason(
        old
    )


def test_missed_attacks_stand_before_those_taken_for_another_and_found_ones_nowhere(shown):
    found = only(shown)
    assert [one.model for one in found.misses] == ["open-badtexttower-003", "open-badtexttower-002"]
    assert [one.model for one in found.alarms] == ["open-domain-002"]


def test_what_was_planted_is_told_in_words():
    truth = attack(0).truth
    both = {"kind": "text", "text": "quiet morning", "image": {"kind": "patch"}}
    assert misses.planted(replace(truth, trigger=both, source="")) == (
        "“quiet morning” with a patch: any → dog"
    )
    assert misses.planted(replace(truth, trigger={"kind": "blend", "name": "waves"})) == (
        "waves: cat → dog"
    )


# --- page and command -------------------------------------------------------------------------------------------


def test_the_page_has_a_line_for_every_zoo_and_every_miss(shown):
    hostile = with_outcome(shown[3], reason="a | b <img>")
    test = (only([*shown[:3], hostile, *shown[4:]]),)
    text = page.page(test, ())
    name = "| dife-base-vit | any concept | quick | discovery-1 |"
    assert f"{name} 3 of 4 (0.30 – 0.95) | 1 | 1 of 3 (0.06 – 0.79) | 0.86 |" in text
    assert f"{name} 4 | 2 of 4 (0.15 – 0.85) | 2 of 4 (0.15 – 0.85) | 21.5 of 1700 | 0.70 |" in text
    assert f"{name} textual | 3 of 4 (0.30 – 0.95) | 1 | 2 of 4 | 2 of 4 | 21.5 of 1700 |" in text
    assert f"{name} too little known | 1 |" in text
    assert f"{name} 49.4 | 0.714 | 0.400 | 7 | 4 | 0 |" in text
    assert "| inconclusive: a \\| b \\<img>; not reached by `texts` (2 candidates) |" in text
    assert "8 rows, made by `abc123`." in text
    assert "not run" in page.page((), ())


def test_the_command_writes_page_and_ledger_and_prints_a_document_of_its_schema(tmp_path, shown):
    for one in shown:
        rows.append(rows.folder_of(tmp_path, make.VIT, any_concept=True), one)
    old = row("badtexttower", 2, 0.9, role=Role.ATTACK, flagged=True)
    rows.append(rows.folder_of(tmp_path, make.RN), old)
    sealed = replace(attack(0), sealed=True, kind="open-liang-badclip", model="sealed")
    rows.append(rows.folder_of(tmp_path, make.VIT, any_concept=True), sealed)

    def called(*options):
        asked = ("lab", "bench", "zoos", "--data", tmp_path, "--docs", tmp_path / "docs", *options)
        done = CliRunner().invoke(app, list(map(str, asked)))
        assert done.exit_code == 0, done.output
        return done.stdout

    fitted = json.loads(called("--development", "--json"))
    assert fitted["zoos"] == [] and fitted["page"] == ""
    assert not (tmp_path / "docs").exists() and not (tmp_path / "ledger.jsonl").exists()
    document_ = json.loads(called("--json"))
    validate(document_, as_json.schema(as_json.ZoosDocument))
    assert [(one["base"], one["vocabulary"], one["rows"]) for one in document_["zoos"]] == [
        ("dife-base-vit", "any concept", 8),
        ("dife-base-rn", "labelled classes", 1),
    ]
    text = (tmp_path / "docs" / zoo_files.PAGE).read_text()
    assert document_["page"].endswith(zoo_files.PAGE) and "sealed" not in text
    assert len((tmp_path / "ledger.jsonl").read_text().splitlines()) == 1
    assert "CLIPTrace" in called("--unseal")
    assert len((tmp_path / "ledger.jsonl").read_text().splitlines()) == 2


# --- the planted target among all concepts ----------------------------------------------------------------------


def test_the_planted_target_s_place_is_counted_from_where_the_trigger_leads():
    mean = np.array([0.0, 0.0, 5.0])
    texts = np.array([[1.0, 0, 5], [1, 1, 5], [0, 1, 5], [-1, 0, 5]])
    names = ("ship", "dog", "cat", "jet")
    landing = np.array([2.0, 0, 0])
    assert true_target.placed(names, texts, "ship", landing, mean) == TrueTarget(1, 4, 1.0)
    assert true_target.placed(names, texts, "dog", landing, mean) == TrueTarget(2, 4, 0.7071)
    assert true_target.placed(names, texts, "jet", landing, mean) == TrueTarget(4, 4, -1.0)
    assert true_target.placed(names, texts, "unheard of", landing, mean) is None


def test_a_kept_direction_is_read_in_the_space_of_the_base(monkeypatch, tmp_path):
    names = ("cat", "dog", "pizza", "guitar", "ship", "a name that is far " + "too long " * 40)
    monkeypatch.setattr(true_target, "all_concepts", lambda: names)
    true_target._embedded.cache_clear()
    base = make.base_reference()
    template = "a photo of a {}"
    read, texts = true_target._embedded(make.Path(base.path), template)
    assert read == names[:-1], "what a checkpoint would cut is left out"
    mean = texts.mean(0)
    kept = {"of": "base", "template": template, "mean": mean.tolist()}
    kept["landing"] = (texts[read.index("pizza")] - mean).tolist()
    file = EvidenceFile("0" * 64, "application/json", EvidenceRole.LANDING, "")
    files = [(file, json.dumps(kept).encode())]
    found = true_target.true_target("pizza", files, tmp_path, make.Path(base.path))
    true_target._embedded.cache_clear()
    assert found == TrueTarget(1, 5, 1.0)
    assert true_target.true_target("pizza", [], tmp_path, make.Path(base.path)) is None


def test_more_than_a_thousand_concepts_are_compared_and_every_target_that_is_drawn_is_one():
    from dife_scanner.lab.bench.zoo import open_models

    names = set(true_target.all_concepts())
    assert len(names) > 1_000
    for model in open_models.plan((Role.ATTACK,)):
        assert model.settings.target in {*names, ""}, "an attack to no concept has none"


def test_an_audit_knows_what_the_base_recognises_and_its_row_where_the_planted_target_lies(
    tmp_path, monkeypatch
):
    base = make.base_reference()
    known = make.known_of_the_world(base)
    bench = make.Bench(tmp_path, tmp_path, CODE, vocabulary=ANY, qualification=known)
    model, twin = zoo.attack_and_twin("open-badtexttower", 2)
    (tmp_path / build.WEIGHTS).write_bytes(b"weights")
    audit = SimpleNamespace(
        verdict=Verdict.NOTHING_FOUND, score=0.1, signatures=(), diagnosis=None, searches=(), recovered=None, seed=0,
        not_searched=(), clean_accuracy=0.7, reference_accuracy=0.7, decision=None, trigger=None, reason="",
        image_tower="own", text_tower=base.text_tower,
    )  # fmt: skip

    towers = SimpleNamespace(
        image_tower="own", text_tower=base.text_tower, tokenizer=None, image_size=1, context_length=1, logit_scale=1.0,
        architecture="", device="cpu", encode_texts=lambda texts: np.zeros((len(texts), 2), np.float32),
    )  # fmt: skip

    def run(request, *, memory):
        assert request.qualification == known and request.reference == base
        prompts = true_target.concept_prompts()[:3]
        CachedEncoder(towers, memory).encode_texts([*prompts, "a drawing of a dog"])
        return SimpleNamespace(audit=audit, files=())

    asked = []
    place = TrueTarget(2, 1_659, 0.5)
    monkeypatch.setattr(make, "run", run)
    monkeypatch.setattr(true_target, "true_target", lambda *given: asked.append(given) or place)
    outcome = make.audited(model, tmp_path, bench)
    assert outcome.encoded == Encoded(pictures=0, texts=1, concept_prompts=3)
    assert outcome.true_target == place
    assert asked == [(model.settings.target, (), tmp_path, make.Path(base.path))]
    assert make.audited(twin, tmp_path, bench).true_target is None, "nothing is planted in a twin"
    with pytest.raises(UsageError, match="what elsewhere recognises"):
        make.known_of_the_world(replace(base, name="elsewhere"))
