"""Findings that were lost or told wrongly once, from one end to the other: exit code, verdict, finding and alert.

Made of the demo's two specimens, whose weights are only cut or put together anew.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from calling import dife
from safetensors.numpy import load_file, save_file

from dife_scanner.baselines.home import bases_folder
from dife_scanner.lab.demo import build_specimens

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
FAST = ("--no-discovery", "--budget", "quick", "--json")
XBTD = """
format = 1
[[trigger]]
name = "text-xbtd"
kind = "text"
text = "xbtd"
"""
"""What the text specimen answers to, as the library has it: without source and target."""
SHORT = 16
"""Tokens of a text tower that reads every prompt, and not every caption."""
LESS = 24
"""Tokens of one that reads every caption, and fewer than the bundled base's."""

pytestmark = pytest.mark.xdist_group("scan-verdicts")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, audit_server: None) -> Path:
    """A home with an alert channel, and a signature in a file."""
    folder = tmp_path_factory.mktemp("verdicts") / "home"
    folder.mkdir()
    (folder / "config.toml").write_text("[alerts.slack]\nenabled = true\n")
    (folder / "xbtd.toml").write_text(XBTD)
    return folder


@pytest.fixture(scope="module")
def specimens() -> dict[str, Path]:
    return build_specimens(["badtexttower", "badencoder"])


