"""Deployments, decisions and the gate from the command line: what opens it, what shuts it, and what never opens it."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from desk_kit import (
    REASON,
    SHOP,
    audited,
    decide,
    ended,
    folder_of,
    gate,
    refused,
    said,
    states,
)

from dife_scanner.app.deployments import changed, from_file
from dife_scanner.errors import NotFound, UsageError
from dife_scanner.hub import local_files
from dife_scanner.hub.manifest import local_manifest
from dife_scanner.records import DeploymentProfile, JobState, ModelRef, TriageState, Verdict
from dife_scanner.settings import load
from dife_scanner.store import (
    artefacts,
    decisions,
    deployments,
    findings,
    jobs,
    open_store,
    triage,
)
from dife_scanner.store.codec import to_json


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, and a home with it audited and the shop known; made once, copied for each test."""
    place = tmp_path_factory.mktemp("desk")
    audited(place / "home", folder_of(place / "model"))
    said(place / "home", "deployments", "add", "shop", *SHOP)
    return place


@pytest.fixture
def model(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "model", tmp_path / "model"))


@pytest.fixture
def desk(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "home", tmp_path / "home"))


# --- deployments ------------------------------------------------------------------------------------------------


def test_a_deployment_is_added_edited_and_removed_and_its_versions_stay(
    home: Path, tmp_path: Path
) -> None:
    (one,) = said(home, "deployments", "add", "shop", *SHOP)["deployments"]
    assert (one["version"], one["profile"]["k"]) == (1, 5)
    (two,) = said(home, "deployments", "edit", "shop", "--k", "6")["deployments"]
    assert two["version"] == 2 and two["digest"] != one["digest"]
    assert two["profile"]["queries"] == ["a red shoe"]
    (same,) = said(home, "deployments", "edit", "shop", "--k", "6")["deployments"]
    assert same["version"] == 2
    (planned,) = said(home, "deployments", "edit", "shop", "--k", "7", "--plan")["deployments"]
    assert (planned["version"], planned["profile"]["k"]) == (3, 7)
    said(home, "deployments", "remove", "shop", "--actor", "ada")
    assert said(home, "deployments", "list")["deployments"] == []
    versions = said(home, "deployments", "show", "shop")["deployments"]
    assert [one["version"] for one in versions] == [1, 2, 3] and versions[-1]["removed"]
    assert "no deployment" in refused(home, "deployments", "edit", "shop", "--k", "7", code=3)


def test_a_profile_comes_from_a_file_with_pictures_by_what_they_hold(
    home: Path, tmp_path: Path
) -> None:
    pictures = tmp_path / "shoes"
    for name in ("red", "blue"):
        (pictures / name).mkdir(parents=True)
        (pictures / name / "1.png").write_bytes(name.encode())
    file = tmp_path / "shop.toml"
    file.write_text(
        'format = 1\ninterfaces = ["zero-shot classification"]\nclasses = ["red", "blue"]\n'
        'templates = ["a {} shoe"]\npictures = "shoes"\n'
    )
    add = ("deployments", "add", "shop", "--file", file)
    (planned,) = said(home, *add, "--plan")["deployments"]
    assert said(home, "deployments", "list")["deployments"] == []
    (one,) = said(home, *add)["deployments"]
    assert (planned["profile"], planned["digest"]) == (one["profile"], one["digest"])
    assert one["profile"]["pictures"]["path"] == str(pictures)
    (pictures / "red" / "1.png").write_bytes(b"another")
    (two,) = said(home, "deployments", "edit", "shop")["deployments"]
    assert two["version"] == 2 and two["digest"] != one["digest"]


