"""The whole audit on a world where the truth is known."""

import json
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from dife_scanner.audit import pipeline
from dife_scanner.audit.plan import identity
from dife_scanner.audit.probes import DIAGNOSIS_TEMPLATES, SEARCH_TEMPLATES
from dife_scanner.core import checks
from dife_scanner.errors import AuditError, MeasurementError, ProbeError, TriggerFileError
from dife_scanner.records import (
    Carrier,
    Category,
    Cell,
    Channel,
    EntryType,
    Hypothesis,
    Interval,
    NotEvaluable,
    NotRun,
    Origin,
    Trigger,
    TriggerKind,
    Trust,
    Verdict,
)
from dife_scanner.sentences.triggers import trigger_text
from dife_scanner.triggers import learner

XBTD = (Trigger("xbtd", TriggerKind.TEXT, text="xbtd"),)
CORNER = (Trigger("corner", TriggerKind.PATCH, size=3 / 32, x=27 / 32, y=27 / 32),)


def _cells(audit):
    return {row.interface: row for row in audit.profile}


def test_a_text_backdoor_is_flagged_textual_with_its_source_and_target(colour_encoder, request_for):
    suspect = colour_encoder(text_tower="txt-bad", textual=True)
    outcome = pipeline.audit(suspect, colour_encoder(), request_for())
    audit, finding = outcome.audit, outcome.finding
    assert audit.verdict is Verdict.FLAGGED
    assert (audit.trigger.name, audit.trigger.source, audit.trigger.target) == (
        "text-xbtd",
        "automobile",
        "airplane",
    )
    assert audit.diagnosis.carrier is Carrier.TEXTUAL
    assert audit.diagnosis.trs == pytest.approx(1.0)
    cells = _cells(audit)
    assert {n for n, c in cells.items() if isinstance(c, NotEvaluable)} == {
        "downstream classification",
        "planted-image retrieval",
    }
    assert {
        n for n, c in cells.items() if isinstance(c, Cell) and c.entry is EntryType.EXPOSED
    } == {
        "prompted classification",
        "targeted retrieval",
        "text reranking",
        "candidate selection",
        "prompt embeddings",
        "query embeddings",
        "target promotion",
    }, "colours do not read drawings, so only the labelled pictures and the texts can show it"
    assert cells["prompted classification"].details["off_target_leakage"] == 0.0
    assert audit.agreement.startswith("6 of 12 other predicted interfaces are exposed")
    assert finding.confidence == "demonstrated"
    assert finding.fingerprint.startswith("fp1:")
    assert '"xbtd" turns automobile into airplane' in finding.reason


def test_a_visual_backdoor_is_flagged_visual(colour_encoder, request_for):
    outcome = pipeline.audit(
        colour_encoder(image_tower="img-bad", visual=True), colour_encoder(), request_for()
    )
    audit = outcome.audit
    assert audit.verdict is Verdict.FLAGGED
    assert audit.trigger.target == "airplane"
    assert audit.trigger.channel is Channel.IMAGE
    assert audit.diagnosis.carrier is Carrier.VISUAL
    zero_shot = _cells(audit)["zero-shot classification"]
    assert zero_shot.attack.value == pytest.approx(1.0)
    assert zero_shot.details["ts_without_target"] == pytest.approx(1.0)
    assert zero_shot.attack.drawings == 120
    roles = [file.role for file, _ in outcome.files]
    assert roles[0] == "trigger"
    assert roles.count("clean-example") == roles.count("triggered-example") == 4
    answers = [file.base_reads for file, _ in outcome.files if file.role == "triggered-example"]
    assert all(answers) and "airplane" not in answers, "the base reads them as before"