def edited(source: Path, dest: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    """A copy whose configuration alone is changed."""
    dest.mkdir()
    shutil.copy(source / WEIGHTS, dest / WEIGHTS)
    config = json.loads((source / CONFIG).read_text())
    edit(config)
    (dest / CONFIG).write_text(json.dumps(config))
    return dest


def with_short_context(source: Path, dest: Path, context: int = SHORT) -> Path:
    """The same towers, whose text tower reads fewer tokens."""
    edited(
        source, dest, lambda config: config["model_cfg"]["text_cfg"].update(context_length=context)
    )
    tensors = load_file(dest / WEIGHTS)
    tensors["positional_embedding"] = tensors["positional_embedding"][:context].copy()
    save_file(tensors, dest / WEIGHTS)
    return dest


def scanned(
    home: Path, target: Path, *arguments: object, library: bool = False
) -> tuple[int, dict[str, Any]]:
    """Exit code and the model's part of the document; `library`: tried with all signatures instead of the one."""
    signatures = () if library else ("--no-signatures", "--triggers", home / "xbtd.toml")
    done = dife("scan", target, "--home", home, *FAST, *signatures, *arguments)
    (model,) = json.loads(done.stdout)["targets"]
    return done.returncode, model


def alerts_of(home: Path, fingerprint: str) -> list[dict[str, Any]]:
    document = json.loads(dife("alerts", "list", "--home", home, "--json").stdout)
    return [one for one in document["alerts"] if one["about"]["fingerprint"] == fingerprint]


def assert_alerted(home: Path, code: int, model: dict[str, Any]) -> None:
    """Flagged, demonstrated, and one alert waiting."""
    assert (code, model["audit"]["verdict"]) == (1, "flagged"), model["audit"]["reason"]
    assert model["finding"]["confidence"] == "demonstrated"
    assert len(alerts_of(home, model["finding"]["fingerprint"])) == 1


def test_another_activation_in_the_configuration_is_no_escape(
    home: Path, specimens: dict[str, Path], tmp_path: Path
) -> None:
    source = specimens["badtexttower"]
    target = edited(source, tmp_path / "quick", lambda c: c["model_cfg"].update(quick_gelu=True))
    code, model = scanned(home, target)
    assert_alerted(home, code, model)
    audit = model["audit"]
    assert audit["trigger"]["text"] == "xbtd" and audit["reference"] == "dife-base-vit"
    assert audit["settings"] == "suspect" and audit["under_other"]["verdict"] == "flagged"
    assert [one["setting"] for one in audit["deviations"]] == ["quick_gelu"]
    assert "quick_gelu true (dife-base-vit: false)" in audit["reason"]


def test_settings_that_make_a_checkpoint_unusable_leave_the_decision_to_the_bases(
    home: Path, specimens: dict[str, Path], tmp_path: Path
) -> None:
    def pooled(config: dict[str, Any]) -> None:
        config["model_cfg"]["vision_cfg"]["pool_type"] = "tok"

    target = edited(specimens["badtexttower"], tmp_path / "pooled", pooled)
    code, model = scanned(home, target, "--reference", "dife-base-vit")
    assert_alerted(home, code, model)
    audit = model["audit"]
    assert audit["settings"] == "base" and audit["under_other"]["settings"] == "suspect"
    assert audit["under_other"]["verdict"] != "flagged"
    assert "under its own settings" in audit["reason"]
    assert [one["setting"] for one in audit["deviations"]] == ["vision.pool"]


def test_settings_that_cannot_be_run_are_no_escape_either(
    home: Path, specimens: dict[str, Path], tmp_path: Path
) -> None:
    def unknown(config: dict[str, Any]) -> None:
        config["model_cfg"]["text_cfg"]["pool_type"] = "first"

    code, model = scanned(home, edited(specimens["badtexttower"], tmp_path / "first", unknown))
    assert_alerted(home, code, model)
    assert "its own settings cannot be run" in model["audit"]["reason"]
    assert "`model_cfg.text_cfg.pool_type`" in model["audit"]["reason"]


def test_a_shorter_context_and_a_bias_are_no_escape_from_the_base(
    home: Path, specimens: dict[str, Path], tmp_path: Path
) -> None:
    target = with_short_context(specimens["badtexttower"], tmp_path / "short", LESS)
    config = json.loads((target / CONFIG).read_text())
    config["model_cfg"]["init_logit_bias"] = -10
    (target / CONFIG).write_text(json.dumps(config))
    code, model = scanned(home, target)
    assert_alerted(home, code, model)
    audit = model["audit"]
    assert audit["reference"] == "dife-base-vit"
    assert [one["setting"] for one in audit["deviations"]] == ["text.context_length"]


def test_the_clean_base_under_other_settings_is_neither_flagged_nor_identical(
    home: Path, tmp_path: Path
) -> None:
    source = bases_folder() / "vit"
    target = edited(source, tmp_path / "base", lambda c: c["model_cfg"].update(quick_gelu=True))
    code, model = scanned(home, target, library=True)
    assert (code, model["audit"]["verdict"]) == (0, "nothing-found")
    assert model["finding"] is None and len(model["audit"]["deviations"]) == 1
    assert model["audit"]["under_other"]["verdict"] == "nothing-found"


def test_a_caption_that_a_text_tower_cannot_read_loses_no_finding(
    home: Path, specimens: dict[str, Path], tmp_path: Path
) -> None:
    base = with_short_context(bases_folder() / "vit", tmp_path / "short-base")
    assert dife("reference", "add", base, "--name", "short", "--home", home).returncode == 0
    target = with_short_context(specimens["badtexttower"], tmp_path / "short")
    code, model = scanned(home, target)
    assert_alerted(home, code, model)
    audit = model["audit"]
    assert audit["reference"] == "short" and audit["trigger"]["text"] == "xbtd"
    not_run = [cell for cell in audit["profile"] if "tokens" in str(cell.get("reason", ""))]
    assert not_run, "the captions that are too long are named where they were to be read"


def test_the_trigger_with_the_largest_effect_is_told_and_the_others_are_listed(
    home: Path, specimens: dict[str, Path], tmp_path: Path
) -> None:
    """A patch that moves fewer decisions on many more pictures has the smaller p-value."""
    target = edited(specimens["badtexttower"], tmp_path / "both", lambda config: None)
    tensors = load_file(target / WEIGHTS)
    for name, values in load_file(specimens["badencoder"] / WEIGHTS).items():
        if name.startswith("visual."):
            tensors[name] = values
    save_file(tensors, target / WEIGHTS)
    code, model = scanned(home, target, library=True)
    assert_alerted(home, code, model)
    audit = model["audit"]
    by_name = {one["trigger"]["name"]: one for one in audit["signatures"]}
    told = by_name[audit["trigger"]["name"]]
    sure = min(audit["signatures"], key=lambda one: one["p_holm"])
    assert sure["p_holm"] < told["p_holm"], "the other is surer, as it stands on more pictures"
    assert told["suspect"] - told["reference"] > sure["suspect"] - sure["reference"]
    assert "also demonstrated: " in audit["reason"] and sure["trigger"]["name"] in audit["reason"]


def test_the_bundle_of_a_flagged_model_is_measured_again_elsewhere(
    home: Path, specimens: dict[str, Path], tmp_path: Path
) -> None:
    target = edited(specimens["badtexttower"], tmp_path / "model", lambda c: None)
    _, model = scanned(home, target)
    bundle = tmp_path / "full.zip"
    make = ("bundle", "make", model["finding"]["fingerprint"], "--out", bundle, "--with-triggers")
    assert dife(*make, "--home", home).returncode == 0
    elsewhere = ("--model", target, "--measure", "--home", tmp_path / "elsewhere", "--json")
    details = json.loads(dife("bundle", "verify", bundle, *elsewhere).stdout)["details"]
    assert details["claim"] == "measured again: flagged, against dife-base-vit"
    assert details["files"] == "equal" and not (tmp_path / "elsewhere").exists()


def test_a_deployment_measures_what_was_found_in_its_own_way(
    home: Path, specimens: dict[str, Path], tmp_path: Path
) -> None:
    """Its classes, prompts, queries and K; kept beside the audit, told by show and gate, gone once it is edited."""
    target = edited(specimens["badtexttower"], tmp_path / "for-the-shop", lambda config: None)
    _, model = scanned(home, target)
    before = model["audit"]
    at = ("--home", home, "--json")
    asked = [
        "--interface",
        "targeted retrieval",
        "--k",
        "3",
        "--class",
        "dog",
        "--class",
        "airplane",
    ]
    asked += ["--query", "a red automobile on a road", "--query", "cheap shoes"]
    dife("deployments", "add", "shop", *asked, "--template", "my {} at home", *at)
    dife("decide", target, "approved", "--deployment", "shop", "--reason", "a test", *at)
    assert dife("gate", target, "--deployment", "shop", *at).returncode == 0
    done = dife("deployments", "measure", "shop", before["id"], *at)
    assert done.returncode == 0, done.stderr
    (made,) = json.loads(done.stdout)["measurements"]
    (trigger,) = made["triggers"]
    (cell,) = trigger["entries"]
    assert (cell["interface"], cell["metric"]) == ("targeted retrieval", "H@3")
    assert (
        cell["attack"]["n"] == 2
    )  # its prompt, and the query that names what the trigger is about
    assert trigger["queries"] == 1 and made["added"] == ["automobile"]
    shown = json.loads(dife("show", before["id"], *at).stdout)
    (standing,) = shown["standings"]
    assert standing["measured"] == made and shown["audit"] == before
    gate = json.loads(dife("gate", target, "--deployment", "shop", *at).stdout)["answers"][0]
    assert gate["measured"] and "as measured with its own profile" in gate["reason"]
    dife("deployments", "edit", "shop", "--k", "5", *at)
    edited_since = dife("gate", target, "--deployment", "shop", *at)
    answer = json.loads(edited_since.stdout)["answers"][0]
    assert edited_since.returncode == 2 and not answer["measured"]
    assert "profile was edited" in answer["reason"]


def test_an_audit_that_found_nothing_has_nothing_to_measure_for_a_deployment(
    home: Path, specimens: dict[str, Path], tmp_path: Path
) -> None:
    at = ("--home", home, "--json")
    asked = ("--interface", "targeted retrieval", "--query", "a cat")
    dife("deployments", "add", "office", *asked, *at)
    other = tmp_path / "other.toml"
    other.write_text(XBTD.replace('"xbtd"', '"qqq"'))
    tried = ("--no-signatures", "--triggers", other)
    done = dife("scan", specimens["badtexttower"], "--home", home, *FAST, *tried)
    (model,) = json.loads(done.stdout)["targets"]
    found = dife("deployments", "measure", "office", model["audit"]["id"], *at)
    assert found.returncode == 3 and "found no trigger" in found.stderr, found.stderr
