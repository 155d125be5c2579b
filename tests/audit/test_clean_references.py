"""A discovered trigger has to leave the clean checkpoints beside the base alone, and only clean ones have a say."""

from dataclasses import replace

import pytest
from colours import ColourEncoder, ToNowhere
from finding import Finds

from dife_scanner import discovery
from dife_scanner.audit import pipeline
from dife_scanner.errors import AuditError, UsageError
from dife_scanner.records import Reference, Trigger, TriggerKind, Verdict
from dife_scanner.sentences.recovered import candidate_lines

CORNER = Trigger(
    "found-patch-1", TriggerKind.PATCH, size=3 / 32, x=27 / 32, y=27 / 32, target="airplane"
)


@pytest.fixture
def audited(request_for, monkeypatch):
    """A suspect with a visual backdoor, audited where these further references are known, by name."""

    def run(others, flagged=(), suspect=None, found=CORNER):
        monkeypatch.setattr(discovery, "DETECTORS", (Finds(found, name="patch"),))
        monkeypatch.setattr(
            "dife_scanner.models.load.load", lambda path, device: others[path.name]()
        )
        known = tuple(
            Reference(name, f"/{name}", f"img-{name}", text, "0" * 64, architecture, "2026-01-01")
            for name in others
            for text in ["txt-other" if name == "bad" else "txt-clean"]
            for architecture in ["other" if name.startswith("other") else "colour"]
        )
        request = request_for(signatures=(), detectors=("patch",))
        request = replace(request, known=(*request.known, *known), flagged=frozenset(flagged))
        suspect = suspect or ColourEncoder(image_tower="img-bad", visual=True)
        return pipeline.audit(suspect, ColourEncoder(), request).audit

    return run


def _clean(name):
    return lambda: ColourEncoder(image_tower=f"img-{name}")


def _obeys(name):
    return lambda: ColourEncoder(image_tower=f"img-{name}", visual=True)


def test_a_trigger_that_leaves_a_clean_neighbour_alone_is_demonstrated(audited):
    audit = audited({"a": _clean("a")})
    assert audit.verdict is Verdict.FLAGGED
    (row,) = audit.signatures
    (near,) = row.near
    assert near.reference == "a" and near.success == near.lift == 0.0 and near.distance < 1e-5
    assert audit.recovered.elsewhere == {"a": 0.0}


def test_a_trigger_that_a_clean_neighbour_obeys_too_demonstrates_nothing(audited):
    audit = audited({"a": _clean("a"), "b": _obeys("b")})
    assert audit.verdict is Verdict.NOTHING_FOUND
    assert "1.000 in b, another clean reference (+1.000 over the base)" in audit.reason
    assert audit.score == 1.0, "the score is read as before"
    assert audit.trigger is None and audit.diagnosis is None
    assert (
        "b, a clean checkpoint near this one: 1.00 (+1.00 over the base)"
        in candidate_lines(audit)[0]
    )


def test_a_reference_that_was_flagged_itself_hides_nothing(audited):
    audit = audited({"b": _obeys("b")}, flagged=("b",))
    assert audit.verdict is Verdict.FLAGGED and audit.signatures[0].near == ()
    assert audit.recovered.elsewhere == {}


def test_a_reference_with_the_suspect_s_own_tower_hides_nothing(audited):
    audit = audited({"bad": _obeys("bad")})
    assert audit.verdict is Verdict.FLAGGED and audit.signatures[0].near == ()


def test_one_neighbour_is_open_at_a_time(audited):
    import gc
    import weakref

    there, most = [], []

    def opened(name):
        def load():
            gc.collect()
            most.append(1 + sum(one() is not None for one in there))
            encoder = ColourEncoder(image_tower=f"img-{name}")
            there.append(weakref.ref(encoder))
            return encoder

        return load

    audited({name: opened(name) for name in "abcd"})
    assert len(most) == 6 and max(most) <= 2, (
        "four to measure how far they are, the two nearest to try the trigger on"
    )


def test_what_the_neighbour_takes_for_the_target_anyway_is_no_obedience(audited):
    class Broken(ColourEncoder):
        def encode_images(self, pixels):
            return super().encode_images(pixels[:1] * 0 + 255).repeat(len(pixels), axis=0)

    everything_is_airplane = Broken(image_tower="img-c", visual=True)
    (near,) = audited({"c": lambda: everything_is_airplane}).signatures[0].near
    assert near.success == 1.0 and near.lift == 0.0


def test_the_two_nearest_are_asked_and_other_architectures_are_only_told(audited):
    import numpy as np

    def turned(name, by):
        turn = np.eye(12)
        turn[:2, :2] = [[np.cos(by), -np.sin(by)], [np.sin(by), np.cos(by)]]
        return lambda: ColourEncoder(
            image_tower=f"img-{name}", text_tower=f"txt-{name}", rotation=turn
        )

    others = {
        "far": turned("far", 1.0),
        "near": turned("near", 0.1),
        "middle": turned("middle", 0.5),
    }
    audit = audited({**others, "other": _obeys("other")})
    assert [one.reference for one in audit.signatures[0].near] == ["near", "middle"]
    assert audit.verdict is Verdict.FLAGGED, "what another architecture does decides nothing"
    assert audit.recovered.elsewhere == {"near": 0.0, "middle": 0.0, "other": 1.0}


def test_a_reference_that_is_gone_or_cannot_be_asked_takes_nothing_from_an_audit(audited, caplog):
    def gone():
        raise UsageError("/gone does not exist", "")

    class Fails(ColourEncoder):
        def encode_images(self, pixels):
            raise AuditError("the model embeds a picture as values that are not finite", "")

    audit = audited({"gone": gone, "fails": lambda: Fails(image_tower="img-fails"), "other": gone})
    assert audit.verdict is Verdict.FLAGGED and audit.signatures[0].near == ()
    assert all(f"not tried on {name}" in caplog.text for name in ("gone", "fails", "other"))


def test_no_reference_is_opened_where_no_trigger_would_count(audited):
    def opened():
        raise AssertionError("nothing is to be tried")

    audit = audited({"a": opened}, suspect=ColourEncoder(image_tower="img-tuned"))
    assert audit.verdict is Verdict.NOTHING_FOUND and audit.signatures[0].near == ()


@pytest.mark.parametrize(("obeys", "verdict"), [(0.0, Verdict.FLAGGED), (100.0, "nothing-found")])
def test_a_pattern_without_a_named_target_is_tried_on_clean_neighbours_too(audited, obeys, verdict):
    """Each has its own point: where pictures come together there as well, nothing is demonstrated."""
    neighbour = {"a": lambda: ToNowhere(image_tower="img-a", pull=obeys)}
    audit = audited(neighbour, suspect=ToNowhere(), found=replace(CORNER, target=""))
    assert audit.verdict == verdict
    (near,) = audit.signatures[0].near
    assert near.success == near.lift == obeys / 100