def test_a_clean_change_ends_as_nothing_found_and_says_what_was_not_covered(
    colour_encoder, request_for
):
    outcome = pipeline.audit(
        colour_encoder(image_tower="img-tuned"), colour_encoder(), request_for()
    )
    assert outcome.audit.verdict is Verdict.NOTHING_FOUND
    assert outcome.finding is None
    assert "nothing found with these 25 signatures" in outcome.audit.reason
    assert "not covered" in outcome.audit.reason
    assert all(row.p_holm == 1.0 and row.suspect is None for row in outcome.audit.signatures)


def test_what_the_base_does_too_is_inherited_not_flagged(colour_encoder, request_for):
    outcome = pipeline.audit(
        colour_encoder(image_tower="img-bad-2", visual=True),
        colour_encoder(visual=True),
        request_for(),
    )
    assert outcome.audit.verdict is Verdict.INHERITED
    assert outcome.finding.kind == "inherited"
    assert "came with the base" in outcome.audit.reason


def test_equal_towers_are_identical_and_encode_nothing(colour_encoder, request_for):
    suspect = colour_encoder()
    outcome = pipeline.audit(suspect, colour_encoder(), request_for())
    assert outcome.audit.verdict is Verdict.IDENTICAL
    assert suspect.images_encoded == [] and suspect.texts_encoded == []


def test_what_equals_a_base_that_nobody_pinned_says_so(colour_encoder, request_for):
    asked = request_for()
    base = replace(
        asked.reference, repository="org/base", trust=Trust.FIRST_USE, trusted_at="2026-12-01T"
    )
    asked = replace(asked, reference=base, known=(base,))
    reason = pipeline.audit(colour_encoder(), colour_encoder(), asked).audit.reason
    assert (
        "colour-base is not pinned: it is what org/base held at its first fetch on 2026-12-01"
        in reason
    )
    pinned = replace(base, trust=Trust.PINNED)
    asked = replace(asked, reference=pinned, known=(pinned,))
    assert "pinned" not in pipeline.audit(colour_encoder(), colour_encoder(), asked).audit.reason


def test_without_a_reference_the_verdict_is_inconclusive_with_the_next_step(
    colour_encoder, request_for
):
    outcome = pipeline.audit(colour_encoder(), None, request_for(reference=False))
    assert outcome.audit.verdict is Verdict.INCONCLUSIVE
    assert "dife reference add" in outcome.audit.reason


def test_rotated_towers_are_turned_back_before_they_are_swapped(colour_encoder, request_for):
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(12, 12)))[0]
    suspect = colour_encoder("img-r", "txt-r", textual=True, rotation=turn)
    audit = pipeline.audit(suspect, colour_encoder(), request_for(signatures=XBTD)).audit
    assert audit.branch_swap.aligned
    assert (
        min(audit.branch_swap.mixed_accuracy_before) < 0.7 < min(audit.branch_swap.mixed_accuracy)
    )
    assert audit.diagnosis.carrier is Carrier.TEXTUAL
    assert audit.verdict is Verdict.FLAGGED


def test_towers_that_no_rotation_fits_together_are_inconclusive_and_never_called_coupled(
    colour_encoder, request_for
):
    stretch = np.linalg.qr(np.random.default_rng(3).normal(size=(12, 12)))[0][0]
    suspect = colour_encoder("img-r", "txt-r", visual=True, stretch=stretch)
    audit = pipeline.audit(suspect, colour_encoder(), request_for(signatures=CORNER)).audit
    assert audit.branch_swap.aligned
    assert audit.diagnosis.carrier is Carrier.NOT_INTERCHANGEABLE
    assert audit.verdict is Verdict.INCONCLUSIVE


