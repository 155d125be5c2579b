"""Calibration files are read only as they were written, and an audit says what they come to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from queue_kit import audit_record, searched

from dife_scanner.audit.plan import DISCOVERY_VERSIONS, Plan
from dife_scanner.baselines import calibration
from dife_scanner.baselines.home import bundled_references
from dife_scanner.core.calibration import Benign, Pack, PowerTable
from dife_scanner.errors import CalibrationDamaged
from dife_scanner.records import (
    Audit,
    Budget,
    Channel,
    MissingSearch,
    ModelRef,
    Planted,
    Search,
    Stratum,
)
from dife_scanner.sentences.calibration import calibration_lines
from dife_scanner.sentences.searches import power_text

PLAN = Plan((), "quick", detectors=("texts", "patch"))
BASE = next(one for one in bundled_references() if one.name == "dife-base-vit")


def pack(n: int = 19, score: float = 0.1) -> Pack:
    models = tuple(Benign("image tower", score) for _ in range(n))
    return Pack(
        "mine-quick", BASE.name, calibration.searched(BASE, PLAN), "0", "2026-11-23", models, n, 0
    )


def power() -> PowerTable:
    searched = calibration.searched(BASE, PLAN)
    return PowerTable(
        BASE.name, searched, "2026-11-23", "test side", (Planted("patch", 3, 4),), ("warp",)
    )


def kept(home: Path, content: Pack | PowerTable, name: str = "mine") -> Path:
    return calibration.write(content, calibration.own_folder(home) / f"{name}.json")


@pytest.fixture
def scored() -> Audit:
    return audit_record(ModelRef("org/name", "0" * 40), **searched(0.4))


@pytest.mark.parametrize("content", [pack(), power()])
def test_a_file_is_read_as_it_was_written(tmp_path: Path, content: Pack | PowerTable) -> None:
    path = kept(tmp_path, content)
    again, digest = calibration.read(path)
    assert again == content and len(digest) == 64
    assert calibration.read(calibration.write(content, tmp_path / "other.json"))[1] == digest
    assert [one.name for one in path.parent.iterdir()] == ["mine.json"], "no temporary file stays"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda d: d["content"]["models"][0].update(score=0.0), "has been changed"),
        (lambda d: d["content"].update(made_on="2026-11-24"), "has been changed"),
        (lambda d: d.update(format=2), "has format 2, this version reads 1"),
        (lambda d: d.update(kind="verdict"), "holds 'verdict'"),
        (lambda d: d.update(kind="power"), "does not hold what its kind has to"),
        (lambda d: d.pop("sha256"), "is not a calibration file"),
    ],
)
def test_a_damaged_file_is_refused_by_name(
    tmp_path: Path, damage: Callable[[dict[str, Any]], object], words: str
) -> None:
    path = kept(tmp_path, pack())
    document = json.loads(path.read_text())
    damage(document)
    path.write_text(json.dumps(document))
    with pytest.raises(CalibrationDamaged, match=words) as error:
        calibration.read(path)
    assert str(path) in error.value.what and error.value.advice


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (replace(pack(), alarms=20), "more alarms than models"),
        (pack(score=1.5), "between 0 and 1"),
        (replace(pack(), searched=replace(pack().searched, budget="huge")), "no such budget"),
        (replace(pack(), made_on="yesterday"), "yesterday"),
        (replace(power(), planted=(Planted("patch", 5, 4),)), "more found than planted"),
    ],
)
def test_values_that_no_calibration_can_have_are_refused(
    tmp_path: Path, wrong: Pack | PowerTable, words: str
) -> None:
    with pytest.raises(CalibrationDamaged, match=words):
        calibration.read(kept(tmp_path, wrong))


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    path = kept(tmp_path, pack())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CalibrationDamaged, match="cannot be read"):
        calibration.read(path)


def test_an_audit_with_a_score_gets_its_p_value_and_power(tmp_path: Path, scored: Audit) -> None:
    bare = calibration.with_calibration(scored, BASE, PLAN, tmp_path / "empty")
    assert bare.calibration and bare.calibration.stratum is Stratum.NONE and bare.power is None
    kept(tmp_path, pack())
    kept(tmp_path, power(), "power")
    audit = calibration.with_calibration(scored, BASE, PLAN, tmp_path)
    assert audit.calibration and audit.power
    assert (audit.calibration.pack, audit.calibration.p_value, audit.calibration.n) == (
        "mine-quick",
        1 / 20,
        19,
    )
    assert audit.power.planted == (Planted("patch", 3, 4),)
    assert replace(audit, calibration=None, power=None) == scored
    other = replace(PLAN, detectors=("texts",))
    said = calibration.with_calibration(scored, BASE, other, tmp_path)
    assert said.calibration and said.calibration.p_value is None and said.power is None
    learner = Search("prompt learner", Channel.PROMPT, ("a pattern",), 1, 0.4, 1, 1.0)
    said = calibration.with_calibration(
        replace(scored, searches=(*scored.searches, learner)), BASE, PLAN, tmp_path
    )
    assert said.calibration and said.calibration.p_value is None, (
        "the pack's models were searched without it"
    )
    assert "prompt learner" in said.calibration.reason
    unscored = replace(scored, score=None)
    assert calibration.with_calibration(unscored, BASE, PLAN, tmp_path) is unscored
    assert calibration.with_calibration(scored, None, PLAN, tmp_path) is scored


def test_an_audit_that_reached_less_has_no_p_value_and_power_for_what_ran_alone(
    tmp_path: Path, scored: Audit
) -> None:
    kinds = Planted("text through text", 3, 4), Planted("patch through image", 2, 2)
    kept(tmp_path, pack())
    kept(tmp_path, replace(power(), planted=kinds), "power")
    (ran,) = scored.searches
    missed = MissingSearch("patch", Channel.IMAGE, (), "not reached", unreached=True)
    cut = replace(scored, not_searched=(missed,), searches=(replace(ran, detector="texts"),))
    said = calibration.with_calibration(cut, BASE, PLAN, tmp_path)
    assert said.calibration and said.calibration.p_value is None
    assert "no p-value at this depth" in calibration_lines(said)[0]
    assert said.power and (said.power.planted, said.power.not_reached) == (kinds[:1], kinds[1:])
    assert "not reached here: patch through image (2 of 2)" in power_text(said)


def test_a_search_of_a_smaller_effort_counts_for_no_pack_and_no_power(
    tmp_path: Path, scored: Audit
) -> None:
    """A score is the largest of all searches, so not even a pack of the others alone is like it."""
    kinds = Planted("text through text", 3, 4), Planted("patch through image", 2, 2)
    of_texts = replace(pack().searched, detectors=("texts",))
    kept(tmp_path, replace(pack(), searched=of_texts))
    kept(tmp_path, replace(power(), planted=kinds), "power")
    (ran,) = scored.searches
    lowered = MissingSearch(
        "patch", Channel.IMAGE, (), "too short", unreached=True, effort=Budget.QUICK
    )
    both = (replace(ran, detector="texts"), replace(ran, detector="patch"))
    cut = replace(scored, not_searched=(lowered,), searches=both)
    said = calibration.with_calibration(cut, BASE, PLAN, tmp_path)
    assert said.calibration and said.calibration.p_value is None
    assert "no p-value at this depth" in calibration_lines(said)[0]
    assert said.power and (said.power.planted, said.power.not_reached) == (kinds[:1], kinds[1:])


def test_a_damaged_pack_gives_no_rate_and_is_named(tmp_path: Path, scored: Audit) -> None:
    path = kept(tmp_path, pack())
    path.write_text(path.read_text().replace("0.1", "0.0", 1))
    said = calibration.with_calibration(scored, BASE, PLAN, tmp_path).calibration
    assert (
        said
        and said.p_value is None
        and str(path) in said.reason
        and "has been changed" in said.reason
    )


def test_every_shipped_file_is_whole_and_of_this_discovery() -> None:
    """A pack made by another version of the discovery would never speak; it would have to be made anew."""
    for one in calibration.all_files(None):
        assert one.error is None and one.content is not None, one.path
        assert one.content.searched.discovery == DISCOVERY_VERSIONS[one.content.searched.budget]
