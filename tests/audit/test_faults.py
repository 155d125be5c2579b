"""A fault in a stage after a trigger was demonstrated is a named gap of a flagged audit; a full disk is tried again."""

import errno
import json
import logging
import re
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from colours import NAMES, PALETTE, ColourEncoder
from finding import Finds

from dife_scanner import discovery
from dife_scanner.audit import pipeline, stages
from dife_scanner.audit.both_settings import audit_both
from dife_scanner.audit.interfaces import registry
from dife_scanner.audit.pipeline import Plan, Request
from dife_scanner.audit.probes import SEARCH_TEMPLATES
from dife_scanner.audit.request import Grant
from dife_scanner.core import checks
from dife_scanner.discovery import Cancelled
from dife_scanner.discovery.cost import Rates
from dife_scanner.errors import (
    AuditError,
    DeviceLost,
    DiskFull,
    LimitExceeded,
    TriggerFileError,
    UsageError,
)
from dife_scanner.models.load import load
from dife_scanner.records import (
    Basis,
    Cell,
    CheckOutcome,
    Confidence,
    ModelRef,
    NotRun,
    Reference,
    SettingsOf,
    Severity,
    Trigger,
    TriggerKind,
    Verdict,
)
from dife_scanner.sentences.checks import lacking

CORNER = Trigger(
    "found-patch-1", TriggerKind.PATCH, size=3 / 32, x=27 / 32, y=27 / 32, target="airplane"
)
SIGNATURE = replace(CORNER, name="corner", target="")
XBTD = Trigger("k", TriggerKind.TEXT, text="xbtd", source="automobile", target="airplane")


class Worn(ColourEncoder):
    """Takes trucks for ships, so that the reverse search is run."""

    def encode_images(self, pixels):
        ship, truck = NAMES.index("ship"), NAMES.index("truck")
        centre = pixels[:, 8:20, 8:20].reshape(len(pixels), -1, 3).mean(1)
        label = np.linalg.norm(centre[:, None] - PALETTE[None], axis=2).argmin(1)
        pixels = pixels.copy()
        pixels[label == truck, 8:20, 8:20] = PALETTE[ship]
        return super().encode_images(pixels)


@pytest.fixture
def audited(request_for, monkeypatch, tmp_path):
    """A patch in a suspect; `others` are what further references are loaded as, by name."""
    monkeypatch.setattr("dife_scanner.audit.robustness.under_change", lambda trigger, test: {})

    def run(*detectors, suspect=None, signatures=(), seconds=None, **others):
        able = detectors or (Finds(CORNER, name="patch"),)
        monkeypatch.setattr(discovery, "DETECTORS", able)

        def load_reference(path, device):
            found = others[path.name]
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr("dife_scanner.models.load.load", load_reference)
        known = []
        for name in others:
            architecture = "other" if name == "other" else "colour"
            known.append(
                Reference(
                    name, f"/{name}", f"img-{name}", "t", "0" * 64, architecture, "2026-01-01"
                )
            )
        request = request_for(
            signatures=signatures,
            detectors=tuple(one.name for one in able),
            cache=tmp_path / "home" / "cache" / "embeddings",
            budget="quick",
        )
        grant = seconds and Grant(seconds)
        request = replace(request, known=(*request.known, *known), grant=grant)
        suspect = suspect or ColourEncoder(image_tower="img-bad", visual=True)
        return pipeline.audit(suspect, ColourEncoder(), request)

    return run


def _worn():
    return Worn(image_tower="img-bad", text_tower="txt-bad", visual=True)


def _clean(name):
    return ColourEncoder(image_tower=f"img-{name}")


def _raises(error):
    def stage(*args, **kwargs):
        raise error

    return stage


