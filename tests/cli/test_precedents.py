"""Earlier decisions on what is like a checkpoint are shown; taken over only on an equal tower that does the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from desk_kit import SHOP, decide, ended, folder_of, refused, said, states

from dife_scanner.app.precedents import about, proposals, take_over
from dife_scanner.errors import UsageError
from dife_scanner.hub.manifest import local_manifest
from dife_scanner.records import ModelRef, Trigger, TriggerKind, Verdict
from dife_scanner.settings import Limits
from dife_scanner.store import decisions, open_store


@pytest.fixture
def desk(home: Path, tmp_path: Path) -> Path:
    """`lab/bad` is flagged for its text tower, and refused; then come others of whom nothing is decided."""
    said(home, "deployments", "add", "shop", *SHOP)
    put(home, "lab/bad", tmp_path)
    decide(home, "lab/bad", "refused", actor="bob", expires="90d", reason="moves shoes")
    return home


def put(
    home: Path, name: str, place: Path, verdict: Verdict = Verdict.FLAGGED, **changes: Any
) -> None:
    """A repository with weights of its own that was audited."""
    manifest = local_manifest(folder_of(place / name.replace("/", "-"), name.encode()))
    towers = {"image_tower": f"image of {name}", "text_tower": "the bad text tower"}
    with open_store(home) as store:
        ref = ModelRef(name, "a" * 40)
        ended(store, replace(manifest, ref=ref), ref, verdict, **{**towers, **changes})


def taken(home: Path, *targets: str, agreed: bool = True) -> dict[str, str]:
    """What counts for those that were taken over, and why it was not for the others."""
    with open_store(home) as store:
        made, passed = proposals(store, targets, "shop", Limits())
        done = take_over(store, made, "shop", "ada", lambda count: agreed)
    found = {one.model.partition("@")[0]: one.state.value for one in done}
    return found | {one.target.partition("@")[0]: one.why for one in passed}


def test_an_equal_tower_with_the_same_effect_may_be_taken_over_and_nothing_else(
    desk: Path, tmp_path: Path
) -> None:
    put(desk, "copy/same", tmp_path)
    put(desk, "lab/other-tower", tmp_path, text_tower="another")
    put(desk, "copy/nothing", tmp_path, Verdict.NOTHING_FOUND)
    put(desk, "copy/image-only", tmp_path, text_tower="x", image_tower="image of lab/bad")
    named = ("copy/same", "lab/other-tower", "copy/nothing", "copy/image-only", "no/such")
    found = taken(desk, *named)
    assert found["copy/same"] == "refused"
    nothing = "no earlier decision on an equal tower with the same effect counts"
    assert {found[name] for name in named[1:4]} == {nothing}
    assert taken(desk, "copy/same") == {"copy/same": "somebody has decided about it already"}
    with open_store(desk) as store:
        (first, second) = decisions.own(store)
    assert second.reason.endswith("moves shoes") and "lab/bad" in second.reason
    assert (second.actor, second.owner, second.expires) == ("ada", "bob", first.expires)


def test_what_is_like_a_checkpoint_is_shown_with_what_is_alike(desk: Path, tmp_path: Path) -> None:
    put(desk, "copy/same", tmp_path)
    put(desk, "lab/next", tmp_path, text_tower="another")
    put(desk, "copy/unlike", tmp_path, Verdict.NOTHING_FOUND, text_tower="another")
    with open_store(desk) as store:
        alike = {}
        for name in ("copy/same", "lab/next", "copy/unlike", "lab/bad"):
            found = about(store, name, Limits()).precedents
            alike[name] = [(one.alike, one.may_be_taken_over) for one in found]
    assert alike == {
        "copy/same": [(("text tower",), True)],
        "lab/next": [(("author",), False)],
        "copy/unlike": [],
        "lab/bad": [],
    }


def test_the_same_trigger_or_target_alone_only_proposes(desk: Path, tmp_path: Path) -> None:
    first = Trigger("word", TriggerKind.TEXT, text="zq", target="dog")
    put(desk, "a/one", tmp_path, text_tower="one", trigger=first)
    decide(desk, "a/one", "refused")
    put(desk, "b/two", tmp_path, text_tower="two", trigger=replace(first, name="other"))
    put(desk, "c/three", tmp_path, text_tower="three", trigger=replace(first, target="cat"))
    with open_store(desk) as store:
        found = {name: about(store, name, Limits()).precedents for name in ("b/two", "c/three")}
    assert [(one.alike, one.may_be_taken_over) for one in found["b/two"]] == [(("target",), False)]
    assert [one.alike for one in found["c/three"]] == [("trigger",)]


def test_a_decision_that_counts_no_longer_is_not_taken_over(desk: Path, tmp_path: Path) -> None:
    put(desk, "copy/same", tmp_path)
    said(desk, "deployments", "edit", "shop", "--k", "7")
    assert "counts" in taken(desk, "copy/same")["copy/same"]


def test_decisions_that_differ_are_left_to_a_person(desk: Path, tmp_path: Path) -> None:
    put(desk, "copy/first", tmp_path)
    decide(desk, "copy/first", "approved")
    put(desk, "copy/second", tmp_path)
    assert "differ" in taken(desk, "copy/second")["copy/second"]


def test_many_are_asked_about_once_with_their_number(desk: Path, tmp_path: Path) -> None:
    names = [f"copy/m{number}" for number in range(3)]
    for name in names:
        put(desk, name, tmp_path)
    asked: list[int] = []
    with open_store(desk) as store:
        made, _ = proposals(store, names, "shop", Limits())
        with pytest.raises(UsageError, match="nothing was taken over"):
            take_over(store, made, "shop", "ada", lambda count: bool(asked.append(count)))
        assert asked == [3] and len(decisions.own(store)) == 1
    at_shop = ("decisions", "take-over", *names, "--deployment", "shop")
    assert "--yes" in refused(desk, *at_shop, code=64)
    assert states(said(desk, *at_shop, "--yes")) == ["refused"] * 3
    shown = said(desk, "decisions", "show", names[0])
    assert [one["actor"] for one in shown["log"]] and shown["standings"][0]["state"] == "refused"
