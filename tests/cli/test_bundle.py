"""`dife bundle`: an attestation is bound to the model's files and to a key, and says what the audit said."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import calling
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from desk_kit import audited, folder_of, refused, said

from dife_scanner.app.model_digest import model_digest
from dife_scanner.errors import UsageError

PEM = serialization.Encoding.PEM
DIGEST = "765a5146551e7973080f5700f5cf7cf98bede654afb472d779d280d38a6d63b3"
"""Of the small folder below, computed by `model_signing` 1.1.1 itself."""
ODD_NAMES = {
    "b.txt": b"b",
    "B": b"U",
    "sub/z": b"z",
    "sub/deep/ü y.bin": b"y",
    "sub/.gitignore": b"g",
    "sub-b": b"-",
    ".hidden": b"k",
    ".gitignore": b"n",
    ".git/x": b"q",
}
DIGEST_OF_ODD_NAMES = "d50a75f00aa569a52a207b89e317a65967d440557791b162854a3ab8c81f390b"
"""The same of these, beside which lies an empty folder: `signing.Payload(hashing.hash(folder))`."""


def keys(folder: Path, name: str) -> tuple[Path, Path]:
    """A private and a public key, as OpenSSL writes them."""
    key = Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    pkcs8, nothing = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private.write_bytes(key.private_bytes(PEM, pkcs8, nothing))
    known = serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(PEM, known))
    return private, public


@pytest.fixture
def attested(home: Path, tmp_path: Path) -> tuple[Path, Path, Path]:
    """A model, the envelope about it, and the public key."""
    model = folder_of(tmp_path / "model", b"weights", README__md=b"about")
    audited(home, model, reason="xqsecret turns it", agreement="xqsecret")
    private, public = keys(tmp_path, "desk")
    envelope = tmp_path / "audit.dsse.json"
    done = calling.dife(
        "bundle", "attest", model, "--home", home, "--sign", private, "--out", envelope
    )
    assert done.returncode == 0, done.stderr
    return model, envelope, public


def test_what_was_signed_is_verified_with_its_files(home, attested):
    model, envelope, public = attested
    found = said(home, "bundle", "verify", envelope, "--key", public, "--model", model)["details"]
    assert found["verdict"] == "nothing-found" and found["files"] == "equal"
    assert found["digest"] == model_digest(model) and found["model"] == "model"
    written = json.loads(envelope.read_text())
    payload = base64.b64decode(written["payload"])
    assert b"xqsecret" not in payload
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert "does not say that the model is clean" in statement["predicate"]["limits"]


def test_other_files_another_key_and_another_statement_are_not_trusted(home, attested, tmp_path):
    model, envelope, public = attested
    _, stranger = keys(tmp_path, "stranger")
    check = ("bundle", "verify", envelope, "--key")
    assert "not signed by" in refused(home, *check, stranger, code=3)
    (model / "open_clip_model.safetensors").write_bytes(b"others!")
    assert "is not the model" in refused(home, *check, public, "--model", model, code=3)
    written = json.loads(envelope.read_text())
    payload = base64.b64decode(written["payload"]).replace(b"nothing-found", b"identical____")
    envelope.write_text(json.dumps({**written, "payload": base64.b64encode(payload).decode()}))
    assert "not signed by" in refused(home, *check, public, code=3)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"payload": 1}', "[" * 5000, "\x00"])
def test_what_is_no_envelope_is_said_to_be_none(home, attested, text):
    _, envelope, public = attested
    envelope.write_text(text)
    message = refused(home, "bundle", "verify", envelope, "--key", public, code=3)
    assert "is no signed envelope" in message


def test_files_that_were_not_audited_are_not_attested(home, attested, tmp_path):
    other = folder_of(tmp_path / "other", b"never audited")
    private, _ = keys(tmp_path, "again")
    message = refused(home, "bundle", "attest", other, "--sign", private, code=3)
    assert "not audited here" in message and "dife scan" in message


def test_the_digest_is_that_of_model_signing(tmp_path):
    """Equal to `model_signing` 1.1.1 on the same files: sha256 over the files' digests, in the order of their paths."""
    for name, content in {"b.txt": b"b", "a/z": b"z", "a-b": b"-", ".gitignore": b"no"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    parts = [hashlib.sha256(content).digest() for content in (b"z", b"-", b"b")]
    assert model_digest(tmp_path) == hashlib.sha256(b"".join(parts)).hexdigest()
    assert model_digest(tmp_path) == DIGEST
    odd = tmp_path / "odd"
    for name, content in ODD_NAMES.items():
        (odd / name).parent.mkdir(parents=True, exist_ok=True)
        (odd / name).write_bytes(content)
    (odd / "empty").mkdir()
    assert model_digest(odd) == DIGEST_OF_ODD_NAMES
    (tmp_path / "link").symlink_to(tmp_path / "b.txt")
    with pytest.raises(UsageError, match="symbolic link"):
        model_digest(tmp_path)
