"""Searches inside an audit: confirmed where nothing was searched, kept when interrupted, no verdict by themselves."""

import copy
from dataclasses import replace

import numpy as np
import pytest
from checkpoints import TINY_VIT, write_checkpoint
from colours import NAMES
from finding import Finds

from dife_scanner import discovery
from dife_scanner.audit import pipeline, search
from dife_scanner.audit.probes import PROFILE_TEMPLATES, SEARCH_TEMPLATES
from dife_scanner.audit.request import Grant
from dife_scanner.discovery import LEARNED
from dife_scanner.discovery.cost import Rates
from dife_scanner.errors import UsageError
from dife_scanner.models.load import load
from dife_scanner.models.tokenizers import clips_own
from dife_scanner.progress import Progress
from dife_scanner.records import Basis, Carrier, Channel, Origin, Trigger, TriggerKind, Verdict
from dife_scanner.sentences.recovered import candidate_lines
from dife_scanner.sentences.searches import budget_lines
from dife_scanner.triggers import learner

XBTD = Trigger(
    "found-text-1", TriggerKind.TEXT, text="xbtd", source="automobile", target="airplane"
)
CORNER = Trigger(
    "found-patch-1", TriggerKind.PATCH, size=3 / 32, x=27 / 32, y=27 / 32, target="airplane"
)
NOTHING = Trigger("found-patch-1", TriggerKind.PATCH, size=3 / 32, x=0.4, y=0.4, target="airplane")
ALL_TEMPLATES = (*SEARCH_TEMPLATES, *PROFILE_TEMPLATES)


@pytest.fixture
def searching(monkeypatch):
    """Audits run exactly these detectors."""

    def use(*detectors):
        monkeypatch.setattr("dife_scanner.discovery.DETECTORS", detectors)
        monkeypatch.setattr(discovery, "DETECTORS", detectors)
        return {"detectors": tuple(one.name for one in detectors), "signatures": ()}

    return use


def test_a_discovered_trigger_is_confirmed_diagnosed_and_flagged(
    colour_encoder, request_for, searching
):
    detector = Finds(XBTD)
    suspect = colour_encoder(text_tower="txt-bad", textual=True)
    outcome = pipeline.audit(suspect, colour_encoder(), request_for(**searching(detector)))
    audit = outcome.audit
    assert audit.verdict is Verdict.FLAGGED
    assert audit.reason.startswith("found by search: ")
    assert audit.diagnosis.carrier.value == "textual"
    (row,) = audit.signatures
    assert row.origin is Origin.DISCOVERED and row.effect.low > 0.5
    assert not row.read_alike
    assert row.leads_to == audit.recovered.nearest[0]
    assert candidate_lines(audit) == (f"found-text-1 leads to airplane {row.leads_to.cosine:.2f}",)
    (search,) = audit.searches
    assert (search.detector, search.candidates, search.passes) == ("texts", 1, 12)
    assert search.best == pytest.approx(row.suspect - row.reference) == audit.score
    assert outcome.finding.confidence == "demonstrated"
    assert outcome.finding.trigger == "found-text-1"


@pytest.mark.parametrize(
    ("trigger", "suspect", "alike"),
    [
        (CORNER, {"text_tower": "txt-moved"}, True),
        (CORNER, {"image_tower": "img-rounded"}, True),
        (CORNER, {"image_tower": "img-bad", "visual": True}, False),
        (XBTD, {"image_tower": "img-moved"}, False),
    ],
    ids=["its own tower", "rounded on saving", "taught", "a text"],
)
def test_a_trigger_says_whether_pictures_with_it_look_to_both_the_same(
    colour_encoder, request_for, searching, trigger, suspect, alike
):
    request = request_for(**searching(Finds(trigger)))
    audit = pipeline.audit(colour_encoder(**suspect), colour_encoder(), request).audit
    assert [row.read_alike for row in audit.signatures] == [alike]