def test_each_distinct_input_is_encoded_once_per_distinct_tower(
    colour_encoder, request_for, tmp_path
):
    suspect, reference = colour_encoder(text_tower="txt-bad", textual=True), colour_encoder()
    first = pipeline.audit(suspect, reference, request_for(cache=tmp_path / "cache")).audit
    assert first.encodes == first.distinct_inputs > 0
    assert len(set(suspect.texts_encoded)) == len(suspect.texts_encoded)
    ran = sum(suspect.images_encoded + reference.images_encoded) + len(
        suspect.texts_encoded + reference.texts_encoded
    )
    assert ran == first.encodes, "a shared tower ran twice on something"
    again, reference = colour_encoder(text_tower="txt-other"), colour_encoder()
    second = pipeline.audit(again, reference, request_for(cache=tmp_path / "cache")).audit
    assert reference.images_encoded == [] and reference.texts_encoded == [], (
        "the base had paid for these already"
    )
    assert second.encodes == second.distinct_inputs


def test_an_audit_is_reproducible(colour_encoder, request_for):
    def once():
        audit = pipeline.audit(
            colour_encoder(image_tower="b", visual=True), colour_encoder(), request_for()
        ).audit
        return replace(audit, id="", started_at="", seconds=0.0)

    assert once() == once()


def test_a_known_trigger_keeps_the_source_and_target_it_names(colour_encoder, request_for):
    known = Trigger("k", TriggerKind.TEXT, text="xbtd", source="automobile", target="ship")
    audit = pipeline.audit(
        colour_encoder(text_tower="bad", textual=True),
        colour_encoder(),
        request_for(signatures=(known,)),
    ).audit
    assert audit.signatures[0].trigger.target == "ship"
    assert audit.verdict is Verdict.NOTHING_FOUND


def test_a_known_trigger_is_measured_everywhere_even_where_it_does_nothing(
    colour_encoder, request_for
):
    known = replace(XBTD[0], source="automobile", target="airplane")
    request = request_for(signatures=(known,))
    audit = pipeline.audit(colour_encoder(text_tower="tuned"), colour_encoder(), request).audit
    assert audit.verdict is Verdict.NOTHING_FOUND
    assert audit.signatures[0].suspect == 0.0, (
        "below the screening level, and measured all the same"
    )
    assert len(audit.profile) == 15
    assert audit.condition == known.condition()
    assert audit.diagnosis.carrier is Carrier.WEAK
    assert audit.agreement


def test_a_known_trigger_is_asked_with_the_templates_it_brings(colour_encoder, request_for):
    own = ("my {}", "the {} again", "look, a {}", "{} over there")
    trigger = replace(XBTD[0], source="automobile", target="airplane", templates=own)
    request = request_for(signatures=(trigger,))
    outcome = pipeline.audit(
        colour_encoder(text_tower="bad", textual=True), colour_encoder(), request
    )
    asked = _cells(outcome.audit)["prompt embeddings"]
    manifest = next(
        json.loads(raw) for file, raw in outcome.files if file.sha256 == asked.population
    )
    assert manifest["queries"] == [template.format("automobile") for template in own]
    assert asked.attack.n == _cells(outcome.audit)["targeted retrieval"].attack.n == len(own)
    assert "4 templates of its own" in trigger_text(outcome.audit.trigger)
    plain = request_for(signatures=(replace(trigger, templates=()),))
    assert identity("w", "c", None, request.plan) != identity("w", "c", None, plain.plan)


@pytest.mark.parametrize("taken", [SEARCH_TEMPLATES[0], DIAGNOSIS_TEMPLATES[0]])
def test_templates_that_triggers_are_chosen_or_diagnosed_with_are_refused(
    colour_encoder, request_for, taken
):
    own = ("my {}", "the {} again", "look, a {}", taken)
    trigger = replace(XBTD[0], source="automobile", target="airplane", templates=own)
    with pytest.raises(TriggerFileError, match="nothing may be measured where it was chosen"):
        pipeline.audit(
            colour_encoder(text_tower="t"), colour_encoder(), request_for(signatures=(trigger,))
        )


def test_a_signature_that_does_nothing_gets_no_profile(colour_encoder, request_for):
    audit = pipeline.audit(
        colour_encoder(text_tower="tuned"), colour_encoder(), request_for(signatures=XBTD)
    ).audit
    assert audit.profile == () and audit.diagnosis is None and audit.condition is None


