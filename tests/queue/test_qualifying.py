"""A base is qualified once: in a process of its own, kept in the store, and a kill costs little."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import wide_kit as kit
from queue_kit import checkpoint, drawn_folder, work_for

from dife_scanner import settings as settings_
from dife_scanner.audit import qualification
from dife_scanner.baselines.home import bundled_references, open_home
from dife_scanner.baselines.keeping import towers_here
from dife_scanner.errors import AuditError, DifeError
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.progress import Progress
from dife_scanner.queue import child, qualifying, targets, worker
from dife_scanner.queue.work import hub_for
from dife_scanner.records import Audit, Reference
from dife_scanner.store import Store, audits, references


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reference:
    """A tiny reference; both sets are tiny too."""
    small = kit.sets(tmp_path / "wide")
    monkeypatch.setattr(qualification, "bundled", lambda: small)
    monkeypatch.setattr(qualification, "bundled_digest", lambda: small.digest)
    folder = Path(drawn_folder(tmp_path / "base", 0))
    towers = towers_here(folder, settings_.load(tmp_path).limits)
    return Reference("tiny", str(folder), towers.image, towers.text, "0" * 64, "tiny", "2026-01-01")


def qualified(store: Store, base: Reference, listen=None):
    """In a process that is forked, so that it has the tiny sets."""
    settings = settings_.load(store.home)
    return qualifying.qualify(store, base, settings, Progress(listen), threads=1, start="fork")


def test_it_is_measured_once_and_kept_with_what_the_base_computes(
    store: Store, base: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    assert qualifying.kept(store, base) is None
    found = qualified(store, base, steps.append)
    assert found.pictures == qualification.bundled().pictures
    assert {step.phase for step in steps} == {qualification.PHASE}
    assert steps[-1].done == found.pictures
    monkeypatch.setattr(child, "apart", lambda *_, **__: pytest.fail("measured twice"))
    renamed = replace(base, name="other")
    assert qualified(store, renamed) == qualifying.kept(store, renamed) == found
    assert qualifying.kept(store, replace(base, image_tower="another")) is None
    assert not list((store.home / "work").iterdir())


def test_what_a_killed_process_embedded_is_not_embedded_again(
    store: Store, base: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qualification, "_AT_ONCE", 8)
    monkeypatch.setattr(qualifying, "_SAVE_SECONDS", -1.0)
    with monkeypatch.context() as patch:
        patch.setattr(qualification, "among_all", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        with pytest.raises(child.ChildDied, match="SIGKILL"):
            qualified(store, base)
    assert qualifying.kept(store, base) is None
    monkeypatch.setattr(
        "dife_scanner.models.clip.ClipEncoder.encode_images",
        lambda *_: pytest.fail("every picture was embedded before"),
    )
    assert qualified(store, base).pictures == qualification.bundled().pictures


def test_a_reference_whose_files_changed_is_not_qualified(store: Store, base: Reference) -> None:
    with pytest.raises(AuditError, match="not those that were added"):
        qualified(store, replace(base, text_tower="f" * 64))
    assert qualifying.kept(store, base) is None


def test_the_error_of_the_process_is_raised_here(store: Store, base: Reference) -> None:
    weights = Path(base.path) / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(DifeError, match=r"open_clip_model\.safetensors"):
        qualified(store, base)


def scanned(store: Store, base: Reference, hub: LoopbackHub, *detectors: str) -> Audit:
    """The audit of a checkpoint compared with the base, by a double that tells what it was given."""
    references.add(store, base)
    name = "-".join(("org/clip", *detectors))
    hub.add_repo(name, checkpoint(len(detectors)))
    work = work_for(store.home, hub.endpoint, audit="queue_kit:knowing", start="fork")
    work = replace(work, plan=replace(work.plan, detectors=detectors), reference=base.name)
    job = targets.enqueue(
        store, name, work.settings.limits, lambda: hub_for(work.settings, hub.endpoint)
    )
    job = worker.run_to_end(store, job, work)
    return audits.audit(store, job.audit_id or "")


def test_a_searching_audit_has_its_base_measured_first_and_one_of_known_triggers_has_not(
    store: Store, base: Reference, hub: LoopbackHub
) -> None:
    known = scanned(store, base, hub)
    assert (known.reason, known.gaps) == ("nothing was measured", ())
    searching = scanned(store, base, hub, "texts")
    kept = qualifying.kept(store, base)
    assert kept is not None
    assert (searching.reason, searching.gaps) == (", ".join(kept.recognition.classes), ())


def test_an_audit_goes_on_without_what_cannot_be_measured_and_is_incomplete(
    store: Store, base: Reference, hub: LoopbackHub
) -> None:
    found = scanned(store, replace(base, text_tower="f" * 64), hub, "texts")
    (gap,) = found.gaps
    assert gap.stage == "what tiny recognises" and "not those that were added" in gap.reason
    assert found.reason == "nothing was measured"


def test_what_ships_need_not_be_measured(tmp_path: Path) -> None:
    settings = settings_.load(tmp_path / "home")
    with open_home(settings) as store:
        for one in bundled_references():
            found = qualifying.kept(store, one)
            assert found is not None and found.recognition.classes, one.name
