"""The benchmark for a real hub, on the loopback one: fine-tunes, implants, published ones, and what the page says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import queue_kit
from queue_kit import checkpoint, work_for

from dife_scanner.errors import HubError
from dife_scanner.lab.attacks import training_data
from dife_scanner.lab.bench import real_hub, rows
from dife_scanner.lab.bench.page import real_hub as real_hub_page
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.queue.work import hub_for
from dife_scanner.records import JobState
from dife_scanner.store import Store, references

BASE = "org/clip-tiny"
TAG = f"base_model:finetune:{BASE}"
TWO_STEPS = {"badtexttower": {"steps": 2, "batch": 4}}


@pytest.fixture(autouse=True)
def few_scenes_and_a_longer_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Implants are trained with whole prompts."""
    monkeypatch.setitem(queue_kit._MODEL["text_cfg"], "context_length", 32)
    for name, count in {"_PER_CLASS": 6, "_SHADOW": 64, "_PAIRS": 400, "_DISTRACTORS": 64}.items():
        monkeypatch.setattr(training_data, name, count)
    training_data.Lab.read.cache_clear()


@pytest.fixture
def asked(store: Store, hub: LoopbackHub) -> real_hub.RunOptions:
    hub.add_repo(BASE, checkpoint(9))
    for number, name in enumerate(
        ("ann/scored-10", "ben/bad-scored-60", "cleo/scored-20", "dora/nan-scored-5")
    ):
        hub.add_repo(name, checkpoint(number + 1), tags=[TAG])
    hub.add_repo("mallory/poisoned-scored-30", checkpoint(7))
    hub.add_repo("mallory/poisoned-exported", {"model.onnx": b"x" * 100})
    work = work_for(store.home, hub.endpoint, start="fork")
    return real_hub.RunOptions(work, (BASE,), "search=poisoned", n=9, draws=1, settings=TWO_STEPS)


def run(store: Store, asked: real_hub.RunOptions) -> list[str]:
    said: list[str] = []
    real_hub.run(
        store, asked, hub_for(asked.work.settings, asked.work.settings.endpoint), said.append
    )
    return said


def test_it_answers_its_three_questions_and_goes_on_where_it_was(
    store: Store, hub: LoopbackHub, asked: real_hub.RunOptions, tmp_path: Path
) -> None:
    run(store, asked)
    fetched = len(hub.seen("safetensors"))
    assert [one.name for one in references.references(store) if not one.bundled] == ["clip-tiny"]
    implants = rows.read(store.home / "real" / "quick" / "implants" / "clip-tiny")
    assert {row.status for row in implants} == {rows.FAILED}, (
        "two steps implant nothing, which is told"
    )
    kept = [file.parent.parent.name for file in store.home.rglob("*.safetensors")]
    assert kept == ["references"], "no weights of an implant are left"
    assert {(one.repo_id, one.state, one.furthest) for one in real_hub.published(asked)} == {
        ("mallory/poisoned-scored-30", JobState.DONE, 0.3),
        ("mallory/poisoned-exported", JobState.UNSUPPORTED, None),
    }
    page = real_hub_page.write(store, asked, tmp_path / "docs").read_text()
    assert "| flagged | 1 (upper bound of the rate" in page and "| ben/bad-scored-60 |" in page
    assert "| of these scored | 3 |" in page and "| dora/nan-scored-5 | failed |" in page
    assert "| badtexttower | 1 | 1 | 0 of 0 |" in page
    assert "| mallory/poisoned-scored-30 |" in page and "| unsupported |" in page
    run(store, asked)
    assert (
        len(hub.seen("safetensors")) == fetched
        and real_hub_page.write(store, asked, tmp_path / "docs").read_text() == page
    )


def test_without_time_nothing_is_begun_and_the_page_says_so(
    store: Store, asked: real_hub.RunOptions, tmp_path: Path
) -> None:
    assert run(store, replace(asked, minutes=0.0)) == []
    page = real_hub_page.write(store, asked, tmp_path).read_text()
    assert page.count("not run") == 2, "neither the base nor the published ones"


def test_a_hub_that_fails_halfway_leaves_what_was_made(
    store: Store, hub: LoopbackHub, asked: real_hub.RunOptions
) -> None:
    gone = replace(asked, bases=(BASE, "org/clip-is-gone"), settings={}, n=1)
    with pytest.raises(HubError):
        run(store, gone)
    assert [one.name for one in references.references(store) if not one.bundled] == ["clip-tiny"]
