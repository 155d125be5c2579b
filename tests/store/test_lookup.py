"""What a person types to see one thing: ids and their beginnings, repositories, revisions, folders, numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_records import make_audit, make_finding, make_ref, put_finding

from dife_scanner.errors import NotFound, UsageError
from dife_scanner.records import Audit, Job, JobState, ModelRef, Verdict
from dife_scanner.store import Store, audits, jobs, lookup
from dife_scanner.store.lookup import Kind

FIRST, SECOND = "a1" * 20, "a2" * 20


@pytest.fixture
def audited(store):
    """Keeps an audit of a checkpoint, with the job it came from."""

    def keep(audit_id: str, ref: ModelRef, **changes) -> Audit:
        audit = make_audit(audit_id, f"identity of {audit_id}", ref=ref, **changes)
        record = audits.keep_record(store, audit)
        with store.atomic("test"):
            audits.insert_audit(store, audit, record)
            job = discovered(store, ref)
            store.write(
                "UPDATE jobs SET state = 'done', audit_id = ? WHERE id = ?", (audit_id, job.id)
            )
        return audit

    return keep


def discovered(store: Store, ref: ModelRef, state: JobState = JobState.GATED) -> Job:
    return jobs.discover(store, ref, endpoint="hub", state=state, reason="r", pinned=True)


def kind_and_id(store: Store, text: str) -> tuple[Kind, str]:
    found = lookup.find(store, text)
    return found.kind, found.id


def test_a_whole_id_a_beginning_and_a_number_each_stand_for_their_own(store, audited):
    audited("feed01aa", make_ref())
    put_finding(store, make_finding("fp1:0123456789abcdef"))
    job = discovered(store, make_ref("org/other"))
    assert kind_and_id(store, "feed01aa") == kind_and_id(store, "feed") == (Kind.AUDIT, "feed01aa")
    for text in ("fp1:0123456789abcdef", "fp1:01", "fp1"):
        assert kind_and_id(store, text) == (Kind.FINDING, "fp1:0123456789abcdef")
    assert kind_and_id(store, str(job.id)) == (Kind.JOB, str(job.id))


def test_a_whole_id_is_never_ambiguous(store, audited):
    audited("feed", make_ref())
    audited("feed01", make_ref("org/other"))
    assert kind_and_id(store, "feed") == (Kind.AUDIT, "feed")
    with pytest.raises(UsageError):
        lookup.find(store, "fee")


def test_an_audit_whose_id_begins_with_digits_is_found_where_no_job_has_that_number(store, audited):
    audited("4711aa", make_ref())
    assert kind_and_id(store, "4711") == (Kind.AUDIT, "4711aa")


def test_a_repository_and_a_revision_stand_for_their_audit(store, audited):
    audited("feed01", make_ref(revision=FIRST))
    for text in ("org/clip", f"org/clip@{FIRST}", "org/clip@a1a1", str(make_ref(revision=FIRST))):
        assert kind_and_id(store, text) == (Kind.AUDIT, "feed01"), text


def test_a_repository_without_an_audit_stands_for_its_job(store):
    job = discovered(store, make_ref("org/gated"))
    assert kind_and_id(store, "org/gated") == (Kind.JOB, str(job.id))


def test_a_revision_that_was_overtaken_makes_nothing_ambiguous(store, audited):
    old = discovered(store, make_ref(revision=FIRST), JobState.SUPERSEDED)
    assert kind_and_id(store, "org/clip") == (Kind.JOB, str(old.id))
    audited("feed01", make_ref(revision=SECOND))
    assert kind_and_id(store, "org/clip") == (Kind.AUDIT, "feed01")
    assert kind_and_id(store, "org/clip@a1") == (Kind.JOB, str(old.id))


def test_an_equal_checkpoint_elsewhere_stands_for_its_own_job_once(store, audited):
    audited("feed01", make_ref())
    again = [discovered(store, make_ref("org/copy", sha)) for sha in (FIRST, SECOND)]
    own = discovered(store, make_ref(revision=SECOND))
    with store.atomic("test"):
        store.write("UPDATE jobs SET audit_id = 'feed01'")
    assert kind_and_id(store, "org/copy") == (Kind.JOB, str(again[1].id))
    assert lookup.find(store, "org/copy").ref.repo_id == "org/copy"
    assert kind_and_id(store, "org/clip") == (Kind.AUDIT, "feed01")
    assert kind_and_id(store, f"org/clip@{SECOND}") == (Kind.JOB, str(own.id))


def test_a_folder_is_found_however_its_path_is_written(store, audited, tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    audited("feed01", ModelRef(str(folder), "local-" + "0" * 34, local=True))
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for text in (
        str(folder),
        "mine",
        "./mine",
        "mine/",
        "~/mine",
        "mine@local-00",
        f"{folder}/../mine",
    ):
        assert kind_and_id(store, text) == (Kind.AUDIT, "feed01"), text
    folder.rmdir()
    assert kind_and_id(store, str(folder)) == (Kind.AUDIT, "feed01")


def test_what_fits_several_names_them_and_what_to_type(store, audited):
    audited("feed01", make_ref(revision=FIRST))
    audited("feed02", make_ref(revision=SECOND), verdict=Verdict.INHERITED)
    job = discovered(store, make_ref(revision="b" * 40))
    with pytest.raises(UsageError) as caught:
        lookup.find(store, "org/clip")
    said = caught.value.what
    assert "fits 3 things" in said
    assert f"audit feed01 of org/clip@{FIRST[:12]} (flagged)" in said
    assert f"audit feed02 of org/clip@{SECOND[:12]} (inherited)" in said
    assert f"job {job.id} of org/clip@bbbbbbbbbbbb (gated)" in said
    for typed in ("feed01", "feed02", str(job.id)):
        assert f"`dife show {typed}`" in caught.value.advice
        assert lookup.find(store, typed).id == typed
    with pytest.raises(UsageError, match="fits 2 things"):
        lookup.find(store, "org/clip@a")


def test_a_long_list_of_choices_is_cut(store, audited):
    for number in range(lookup.LISTED + 3):
        audited(f"feed{number:02}", make_ref(f"org/clip-{number}"))
    with pytest.raises(UsageError, match="and 3 more") as caught:
        lookup.find(store, "feed")
    assert caught.value.what.count("audit feed") == lookup.LISTED


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("feedface", "there is no audit"),
        ("fp1:ff", "there is no finding"),
        ("9999", "there is no job"),
        ("no/such", "nothing is kept of"),
        ("/no/such/folder", "nothing is kept of"),
        ("~nobody-of-that-name/x", "nothing is kept of"),
        ("", "there is no audit"),
        ("@", "there is no audit"),
        ("x\x00y", "there is no audit"),
        ("\udcff", "there is no audit"),
        ("²", "there is no audit"),
    ],
)
def test_what_is_not_there_is_said_in_its_own_words(store, audited, text, words):
    audited("1234", make_ref())
    with pytest.raises(NotFound, match=words) as caught:
        lookup.find(store, text)
    assert "`dife " in caught.value.advice


def test_another_revision_of_a_known_repository_is_offered(store, audited):
    audited("feed01", make_ref(revision=FIRST))
    with pytest.raises(NotFound, match="no such revision") as caught:
        lookup.find(store, "org/clip@main")
    assert "`dife show feed01`" in caught.value.advice and FIRST[:12] in caught.value.advice


def test_a_wildcard_is_no_wildcard(store, audited):
    audited("feed01", make_ref())
    for text in ("%", "fee_", "org/%", "f*"):
        with pytest.raises(NotFound):
            lookup.find(store, text)


def test_a_path_that_cannot_be_followed_is_merely_not_there(store, tmp_path: Path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(NotFound):
        lookup.find(store, str(tmp_path / "loop"))