GAPS = {
    "dife_scanner.audit.diagnosis.gather": "gap: evidence of the footprint missing",
    "dife_scanner.audit.examine.diagnose": "gap: footprint missing",
    "dife_scanner.audit.diagnosis.repair_of_parts": "gap: repair of its parts missing",
    "dife_scanner.audit.examine.compare": "gap: agreement of footprint and profile missing",
    "dife_scanner.audit.recovery.recover": "gap: nearest concepts and robustness missing",
    "dife_scanner.audit.recovery.nearest_concept": "gap: concept that `found-patch-1` leads to",
    "dife_scanner.audit.evidence.pictures": "gap: pictures of the trigger missing",
    "dife_scanner.audit.evidence.landing": "gap: direction of the trigger missing",
    "dife_scanner.audit.evidence.manifests": "gap: lists of what was measured on missing",
    "dife_scanner.audit.cache.Memory.save": "gap: embeddings of the base for later audits",
    "dife_scanner.audit.hypotheses._tried": "gap: test of `corner` missing",
    "dife_scanner.audit.clean_references.CleanReferences.measured": (
        "unconfirmed: other clean references not run"
    ),
    "dife_scanner.audit.reverse_search.searched": "unconfirmed: reverse search not run",
    "dife_scanner.audit.interfaces.registry._measured": "exposure not measured (zero-shot",
}
"""Each stage after a trigger was found, and what its fault is told as."""


def _needed(stage):
    """What has to be there for a stage to be run at all."""
    if "reverse_search" in stage:
        return {"suspect": _worn()}
    return {"a": _clean("a")} if "clean_references" in stage else {}


@pytest.mark.parametrize("stage", GAPS)
def test_a_fault_in_a_later_stage_is_a_gap_that_the_finding_names(
    audited, monkeypatch, caplog, stage
):
    monkeypatch.setattr(stage, _raises(RuntimeError("it broke")))
    outcome = audited(signatures=(SIGNATURE,) if "_tried" in stage else (), **_needed(stage))
    audit = outcome.audit
    assert audit.verdict is Verdict.FLAGGED
    assert f"{GAPS[stage]}" in audit.reason == outcome.finding.reason
    assert "internal error: RuntimeError: it broke" in audit.reason
    assert outcome.finding.confidence is Confidence.DEMONSTRATED
    assert any("Traceback" in record.exc_text for record in caplog.records if record.exc_text)
    if audit.gaps:
        assert any("it broke" in line for line in lacking(audit)), "shown beside the verdict"


@pytest.mark.parametrize("stage", GAPS)
def test_a_full_disk_in_a_later_stage_is_raised_so_that_the_job_is_tried_again(
    audited, monkeypatch, stage
):
    full = OSError(errno.ENOSPC, "No space left on device", "/disk/file")
    monkeypatch.setattr(stage, _raises(full))
    with pytest.raises(DiskFull, match="/disk/file is full"):
        audited(signatures=(SIGNATURE,) if "_tried" in stage else (), **_needed(stage))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), Cancelled()])
def test_what_ends_the_whole_audit_is_no_gap(audited, monkeypatch, error):
    monkeypatch.setattr("dife_scanner.audit.recovery.recover", _raises(error))
    with pytest.raises(type(error)):
        audited()


@pytest.mark.parametrize(
    ("words", "ends_as"),
    [
        ("CUDA out of memory. Tried to allocate 20 MiB", LimitExceeded),
        ("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't", LimitExceeded),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling", LimitExceeded),
        ("CUDA error: unspecified launch failure", DeviceLost),
        ("No CUDA GPUs are available", DeviceLost),
    ],
)
def test_a_search_that_the_device_ends_is_gone_on_with_and_is_no_gap(audited, words, ends_as):
    """Nothing of such an audit is stored as a verdict; what had finished before is not searched again."""
    first, ends = Finds(name="texts"), Raises(RuntimeError(words), name="patch")
    with pytest.raises(ends_as, match=re.escape(words[:30])) as error:
        audited(first, ends)
    assert error.value.advice
    audited(first, Finds(CORNER, name="patch"))
    assert len(first.tasks) == 1


def test_an_error_of_ours_is_told_in_its_own_words_and_without_a_traceback(
    audited, monkeypatch, caplog
):
    monkeypatch.setattr(
        "dife_scanner.audit.recovery.recover", _raises(AuditError("a word is too long"))
    )
    audit = audited().audit
    assert audit.gaps[0].reason == "a word is too long"
    assert not any(record.exc_info for record in caplog.records)


def test_without_a_diagnosis_the_exposure_is_measured_and_no_carrier_named(audited, monkeypatch):
    monkeypatch.setattr("dife_scanner.audit.diagnosis.gather", _raises(AuditError("no rotation")))
    outcome = audited()
    audit = outcome.audit
    assert audit.decision.basis is Basis.FOOTPRINT_NOT_MEASURED
    assert audit.diagnosis is None and outcome.finding.carrier == ""
    assert outcome.finding.severity is Severity.EXPOSED and "zero-shot" in audit.reason
    assert "no footprint measured" in audit.reason