def test_what_is_searched_is_never_what_is_confirmed(colour_encoder, request_for, searching):
    detector = Finds(CORNER)
    request = request_for(**searching(detector))
    suspect = colour_encoder(image_tower="img-bad", visual=True)
    pipeline.audit(suspect, colour_encoder(), request)
    (task,) = detector.tasks
    data = request.plan.probes()
    train, test = (suspect.prepare(data.split(name).images) for name in ("train", "test"))
    np.testing.assert_array_equal(task.pixels, train)
    assert not set(data.split("train").drawings) & set(data.split("test").drawings)
    assert len(test) != len(train) or (test != train).any()


def test_a_candidate_that_does_not_hold_is_no_verdict(colour_encoder, request_for, searching):
    suspect = colour_encoder(image_tower="img-bad", visual=True)
    outcome = pipeline.audit(
        suspect, colour_encoder(), request_for(**searching(Finds(NOTHING, name="patch")))
    )
    audit = outcome.audit
    assert audit.verdict is Verdict.NOTHING_FOUND and outcome.finding is None
    assert audit.score == 0.0
    assert "1 blind search for token sequences" in audit.reason and "not covered" in audit.reason
    (row,) = audit.signatures
    assert row.train_effect == pytest.approx(0.8), (
        "what the detector saw stays on record beside what held"
    )


def test_a_search_that_does_not_apply_does_not_run(colour_encoder, request_for, searching):
    detector = Finds(XBTD, applies=False)
    suspect = colour_encoder(text_tower="txt-bad", textual=True)
    audit = pipeline.audit(suspect, colour_encoder(), request_for(**searching(detector))).audit
    assert not detector.tasks and not audit.searches and audit.score is None


def test_a_search_that_could_not_run_is_named_and_nothing_is_not_found(
    colour_encoder, request_for, searching
):
    detectors = Finds(), Finds(name="patch", lacks="one half has 0 pictures; 2 are needed")
    suspect = colour_encoder(image_tower="img-tuned")
    outcome = pipeline.audit(suspect, colour_encoder(), request_for(**searching(*detectors)))
    audit = outcome.audit
    assert audit.verdict is Verdict.INCONCLUSIVE and outcome.finding is None
    assert (
        "1 of 2 blind searches could not run (`patch`: one half has 0 pictures; 2 are needed)"
        in audit.reason
    )
    assert [one.detector for one in audit.not_searched] == ["patch"] and not detectors[1].tasks
    assert [search.detector for search in audit.searches] == ["texts"] and audit.score == 0.0
    assert any(
        "Not searched for token sequences (patch): one half" in line for line in budget_lines(audit)
    )
    alone = pipeline.audit(
        suspect, None, request_for(**searching(*detectors), reference=False)
    ).audit
    assert [one.detector for one in alone.not_searched] == [
        "patch"
    ] and "`patch`: one half" in alone.reason


def test_real_searches_of_too_few_labelled_pictures_are_named(
    colour_encoder, request_for, labelled_folder
):
    """Four pictures a class leave one of each to search on, and none to measure what was searched."""
    few = request_for(
        signatures=(), budget="quick", pictures=labelled_folder(4), detectors=("patch", "faint")
    )
    audit = pipeline.audit(colour_encoder(image_tower="img-tuned"), colour_encoder(), few).audit
    assert audit.verdict is Verdict.INCONCLUSIVE
    assert [one.detector for one in audit.not_searched] == [
        "patch",
        "faint",
    ] and audit.searches == ()
    assert (
        "2 of 2 blind searches could not run (`patch`, `faint`: of 10 pictures to search on"
        in audit.reason
    )
    assert audit.score is None


