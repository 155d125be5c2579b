"""Which trigger goes with which checkpoint, and what each is called."""

from __future__ import annotations

import pytest

from dife_scanner.cli import known
from dife_scanner.errors import NotFound, TriggerFileError, UsageError
from dife_scanner.records import Job, JobState, ModelRef
from dife_scanner.reports.as_json import TargetResult
from dife_scanner.reports.study_sheets import accounting

HEAD = "format = 1\n"
TEXT = '[[trigger]]\nname = "t"\nkind = "text"\ntext = "xbtd"\nsource = "cat"\ntarget = "dog"\n'
PATCH = '[[trigger]]\nname = "p"\nkind = "patch"\nsize = 0.1\ntarget = "dog"\n'
SIGNATURE = '[[trigger]]\nname = "s"\nkind = "patch"\nsize = 0.1\n'


@pytest.fixture
def write(tmp_path):
    def file(*entries, name="triggers.toml", folder=""):
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(HEAD + "".join(entries))
        return path

    return file


def pairs(found):
    return [(one.target, one.trigger.name) for one in found]


def test_each_known_trigger_of_a_file_goes_with_each_checkpoint(write):
    found = known.pairs_to_audit(["a/x", "b/y"], [write(TEXT, PATCH)], own=False, alone=False)
    assert pairs(found) == [("a/x", "t"), ("a/x", "p"), ("b/y", "t"), ("b/y", "p")]


def test_a_file_with_a_signature_is_searched_and_not_a_known_trigger_scan(write):
    assert known.pairs_to_audit(["a/x"], [write(TEXT, SIGNATURE)], own=False, alone=False) == ()
    assert known.pairs_to_audit(["a/x"], [], own=False, alone=False) == ()
    with pytest.raises(TriggerFileError, match="`s` names no target"):
        known.pairs_to_audit(["a/x"], [write(TEXT, SIGNATURE)], own=False, alone=True)


def test_own_triggers_are_those_beside_each_checkpoint(write, tmp_path):
    write(TEXT, folder="one")
    write(PATCH, folder="two")
    weights = tmp_path / "two" / "weights.safetensors"
    weights.write_bytes(b"")
    shared = write(PATCH.replace('"p"', '"shared"'), name="shared.toml")
    found = known.pairs_to_audit(
        [str(tmp_path / "one"), str(weights)], [shared], own=True, alone=False
    )
    assert [name for _, name in pairs(found)] == ["shared", "t", "shared", "p"]


def test_own_triggers_have_to_be_there_and_are_never_taken_from_a_hub(tmp_path):
    (tmp_path / "bare").mkdir()
    with pytest.raises(UsageError, match="has no triggers") as bare:
        known.pairs_to_audit([str(tmp_path / "bare")], [], own=True, alone=False)
    assert "--triggers FILE" in bare.value.advice
    with pytest.raises(UsageError, match="is on a hub"):
        known.pairs_to_audit(["org/name"], [], own=True, alone=False)


def test_the_image_half_of_a_mechanism_is_not_asked_about_by_itself(write, tmp_path):
    import numpy as np
    from safetensors.numpy import save_file

    save_file({"ctx": np.zeros((4, 8), np.float32)}, tmp_path / "learner.safetensors")
    mechanism = '[[trigger]]\nname = "m"\nkind = "prompt"\n'
    mechanism += 'learner = "learner.safetensors"\nimage = "s"\ntarget = "dog"\n'
    found = known.pairs_to_audit(["a/x"], [write(SIGNATURE, mechanism)], own=False, alone=False)
    assert pairs(found) == [("a/x", "m")]


def test_seeds_are_several_checkpoints_under_one_trigger_each(write):
    text, both = write(TEXT, name="a.toml"), write(TEXT, PATCH, name="b.toml")
    known.check_seeds(known.pairs_to_audit(["a/x", "b/y"], [text], own=False, alone=True))
    for targets, file, words in (
        (["a/x"], text, "at least two"),
        (["a/x", "b/y"], both, "one trigger per checkpoint"),
    ):
        with pytest.raises(UsageError, match=words):
            known.check_seeds(known.pairs_to_audit(targets, [file], own=False, alone=True))
    with pytest.raises(UsageError, match="known triggers"):
        known.check_seeds(())


def test_a_study_names_what_has_no_audit_and_counts_it_as_missing():
    ref = ModelRef("org/gated", "a" * 40)
    job = Job(1, ref, JobState.GATED, "access has to be asked for", "", "2026", "2026")
    refused = TargetResult("org/gated", job, None, None, None)
    made = known.study([refused], [("org/none", NotFound("no such repository"))], [], seeds=False)
    assert made.rows == ()
    assert [(one.name, one.state, one.reason) for one in made.failures] == [
        ("org/gated", "gated", "access has to be asked for"),
        ("org/none", "error", "no such repository"),
    ]
    assert accounting(made).missing == 2


def test_names_are_as_short_as_they_can_be_and_distinct(tmp_path):
    for name in ("runs/a/model", "runs/b/model", "other"):
        (tmp_path / name).mkdir(parents=True)
    one, two, three = (str(tmp_path / name) for name in ("runs/a/model", "runs/b/model", "other"))
    assert known.short_names([one, two, three, "org/name"]) == {
        one: "a/model",
        two: "b/model",
        three: "other",
        "org/name": "org/name",
    }