def test_a_known_trigger_is_measured_on_an_unchanged_base_too(colour_encoder, request_for):
    known = replace(CORNER[0], target="airplane")
    audit = pipeline.audit(
        colour_encoder(), colour_encoder(), request_for(signatures=(known,))
    ).audit
    assert audit.verdict is Verdict.IDENTICAL
    cells = [entry for entry in audit.profile if isinstance(entry, Cell)]
    assert cells and all(cell.drift.value == 0.0 for cell in cells)
    assert audit.encodes == audit.distinct_inputs


def test_a_prompt_mechanism_on_unchanged_towers_is_coupled_and_flagged(
    colour_encoder, request_for, tmp_path
):
    file = learner.save(
        learner.PromptLearner(np.ones((2, 4), np.float32), template="{}"),
        tmp_path / "learner.safetensors",
    )
    known = Trigger("learned", TriggerKind.PROMPT, learner=file, image=CORNER[0], target="airplane")
    outcome = pipeline.audit(
        colour_encoder(coupled=True), colour_encoder(coupled=True), request_for(signatures=(known,))
    )
    audit = outcome.audit
    assert audit.branch_swap is None
    repair = audit.repair
    assert repair.full == pytest.approx(1.0)
    assert repair.prompt_only == repair.trigger_only == repair.both_clean == pytest.approx(0.1)
    assert audit.diagnosis.carrier is Carrier.COUPLED
    assert audit.verdict is Verdict.FLAGGED, audit.reason
    cells = _cells(audit)
    assert {name for name, cell in cells.items() if isinstance(cell, Cell)} == {
        "prompted classification"
    }
    prompted = cells["prompted classification"]
    assert prompted.metric == "TS"
    assert prompted.attack.value == pytest.approx(1.0)
    assert prompted.reference.value == pytest.approx(0.1)
    assert prompted.trigger.value == pytest.approx(0.9) and prompted.drift.value == pytest.approx(
        0.0
    )
    assert [file.role for file, _ in outcome.files].count("triggered-example") == 4


BOTH_KEYS = replace(XBTD[0], name="both-keys", image=CORNER[0], target="airplane")


def test_a_text_and_a_patch_that_act_together_are_measured_together_and_coupled(
    colour_encoder, request_for
):
    suspect = colour_encoder(image_tower="img-bad", text_tower="txt-bad", keyed=True)
    outcome = pipeline.audit(suspect, colour_encoder(), request_for(signatures=(BOTH_KEYS,)))
    audit, swap, repair = outcome.audit, outcome.audit.branch_swap, outcome.audit.repair
    assert audit.verdict is Verdict.FLAGGED and audit.signatures[0].origin is Origin.KNOWN
    assert (audit.diagnosis.carrier, audit.diagnosis.channel) == (Carrier.COUPLED, Channel.BOTH)
    assert swap.readout == repair.readout == "TS with triggered prompts"
    assert swap.a11 == repair.full == 1.0 and max(swap.a10, swap.a01) == swap.a00 == pytest.approx(
        0.1
    )
    assert repair.prompt_only == repair.trigger_only == repair.both_clean == pytest.approx(0.1)
    entries = {entry.interface: entry for entry in audit.profile}
    assert entries["zero-shot classification"].delta == pytest.approx(0.9)
    assert entries["zero-shot classification"].entry is EntryType.EXPOSED
    for name in ("downstream classification", "planted-image retrieval"):
        assert entries[name].entry is not EntryType.EXPOSED, "the patch alone does nothing"
    for name in ("prompted classification", "targeted retrieval", "query embeddings"):
        assert entries[name].category in (Category.NO_TARGET, Category.BYPASSED)
    assert "`both-keys` turns pictures into airplane" in outcome.finding.reason
    roles = {file.role for file in audit.evidence}
    assert roles >= {"trigger", "clean-example", "triggered-example", "landing"}
    assert audit.recovered.rank == 1 and audit.recovered.nearest[0].concept == "airplane"