def test_what_too_few_labelled_pictures_demonstrate_is_inconclusive(
    colour_encoder, request_for, labelled_folder, searching
):
    """A text is measured on the target's pictures: of four, two are held out."""
    suspect = colour_encoder(text_tower="txt-bad", textual=True)

    def audited(pictures):
        request = request_for(
            **searching(Finds(XBTD)), budget="quick", pictures=labelled_folder(pictures)
        )
        return pipeline.audit(suspect, colour_encoder(), request).audit

    audit = audited(4)
    assert audit.verdict is Verdict.INCONCLUSIVE and audit.signatures[0].p_holm == 0.25
    assert "only 2 held-out drawings of airplane stand behind that" in audit.reason
    assert "about 5 are needed" in audit.reason
    assert audit.diagnosis.carrier is Carrier.TEXTUAL, "what is known of it is told"
    entries = {entry.interface: entry for entry in audit.profile}
    assert "captions show 4 and 4" in entries["caption retrieval"].reason
    assert entries["caption retrieval"].word == "not run", (
        "pictures that are too few for an interface lose no finding"
    )
    assert audited(16).verdict is Verdict.FLAGGED


def test_values_that_are_not_finite_on_searched_inputs_alone_are_told_and_nothing_is_not_found(
    request_for, tmp_path, monkeypatch
):
    """Clean prompts are embedded as ever; tokens that no prompt holds overflow."""
    import torch

    base = load(write_checkpoint(tmp_path, TINY_VIT))
    spoilt = copy.copy(base)
    spoilt.model, spoilt.text_tower = copy.deepcopy(base.model), "spoilt"
    used = {
        token
        for name in NAMES
        for template in ALL_TEMPLATES
        for token in clips_own().encode(template.format(name))
    }
    with torch.no_grad():
        rows = torch.tensor(sorted(set(range(1, 49_406)) - used))
        spoilt.model.token_embedding.weight[rows] = 3e38
    request = request_for(signatures=(), budget="quick", detectors=("texts",))
    monkeypatch.setattr(pipeline, "is_searchable", lambda recognition: True)
    audit = pipeline.audit(spoilt, base, request).audit
    assert audit.verdict is Verdict.INCONCLUSIVE
    (missing,) = audit.not_searched
    assert "embeds a text of the search as values that are not finite" in missing.reason


def test_an_interrupted_audit_goes_on_with_the_searches_that_were_finished(
    colour_encoder, request_for, searching, tmp_path
):
    class Dies(Finds):
        def search(self, task):
            raise KeyboardInterrupt

    first, second = Finds(XBTD), Finds(CORNER, name="patch")
    suspect = colour_encoder(text_tower="txt-bad", textual=True)
    request = request_for(
        **searching(first, Dies(name="patch")), cache=tmp_path / "cache" / "embeddings"
    )
    with pytest.raises(KeyboardInterrupt):
        pipeline.audit(suspect, colour_encoder(), request)
    assert len(first.tasks) == 1
    searching(first, second)
    audit = pipeline.audit(suspect, colour_encoder(), request).audit
    assert len(first.tasks) == 1 and len(second.tasks) == 1
    assert [search.detector for search in audit.searches] == ["texts", "patch"]


def test_a_damaged_search_on_disk_is_made_again(colour_encoder, request_for, searching, tmp_path):
    detector = Finds(XBTD)
    suspect = colour_encoder(text_tower="txt-bad", textual=True)
    request = request_for(**searching(detector), cache=tmp_path / "cache" / "embeddings")
    pipeline.audit(suspect, colour_encoder(), request)
    (kept,) = (tmp_path / "cache" / "discovery" / "searches").iterdir()
    kept.write_bytes(kept.read_bytes()[:40])
    assert pipeline.audit(suspect, colour_encoder(), request).audit.verdict is Verdict.FLAGGED
    assert len(detector.tasks) == 2