WHOLE = {"interfaces": ["text reranking"], "queries": ["a red shoe"]}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"interfaces": []}, "needs an interface"),
        ({"interfaces": ["telepathy"]}, "no interface card"),
        ({"queries": []}, "class names or queries"),
        ({"k": 0}, "K is 0"),
        ({"templates": ["a photo"]}, "no template"),
        ({"templates": ["{} {}"]}, "no template"),
        ({"templates": ["{} {0}"]}, "no template"),
        ({"classes": ["a\x1b[31mb"]}, "cannot stand"),
        ({"classes": ["cat\u202e"]}, "cannot stand"),
        ({"classes": ["x" * 301]}, "cannot stand"),
        ({"classes": ["cat", "cat"]}, "twice"),
        ({"classes": [str(number) for number in range(2001)]}, "at most 2000"),
    ],
)
def test_what_is_no_profile_is_wrong_usage(given: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as wrong:
        changed(DeploymentProfile("shop", ()), WHOLE | given, load(tmp_path))
    assert why in wrong.value.what + wrong.value.advice


@pytest.mark.parametrize("name", ["", "../up", "Shop", "a b", "x" * 65, "-x"])
def test_a_deployments_name_is_a_plain_word(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no name for a deployment"):
        changed(DeploymentProfile(name, ()), WHOLE, load(tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        "format = 2",
        "[",
        "format = 1\nk = '5'",
        "format = 1\nspeed = 3",
        "\x00",
        "x = " + "[" * 5000,
    ],
)
def test_a_file_that_is_no_profile_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"shop\.toml"):
        from_file("shop", file, load(tmp_path))


def test_a_file_without_an_end_is_not_read_to_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="larger than"):
        from_file("shop", Path("/dev/zero"), load(tmp_path))


# --- deciding ---------------------------------------------------------------------------------------------------


def test_the_gate_opens_for_what_was_approved_and_for_copies_of_it_alone(
    desk: Path, model: Path, tmp_path: Path
) -> None:
    assert gate(desk, model, code=2).reason == "nobody has decided"
    now = decide(desk, model, "approved")
    assert now.decision and (now.state, now.model) == ("approved", "model")
    assert now.decision.owner == "ada"
    gate(desk, model, code=0)
    gate(desk, folder_of(tmp_path / "copy", README__md=b"hello"), code=0)
    gate(desk, folder_of(tmp_path / "other", b"other weights"), code=2)


def test_a_refusal_is_1_and_approving_it_later_has_to_be_meant(desk: Path, model: Path) -> None:
    decide(desk, model, "refused", actor="bob")
    assert gate(desk, model, code=1).state == "refused"
    with pytest.raises(UsageError, match=r"refused by bob on .*: looked at"):
        decide(desk, model, "approved")
    gate(desk, model, code=1)
    decide(desk, model, "approved", despite_refusal=True)
    gate(desk, model, code=0)


def test_conditions_open_the_gate_for_whoever_accepts_them(desk: Path, model: Path) -> None:
    kept = "behind the text filter"
    for state, conditions in (("conditions", ""), ("approved", kept)):
        with pytest.raises(UsageError, match="conditions belong to"):
            decide(desk, model, state, conditions=conditions)
    decide(desk, model, "conditions", conditions=kept)
    assert gate(desk, model, code=2).conditions == kept
    gate(desk, model, code=0, accept_conditions=True)


def test_weights_beside_that_nobody_audited_shut_the_gate(desk: Path, model: Path) -> None:
    decide(desk, model, "approved")
    (model / "pytorch_model.bin").write_bytes(b"something else")
    answer = gate(desk, model, code=2)
    assert answer.beside == ("pytorch_model.bin",) and "no audit looked at" in answer.reason
    gate(desk, model, code=0, ignore=frozenset({"pytorch_model.bin"}))


