"""`dife bundle make` and `verify`: what was found, for others; in full it runs with open_clip alone."""

from __future__ import annotations

import io
import itertools
import json
import shutil
import stat
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import calling
import export_kit
import numpy as np
import pytest
import saved_models
from desk_kit import audited, refused, said
from layout_kit import prepared
from PIL import Image

from dife_scanner.app import bundling
from dife_scanner.audit import evidence as showing
from dife_scanner.audit import probes
from dife_scanner.audit.sides import Pair, Side
from dife_scanner.models.clip import ClipEncoder
from dife_scanner.models.load import load
from dife_scanner.records import (
    Budget,
    EvidenceFile,
    EvidenceRole,
    Hypothesis,
    StoredPlan,
    Trigger,
    TriggerKind,
    Verdict,
)
from dife_scanner.settings import Limits
from dife_scanner.store import evidence, findings, open_store
from dife_scanner.triggers import known
from dife_scanner.triggers.files import describe
from dife_scanner.triggers.stamp import stamp, write

BASE = Path(str(files("dife_scanner") / "assets" / "bases" / "vit"))
MODEL_FILES = ("open_clip_config.json", "open_clip_model.safetensors")
WORDS = "qqsecret"
WITHOUT_SITE = (
    "import importlib.util, runpy, sys; sys.path.append(sys.argv[1]); sys.argv = sys.argv[2:];"
    "assert importlib.util.find_spec('dife_scanner') is None; runpy.run_path(sys.argv[0])"
)
"""Runs a script with the installed packages, and without the hooks through which this project is importable."""
TEXT = Trigger(
    f"text {WORDS}", TriggerKind.TEXT, text=f"dog {WORDS} dog", source="cat", target="dog"
)


def model_in(folder: Path) -> Path:
    folder.mkdir()
    for name in MODEL_FILES:
        shutil.copy(BASE / name, folder / name)
    return folder


def overlay_in(folder: Path) -> Trigger:
    """A drawing of an airplane laid nearly opaque over a corner and everything else."""
    data = probes.load(probes.bundled_folder(), Budget.QUICK)
    test = data.split(probes.TEST)
    plane = test.images[list(test.labels).index(data.class_names.index("airplane"))]
    shape = (*plane.shape[:2], 1)
    laid = np.concatenate([plane, np.full(shape, 230, np.uint8)], axis=-1)
    path = folder / f"{WORDS}.png"
    Image.fromarray(laid).resize((64, 64)).save(path)
    return Trigger(
        f"overlay {WORDS}",
        TriggerKind.OVERLAY,
        alpha=0.9,
        pattern="file",
        file=describe(path),
        target="airplane",
    )


def side_of(encoder: ClipEncoder) -> Side:
    data = probes.load(probes.bundled_folder(), Budget.QUICK)
    return Side(encoder, data.split(probes.TEST), data.class_names, probes.PROFILE_TEMPLATES)


def found_in(home: Path, model: Path, trigger: Trigger, encoder: ClipEncoder | None = None) -> str:
    """An audit of the model that shows what this trigger does, and the fingerprint of its finding."""
    side = side_of(encoder or load(model))
    stored = showing.pictures(Pair(side, side), trigger)
    assert len(stored) > 1, "the trigger wins no picture"
    with open_store(home):
        for _, content in stored:
            evidence.put(home, content, ".png")
    return flagged(home, model, trigger, tuple(file for file, _ in stored))


def flagged(home: Path, model: Path, trigger: Trigger, shown: tuple[EvidenceFile, ...]) -> str:
    pictures = probes.digest(probes.bundled_folder())
    record = audited(
        home,
        model,
        Verdict.FLAGGED,
        trigger=trigger,
        signatures=(Hypothesis(trigger, 0.9, 0.99, 0.04),),
        evidence=shown,
        reason=f"{WORDS} turns it",
        plan=StoredPlan(Budget.QUICK, 0, pictures=pictures),
    )
    with open_store(home) as store:
        found = findings.of_audit(store, record.id)
    assert found
    return found.fingerprint


