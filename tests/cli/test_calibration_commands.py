"""`dife calibration`: what packs there are, which of them speak, and that damage is seen."""

import json
from datetime import date, timedelta

import calling
import jsonschema
import pytest

from dife_scanner import discovery
from dife_scanner.audit.plan import Plan
from dife_scanner.baselines import calibration
from dife_scanner.baselines.home import bundled_references
from dife_scanner.core.calibration import STALE_DAYS, Benign, Pack
from dife_scanner.lab.bench import make, own_pack, rows, zoo
from dife_scanner.lab.bench.rows import Outcome, Row
from dife_scanner.lab.bench.zoo import build
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.records import Verdict
from dife_scanner.reports import as_json

BASE = next(one for one in bundled_references() if one.name == "dife-base-vit")
TODAY = date.fromisoformat("2026-11-23")


def pack(name="mine-quick", n=99, made_on=TODAY, detectors=None, base=BASE):
    plan = Plan((), "quick", detectors=discovery.names("quick") if detectors is None else detectors)
    models = tuple(Benign("image tower", index / 1000) for index in range(n))
    return Pack(
        name, base.name, calibration.searched(base, plan), "0", made_on.isoformat(), models, n, 1
    )


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(calibration, "today", lambda: TODAY)
    monkeypatch.setattr(calibration, "shipped_folder", lambda: tmp_path / "shipped")
    return tmp_path / "home"


def keep(home, made, name=None):
    return calibration.write(made, calibration.own_folder(home) / f"{name or made.name}.json")


def listed(home, *arguments):
    done = calling.dife("calibration", *arguments, "--home", home, "--json")
    read = json.loads(done.stdout)
    jsonschema.validate(
        read, json.loads(as_json.schema_file(as_json.CalibrationDocument).read_text())
    )
    return done.returncode, {row["name"]: row for row in read["files"]}


def test_a_pack_that_speaks_is_in_use_with_its_smallest_p_value_and_its_bound(home):
    keep(home, pack())
    code, rows = listed(home, "list")
    row = rows["mine-quick"]
    assert (code, row["state"], row["n"], row["said"], row["shipped"]) == (
        0,
        "in use",
        99,
        "",
        False,
    )
    assert row["smallest_p"] == 0.01 and row["alarm_bound"] == pytest.approx(0.0471, abs=1e-3)
    shown = calling.dife("calibration", "list", "--home", home).stdout
    assert "mine-quick" in shown and "0.010" in shown and "1 of 99 (at most 4.7%)" in shown


def test_a_pack_that_cannot_speak_says_why(home):
    keep(home, pack("small", n=5))
    keep(home, pack("old", made_on=TODAY - timedelta(STALE_DAYS + 1)))
    keep(home, pack("other", detectors=("texts",)))
    stranger = as_json.Reference("gone", "", "i", "t", "w", "ViT", "")
    keep(home, pack("stranger", base=stranger))
    _, rows = listed(home, "list")
    assert "a pack of 5 can never give a p-value of 0.05" in rows["small"]["said"]
    assert "181 days old" in rows["old"]["said"] and rows["old"]["age_days"] == 181
    assert [rows[name]["state"] for name in ("small", "old", "other", "stranger")] == [
        "in use"
    ] * 2 + ["unused"] * 2
    assert "was searched by texts, here it was" in rows["other"]["said"]
    assert "no reference here has the towers and pictures of gone" in rows["stranger"]["said"]


def test_verify_exits_3_where_a_file_was_changed_and_0_where_none_was(home):
    path = keep(home, pack())
    assert listed(home, "verify")[0] == 0
    path.write_text(
        path.read_text().replace('"score": 0.01,', '"score": 0.02,').replace("0.011", "0.012")
    )
    code, rows = listed(home, "verify")
    assert code == 3 and rows[""]["state"] == "damaged" and "has been changed" in rows[""]["said"]
    whole = calibration.write(pack("other"), home / "elsewhere.json")
    assert listed(home, "verify", whole)[0] == 0, "only the file that was named"
    assert (
        calling.dife("calibration", "verify", home / "nothing.json", "--home", home).returncode == 3
    )
    assert listed(home, "list")[0] == 0


def test_a_home_without_packs_says_that_no_rate_is_printed(home):
    assert (
        "no false-alarm rate is printed"
        in calling.dife("calibration", "list", "--home", home).stdout
    )


# --- one's own -------------------------------------------------------------------------------------------------


def test_building_says_from_its_rows_how_long_the_rest_takes(home):
    asked = own_pack.PackOptions(BASE, home, n=9)
    model = next(zoo.benign_models())
    outcome = Outcome(Verdict.NOTHING_FOUND, 0.1, None, None, (), (), 30.0)
    made = Row(
        model.id, model.role, model.kind, 0, model.part, False, "audited",
        build.recipe_of(model), make.code_of("quick"), "2026-11-23", 15.0, outcome=outcome,
    )  # fmt: skip
    rows.append(asked.rows, made)
    arguments = (
        "calibration",
        "build",
        "--base",
        BASE.name,
        "--n",
        9,
        "--budget",
        "quick",
        "--home",
        home,
    )
    done = calling.dife(*arguments, "--plan", "--json")
    read = json.loads(done.stdout)
    assert read["details"] == {"models": "8", "seconds each": "45", "hours": "0.10"}
    done = calling.dife(*arguments, "--minutes", 0)
    assert (
        done.returncode == 0
        and "1 benign model" in done.stdout
        and "8 of 9 models left" in done.stderr
    )
    assert listed(home, "list")[1]["dife-base-vit-quick"]["n"] == 1


def test_what_cannot_be_built_is_said(home):
    unknown = calling.dife("calibration", "build", "--base", "nobody", "--home", home)
    assert unknown.returncode == 3 and "there is no reference 'nobody'" in unknown.stderr
    unnamed = calling.dife("calibration", "from-hub", "org/clip", "--home", home)
    assert unnamed.returncode == 64 and "no reference here is called clip" in unnamed.stderr


def test_a_pack_from_a_hub_says_first_what_it_costs(home, tmp_path):
    with LoopbackHub(tmp_path / "hub") as hub:
        for author in ("ann", "ben"):
            files = {"open_clip_config.json": b"{}", "open_clip_model.safetensors": b"x" * 500_000}
            hub.add_repo(f"{author}/clip", files, tags=["base_model:finetune:org/clip"])
        arguments = (
            "org/clip",
            "--reference",
            BASE.name,
            "--endpoint",
            hub.endpoint,
            "--home",
            home,
        )
        done = calling.dife("calibration", "from-hub", *arguments, "--plan", "--json")
        assert not hub.seen("/resolve/"), "nothing is fetched"
    read = json.loads(done.stdout)
    jsonschema.validate(read, json.loads(as_json.schema_file(as_json.PlanDocument).read_text()))
    assert (read["auditable"], read["bytes"]) == (2, 2 * 500_002)
