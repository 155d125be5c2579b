"""Detached Ed25519 signatures over files, with keys that OpenSSL makes and reads too."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from dife_scanner.durable.atomic import atomic_write
from dife_scanner.errors import NotTrusted, UsageError

ENDING = ".sig"
"""Of the file beside the one that is signed."""
MOST_BYTES = 64 * 1024**2
"""Of a file that is signed."""
_BYTES = 64
_MOST_KEY_BYTES = 10_000
"""Of a key's file."""
_MAKE = "`openssl genpkey -algorithm ed25519 -out desk.key` makes one"


def signature_file(path: Path) -> Path:
    """Where the signature of a file lies."""
    return path.with_name(path.name + ENDING)


def write(content: bytes, path: Path, key: Path | None) -> None:
    """Write a file, and with a private key its signature beside it; a signature of what stood there before goes.

    Raises `UsageError` where that is no key, or no place to write.
    """
    secret = private_key(key) if key else None
    signature = signature_file(path)
    try:
        if secret is None:
            signature.unlink(missing_ok=True)
        else:
            with atomic_write(signature) as stream:
                stream.write(secret.sign(content))
        with atomic_write(path) as stream:
            stream.write(content)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}", "give a place you can write"
        ) from error


def read(path: Path) -> bytes:
    """What a file that may be signed holds. Raises `UsageError`, and `NotTrusted` where it is too large."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)  # what is no file may have no end
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "check the path") from error
    if len(content) > MOST_BYTES:
        raise NotTrusted(
            f"{path} is larger than {MOST_BYTES} bytes",
            "no policy, log of decisions, attestation or bundle is",
        )
    return content


def private_key(path: Path) -> Ed25519PrivateKey:
    """The key in a PEM file without a passphrase. Raises `UsageError`."""
    try:
        key = serialization.load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # `TypeError`: it has a passphrase
        raise UsageError(f"{path} holds no private key without a passphrase", _MAKE) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path} is no Ed25519 key", _MAKE)
    return key


def check(content: bytes, signature: Path, public_key: Path) -> None:
    """Raise `NotTrusted` unless `signature` holds one of the `content` by the key; `UsageError` for what is no key."""
    key = public_key_of(public_key)
    try:
        with signature.open("rb") as stream:
            signed = stream.read(_BYTES + 1)
    except OSError as error:
        raise NotTrusted(
            f"the signature {signature} cannot be read: {error.strerror}",
            "put it beside the policy",
        ) from error
    try:
        key.verify(signed, content)
    except InvalidSignature:
        raise NotTrusted(
            f"{signature} is no signature of this policy by {public_key}",
            "get policy and signature again, and ask whoever made them",
        ) from None


def public_key_of(path: Path) -> Ed25519PublicKey:
    """The public key in a PEM file. Raises `UsageError`."""
    try:
        key = serialization.load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(
            f"{path} holds no public key", "`openssl pkey -in desk.key -pubout` prints it"
        ) from None
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{path} is no Ed25519 key", _MAKE)
    return key


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_MOST_KEY_BYTES)
    except OSError as error:
        raise UsageError(
            f"the key {path} cannot be read: {error.strerror}", "check the path"
        ) from error