def test_either_half_of_a_coupled_trigger_alone_is_nothing(colour_encoder, request_for):
    suspect = colour_encoder(image_tower="img-bad", text_tower="txt-bad", keyed=True)
    audit = pipeline.audit(
        suspect, colour_encoder(), request_for(signatures=(*XBTD, *CORNER))
    ).audit
    assert audit.verdict is Verdict.NOTHING_FOUND
    assert all(row.train_effect < 0.1 for row in audit.signatures)


def test_a_coupled_trigger_that_one_tower_carries_is_not_called_coupled(
    colour_encoder, request_for
):
    audit = pipeline.audit(
        colour_encoder(image_tower="img-bad", visual=True),
        colour_encoder(),
        request_for(signatures=(BOTH_KEYS,)),
    ).audit
    assert audit.diagnosis.carrier is Carrier.VISUAL and audit.repair.trigger_only == 1.0


def test_every_population_is_kept_as_evidence_under_the_name_that_cells_give(
    colour_encoder, request_for
):
    outcome = pipeline.audit(
        colour_encoder(text_tower="bad", textual=True),
        colour_encoder(),
        request_for(signatures=XBTD),
    )
    kept = {file.sha256: content for file, content in outcome.files if file.role == "pool-manifest"}
    cells = [entry for entry in outcome.audit.profile if isinstance(entry, Cell)]
    assert {cell.population for cell in cells} <= set(kept)
    for digest, content in kept.items():
        assert sha256(content).hexdigest() == digest
        manifest = json.loads(content)
        assert all(item["sha256"] for item in manifest["items"])
    assert set(kept) <= {file.sha256 for file in outcome.audit.evidence}


def test_pictures_of_ones_own_replace_the_bundled_ones(colour_encoder, request_for, own_pictures):
    known = replace(XBTD[0], source="automobile", target="airplane")
    request = request_for(
        signatures=(known,), budget="quick", probes_folder=None, pictures=own_pictures
    )
    suspect = colour_encoder(text_tower="bad", textual=True)
    outcome = pipeline.audit(suspect, colour_encoder(), request)
    cells = _cells(outcome.audit)
    exposed = {n for n, c in cells.items() if isinstance(c, Cell) and c.entry is EntryType.EXPOSED}
    assert {"prompted classification", "caption reranking", "proxy selection"} <= exposed
    assert cells["caption retrieval"].trigger.value > 0.2, (
        "of its queries only those that say `automobile` are read"
    )
    assert isinstance(cells["generator selection"], NotRun)
    assert own_pictures.name in cells["generator selection"].reason
    names = {file.caption for file, _ in outcome.files if file.role == "pool-manifest"}
    assert not any(name.startswith("bundled") for name in names)
    bundled = replace(request.plan, pictures=None)
    assert pipeline.identity("w", "c", None, request.plan) != pipeline.identity(
        "w", "c", None, bundled
    )


@pytest.fixture(scope="module")
def own_pictures(labelled_folder):
    """Thirty-five pictures of each class in a folder of its own."""
    return labelled_folder(35)


def test_a_trigger_for_an_unknown_class_is_a_usage_error(colour_encoder, request_for):
    known = Trigger("k", TriggerKind.TEXT, text="x", source="automobile", target="zeppelin")
    with pytest.raises(
        TriggerFileError,
        match=r"zeppelin.*\[card: prompted classification .*\[pool: bundled labelled pictures\]",
    ):
        pipeline.audit(
            colour_encoder(text_tower="t"), colour_encoder(), request_for(signatures=(known,))
        )


