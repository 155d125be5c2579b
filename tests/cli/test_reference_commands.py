"""`dife reference` and `--plan`, as they are called, against a hub with two published bases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from base_kit import changed, drawn, registry_file, towers
from calling import dife

from dife_scanner.audit import qualification
from dife_scanner.baselines import keeping
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.reports import as_json


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Towers are hashed without torch."""
    monkeypatch.setattr(keeping, "towers_here", towers)


def test_a_base_is_planned_added_by_a_known_name_listed_pinned_and_verified(
    home: Path, hub: LoopbackHub, tmp_path: Path
) -> None:
    sha = hub.add_repo("acme/one", drawn(0))
    hub.add_repo("org/clip", drawn(0, 0.1), tags=["base_model:finetune:acme/one"])
    environment = {
        "DIFE_ENDPOINT": hub.endpoint,
        "DIFE_REFERENCES__REGISTRY": json.dumps([str(registry_file(tmp_path, "one"))]),
    }

    def run(*arguments: str, code: int = 0) -> Any:
        done = dife(*arguments, "--json", "--quiet", "--home", home, **environment)
        assert done.returncode == code, done.stderr
        document = json.loads(done.stdout)
        _validate(document)
        return document

    planned = run("scan", "org/clip", "--plan")
    (target,) = planned["targets"]
    assert (target["base"], target["base_by"]) == ("acme/one", "its card")
    assert target["base_bytes"] > 0
    assert planned["bytes"] == target["bytes_to_fetch"] + target["base_bytes"]
    sets = qualification.bundled()
    assert planned["qualify"] == ["acme/one"]
    assert (planned["qualify_pictures"], planned["qualify_texts"]) == (sets.pictures, sets.texts)
    assert run("scan", "org/clip", "--plan", "--no-discovery")["qualify"] == []

    (added,) = run("reference", "add", "one:v1")["references"]
    assert (added["name"], added["trust"], added["revision"]) == (
        "one",
        "trusted on first use",
        sha,
    )
    planned = run("scan", "org/clip", "--plan")
    assert planned["targets"][0]["base_bytes"] == 0
    assert planned["qualify"] == ["one"], "it is here, and was not measured yet"
    (again,) = run("reference", "add", "acme/one")["references"]
    assert again == added

    known = {base["name"]: base for base in run("reference", "list", "--registry")["bases"]}
    assert known["acme/one"]["reference"] == "one"
    assert known["openai/clip-vit-base-patch32"]["source"]

    assert run("reference", "pin", "one")["details"]["revision"] == sha
    listed = {one["name"]: one["trust"] for one in run("reference", "list")["references"]}
    assert listed["one"] == "pinned" and "bundled" in listed.values()
    knows = run("reference", "list")["qualified"]
    assert "one" not in knows
    assert all(len(one["recognition"]["classes"]) > 400 for one in knows.values())
    shown = dife("reference", "list", "--home", home, **environment).stdout
    assert "concepts, " in shown and "not measured yet" in shown
    shown = dife("reference", "qualify", "dife-base-rn", "--home", home, **environment)
    assert "dife-base-rn knows 33 of 476 concepts" in shown.stdout, "measured when it was built"
    lacking = dife("reference", "list", "--concepts", "--home", home, **environment).stdout
    assert "dife-base-rn knows " in lacking and "concepts that it does not know: " in lacking

    hub.commit("acme/one", changed(drawn(0)))
    checks = {one["name"]: one for one in run("reference", "verify")["checks"]}
    assert (checks["one"]["intact"], checks["one"]["on_hub"]) == (True, True), (
        "pinned: no other counts"
    )
    assert all(check["intact"] for check in checks.values())
    run("reference", "pin", "one", "--revision", "f" * 40)
    (check,) = run("reference", "verify", "one", code=3)["checks"]
    assert "ffffffffffff is trusted" in check["problem"]


def _validate(document: dict[str, Any]) -> None:
    (kind,) = [one for one in as_json.DOCUMENTS if as_json.format_of(one) == document["format"]]
    jsonschema.validate(document, json.loads(as_json.schema_file(kind).read_text()))
