"""`dife compare` puts two audits on the same lines."""

from __future__ import annotations

from pathlib import Path

from desk_kit import audited, folder_of, refused, said
from store_records import make_finding

from dife_scanner.records import Verdict
from dife_scanner.store import findings, open_store


def test_two_audits_stand_side_by_side(home: Path, tmp_path: Path) -> None:
    one = audited(home, folder_of(tmp_path / "one"), Verdict.FLAGGED)
    other = audited(home, folder_of(tmp_path / "other", b"others"), Verdict.NOTHING_FOUND)
    document = said(home, "compare", one.id, str(tmp_path / "other"))
    assert document["audits"] == [one.id, other.id]
    by_name = {line["what"]: line for line in document["lines"]}
    verdict = by_name["verdict"]
    assert verdict["shown"] == ["flagged", "nothing found"]
    assert verdict["differs"] and not by_name["budget"]["differs"]


def test_one_alone_stands_beside_its_base(home: Path, tmp_path: Path) -> None:
    one = audited(home, folder_of(tmp_path / "one"), Verdict.FLAGGED, reference="vit-base")
    document = said(home, "compare", one.id)
    assert document["audits"] == [one.id, one.id]
    assert document["columns"][1] == f"base: {one.reference}"
    by_name = {line["what"]: line["shown"] for line in document["lines"]}
    assert by_name["verdict"] == ["flagged", "compared with"]
    assert len(by_name["clean accuracy"]) == 2


def test_four_cannot_stand_side_by_side(home: Path) -> None:
    assert "at most 3" in refused(home, "compare", "a", "b", "c", "d", code=64)


def test_what_has_no_audit_cannot_be_compared(home: Path, tmp_path: Path) -> None:
    one = audited(home, folder_of(tmp_path / "one"))
    with open_store(home) as store, store.atomic("test"):
        found = make_finding(fingerprint="fp1:a", audit_id=None)
        findings.insert_finding(store, found, None)
    assert "has no audit here" in refused(home, "compare", "fp1:a", one.id, code=3)