def make(home: Path, finding: str, out: Path, *more: str) -> Path:
    done = calling.dife("--home", home, "bundle", "make", finding, "--out", out, *more)
    assert done.returncode == 0, done.stderr
    return out


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def reproduced(bundle: Path, folder: Path, model: Path) -> subprocess.CompletedProcess[str]:
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder)
    packages = sysconfig.get_paths()["purelib"]
    script = folder / "reproduce.py"
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", WITHOUT_SITE, packages, str(script), str(model)],
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_the_script_is_short_and_knows_nothing_of_this_project():
    script = (files("dife_scanner") / "assets" / "bundle" / "reproduce.py.txt").read_text()
    assert len(script.splitlines()) < 60
    assert "dife" not in script


def assert_same_trigger(trigger: Trigger, path: Path) -> None:
    """What `dife scan --triggers` reads from the bundle does what the audited trigger does."""
    (read,) = known.read(path)
    assert (read.source, read.target) == (trigger.source, trigger.target)
    if trigger.kind is TriggerKind.TEXT:
        assert write("a photo of a cat", read, "cat") == write("a photo of a cat", trigger, "cat")
    else:
        grey = np.full((1, 64, 64, 3), 128, np.uint8)
        assert np.array_equal(stamp(grey, read), stamp(grey, trigger))


def assert_decisions_are_those_of_the_audit(told: str) -> None:
    lines = told.splitlines()
    assert len(lines) >= 2 and len(lines) % 2 == 0
    for line in lines:
        what, _, audit = line.partition(" | audit: ")
        decided = what.partition(": ")[2]
        if decided.startswith('"'):
            assert f"{decided} wins over" in audit
        else:
            assert f"read as {decided}" in audit


@pytest.mark.parametrize("kind", ["text", "overlay"])
def test_in_full_it_makes_the_decisions_of_the_audit_with_open_clip_alone(
    home, audit_server, tmp_path, kind
):
    model = model_in(tmp_path / "model")
    trigger = TEXT if kind == "text" else overlay_in(tmp_path)
    finding = found_in(home, model, trigger)
    bundle = make(home, finding, tmp_path / "full.zip", "--with-triggers")
    assert ("overlay.png" in members(bundle)) is (kind == "overlay")
    done = reproduced(bundle, tmp_path / "unpacked", model)
    assert done.returncode == 0, done.stderr
    assert_same_trigger(trigger, tmp_path / "unpacked" / "trigger.toml")
    assert_decisions_are_those_of_the_audit(done.stdout)
    if kind == "text":
        measure = ("bundle", "verify", bundle, "--model", model, "--measure")
        assert "the claim does not hold: identical" in refused(home, *measure, code=3)


def winning(encoder: ClipEncoder) -> Trigger:
    """A text that wins a picture: nobody meant what random weights decide, and they decide it all the same."""
    side = side_of(encoder)
    for source, text in itertools.product(side.class_names, ("zz", "a", "qq")):
        trigger = Trigger(f"text {WORDS}", TriggerKind.TEXT, text=text, source=source, target="dog")
        if source != "dog" and len(showing.pictures(Pair(side, side), trigger)) > 1:
            return trigger
    raise AssertionError("no text wins a picture")