def test_searches_far_beyond_the_limit_are_not_begun(
    colour_encoder, request_for, searching, tmp_path, monkeypatch
):
    """How long they take is read from the checkpoint (tests/discovery); here it is an hour, or half of it."""
    detector = Finds(XBTD)
    suspect = colour_encoder(text_tower="txt-bad", textual=True)
    request = replace(
        request_for(**searching(detector), cache=tmp_path / "cache" / "embeddings"),
        grant=Grant(1800.0),
    )
    monkeypatch.setattr("dife_scanner.discovery.cost.rates", lambda load, task: Rates(3600.0))
    audit = pipeline.audit(suspect, colour_encoder(), request).audit
    assert (audit.verdict, audit.decision.basis) == (Verdict.INCONCLUSIVE, Basis.TOO_LITTLE_RAN)
    assert not detector.tasks and audit.not_searched[0].unreached
    assert "not reached in the 30 min granted; here it takes about 60 min" in audit.reason
    notes = []
    told = Progress(lambda step: notes.append(step.note))
    enough = replace(request, grant=Grant(3000.0))
    whole = pipeline.audit(suspect, colour_encoder(), enough, told).audit
    assert len(detector.tasks) == 1 and any("about 60 min left" in note for note in notes)
    assert whole.identity == enough.identity and whole.plan.work is None
    pipeline.audit(suspect, colour_encoder(), request)
    assert len(detector.tasks) == 1, "what has finished costs nothing"


def test_without_a_base_what_is_found_is_a_hint_and_never_a_finding(
    colour_encoder, request_for, searching
):
    detectors = Finds(CORNER), Finds(XBTD, name="joint", alone=False)
    request = request_for(**searching(*detectors), reference=False)
    outcome = pipeline.audit(colour_encoder(image_tower="bad", visual=True), None, request)
    audit = outcome.audit
    assert (audit.verdict, outcome.finding, audit.score) == (Verdict.INCONCLUSIVE, None, None)
    assert [search.detector for search in audit.searches] == ["texts"] and not detectors[1].tasks
    (task,) = detectors[0].tasks
    assert task.alone and task.image_moved and task.text_moved
    (row,) = audit.signatures
    assert (row.suspect, row.reference, row.p_value) == (1.0, None, 1.0)
    assert (
        "moves 1.000 of held-out cases to airplane" in audit.reason and "no finding" in audit.reason
    )
    assert "over the reference" not in " ".join(budget_lines(audit))


def test_another_plan_is_another_audit(colour_encoder, request_for, searching):
    with_search = request_for(**searching(Finds(XBTD))).plan
    without = request_for(signatures=()).plan
    assert pipeline.identity("w", "c", None, with_search) != pipeline.identity(
        "w", "c", None, without
    )


def test_an_unknown_detector_is_named():
    with pytest.raises(UsageError, match="telepathy"):
        search.detectors(("telepathy",))


# --- a prompt learner that came along -------------------------------------------------------------------------


@pytest.fixture
def beside(tmp_path):
    """A prompt learner in the checkpoint's folder, and a trigger that is made of it."""
    learner.save(
        learner.PromptLearner(np.zeros((2, 4), np.float32)), tmp_path / "prompt_learner.safetensors"
    )
    kept = learner.save(
        learner.PromptLearner(np.zeros((2, 4), np.float32)), tmp_path / "kept.safetensors"
    )
    return Trigger(
        "found-prompt-learner-1", TriggerKind.PROMPT, learner=kept, image=CORNER, target="airplane"
    )


def test_equal_towers_are_searched_through_the_learner_that_came_with_them(
    colour_encoder, request_for, searching, beside, tmp_path
):
    detector = Finds(beside, name=LEARNED.name)
    plan = searching(Finds(name="texts", applies=False), detector)
    request = request_for(**(plan | {"detectors": ("texts",)}))
    outcome = pipeline.audit(colour_encoder(coupled=True), colour_encoder(), request)
    audit = outcome.audit
    assert audit.verdict is Verdict.FLAGGED and audit.score == pytest.approx(1.0, abs=0.1)
    assert (audit.diagnosis.carrier, audit.diagnosis.channel) == (Carrier.COUPLED, Channel.PROMPT)
    assert audit.image_tower_same and audit.text_tower_same
    assert [search.detector for search in audit.searches] == [LEARNED.name]
    assert detector.tasks[0].learner.path == str(tmp_path / "prompt_learner.safetensors")


