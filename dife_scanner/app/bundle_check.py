"""Checks an evidence bundle that somebody else sent: every member against the manifest, and a folder of files.

Nothing is unpacked, and nothing of it is run.
"""

from __future__ import annotations

import json
import re
import struct
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

from dife_scanner.app import files, signing
from dife_scanner.app.bundling import FORMAT, MANIFEST, TRIGGER_FILE
from dife_scanner.app.model_digest import model_digest
from dife_scanner.durable import zips
from dife_scanner.errors import NotTrusted
from dife_scanner.plain import plain
from dife_scanner.settings import Limits

MOST_MEMBERS = 500
MOST_LIST_BYTES = 200_000
"""Of the zip's own list of its members."""
MOST_MANIFEST_BYTES = 1_000_000
NOT_MEASURED = "not measured again"
BUT_CAN_BE = "; --model FOLDER --measure does it"
_OF_TRIGGER = (TRIGGER_FILE, "overlay.png")
_NAME = re.compile(r"([a-z0-9][a-z0-9-]{0,40}/)?[a-z0-9][a-z0-9-]{0,60}\.[a-z0-9]{1,5}")
_END = struct.Struct("<4s4H2LH")
_END_STARTS = b"PK\x05\x06"
_LARGE_STARTS = b"PK\x06\x07"
_LARGE_BYTES = 20
"""The record that points to a list of more than 65,535 members, right before the end."""
_ADVICE = "get it again, and ask whoever made it"
_SAID = ("edition", "finding", "audit", "model", "artefact", "model_digest")


@dataclass(frozen=True)
class Checked:
    """What a bundle says of itself, after all of its members were compared with their hashes."""

    edition: str
    finding: str
    audit: str
    model: str
    artefact: str
    model_digest: str
    members: int
    files: str
    """`equal`, or why they were not compared."""
    claim: str
    """That the claim was not measured again, and what does it."""
    verdict: str
    """Of the audit; empty where the bundle does not say."""
    trigger: dict[str, bytes]
    """`trigger.toml` and what it names, by their names; empty where the bundle has none."""


def is_bundle(path: Path) -> bool:
    """Whether a file begins as a zip does. Raises what `signing.read` raises."""
    return signing.read(path)[:2] == b"PK"


def verify(path: Path, folder: Path | None, limits: Limits) -> Checked:
    """Compare every member with the manifest, and a folder's files with the digests in it.

    Raises `NotTrusted` for whatever does not hold, and `UsageError` for what is no file or no folder.
    """
    members = _members(signing.read(path), path)
    manifest = _manifest(members, path)
    said = _listed(manifest, path)
    if set(said) != set(members) - {MANIFEST}:
        raise NotTrusted(f"{path} holds other members than its manifest says", _ADVICE)
    for name, (digest, size) in said.items():
        if (sha256(members[name]).hexdigest(), len(members[name])) != (digest, size):
            raise NotTrusted(f"{name} in {path} is not what its manifest says", _ADVICE)
    texts = {name: plain(str(manifest.get(name, ""))) for name in _SAID}
    return Checked(
        **texts,
        members=len(said),
        files=_compared(texts, folder, limits),
        claim=NOT_MEASURED + (BUT_CAN_BE if TRIGGER_FILE in said else ""),
        verdict=_verdict(members),
        trigger={name: members[name] for name in _OF_TRIGGER if name in members},
    )


def _verdict(members: dict[str, bytes]) -> str:
    try:
        return plain(str(json.loads(members["audit.json"])["audit"]["verdict"]))
    except (KeyError, TypeError, ValueError, RecursionError):
        return ""


def _compared(said: dict[str, str], folder: Path | None, limits: Limits) -> str:
    if folder is None:
        return "not compared"
    if not said["artefact"] and not said["model_digest"]:
        return "not compared: the bundle names no digest"
    pairs = []
    if said["artefact"]:
        pairs.append((files.lying_here(str(folder), limits).id, said["artefact"]))
    if said["model_digest"]:
        pairs.append((model_digest(folder), said["model_digest"]))
    for found, expected in pairs:
        if found != expected:
            raise NotTrusted(
                f"{folder} is not the model that the bundle is about: its digest is {found or 'not known'}",
                f"look for the files with the digest {expected}",
            )
    return "equal"


# --- reading what a stranger packed ----------------------------------------------------------------------------


def _members(content: bytes, path: Path) -> dict[str, bytes]:
    _check_list(content, path)
    found: dict[str, bytes] = {}
    left = signing.MOST_BYTES
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            for info in archive.infolist():
                _check(info, found, path)
                found[info.filename] = _read(archive, info, left, path)
                left -= len(found[info.filename])
    except (*zips.BROKEN, OSError):
        raise NotTrusted(f"{path} is damaged", _ADVICE) from None
    return found


def _check_list(content: bytes, path: Path) -> None:
    """Look at how long the list of members is before anything reads it."""
    end = content[-_END.size :]
    if len(end) < _END.size or not end.startswith(_END_STARTS):
        raise NotTrusted(f"{path} is damaged", _ADVICE)
    _, _, _, _, count, size, _, _ = _END.unpack(end)
    before = content[-_END.size - _LARGE_BYTES : -_END.size]
    if before.startswith(_LARGE_STARTS) or count > MOST_MEMBERS or size > MOST_LIST_BYTES:
        raise NotTrusted(f"{path} lists more members than any bundle has", _ADVICE)


def _check(info: zipfile.ZipInfo, found: dict[str, bytes], path: Path) -> None:
    name = plain(info.filename, 80)
    known = bool(_NAME.fullmatch(info.filename)) and zips.is_file(info)
    if not known or info.filename in found:
        raise NotTrusted(f"{path} holds a member that no bundle has: {name}", _ADVICE)
    if not zips.is_plainly_packed(info):
        raise NotTrusted(f"{name} in {path} is packed in a way that no bundle is", _ADVICE)


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, left: int, path: Path) -> bytes:
    with archive.open(info) as stream:
        content = stream.read(left + 1)
    if len(content) > left:
        raise NotTrusted(f"{path} unpacks to more than {signing.MOST_BYTES} bytes", _ADVICE)
    return content


def _manifest(members: dict[str, bytes], path: Path) -> dict[str, Any]:
    content = members.get(MANIFEST, b"")
    try:
        read = json.loads(content) if len(content) <= MOST_MANIFEST_BYTES else None
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict) or read.get("format") != FORMAT:
        raise NotTrusted(f"{path} is no evidence bundle", "`dife bundle make` makes one")
    return read


def _listed(manifest: dict[str, Any], path: Path) -> dict[str, tuple[str, int]]:
    """Hash and size of each member by its name."""
    found: dict[str, tuple[str, int]] = {}
    try:
        for one in manifest["members"]:
            found[str(one["name"])] = (str(one["sha256"]), int(one["bytes"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise NotTrusted(f"the manifest of {path} cannot be read", _ADVICE) from None
    return found