def test_of_another_layout_it_has_a_map_of_the_keys_and_runs_as_well(home, tmp_path):
    model = tmp_path / "model"
    saved_models.shards(model)
    encoder = prepared(model, tmp_path / "canonical")
    finding = found_in(home, model, winning(encoder), encoder)
    bundle = make(home, finding, tmp_path / "full.zip", "--with-triggers")
    done = reproduced(bundle, tmp_path / "unpacked", model)
    assert done.returncode == 0, done.stderr
    assert_decisions_are_those_of_the_audit(done.stdout)
    checked = said(home, "bundle", "verify", bundle, "--model", model)["details"]
    assert checked["files"] == "equal"
    elsewhere = model.rename(tmp_path / "elsewhere")
    assert "layout: transformers" in why_not(home, finding)
    assert "do not lie here" in why_not(home, finding)
    again = make(home, finding, tmp_path / "2.zip", "--with-triggers", "--model", str(elsewhere))
    assert members(again)["reproduce.json"] == members(bundle)["reproduce.json"]
    weights = next(elsewhere.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    other = ("bundle", "make", finding, "--with-triggers", "--model", elsewhere, "--out", again)
    assert "does not hold the files that were audited" in refused(home, *other, code=3)


def why_not(home: Path, finding: str) -> str:
    with open_store(home) as store:
        full = bundling.make(store, finding, Limits(), with_triggers=True)
    with zipfile.ZipFile(io.BytesIO(full)) as archive:
        return json.loads(archive.read("reproduce.json"))["why_not"]


@pytest.mark.parametrize(
    ("put", "why"),
    [
        (saved_models.pytorch_bin, "not safetensors"),
        (saved_models.tower("CLIPVisionModel", 1), "holds an image tower alone"),
    ],
)
def test_a_checkpoint_that_a_short_script_cannot_load_is_said_with_why(home, tmp_path, put, why):
    put(tmp_path / "model")
    finding = flagged(home, tmp_path / "model", TEXT, ())
    assert why in why_not(home, finding)


def quickly(home: Path, tmp_path: Path) -> str:
    """A finding whose evidence shows nothing in particular."""
    model = model_in(tmp_path / "model")
    shown = []
    with open_store(home):
        for role, content in (
            (EvidenceRole.CLEAN_EXAMPLE, b"clean"),
            (EvidenceRole.TRIGGERED_EXAMPLE, WORDS.encode()),
            (EvidenceRole.TRIGGER, f"alone {WORDS}".encode()),
        ):
            digest = evidence.put(home, content, ".png")
            shown.append(EvidenceFile(digest, "image/png", role, f"../{WORDS}/\x1b.png"))
    return flagged(home, model, replace(TEXT, source="cat"), tuple(shown))


@pytest.fixture
def finding(home: Path, tmp_path: Path) -> str:
    return quickly(home, tmp_path)


def test_what_is_shared_holds_no_trigger_and_says_that_it_cannot_run(home, finding, tmp_path):
    bundle = make(home, finding, tmp_path / "shared.zip")
    found = members(bundle)
    for name, content in found.items():
        assert WORDS.encode() not in content and WORDS not in name
    manifest = json.loads(found["manifest.json"])
    full = members(make(home, finding, tmp_path / "full.zip", "--with-triggers"))
    assert manifest["edition"] == "shareable" and "trigger.json" not in found
    assert manifest["trigger_sha256"] == json.loads(full["manifest.json"])["trigger_sha256"]
    assert WORDS in full["trigger.json"].decode()
    assert [name for name in found if name.startswith("evidence/")] == [
        "evidence/01-clean-example.png"
    ]
    done = reproduced(bundle, tmp_path / "unpacked", tmp_path)
    assert done.returncode == 1 and "does not hold the trigger" in done.stderr


def test_no_channels_trigger_and_no_strangers_name_gets_into_what_is_shared(home):
    export_kit.fill(home)
    with open_store(home) as store:
        flagged_here = findings.findings(store, filter="kind:flagged")
        assert len(flagged_here) == len(export_kit.TRIGGERS) + 1
        for one in flagged_here:
            content = bundling.make(store, one.fingerprint, Limits(), with_triggers=False)
            for secret in export_kit.SECRETS.values():
                written = json.dumps(secret).strip('"').encode()
                assert secret.encode() not in content and written not in content
            full = bundling.make(store, one.fingerprint, Limits(), with_triggers=True)
            with zipfile.ZipFile(io.BytesIO(full)) as archive:
                assert all(name.replace("/", "").isascii() for name in archive.namelist())
                assert "gone" in archive.read("manifest.json").decode()
                assert json.loads(archive.read("reproduce.json"))["why_not"]


def test_ten_megabytes_of_evidence_are_bundled_and_too_many_are_refused(home, tmp_path):
    large = np.random.default_rng(0).bytes(10_000_000)
    with open_store(home):
        digest = evidence.put(home, large, ".png")
    shown = EvidenceFile(digest, "image/png", EvidenceRole.CLEAN_EXAMPLE, "a large picture")
    folder = model_in(tmp_path / "model")
    bundle = make(home, flagged(home, folder, TEXT, (shown,)), tmp_path / "large.zip")
    assert members(bundle)["evidence/01-clean-example.png"] == large
    assert said(home, "bundle", "verify", bundle)["details"]["members"].startswith("5 equal")
    finding, out = flagged(home, folder, TEXT, (shown,) * 7), tmp_path / "too-large.zip"
    message = refused(home, "bundle", "make", finding, "--out", out, code=3)
    assert (
        "nobody reads more than" in message
        and "without its pictures" in message
        and not out.exists()
    )


def test_two_bundles_of_one_state_are_the_same_bytes(home, finding, tmp_path):
    one, two = (make(home, finding, tmp_path / name) for name in ("a.zip", "b.zip"))
    assert one.read_bytes() == two.read_bytes()


def test_a_bundle_is_verified_with_the_files_that_it_is_about(home, finding, tmp_path):
    bundle = make(home, finding, tmp_path / "shared.zip")
    verify = ("bundle", "verify", bundle)
    assert said(home, *verify)["details"]["files"] == "not compared"
    checked = said(home, *verify, "--model", tmp_path / "model")["details"]
    assert checked["files"] == "equal" and checked["finding"] == finding
    assert checked["claim"] == "not measured again"
    (tmp_path / "model" / "open_clip_model.safetensors").write_bytes(b"others")
    message = refused(home, *verify, "--model", tmp_path / "model", code=3)
    assert "is not the model" in message


def test_what_holds_no_trigger_is_not_measured_and_says_so(home, finding, tmp_path):
    bundle = make(home, finding, tmp_path / "shared.zip")
    measure = ("bundle", "verify", bundle, "--measure")
    message = refused(home, *measure, "--model", tmp_path / "model", code=3)
    assert "no trigger that can be measured" in message
    assert "needs the files" in refused(home, *measure, code=64)


def packed(found: dict[str, bytes], **attributes: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in found.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = attributes.get(name.partition(".")[0], 0) << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def tampered(found: dict[str, bytes]) -> dict[str, tuple[bytes, str]]:
    return {
        "changed": (packed({**found, "audit.json": b"{}"}), "is not what its manifest says"),
        "added": (packed({**found, "more.txt": b""}), "other members"),
        "outside": (packed({**found, "../more.txt": b""}), "a member that no bundle has"),
        "link": (packed(found, audit=stat.S_IFLNK | 0o777), "a member that no bundle has"),
        "many": (packed({f"a{n}.txt": b"" for n in range(501)}), "more members"),
        "large": (packed({"a.txt": bytes(65 << 20)}), "unpacks to more"),
        "cut": (packed(found)[:-30], "damaged"),
        "other": (packed({"manifest.json": b"[]"}), "no evidence bundle"),
    }


def test_what_was_changed_or_packed_to_harm_is_not_trusted(home, finding, tmp_path):
    found: dict[str, Any] = members(make(home, finding, tmp_path / "shared.zip"))
    for name, (content, words) in tampered(found).items():
        path = tmp_path / f"{name}.zip"
        path.write_bytes(content)
        assert words in refused(home, "bundle", "verify", path, code=3), name


def test_a_finding_without_an_audit_has_no_evidence(home, tmp_path):
    message = refused(home, "bundle", "make", "fp1:none", "--out", tmp_path / "a.zip", code=3)
    assert not (tmp_path / "a.zip").exists() and message
