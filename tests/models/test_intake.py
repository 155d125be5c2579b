"""The private copy holds what was announced, read-only, or there is no copy."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from checkpoints import CONFIG, WEIGHTS

from dife_scanner.errors import (
    ContentMismatch,
    DiskFull,
    HomeUnwritable,
    LimitExceeded,
    Refused,
    Unsupported,
    UsageError,
)
from dife_scanner.models import intake
from dife_scanner.models.intake import Staged, find, stage
from dife_scanner.records import HubFile
from dife_scanner.settings import Limits

LIMITS = Limits.model_validate({})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / CONFIG).write_bytes(b'{"model_cfg": {}}')
    (folder / WEIGHTS).write_bytes(b"weights" * 1000)
    return folder


@pytest.fixture
def staged(source: Path, tmp_path: Path) -> Callable[..., Staged]:
    def run(limits: Limits = LIMITS, **expected: HubFile) -> Staged:
        announced = {
            CONFIG if name == "config" else WEIGHTS: file for name, file in expected.items()
        }
        return stage(find(source), announced, tmp_path / "copy", limits)

    return run


def test_copies_bytes_and_reports_their_hashes(staged: Callable[..., Staged], source: Path) -> None:
    copy = staged()
    for file in (copy.config, copy.weights):
        original = (source / file.name).read_bytes()
        assert file.path.read_bytes() == original
        assert file.sha256 == hashlib.sha256(original).hexdigest()
        assert file.size == len(original)
        assert file.path.stat().st_mode & 0o777 == 0o400
    assert copy.folder.stat().st_mode & 0o777 == 0o700


def test_the_blob_id_is_the_one_git_computes(staged: Callable[..., Staged], source: Path) -> None:
    ids = subprocess.run(
        ["git", "hash-object", CONFIG], cwd=source, capture_output=True, text=True, check=True
    )
    assert staged().config.git_oid == ids.stdout.strip()


def test_accepts_files_that_are_as_announced(staged: Callable[..., Staged], source: Path) -> None:
    sha256 = hashlib.sha256((source / WEIGHTS).read_bytes()).hexdigest()
    git_oid = hashlib.sha1(b"blob 17\0" + (source / CONFIG).read_bytes()).hexdigest()
    weights = HubFile(WEIGHTS, 7000, sha256=sha256.upper(), git_oid="blob id of the LFS pointer")
    assert (
        staged(config=HubFile(CONFIG, 17, git_oid=git_oid), weights=weights).weights.sha256
        == sha256
    )


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (HubFile(WEIGHTS, 7001), "truncated: it has 7000 bytes, 7001 were announced"),
        (HubFile(WEIGHTS, 6999), "over-long"),
        (HubFile(WEIGHTS, 7000, sha256="0" * 64), "not the file that was announced: its sha256"),
        (HubFile(WEIGHTS, git_oid="0" * 40), "its git blob id"),
    ],
)
def test_refuses_files_that_are_not_as_announced(
    staged: Callable[..., Staged], file: HubFile, words: str
) -> None:
    with pytest.raises(ContentMismatch, match=words):
        staged(weights=file)


def test_a_file_beyond_its_limit_is_not_copied(
    staged: Callable[..., Staged], tmp_path: Path
) -> None:
    with pytest.raises(LimitExceeded, match="7000 bytes; the limit is 6000"):
        staged(limits=LIMITS.model_copy(update={"checkpoint_bytes": 6000}))
    assert not (tmp_path / "copy").exists()


def test_a_file_that_grows_while_it_is_copied_is_noticed(
    staged: Callable[..., Staged], source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def grow(name: str, chunk: bytes) -> None:
        with (source / name).open("ab") as file:
            file.write(b"more")

    monkeypatch.setattr(intake, "_refuse_pointer", grow)
    monkeypatch.setattr(intake, "_CHUNK", 16)
    with pytest.raises(ContentMismatch, match="changed while it was being copied"):
        staged()


def test_a_file_that_shrinks_while_it_is_copied_is_noticed(
    staged: Callable[..., Staged], source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shrink(name: str, chunk: bytes) -> None:
        os.truncate(source / name, 1)

    monkeypatch.setattr(intake, "_refuse_pointer", shrink)
    monkeypatch.setattr(intake, "_CHUNK", 16)
    with pytest.raises(ContentMismatch, match="changed while it was being copied"):
        staged()


def test_a_file_that_is_rewritten_while_it_is_copied_is_not_the_announced_one(
    staged: Callable[..., Staged], source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its length stays; what counts is the hash of the bytes that were copied."""
    sha256 = hashlib.sha256((source / WEIGHTS).read_bytes()).hexdigest()

    def rewrite(name: str, chunk: bytes) -> None:
        with (source / name).open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"X")

    monkeypatch.setattr(intake, "_refuse_pointer", rewrite)
    monkeypatch.setattr(intake, "_CHUNK", 16)
    with pytest.raises(ContentMismatch, match="not the file that was announced: its sha256"):
        staged(weights=HubFile(WEIGHTS, 7000, sha256=sha256))


@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EROFS, HomeUnwritable)],
)
def test_a_disk_that_cannot_be_written_says_so(
    staged: Callable[..., Staged],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    error: type[Exception],
) -> None:
    def fail(path: Path, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", fail)
    with pytest.raises(error):
        staged()


def test_finds_weights_beside_their_configuration(source: Path) -> None:
    other = source / "epoch_10.safetensors"
    other.write_bytes(b"x")
    assert find(other) == {CONFIG: source / CONFIG, WEIGHTS: other}
    assert find(source) == {CONFIG: source / CONFIG, WEIGHTS: source / WEIGHTS}
    (source / WEIGHTS).rename(source / "open_clip_pytorch_model.safetensors")
    assert "open_clip_pytorch_model.safetensors" in find(source)
    (source / CONFIG).unlink()
    with pytest.raises(Unsupported, match=f"no {CONFIG}"):
        find(source)


def test_links_are_followed_only_where_the_caller_says_so(source: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for name in (CONFIG, WEIGHTS):
        (snapshot / name).symlink_to(source / name)
    with pytest.raises(Refused, match="symbolic link"):
        stage(find(snapshot), {}, tmp_path / "copy", LIMITS)
    copy = stage(find(snapshot, follow_links=True), {}, tmp_path / "copy", LIMITS)
    assert copy.weights.path.read_bytes() == (source / WEIGHTS).read_bytes()


@pytest.mark.parametrize("name", ["../escape", "a/b", "..", "", "a\nb", "x" * 300])
def test_no_name_leads_out_of_the_folder_of_the_copy(
    name: str, source: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no name of a file"):
        stage({name: source / CONFIG}, {}, tmp_path / "copy", LIMITS)


def test_a_copy_goes_into_a_folder_of_its_own(source: Path) -> None:
    with pytest.raises(UsageError, match="exists already"):
        stage({CONFIG: source / CONFIG}, {}, source, LIMITS)