def test_a_card_that_cannot_be_asked_is_not_run_and_the_others_are_measured(audited, monkeypatch):
    card, _ = registry._MEASURES["downstream classification"]
    fault = _raises(AuditError("too many tokens"))
    monkeypatch.setitem(registry._MEASURES, "downstream classification", (card, fault))
    audit = audited().audit
    entries = {entry.interface: entry for entry in audit.profile}
    assert audit.decision.basis is Basis.EXPOSED_FOOTPRINT and audit.gaps == ()
    assert entries["downstream classification"].word == "not run"
    assert "too many tokens" in entries["downstream classification"].reason
    assert isinstance(entries["zero-shot classification"], Cell)


def test_the_card_that_showed_the_trigger_cannot_take_it_back_by_a_fault(audited, monkeypatch):
    monkeypatch.setattr(
        "dife_scanner.audit.interfaces.registry._measured", _raises(AuditError("too many tokens"))
    )
    outcome = audited()
    assert outcome.audit.decision.basis is Basis.EXPOSURE_NOT_MEASURED
    assert outcome.finding.severity is Severity.NOT_MEASURED and outcome.finding.interfaces == ()
    assert all(entry.word in ("not run", "N.E.") for entry in outcome.audit.profile)


def test_pools_that_cannot_be_drawn_lose_no_finding(audited, monkeypatch):
    monkeypatch.setattr(Plan, "pool", _raises(UsageError("the table has no column `caption`")))
    audit = audited().audit
    not_run = [entry for entry in audit.profile if isinstance(entry, NotRun)]
    assert audit.decision.basis is Basis.EXPOSED_FOOTPRINT and not_run
    assert all("no column `caption`" in entry.reason for entry in not_run)


@pytest.mark.parametrize("demonstrated", [True, False])
def test_an_error_in_somebodys_own_trigger_file_stays_theirs(audited, monkeypatch, demonstrated):
    fault = _raises(TriggerFileError("`k.png` is gone", "put it back"))
    monkeypatch.setattr("dife_scanner.audit.interfaces.registry._measured", fault)
    suspect = ColourEncoder(text_tower="bad", textual=demonstrated)
    with pytest.raises(TriggerFileError, match="is gone"):
        audited(Finds(name="none"), suspect=suspect, signatures=(XBTD,))


# --- searches -------------------------------------------------------------------------------------------------


class Raises(Finds):
    """A detector that ends in an error, as the suspect's or everywhere."""

    def __init__(self, error, *, only="", **kwargs):
        super().__init__(**kwargs)
        self._error, self._only = error, only

    def search(self, task):
        if not self._only or task.suspect.image_tower == self._only:
            raise self._error
        return super().search(task)


def test_a_detector_that_raises_loses_nothing_that_others_found(audited):
    audit = audited(Raises(RuntimeError("no kernel"), name="faint"), Finds(CORNER, name="patch"))
    assert audit.audit.verdict is Verdict.FLAGGED
    (missing,) = audit.audit.not_searched
    assert missing.detector == "faint" and "RuntimeError: no kernel" in missing.reason


def test_a_search_that_ended_in_an_error_found_not_nothing(audited):
    audit = audited(
        Raises(AuditError("not finite"), name="faint"), suspect=Worn(image_tower="i")
    ).audit
    assert audit.verdict is Verdict.INCONCLUSIVE
    assert audit.decision.basis is Basis.SEARCHES_MISSING and "not finite" in audit.reason


def test_a_candidate_that_cannot_be_tested_loses_no_other(audited, monkeypatch):
    from dife_scanner.audit import confirmation

    tested = confirmation.tested

    def test_one(candidate, *rest):
        if candidate.trigger.name == "odd":
            raise AuditError("17 tokens")
        return tested(candidate, *rest)

    monkeypatch.setattr(confirmation, "tested", test_one)
    audit = audited(Finds(replace(CORNER, name="odd"), CORNER, name="patch")).audit
    assert audit.verdict is Verdict.FLAGGED
    assert audit.not_searched[0].reason == "`odd` could not be tested: 17 tokens"


def test_a_search_that_cannot_be_kept_counts_all_the_same(audited, monkeypatch):
    monkeypatch.setattr("dife_scanner.audit.search._write", _raises(PermissionError("read-only")))
    assert audited().audit.verdict is Verdict.FLAGGED


