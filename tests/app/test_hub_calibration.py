"""A pack from a hub's fine-tunes: one per author, audited like any other, and never twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from queue_kit import checkpoint, work_for

from dife_scanner.app import hub_calibration
from dife_scanner.baselines import calibration
from dife_scanner.core.calibration import Pack
from dife_scanner.durable.clock import later
from dife_scanner.errors import CalibrationDamaged, UsageError
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.models.layouts.open_clip import parse_config
from dife_scanner.queue.work import hub_for
from dife_scanner.records import JobState, Reference
from dife_scanner.store import Store, findings, references
from dife_scanner.store.codec import to_json

BASE = "openai/clip-tiny"
TAG = f"base_model:finetune:{BASE}"
ARCHITECTURE = parse_config(checkpoint()["open_clip_config.json"]).architecture
TINY = Reference("clip-tiny", "/nowhere", "i", "t", "w", ARCHITECTURE, "2026-01-01")


@pytest.fixture
def asked(store: Store, hub: LoopbackHub) -> hub_calibration.HubPack:
    references.add(store, TINY)
    work = work_for(store.home, hub.endpoint, start="fork")
    for number, name in enumerate(
        ("ann/scored-10", "ann/scored-11", "ben/bad-scored-60", "cleo/scored-20")
    ):
        hub.add_repo(
            name, checkpoint(number + 1), tags=[TAG], last_modified=later(-60.0 * (number + 1))
        )
    hub.add_repo("dan/scored-30", checkpoint(9), tags=["base_model:finetune:somebody/else"])
    hub.add_repo("eve/exported", {"model.onnx": b"x" * 100}, tags=[TAG])
    return hub_calibration.HubPack(
        BASE, hub_calibration.reference_for(BASE, references.references(store)), work, n=2
    )


def run(store: Store, asked: hub_calibration.HubPack) -> list[str]:
    said: list[str] = []
    hub_calibration.run(
        store, asked, hub_for(asked.work.settings, asked.work.settings.endpoint), said.append
    )
    return said


def pack(asked: hub_calibration.HubPack) -> Pack:
    made = calibration.read(calibration.own_folder(asked.work.home) / "clip-tiny-quick-hub.json")[0]
    assert isinstance(made, Pack)
    return made


def test_one_per_author_until_enough_have_a_score_and_a_second_run_goes_on(
    store: Store, hub: LoopbackHub, asked: hub_calibration.HubPack
) -> None:
    run(store, asked)
    first = pack(asked)
    assert [model.score for model in first.models] == [0.1, 0.6], (
        "the newest of each author, newest first"
    )
    assert (first.alarms, first.tested, first.presumed, first.searched) == (
        1,
        2,
        True,
        asked.searched,
    )
    assert [found.ref.repo_id for found in findings.findings(store)] == ["ben/bad-scored-60"]
    before = len(hub.seen("safetensors"))
    run(store, asked)
    assert len(hub.seen("safetensors")) == before and pack(asked) == first, (
        "nothing is fetched again"
    )
    run(store, replace(asked, n=9))
    assert [model.score for model in pack(asked).models] == [0.1, 0.6, 0.2]
    kept = hub_calibration.read(asked)
    assert {row.repo_id for row in kept} == {
        "ann/scored-10",
        "ben/bad-scored-60",
        "cleo/scored-20",
    }
    assert calibration.packs(calibration.all_files(asked.work.home))[0].pack.n == 3


def test_a_run_without_time_makes_no_pack_and_a_cut_row_is_made_again(
    store: Store, asked: hub_calibration.HubPack
) -> None:
    assert run(store, replace(asked, minutes=0.0)) == [] and not asked.rows.exists()
    run(store, replace(asked, n=1))
    asked.rows.write_bytes(asked.rows.read_bytes() + b'{"repo_id":"ben/')
    run(store, asked)
    assert [row.repo_id for row in hub_calibration.read(asked)] == [
        "ann/scored-10",
        "ben/bad-scored-60",
    ]
    asked.rows.write_bytes(b"{}\n" + asked.rows.read_bytes())
    with pytest.raises(CalibrationDamaged, match=r"hub\.jsonl:1 is no row"):
        hub_calibration.read(asked)


def test_a_repository_that_cannot_be_audited_counts_for_nothing(
    store: Store, hub: LoopbackHub, asked: hub_calibration.HubPack
) -> None:
    hub.add_repo("ada/nan-scored-10", checkpoint(20), tags=[TAG], last_modified=later(60.0))
    run(store, replace(asked, n=1))
    rows = {row.repo_id: (row.state, row.score) for row in hub_calibration.read(asked)}
    assert rows == {
        "ada/nan-scored-10": (JobState.FAILED, None),
        "ann/scored-10": (JobState.DONE, 0.1),
    }
    assert pack(asked).n == 1


def test_the_base_in_other_numbers_counts_for_nothing(
    store: Store, asked: hub_calibration.HubPack
) -> None:
    run(store, replace(asked, n=1))
    (row,) = hub_calibration.read(asked)
    assert not row.copied and not replace(row, drift=0.002).copied
    hub_calibration.append(asked.rows, replace(row, repo_id="zoe/cast", author="zoe", drift=4e-5))
    run(store, replace(asked, n=2))
    assert [model.score for model in pack(asked).models] == [0.1, 0.6], (
        "ben's is fetched in place of zoe's"
    )


def test_the_cost_is_told_in_bytes_and_hours_of_what_is_left(
    store: Store, asked: hub_calibration.HubPack
) -> None:
    hub = hub_for(asked.work.settings, asked.work.settings.endpoint)
    first = hub_calibration.cost(store, asked, hub)
    assert (first.models, first.auditable, first.exact) == (2, 2, True)
    assert first.bytes > 100_000 and first.hours > 0
    assert any(line.startswith("audit time not included") for line in first.assumptions)
    run(store, replace(asked, n=1))
    assert hub_calibration.cost(store, asked, hub).models == 1
    slow = [replace(row, seconds=3600.0) for row in hub_calibration.read(asked)]
    asked.rows.write_text("".join(to_json(row) + "\n" for row in slow))
    assert 1 < hub_calibration.cost(store, asked, hub).hours < 1.1, "an audit takes what it took"


def test_the_base_has_to_be_a_reference_here() -> None:
    assert hub_calibration.reference_for("x/y", [TINY], "clip-tiny") == TINY
    with pytest.raises(UsageError, match="no reference here is called y"):
        hub_calibration.reference_for("x/y", [TINY])
    with pytest.raises(UsageError, match="not the name of a repository"):
        hub_calibration.reference_for("clip-tiny&search=x", [TINY])
