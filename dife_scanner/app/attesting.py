"""Attestations: an audit as an in-toto statement about a model's digest, in a signed DSSE envelope.

It holds what an export holds, and so no trigger. The folder that is attested has to be the files that were audited.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error as SignatureError
from securesystemslib.signer import CryptoSigner, SSlibKey

from dife_scanner import __version__
from dife_scanner.app import files, signing
from dife_scanner.app.model_digest import model_digest
from dife_scanner.errors import NotFound, NotTrusted
from dife_scanner.reports.export import AuditOf, audit_of
from dife_scanner.settings import Limits
from dife_scanner.store import Store, artefacts, audits

PAYLOAD = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:dife-scanner:audit:1"
NOT_CLEAN = "The verdict says what was searched for at this budget. It does not say that the model is clean."


def attest(store: Store, folder: Path, key: Path, limits: Limits) -> str:
    """The signed envelope about the latest audit of the files in a folder, as JSON.

    Raises `NotFound` where they were not audited here, and what `signing.private_key` and `model_digest` raise.
    """
    secret = signing.private_key(key)
    found = files.lying_here(str(folder), limits)
    grounds = artefacts.grounds(store, found.id) if found.id else None
    if grounds is None or not grounds.audit:
        why = found.unknown or "these files were not audited here"
        raise NotFound(f"{folder}: {why}", f"`dife scan {folder}` audits it")
    statement = _statement(folder, audit_of(audits.audit(store, grounds.audit)), found.id)
    payload = json.dumps(statement, sort_keys=True, ensure_ascii=False).encode("utf-8")
    envelope = Envelope(payload, PAYLOAD, {})
    envelope.sign(CryptoSigner(secret))
    return json.dumps(envelope.to_dict(), sort_keys=True) + "\n"


def _statement(folder: Path, audit: AuditOf, artefact: str) -> dict[str, Any]:
    return {
        "_type": STATEMENT,
        "subject": [{"name": folder.resolve().name, "digest": {"sha256": model_digest(folder)}}],
        "predicateType": PREDICATE,
        "predicate": {
            "scanner": {"name": "DIFE Scanner", "version": __version__},
            "artefact": artefact,
            "audit": asdict(audit),
            "limits": NOT_CLEAN,
        },
    }


def verify(envelope: Path, key: Path, folder: Path | None) -> dict[str, Any]:
    """The statement of an envelope that this key has signed and that is, with a folder, about its files.

    Raises `NotTrusted` for anything else, and `UsageError` for what is no key or no file.
    """
    statement = _statement_of(_payload(envelope, key), envelope)
    if folder is not None:
        said, found = statement["subject"][0]["digest"]["sha256"], model_digest(folder)
        if said != found:
            raise NotTrusted(
                f"{folder} is not the model that {envelope} is about: its digest is {found}",
                f"look for the files with the digest {said}",
            )
    return statement


def _payload(path: Path, key: Path) -> bytes:
    """What was signed; nothing of it is read before the signature was checked."""
    public = SSlibKey.from_crypto(signing.public_key_of(key))
    content = signing.read(path)
    try:
        envelope = Envelope.from_dict(json.loads(content))
        envelope.verify([public], 1)
    except SignatureError:
        raise NotTrusted(
            f"{path} is not signed by {key}", "get it again, and ask whoever made it"
        ) from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise NotTrusted(
            f"{path} is no signed envelope", "`dife bundle attest` makes one"
        ) from None
    if envelope.payload_type != PAYLOAD:
        raise NotTrusted(f"{path} holds no in-toto statement", "`dife bundle attest` makes one")
    return bytes(envelope.payload)


def _statement_of(payload: bytes, path: Path) -> dict[str, Any]:
    try:
        read = json.loads(payload)
        is_ours = (read["_type"], read["predicateType"]) == (STATEMENT, PREDICATE)
        is_whole = isinstance(read["subject"][0]["digest"]["sha256"], str)
        verdict = read["predicate"]["audit"]["verdict"]
    except (KeyError, IndexError, TypeError, ValueError, RecursionError):
        is_ours, is_whole, verdict = False, False, None
    if not (is_ours and is_whole and isinstance(verdict, str)):
        raise NotTrusted(f"{path} is no statement about an audit", "`dife bundle attest` makes one")
    statement: dict[str, Any] = read
    return statement
