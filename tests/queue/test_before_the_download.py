"""A configuration and a header decide before the weights are fetched; only verified bytes call a file hostile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkpoints import split, with_header
from queue_kit import CONFIG, EMPTY_ZIP, WEIGHTS, checkpoint, checkpoint_folder, work_for

from dife_scanner import checkpoints
from dife_scanner.app.planning import plan_targets
from dife_scanner.errors import LimitExceeded
from dife_scanner.lab.loopback import Announced, LoopbackHub, faults
from dife_scanner.models.config import deviations
from dife_scanner.models.load import configuration, default_limits
from dife_scanner.queue import targets, worker
from dife_scanner.queue.work import hub_for
from dife_scanner.records import Budget, Contents, Job, JobState, Reference
from dife_scanner.store import Store, findings, references

Files = dict[str, Any]
RANGED = "/repos/lfs/"
GOOD = checkpoint()


def scanned(store: Store, hub: LoopbackHub, target: str, **changes: Any) -> Job:
    """The job of one `dife scan`, as far as it got."""
    work = work_for(store.home, hub.endpoint, **changes)
    limits = work.settings.limits
    job = targets.enqueue(store, target, limits, lambda: hub_for(work.settings, hub.endpoint))
    return worker.run_to_end(store, job, work)


def configured(change: Callable[[dict[str, Any]], Any]) -> Files:
    """The good checkpoint under another configuration: the document, changed in place or replaced."""
    document = json.loads(GOOD[CONFIG])
    returned = change(document)
    return {**GOOD, CONFIG: json.dumps(document if returned is None else returned).encode()}


def headed(change: Callable[[dict[str, Any]], Any]) -> Files:
    """The good configuration with another header, changed in place, before the same values."""
    header, data = split(GOOD[WEIGHTS])
    change(header)
    return {**GOOD, WEIGHTS: with_header(header, data)}


def with_tower(name: str, **options: Any) -> Files:
    return configured(lambda document: document["model_cfg"][name].update(options))


def renamed(old: str, new: str) -> Files:
    return headed(lambda header: header.update({new: header.pop(old)}))


def prefixed(prefix: str) -> Files:
    header, data = split(GOOD[WEIGHTS])
    other = {prefix + name: entry for name, entry in header.items()}
    return {**GOOD, WEIGHTS: with_header(other, data)}


def typed(dtype: str) -> Files:
    return headed(lambda header: [entry.update(dtype=dtype) for entry in header.values()])


DECIDED = {
    "null model": (configured(lambda document: {"model_cfg": None}), "failed", "`model_cfg` is missing"),
    "odd model": (configured(lambda document: {"model_cfg": "ViT-B-32"}), "failed", "not an object"),
    "timm": (with_tower("vision_cfg", timm_model_name="vit_base"), "unsupported", "'vit_base' of timm"),
    "text tower": (with_tower("text_cfg", hf_model_name="xlm-roberta"), "unsupported", "'xlm-roberta'"),
    "a million layers": (with_tower("vision_cfg", layers=10**6), "unsupported", "makes 1000000"),
    "two values": ({**GOOD, CONFIG: b'{"a": 1, "a": 2}'}, "refused", "'a' occurs twice"),
    "large weights": ({**GOOD, WEIGHTS: Announced(10**12)}, "limit-exceeded", "raise limits.checkpoint_bytes"),
    "large config": ({**GOOD, CONFIG: Announced(10**9)}, "limit-exceeded", "raise limits.small_file_bytes"),
    "a foreign tensor": (renamed("ln_final.bias", "ln_other.bias"), "unsupported", "unexpected tensors, the first is"),
    "another shape": (with_tower("vision_cfg", width=32), "unsupported", "has the shape [16] instead of [32]"),
    "tomorrow's dtype": (typed("F16X"), "unsupported", "dtype 'F16X', which this version does not know"),
    "another layout": (prefixed("other/"), "unsupported", "another layout"),
}  # fmt: skip


@pytest.mark.parametrize(("files", "state", "words"), DECIDED.values(), ids=DECIDED.keys())
def test_what_decides_is_small_and_the_weights_stay_where_they_are(
    store: Store, hub: LoopbackHub, files: Files, state: str, words: str
) -> None:
    hub.add_repo("org/clip", files)
    work = work_for(store.home, hub.endpoint)
    (planned,) = plan_targets(work.settings, ["org/clip"], Budget.QUICK).targets
    assert planned.state == state and words in planned.reason
    job = scanned(store, hub, "org/clip")
    assert job.state == state and words in job.reason
    assert len(findings.findings(store)) == (state == "refused")
    # twice for the plan and twice for the job, as a decision is not made on one reading
    assert hub.large_bytes <= 4 * checkpoints.FIRST_BYTES < len(GOOD[WEIGHTS])
    assert not [seen for seen in hub.seen(RANGED) if not seen.range]


@pytest.mark.parametrize("case", ["null model", "timm"])
def test_a_configuration_is_no_way_past_an_audit_where_the_tensors_are_those_of_a_reference(
    store: Store, hub: LoopbackHub, tmp_path: Path, case: str
) -> None:
    folder = checkpoint_folder(tmp_path / "base", 3)
    references.add(store, Reference("base", str(folder), "i", "t", "w", "tiny", "2026-01-01"))
    hub.add_repo("org/clip", DECIDED[case][0])
    work = work_for(store.home, hub.endpoint)
    (planned,) = plan_targets(work.settings, ["org/clip"], Budget.QUICK).targets
    assert planned.state is JobState.QUEUED
    job = scanned(store, hub, "org/clip")
    assert job.state is JobState.DONE, job.reason
    hub.add_repo("org/other", {**DECIDED[case][0], WEIGHTS: prefixed("other/")[WEIGHTS]})
    assert scanned(store, hub, "org/other").state == DECIDED[case][1]
    assert not [seen for seen in hub.seen(RANGED) if not seen.range][1:]


def test_a_size_that_only_the_configuration_changes_is_one_more_setting(tmp_path: Path) -> None:
    """open_clip interpolates the positions, so the checkpoint runs as it is configured, and the base as well."""
    base = Reference("base", str(checkpoint_folder(tmp_path / "base", 3)), *"itwa", "2026-01-01")
    suspect = tmp_path / "suspect"
    suspect.mkdir()
    files = {}
    for name, content in with_tower("text_cfg", context_length=24).items():
        files[name] = suspect / name
        files[name].write_bytes(content)

    came = checkpoints.Files(files, {}, Contents(config=CONFIG, weights=(WEIGHTS,)))
    alone = checkpoints.prepare(came, tmp_path / "alone", default_limits())
    assert alone.config.text.context_length == 24 and not alone.own_settings_problem
    found = checkpoints.prepare(came, tmp_path / "known", default_limits(), [base])
    assert found.config.text.context_length == 24 and not found.own_settings_problem
    theirs = configuration(Path(base.path), default_limits())
    (deviation,) = deviations(found.config, theirs)
    assert (deviation.setting, deviation.base) == ("text.context_length", "8")


@pytest.mark.usefixtures("limited_child")
@pytest.mark.parametrize(
    ("limits", "words"),
    [({"tensors": 5}, "more than 5 tensors"), ({"header_bytes": 100}, "the limit is 100")],
)
def test_a_limit_on_the_header_is_hit_before_the_download_and_raised_where_it_says(
    store: Store, hub: LoopbackHub, limits: dict[str, Any], words: str
) -> None:
    hub.add_repo("org/clip", GOOD)
    job = scanned(store, hub, "org/clip", limits=limits)
    (name,) = limits
    assert job.state is JobState.LIMIT_EXCEEDED
    assert words in job.reason and f"raise limits.{name}" in job.reason
    assert hub.large_bytes <= 2 * checkpoints.FIRST_BYTES
    assert scanned(store, hub, "org/clip", limits={name: 10**6}).state is JobState.DONE


@pytest.mark.parametrize(
    ("name", "low"), [("checkpoint_bytes", 100_000), ("small_file_bytes", 100)]
)
def test_a_limit_on_a_file_is_raised_where_it_says(
    store: Store, hub: LoopbackHub, tmp_path: Path, name: str, low: int
) -> None:
    hub.add_repo("org/clip", GOOD)
    folder = checkpoint_folder(tmp_path / "local")
    for target in ("org/clip", str(folder)):
        job = scanned(store, hub, target, limits={name: low})
        assert job.state is JobState.LIMIT_EXCEEDED and f"raise limits.{name}" in job.reason
        assert target != "org/clip" or hub.large_bytes == 0
        job = scanned(store, hub, target, limits={name: 10**9})
        assert job.state is JobState.DONE, job.reason


def test_what_saving_programs_leave_is_no_obstacle(store: Store, hub: LoopbackHub) -> None:
    def change(header: dict[str, Any]) -> None:
        header["__metadata__"] = None
        header["converted_by"] = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}

    files = headed(change)
    hub.add_repo("org/clip", {**files, CONFIG: b"\xef\xbb\xbf" + files[CONFIG]})
    job = scanned(store, hub, "org/clip")
    assert job.state is JobState.DONE, job.reason


@pytest.mark.usefixtures("limited_child")
def test_a_long_header_is_read_to_its_end(store: Store, hub: LoopbackHub) -> None:
    def change(header: dict[str, Any]) -> None:
        header["__metadata__"] = {"notes": "x" * 300_000}
        header["ln_other.bias"] = header.pop("ln_final.bias")

    hub.add_repo("org/clip", headed(change))
    job = scanned(store, hub, "org/clip")
    assert job.state is JobState.UNSUPPORTED and "'ln_other.bias'" in job.reason
    assert not [seen for seen in hub.seen(RANGED) if not seen.range]


BEGINNINGS = {
    "no such range": faults.status(RANGED, 416, times=1),
    "trouble of the server": faults.status(RANGED, 500, times=1),
    "a broken line": faults.drop(RANGED, times=1),
    "half of it": faults.truncate(RANGED, 1000, times=1),
    "a page of a proxy": faults.body(RANGED, b"<html>502</html>", times=1),
    "an error in JSON": faults.body(RANGED, b'{"error": "try again"}', times=1),
    "other bytes": faults.headers(RANGED, {"Content-Range": "bytes 7-9/10"}, times=1),
    "a torn header": faults.corrupt(RANGED, 20, times=1),
    "a torn length": faults.corrupt(RANGED, 7, times=1),
    "the whole file": faults.ignore_range(RANGED, times=1),
}


@pytest.mark.parametrize("fault", BEGINNINGS.values(), ids=BEGINNINGS.keys())
def test_whatever_becomes_of_the_beginning_the_whole_file_decides(
    store: Store, hub: LoopbackHub, fault: faults.Fault
) -> None:
    hub.add_repo("org/clip", GOOD)
    hub.inject(fault)
    assert scanned(store, hub, "org/clip").state is JobState.DONE
    assert findings.findings(store) == []


def test_every_byte_of_the_header_may_be_torn_on_the_way(
    store: Store, hub: LoopbackHub, tmp_path: Path
) -> None:
    """Whatever one torn beginning looks like, nothing is decided by it."""
    hub.add_repo("org/clip", GOOD)
    work = work_for(store.home, hub.endpoint)
    for offset in range(8, 200, 61):
        hub.inject(faults.corrupt(RANGED, offset, times=1))
        assert plan_targets(work.settings, ["org/clip"], Budget.QUICK).auditable == 1, offset
        hub.heal()


def test_a_file_that_tries_something_is_refused_by_its_verified_bytes(
    store: Store, hub: LoopbackHub
) -> None:
    hub.add_repo("org/clip", {**GOOD, WEIGHTS: GOOD[WEIGHTS] + EMPTY_ZIP})
    done = scanned(store, hub, "org/clip")
    assert done.state is JobState.REFUSED and "22 bytes follow the last tensor" in done.reason
    assert hub.large_bytes > len(GOOD[WEIGHTS])
    (found,) = findings.findings(store)
    assert found.kind == "refused"


def test_what_is_never_fetched_is_not_judged(store: Store, hub: LoopbackHub) -> None:
    beside = {
        "README.md": Announced(50 * 10**9),
        "a\u202ename \x1b[31m.md": b"# odd",
        "open_clip_pytorch_model.bin": b"\x80\x04cposix\nsystem\n.",
        "open_clip_pytorch_model.safetensors": b"\x80\x04 not chosen",
        "model.onnx": Announced(10**13),
        "tokenizer.json": Announced(10**10),
    }
    hub.add_repo("org/clip", GOOD | beside)
    work = work_for(store.home, hub.endpoint)
    (planned,) = plan_targets(work.settings, ["org/clip"], Budget.QUICK).targets
    assert (planned.state, planned.files) == (JobState.QUEUED, (CONFIG, WEIGHTS))
    assert planned.bytes_to_fetch == len(GOOD[CONFIG]) + len(GOOD[WEIGHTS])
    job = scanned(store, hub, "org/clip")
    assert job.state is JobState.DONE, job.reason
    assert findings.findings(store) == []


def test_a_repository_of_many_files_is_a_limit_that_can_be_raised(
    store: Store, hub: LoopbackHub
) -> None:
    hub.add_repo("org/clip", GOOD | {f"{number}.txt": b"" for number in range(9)})
    with pytest.raises(LimitExceeded, match="more than 10 files") as caught:
        scanned(store, hub, "org/clip", limits={"repository_files": 10})
    assert "limits.repository_files" in caught.value.advice
    job = scanned(store, hub, "org/clip", limits={"repository_files": 11})
    assert job.state is JobState.DONE


def test_a_local_checkpoint_is_planned_with_its_state(
    store: Store, hub: LoopbackHub, tmp_path: Path
) -> None:
    folder = tmp_path / "foreign"
    folder.mkdir()
    for name, content in renamed("ln_final.bias", "ln_other.bias").items():
        (folder / name).write_bytes(content)
    work = work_for(store.home, hub.endpoint)
    (planned,) = plan_targets(work.settings, [str(folder)], Budget.QUICK).targets
    assert planned.state is JobState.UNSUPPORTED and "'ln_other.bias'" in planned.reason