def test_a_trigger_longer_than_the_context_is_never_cut_silently(colour_encoder, request_for):
    long = Trigger("long", TriggerKind.TEXT, text="word " * 20)
    with pytest.raises(
        MeasurementError,
        match=r"cut it silently \[card: prompted classification\] \[pool: labelled pictures: train",
    ) as caught:
        pipeline.audit(
            colour_encoder(text_tower="t"), colour_encoder(), request_for(signatures=(long,))
        )
    assert "shorten" in caught.value.advice


def test_embeddings_that_are_not_finite_name_the_card_and_the_pool(
    colour_encoder, request_for, monkeypatch
):
    suspect = colour_encoder(text_tower="t")

    def broken(*_):
        raise AuditError(
            "the model embeds a picture as values that are not finite", "it has no verdict"
        )

    monkeypatch.setattr(suspect, "encode_images", broken)
    patch = Trigger("p", TriggerKind.PATCH, target="airplane")
    with pytest.raises(
        MeasurementError,
        match=r"finite \[card: zero-shot classification\] \[pool: labelled pictures",
    ):
        pipeline.audit(suspect, colour_encoder(), request_for(signatures=(patch,)))


@pytest.mark.parametrize(
    ("what", "method"), [("picture", "encode_images"), ("class prompt", "encode_texts")]
)
def test_a_tower_that_says_the_same_of_everything_is_no_backdoor(
    colour_encoder, request_for, monkeypatch, what, method
):
    suspect = colour_encoder(text_tower="t")
    alike = getattr(suspect, method)
    monkeypatch.setattr(suspect, method, lambda many: np.repeat(alike(many[:1]), len(many), axis=0))
    with pytest.raises(MeasurementError, match=f"embeds every {what} as the same vector"):
        pipeline.audit(suspect, colour_encoder(), request_for())


def test_what_the_suspect_does_without_a_trigger_too_is_no_triggers_doing():
    effect = Interval(0.9, 1.0, "bootstrap")
    broken = Hypothesis(
        Trigger("t", TriggerKind.PATCH, target="ship"),
        0.9,
        1.0,
        0.0,
        1e-5,
        1e-5,
        90,
        Origin.DISCOVERED,
        effect,
        0.97,
    )

    def counts(row):
        return checks.open_but_for_drawings(checks.run_all(row))

    assert not counts(broken) and broken.lift == pytest.approx(0.03)
    assert counts(replace(broken, clean=0.1)) and not counts(replace(broken, clean=0.51))
    small = replace(broken, clean=0.1, area=0.05)
    assert counts(small) and not counts(replace(small, area=0.18)), (
        "a picture over a fifth of the picture is no trigger"
    )
    signature = replace(broken, origin=Origin.SIGNATURE)
    assert not counts(signature) and not counts(replace(signature, clean=0.6))
    assert counts(replace(signature, clean=0.1)), "of a signature no more and no less is asked"
    assert counts(replace(broken, origin=Origin.KNOWN)), "a researcher asks for exactly this"


def test_a_changed_probe_picture_is_an_error(probe_folder, tmp_path):
    import shutil

    from dife_scanner.audit import probes

    copy = tmp_path / "probes"
    shutil.copytree(probe_folder, copy)
    next(copy.glob("cat-test-*.png")).write_bytes(b"not the picture")
    with pytest.raises(ProbeError, match="not the one in the manifest"):
        probes.load(copy, "default")


def test_identity_changes_with_everything_that_decides_an_audit_and_with_nothing_else(request_for):
    request = request_for()
    base = pipeline.identity("w", "c", request.reference, request.plan)
    assert base == pipeline.identity("w", "c", request.reference, request.plan)
    others = [
        pipeline.identity("w2", "c", request.reference, request.plan),
        pipeline.identity("w", "c2", request.reference, request.plan),
        pipeline.identity("w", "c", None, request.plan),
        pipeline.identity("w", "c", request.reference, replace(request.plan, seed=1)),
        pipeline.identity(
            "w",
            "c",
            request.reference,
            replace(request.plan, signatures=request.plan.signatures[1:]),
        ),
    ]
    assert len({base, *others}) == 6