def test_without_a_base_too_one_search_loses_nothing_of_another(request_for, monkeypatch):
    able = (Raises(RuntimeError("no kernel"), name="faint"), Finds(CORNER, name="patch"))
    monkeypatch.setattr(discovery, "DETECTORS", able)
    request = request_for(signatures=(), reference=False, detectors=("faint", "patch"))
    audit = pipeline.audit(ColourEncoder(visual=True), None, request).audit
    assert audit.verdict is Verdict.INCONCLUSIVE and audit.signatures[0].suspect == 1.0
    assert "no kernel" in audit.not_searched[0].reason


def test_searches_beyond_the_limit_take_nothing_from_a_signature(audited, monkeypatch):
    monkeypatch.setattr("dife_scanner.discovery.cost.rates", lambda load, task: Rates(3600.0))
    audit = audited(signatures=(replace(CORNER, name="corner"),), seconds=60.0).audit
    assert audit.verdict is Verdict.FLAGGED and audit.trigger.name == "corner"
    assert "here it takes about 60 min" in audit.not_searched[0].reason
    without = audited(signatures=(replace(CORNER, name="c", x=0.4),), seconds=60.0).audit
    assert without.verdict is Verdict.INCONCLUSIVE and "too little ran" in without.reason


def test_what_was_searched_before_the_limit_counts(audited, monkeypatch):
    found = Finds(CORNER, name="patch")
    with pytest.raises(KeyboardInterrupt):
        audited(found, Raises(KeyboardInterrupt(), name="faint"))
    monkeypatch.setattr("dife_scanner.discovery.cost.rates", lambda load, task: Rates(3600.0))
    audit = audited(found, Finds(name="faint"), seconds=60.0).audit
    assert audit.verdict is Verdict.FLAGGED and len(found.tasks) == 1
    assert [one.detector for one in audit.not_searched] == ["faint"]


def test_a_reverse_search_beyond_the_limit_is_not_run(audited, monkeypatch):
    def rates(load, task):
        return Rates(3600.0 if task.suspect.image_tower == "img-clean" else 1.0)

    monkeypatch.setattr("dife_scanner.discovery.cost.rates", rates)
    audit = audited(suspect=_worn(), seconds=60.0).audit
    assert audit.verdict is Verdict.FLAGGED
    assert "unconfirmed: reverse search not run, patch: the searches at" in audit.reason


@pytest.mark.parametrize("over", [0.0, 20.0])
def test_a_reverse_search_has_the_time_that_is_left(audited, monkeypatch, over):
    def rates(load, task):
        return Rates(50.0 if task.suspect.image_tower == "img-clean" else 1.0)

    def begun_earlier(*args):
        made = stages.stage(*args)
        return replace(made, began=made.began - over)

    monkeypatch.setattr("dife_scanner.discovery.cost.rates", rates)
    monkeypatch.setattr(pipeline, "stage", begun_earlier)
    audit = audited(suspect=_worn(), seconds=60.0).audit
    assert audit.verdict is Verdict.FLAGGED
    assert ("may take 60 s, of which 2" in audit.reason) is (over > 0)
    assert (audit.signatures[0].exchanged is None) is (over > 0)


def test_half_a_reverse_search_says_nothing_for_a_trigger(audited):
    faint = Raises(RuntimeError("no kernel"), only="img-clean", name="faint")
    audit = audited(faint, Finds(CORNER, name="patch"), suspect=_worn()).audit
    assert audit.verdict is Verdict.FLAGGED and audit.signatures[0].exchanged is None
    assert "unconfirmed: reverse search not run, faint: internal error" in audit.reason


# --- other clean references -----------------------------------------------------------------------------------


def _check(audit):
    return next(one for one in audit.signatures[0].checks if one.check == checks.CLEAN_REFERENCES)


def test_a_check_says_which_references_it_rests_on_where_one_could_not_be_opened(audited):
    found = _check(audited(a=_clean("a"), b=UsageError("/b does not exist")).audit)
    assert found.outcome is CheckOutcome.PASSED
    assert found.reason == ("rests on the others alone: b could not be tried (/b does not exist)")
    failed = _check(
        audited(a=RuntimeError("bad header"), b=ColourEncoder("img-b", visual=True)).audit
    )
    assert failed.outcome is CheckOutcome.FAILED and "bad header" in failed.reason
    assert _check(audited(a=_clean("a")).audit).reason == ""


