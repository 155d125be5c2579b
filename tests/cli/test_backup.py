"""`dife backup` and `dife restore`: a home comes back as it was, and a file from elsewhere can do nothing."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from desk_kit import refused, said
from sqlite_utils import Database
from store_records import make_finding, put_finding

from dife_scanner.app import backup
from dife_scanner.app.restore import restore
from dife_scanner.baselines.home import open_home
from dife_scanner.errors import (
    DifeError,
    DiskFull,
    LimitExceeded,
    NewerSchema,
    NotTrusted,
    Refused,
    UsageError,
)
from dife_scanner.records import Reference, TriageState
from dife_scanner.settings import Limits, load
from dife_scanner.store import Store, evidence, findings, open_store, references, triage
from dife_scanner.store.migrations import MIGRATIONS

SECRET = "hf_planted_0123456789"
ROOT = Path(__file__).parents[2]
WRITER = """
import sys
from pathlib import Path
from store_records import make_finding, put_finding
from dife_scanner.store import evidence, open_store
home = Path(sys.argv[1])
with open_store(home) as store:
    for number in range(100_000):
        evidence.put(home, str(number).encode(), ".txt")
        put_finding(store, make_finding(f"fp1:{number:016x}"))
        print(number, flush=True)
"""


def as_kept(store: Store) -> list[object]:
    """Findings and decisions, as they can be read."""
    return [findings.findings(store), triage.all_by_state(store)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """With a decided finding, evidence, a reference, a secret and a cache."""
    home = tmp_path / "home"
    with open_store(home) as store:
        put_finding(store, make_finding())
        fingerprint = make_finding().fingerprint
        seen = triage.seen(store, [fingerprint])
        triage.decide(store, TriageState.CONFIRMED, seen, actor="ada", note="looked at")
        evidence.put(home, b"picture", ".png")
        (home / "references" / "ViT:mine").mkdir()
        (home / "references" / "ViT:mine" / "open_clip_model.safetensors").write_bytes(b"weights")
        for name in ("ViT:mine", "gone"):
            place = str(home / "references" / name)
            references.add(
                store, Reference(name, place, "i" * 64, "t" * 64, "w" * 64, "ViT", "now")
            )
    (home / "references" / ".places").write_text(SECRET)
    (home / "secrets" / "hf-token").write_text(SECRET)
    (home / "cache" / "token").write_text(SECRET)
    (home / "config.toml").write_text(f"# {SECRET}\n")
    return home


@pytest.fixture
def archive(home: Path, tmp_path: Path) -> Path:
    backup.make(load(home), tmp_path / "home.zip")
    return tmp_path / "home.zip"


def test_a_restored_home_has_the_same_findings_decisions_and_files(
    home: Path, tmp_path: Path
) -> None:
    file, new = tmp_path / "backup.zip", tmp_path / "new"
    made = said(home, "backup", file)
    assert made["done"] == "written" and "secrets and keys" in made["left_out"]
    assert made["files"] == {"evidence": 1, "references": 1, "calibration": 0, "dife.db": 1}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    back = said(new, "restore", file)
    assert back["files"] == made["files"] and back["forgotten"] == ["gone"]
    with open_store(home) as before, open_home(load(new)) as after:
        assert as_kept(after) == as_kept(before)
        assert references.reference(after, "ViT:mine").path == str(new / "references" / "ViT:mine")
    digest = hashlib.sha256(b"picture").hexdigest()
    assert evidence.read(new, digest) == b"picture"
    assert [path.name for path in new.iterdir() if path.name.startswith(".part-")] == []


def test_no_secret_and_no_cache_is_in_a_backup(archive: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
        assert not any(SECRET.encode() in opened.read(name) for name in names)
    assert {name.split("/")[0] for name in names} == {
        "dife.db", "evidence", "references", "manifest.json",
    }  # fmt: skip


def test_a_backup_while_another_process_writes_is_one_moment_of_it(
    home: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'store'}"}
    command = [sys.executable, "-c", WRITER, str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as writer:
        try:
            assert writer.stdout
            for _ in range(3):
                assert writer.stdout.readline()
            backup.make(load(home), tmp_path / "live.zip")
            with open_store(home, read_only=True) as store:
                there = len(findings.findings(store))
            while int(writer.stdout.readline()) <= there:
                pass  # until it has written more: the backup was in nobody's way
        finally:
            writer.kill()

    new = tmp_path / "new"
    restore(tmp_path / "live.zip", new, Limits())
    with open_store(new) as store:
        assert store.integrity() == []
        kept = {finding.fingerprint for finding in findings.findings(store)}
        decided = triage.all_by_state(store)
    kept.remove(make_finding().fingerprint)
    assert kept == {f"fp1:{number:016x}" for number in range(len(kept))} and len(kept) >= 3
    assert decided[TriageState.CONFIRMED] == 1
    for number in range(len(kept)):
        assert evidence.verify(new, hashlib.sha256(str(number).encode()).hexdigest())


def older(path: Path) -> None:
    """A database as an earlier version left it, with a decided finding."""
    with sqlite3.connect(path, isolation_level=None) as raw:
        MIGRATIONS.apply(Database(raw), stop_before="m020_lines_of_models")
        raw.execute(
            "INSERT INTO findings VALUES ('fp1:a', 'org/clip', 'r', 0, 'refused', 'refused', '', '', '', '', '', '',"
            " '[]', '', NULL, 'confirmed', '', '')"
        )
        raw.execute(
            "INSERT INTO triage_events (fingerprint, state, actor, note, at) VALUES"
            " ('fp1:a', 'confirmed', 'ada', 'seen', '')"
        )
    raw.close()


def test_a_backup_of_an_older_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    older(tmp_path / "old.db")
    backup.write(tmp_path / "old.zip", tmp_path / "old.db", tmp_path / "no-files", "m019_decisions")
    made = restore(tmp_path / "old.zip", tmp_path / "new", Limits())
    with open_store(tmp_path / "new") as store:
        assert made.schema == store.schema != "m019_decisions"
        found = findings.findings(store)
        decided = triage.all_by_state(store)
    assert [finding.fingerprint for finding in found] == ["fp1:a"]
    assert decided[TriageState.CONFIRMED] == 1


def test_a_backup_of_a_newer_schema_is_refused_in_plain_words(home: Path, tmp_path: Path) -> None:
    with sqlite3.connect(home / "dife.db") as raw:
        raw.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('dife-scanner', 'm999_later', '')"
        )
    raw.close()
    backup.write(tmp_path / "newer.zip", home / "dife.db", home, "m999_later")
    with pytest.raises(NewerSchema, match=r"newer\.zip was made by a newer version"):
        restore(tmp_path / "newer.zip", tmp_path / "new", Limits())
    assert not (tmp_path / "new").exists()


def test_nothing_is_restored_over_a_home_and_no_backup_over_a_file(
    home: Path, archive: Path
) -> None:
    assert "is not empty" in refused(home, "restore", archive, code=64)
    assert "exists already" in refused(home, "backup", archive, code=64)


def test_what_is_not_there_is_not_backed_up_or_restored(tmp_path: Path) -> None:
    none = tmp_path / "none"
    assert "nothing to back up" in refused(none, "backup", tmp_path / "b.zip", code=64)
    assert "cannot be read" in refused(none, "restore", tmp_path / "b.zip", code=64)
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04 no archive")
    assert "is no backup" in refused(none, "restore", tmp_path / "b.zip", code=3)
    assert not none.exists()


def test_settings_and_secrets_may_be_prepared_in_the_new_home(
    archive: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    (new / "secrets").mkdir(parents=True)
    (new / "config.toml").write_text("workers = 2\n")
    restore(archive, new, Limits())
    assert (new / "config.toml").read_text() == "workers = 2\n" and (new / "dife.db").exists()


def test_a_backup_that_cannot_read_everything_is_none(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(backup.os, "scandir", closed)
    with pytest.raises(UsageError, match="Permission denied"):
        backup.make(load(home), tmp_path / "part.zip")
    assert not (tmp_path / "part.zip").exists()


# --- hostile archives -------------------------------------------------------------------------------------------


def rewritten(archive: Path, change: Callable[[zipfile.ZipInfo, bytes], bytes]) -> Path:
    """The same archive with members changed by `change`, which may rename them."""
    changed = archive.with_name("changed.zip")
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(changed, "w") as target:
        for info in source.infolist():
            content = source.read(info)
            target.writestr(info, change(info, content))
    return changed


def renamed(name: str) -> Callable[[zipfile.ZipInfo, bytes], bytes]:
    """The picture under another name, also in the manifest."""

    def change(info: zipfile.ZipInfo, content: bytes) -> bytes:
        if info.filename == "manifest.json":
            read = json.loads(content)
            for entry in read["entries"]:
                if entry["path"].startswith("evidence/"):
                    entry["path"] = name
            return json.dumps(read).encode()
        if info.filename.startswith("evidence/"):
            info.filename = name
        return content

    return change


def linked(info: zipfile.ZipInfo, content: bytes) -> bytes:
    if info.filename.startswith("evidence/"):
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return content


def altered(info: zipfile.ZipInfo, content: bytes) -> bytes:
    return b"PICTURE" if info.filename.startswith("evidence/") else content


def longer(info: zipfile.ZipInfo, content: bytes) -> bytes:
    return content + b"!" if info.filename.startswith("evidence/") else content


def another_format(info: zipfile.ZipInfo, content: bytes) -> bytes:
    return content.replace(b"backup-manifest-1", b"backup-manifest-9")


def nested(info: zipfile.ZipInfo, content: bytes) -> bytes:
    return b"[" * 100_000 if info.filename == "manifest.json" else content


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (renamed("../outside"), Refused),
        (renamed("evidence/../../outside"), Refused),
        (renamed("/tmp/outside"), Refused),
        (renamed("..\\outside"), Refused),
        (renamed("C:/outside"), Refused),
        (linked, Refused),
        (renamed("secrets/hf-token"), NotTrusted),
        (renamed("references/.places"), NotTrusted),
        (renamed("evidence/"), NotTrusted),
        (altered, NotTrusted),
        (longer, NotTrusted),
        (another_format, NotTrusted),
        (nested, NotTrusted),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_backup_that_was_tampered_with_leaves_nothing(
    change: Callable[[zipfile.ZipInfo, bytes], bytes],
    error: type[DifeError],
    archive: Path,
    tmp_path: Path,
) -> None:
    before = set(tmp_path.iterdir())
    changed = rewritten(archive, change)
    with pytest.raises(error):
        restore(changed, tmp_path / "new", Limits())
    assert set(tmp_path.iterdir()) == before | {changed}


def test_a_member_may_be_as_large_as_a_checkpoint(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(LimitExceeded, match="of the backup has") as raised:
        restore(archive, tmp_path / "new", Limits(checkpoint_bytes=1000))
    assert "limits.checkpoint_bytes" in raised.value.advice


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_is_refused(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("manifest.json", opened.read("manifest.json"))
    with pytest.raises(Refused, match="twice"):
        restore(archive, tmp_path / "new", Limits())


def test_a_backup_that_has_no_room_is_not_begun(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dife_scanner.app.restore.free_bytes", lambda path: 1000)
    with pytest.raises(DiskFull, match="are free for"):
        restore(archive, tmp_path / "new", Limits())
    assert not (tmp_path / "new").exists()


def test_an_archive_cut_short_leaves_nothing(archive: Path, tmp_path: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(NotTrusted):
        restore(archive, tmp_path / "new", Limits())
    assert not (tmp_path / "new").exists()


def test_a_home_that_is_a_file_is_not_replaced(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("mine")
    with pytest.raises(UsageError):
        restore(archive, tmp_path / "new", Limits())
    assert (tmp_path / "new").read_text() == "mine"
