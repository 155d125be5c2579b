"""A base is qualified once: in a process of its own, kept in the store, and a kill costs little."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import wide_kit as kit
from queue_kit import drawn_folder

from dife_scanner import settings as settings_
from dife_scanner.audit import qualification
from dife_scanner.baselines.home import bundled_references, open_home
from dife_scanner.baselines.keeping import towers_here
from dife_scanner.errors import AuditError, DifeError
from dife_scanner.progress import Progress
from dife_scanner.queue import child, qualifying
from dife_scanner.records import Reference
from dife_scanner.store import Store


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


def test_what_ships_need_not_be_measured(tmp_path: Path) -> None:
    settings = settings_.load(tmp_path / "home")
    with open_home(settings) as store:
        for one in bundled_references():
            found = qualifying.kept(store, one)
            assert found is not None and found.recognition.classes, one.name