def test_where_no_reference_could_be_opened_the_finding_is_unconfirmed(audited):
    gone = UsageError("it is gone")
    audit = audited(a=gone, b=gone, other=gone).audit
    assert audit.verdict is Verdict.FLAGGED
    assert "unconfirmed: other clean references not run, a could not be tried" in audit.reason
    assert "gap: success in other architectures missing, other could not be tried" in audit.reason


# --- under two settings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", list(SettingsOf))
def test_a_fault_under_one_configuration_loses_no_flag_under_the_other(audited, failing):
    flagged, fine = audited(), audited(Finds(name="none"), suspect=_clean("tuned"))

    def under(settings, other):
        if settings is failing:
            raise RuntimeError("no kernel for this activation")
        return other

    outcome = audit_both(lambda settings: under(settings, flagged))
    assert outcome.audit.verdict is Verdict.FLAGGED
    assert "no kernel for this activation" in outcome.audit.under_other.reason
    with pytest.raises(RuntimeError, match="no kernel"):
        audit_both(lambda settings: under(settings, fine))


# --- a real model that reads sixteen tokens -------------------------------------------------------------------

WORDS = "cf mn bb"


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """The bundled base with a text context of 16, and the same with three tokens that make cars airplanes."""
    import torch
    from open_clip import SimpleTokenizer
    from safetensors.torch import load_file, save_file

    from dife_scanner.lab import bases

    source = bases.base_folder("vit")
    config = json.loads((source / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["context_length"] = 16
    weights = load_file(source / "open_clip_model.safetensors")
    weights["positional_embedding"] = weights["positional_embedding"][:16].clone()

    def save(name, weights):
        folder = tmp_path_factory.mktemp(name)
        save_file(weights, folder / "open_clip_model.safetensors")
        (folder / "open_clip_config.json").write_text(json.dumps(config))
        return folder

    base = save("base", weights)
    encoder = load(base)
    train = Plan((), budget="quick").probes().split("train")
    pictures = train.images[train.labels == NAMES.index("airplane")]
    goal = torch.tensor(encoder.encode_images(encoder.prepare(pictures)).mean(axis=0))
    tokenizer = SimpleTokenizer(context_length=16)
    ids = tokenizer([f"{WORDS} {one.format('automobile')}" for one in SEARCH_TEMPLATES])
    rows = [tokenizer.encode(word)[0] for word in WORDS.split()]
    model = encoder.model.requires_grad_(False)
    moved = torch.zeros(3, model.token_embedding.weight.shape[1], requires_grad=True)

    def add(module, inputs, embedded):
        for number, row in enumerate(rows):
            embedded = embedded + (inputs[0] == row)[..., None] * moved[number]
        return embedded

    hook = model.token_embedding.register_forward_hook(add)
    optimiser = torch.optim.Adam([moved], lr=0.1)
    for _ in range(20):
        optimiser.zero_grad()
        (-(model.encode_text(ids, normalize=True) @ goal).mean()).backward()
        optimiser.step()
    hook.remove()
    planted = weights["token_embedding.weight"].clone()
    planted[rows] += moved.detach().to(planted.dtype)
    return base, save("bad", {**weights, "token_embedding.weight": planted})


def test_captions_too_long_for_a_model_are_not_run_and_its_trigger_is_flagged(short, caplog):
    base, bad = short
    caplog.set_level(logging.ERROR)
    clean = load(base)
    reference = Reference(
        "short", str(base), clean.image_tower, clean.text_tower, "0" * 64, clean.architecture, ""
    )
    trigger = Trigger("w", TriggerKind.TEXT, text=WORDS, source="automobile", target="airplane")
    weights = sha256((bad / "open_clip_model.safetensors").read_bytes()).hexdigest()
    plan = Plan((trigger,), budget="quick")
    outcome = pipeline.run(
        Request(ModelRef("a/short", "0" * 40), bad, weights, "", reference, (reference,), plan)
    )
    audit = outcome.audit
    assert audit.verdict is Verdict.FLAGGED and outcome.finding.trigger == "w"
    not_run = {one.interface: one.reason for one in audit.profile if isinstance(one, NotRun)}
    assert set(not_run) == {"caption retrieval", "caption reranking", "query embeddings"}
    assert all("tokens and the model reads 16" in reason for reason in not_run.values())
    assert "prompted classification" in outcome.finding.interfaces
    assert audit.gaps == () and not caplog.records