def test_a_folder_with_more_names_than_are_looked_at_shuts_the_gate(
    desk: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(desk, model, "approved")
    monkeypatch.setattr(local_files, "MOST_LOOKED_AT", 2)
    gate(desk, model, code=0)
    (model / "zzz.bin").write_bytes(b"hidden behind the others")
    assert "more than 2 names" in gate(desk, model, code=2).reason


def test_an_old_audit_is_stale_where_that_matters(desk: Path, model: Path) -> None:
    decide(desk, model, "approved")
    gate(desk, model, code=0, most_audit_days=1)
    assert "stale" in gate(desk, model, code=2, most_audit_days=0).reason


def test_an_edited_profile_makes_decisions_pending_and_its_return_brings_them_back(
    desk: Path, model: Path
) -> None:
    decide(desk, model, "approved")
    edited(desk, k=6)
    assert "profile was edited" in gate(desk, model, code=2).reason
    edited(desk, k=5)
    gate(desk, model, code=0)


def test_an_audit_with_another_result_makes_an_approval_pending_and_the_same_one_does_not(
    desk: Path, model: Path
) -> None:
    decide(desk, model, "approved")
    audited(desk, model)
    gate(desk, model, code=0)
    audited(desk, model, Verdict.FLAGGED)
    assert "a later audit says flagged" in gate(desk, model, code=2).reason
    decide(desk, model, "approved")
    gate(desk, model, code=0)
    with open_store(desk) as store:
        (found,) = findings.findings(store)
        triage.decide(
            store, TriageState.CONFIRMED, triage.seen(store, [found.fingerprint]), actor="ada"
        )
    assert "finding was confirmed" in gate(desk, model, code=2).reason
    decide(desk, model, "approved")
    with open_store(desk) as store:
        about = triage.seen(store, [found.fingerprint])
        act = triage.decide(store, None, about, actor="ada", assignee="bob")
        triage.undo(store, act.number, actor="ada")
        triage.decide(
            store, None, triage.seen(store, [found.fingerprint]), actor="ada", assignee="eve"
        )
    gate(desk, model, code=0)  # who shall look at a finding changes nothing about it


def test_a_new_revision_is_unknown_until_it_is_audited_and_equal_towers_only_propose(
    desk: Path, model: Path, tmp_path: Path
) -> None:
    decide(desk, model, "approved")
    (model / "open_clip_model.safetensors").write_bytes(b"next weights")
    assert "no audit" in gate(desk, model, code=2).reason
    with pytest.raises(UsageError, match="no audit here"):
        decide(desk, model, "approved")
    audited(desk, model, image_tower="changed")
    gate(desk, model, code=2)
    with open_store(desk) as store:
        shop = deployments.deployment(store, "shop")
        (precedent,) = decisions.precedents(store, gate(desk, model, code=2).artefact, shop)
    assert (precedent.alike, precedent.decision.actor) == (("text tower",), "ada")
    assert not precedent.may_be_taken_over


def test_a_renamed_repository_keeps_what_was_decided_and_the_hub_is_not_asked(
    desk: Path, model: Path
) -> None:
    manifest = local_manifest(model)
    for name in ("org/clip", "org/renamed"):
        with open_store(desk) as store:
            ref = ModelRef(name, "b" * 40)
            ended(store, replace(manifest, ref=ref), ref, Verdict.NOTHING_FOUND)
    decide(desk, "org/clip@bbbb", "approved")
    assert gate(desk, "org/renamed", code=0).target == "org/renamed@bbbbbbbbbbbb"
    assert "nothing is known" in gate(desk, "org/renamed@cccc", code=2).reason
    assert gate(desk, model, code=0).artefact.startswith("art1:")


def test_a_later_revision_of_an_approved_model_is_named_until_it_is_audited(
    desk: Path, model: Path
) -> None:
    manifest = local_manifest(model)
    first, second, other = (
        ModelRef(name, digit * 40)
        for name, digit in (("org/pull", "1"), ("org/pull", "2"), ("org/b", "3"))
    )
    with open_store(desk) as store:
        ended(store, replace(manifest, ref=first), first, Verdict.NOTHING_FOUND)
        for ref in (other, second):
            jobs.discover(store, ref, endpoint="", state=JobState.QUEUED, reason="")
        assert artefacts.oldest_unaudited_of_approved(store) is None
    decide(desk, "org/pull@1111", "approved")
    with open_store(desk) as store:
        waiting = artefacts.oldest_unaudited_of_approved(store)
        assert waiting is not None and waiting.ref == second
    assert "org/pull@222222222222" in gate(desk, "org/pull@2222", code=2).target
    (model / "open_clip_model.safetensors").write_bytes(b"pulled")
    with open_store(desk) as store:
        ended(store, replace(local_manifest(model), ref=second), second, Verdict.FLAGGED)
        assert artefacts.oldest_unaudited_of_approved(store) is None
    gate(desk, "org/pull@2222", code=2)


def test_approving_needs_an_audit_and_refusing_does_not(desk: Path, tmp_path: Path) -> None:
    other = folder_of(tmp_path / "never-audited", b"never audited")
    with pytest.raises(UsageError, match="no audit here"):
        decide(desk, other, "approved")
    decide(desk, other, "refused")
    gate(desk, other, code=1)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"expires": "2020-01-01"}, "is past"),
        ({"expires": "tomorrow"}, "no day"),
        ({"expires": "99999d"}, "no day"),
        ({"reason": "a\nb"}, "cannot be kept"),
        ({"reason": "invisible\ufe0f"}, "cannot be kept"),
        ({"reason": "painted" + "\u0301" * 9}, "cannot be kept"),
        ({"owner": "x" * 101}, "cannot be kept"),
        ({"actor": "\x1b[1mada"}, "cannot be kept"),
        ({"reason": ""}, "needs a reason"),
    ],
)
def test_what_cannot_be_decided_is_wrong_usage(
    desk: Path, model: Path, wrong: dict[str, str], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        decide(desk, model, "approved", **wrong)


def test_a_target_that_can_be_no_path_is_one_that_is_not_known(desk: Path) -> None:
    with pytest.raises(NotFound, match="there is no audit"):
        decide(desk, "x" * 9000, "refused")


def test_an_expiry_counts_through_its_day(desk: Path, model: Path) -> None:
    now = decide(desk, model, "approved", expires="2999-01-31")
    assert now.decision and now.decision.expires.startswith("2999-02-01T00:00:00")
    gate(desk, model, code=0)


def edited(home: Path, **changes: Any) -> None:
    with open_store(home) as store:
        before = deployments.deployment(store, "shop").profile
        deployments.edit(store, replace(before, **changes), "ada")


def test_the_commands_print_documents_and_end_with_the_codes_of_the_contract(
    desk: Path, model: Path
) -> None:
    at_shop = (model, "--deployment", "shop")
    assert said(desk, "gate", *at_shop, code=2)["answers"][0]["state"] == "pending"
    said(desk, "decide", model, "refused", *REASON, "--actor", "bob")
    assert said(desk, "gate", *at_shop, code=1)["answers"][0]["opens"] is False
    assert "refused by bob" in refused(desk, "decide", model, "approved", *REASON, code=64)
    said(desk, "decide", model, "approved", *REASON, "--despite-refusal", "--actor", "ada")
    assert said(desk, "gate", *at_shop, code=0)["answers"][0]["opens"] is True
    assert "no deployment" in refused(desk, "gate", model, "--deployment", "lab", code=3)
    refused(desk, "gate", model.parent / "nowhere", "--deployment", "shop", code=64)
    refused(desk, "decide", model, "maybe", *REASON, code=64)
    assert states(said(desk, "decisions", "list")) == ["approved"]
    (one,) = said(desk, "decisions", "list", "--log", "looked decision:refused")["log"]
    assert one["actor"] == "bob"
    assert "field" in refused(desk, "decisions", "list", "colour:red", code=64)


def test_what_is_listed_is_filtered_and_says_nothing_of_where_folders_lie(
    desk: Path, model: Path
) -> None:
    decide(desk, model, "refused", actor="bob")
    decide(desk, model, "approved", despite_refusal=True)
    with open_store(desk) as store:
        for filter, actors in (
            ("", ["bob", "ada"]),
            ("deployment:shop actor:bob", ["bob"]),
            ("decision:approved | owner:~o", ["bob", "ada"]),
            ("age>1d", []),
            ("desk:harbour", []),
        ):
            assert [one.actor for one in decisions.log(store, filter=filter)] == actors, filter
        (now,) = decisions.standings(store, filter="actor:bob")
        assert now.state == "approved"  # what counts now, though the later decision is not listed
        assert str(model.parent) not in to_json(now)


def test_nothing_decided_can_be_changed_or_deleted_in_the_database(desk: Path, model: Path) -> None:
    decide(desk, model, "approved")
    with sqlite3.connect(desk / "dife.db") as database:
        for table in ("decisions", "deployments"):
            for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET actor = 'eve'"):
                with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                    database.execute(statement)
    database.close()