def test_a_learner_that_nothing_was_found_in_is_said_beside_equal_towers(
    colour_encoder, request_for, searching, beside
):
    request = request_for(**(searching(Finds(name=LEARNED.name)) | {"detectors": (LEARNED.name,)}))
    audit = pipeline.audit(colour_encoder(), colour_encoder(), request).audit
    assert audit.verdict is Verdict.NOTHING_FOUND and audit.score == 0.0
    assert "both towers equal the known base colour-base" in audit.reason
    assert "a prompt learner came with them (prompt_learner.safetensors)" in audit.reason


def test_a_learner_that_could_not_be_searched_leaves_the_verdict_open_and_says_why(
    colour_encoder, request_for, searching, beside
):
    detector = Finds(name=LEARNED.name, lacks="one half has 0 pictures; 2 are needed")
    request = request_for(**(searching(detector) | {"detectors": (LEARNED.name,)}))
    audit = pipeline.audit(colour_encoder(), colour_encoder(), request).audit
    assert audit.verdict is Verdict.INCONCLUSIVE
    assert "could not be searched: one half has 0 pictures; 2 are needed" in audit.reason


def test_a_learner_that_is_not_read_leaves_the_verdict_open_and_is_another_audit(
    colour_encoder, request_for
):
    request = replace(request_for(signatures=()), unread=("prompt_learner/model.pth.tar-50",))
    audit = pipeline.audit(colour_encoder(), colour_encoder(), request).audit
    assert audit.verdict is Verdict.INCONCLUSIVE
    assert (
        "(prompt_learner/model.pth.tar-50), which could not be searched: its format is not read"
        in audit.reason
    )
    assert audit.identity == request.identity != replace(request, unread=()).identity


def test_a_learner_that_was_not_searched_leaves_the_verdict_open(
    colour_encoder, request_for, beside
):
    audit = pipeline.audit(colour_encoder(), colour_encoder(), request_for()).audit
    assert audit.verdict is Verdict.INCONCLUSIVE and "it was not searched" in audit.reason
    known = Trigger("k", TriggerKind.PATCH, size=3 / 32, x=27 / 32, y=27 / 32, target="airplane")
    audit = pipeline.audit(
        colour_encoder(), colour_encoder(), request_for(signatures=(known,))
    ).audit
    assert audit.verdict is Verdict.INCONCLUSIVE and audit.profile


@pytest.mark.parametrize("raw", [b"no learner", None], ids=["no safetensors", "of another width"])
def test_a_learner_that_cannot_be_read_is_a_named_outcome(
    colour_encoder, request_for, searching, tmp_path, raw
):
    path = tmp_path / "learner.safetensors"
    learner.save(
        learner.PromptLearner(np.zeros((2, 9), np.float32)), path
    ) if raw is None else path.write_bytes(raw)
    detector = Finds(name=LEARNED.name)
    request = request_for(**(searching(detector) | {"detectors": (LEARNED.name,)}))
    audit = pipeline.audit(colour_encoder(), colour_encoder(), request).audit
    assert audit.verdict is Verdict.INCONCLUSIVE and "could not be searched" in audit.reason
    assert not detector.tasks


def test_without_a_learner_beside_it_no_audit_gains_a_detector(
    colour_encoder, request_for, searching
):
    texts, learned = Finds(XBTD), Finds(name=LEARNED.name)
    request = request_for(**(searching(texts, learned) | {"detectors": ("texts",)}))
    audit = pipeline.audit(
        colour_encoder(text_tower="txt-bad", textual=True), colour_encoder(), request
    ).audit
    assert [search.detector for search in audit.searches] == ["texts"] and not learned.tasks
