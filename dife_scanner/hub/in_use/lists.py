"""Lists that are made to name models: plain text, and CycloneDX bills of materials in JSON. Pure."""

from __future__ import annotations

import json
import re
from collections import deque
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from dife_scanner.hub import listing
from dife_scanner.hub.in_use.found import Found, UnreadableError, each_once, entry
from dife_scanner.records import InUse

SPECS = ("1.4", "1.5", "1.6", "1.7")
"""Versions of CycloneDX whose components are read; before 1.5 there is no type for models, only their purl."""
MAX_COMPONENTS = 200_000
_HUB_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
_PURL = re.compile(r"pkg:huggingface/(?P<name>[^@?#]{1,300})(?:@(?P<version>[^?#]{1,300}))?")


def plain_list(text: str, where: str) -> Found:
    """One `org/name` or `org/name@revision` a line; what follows a `#` is a comment."""
    entries: list[InUse] = []
    wrong = 0
    for number, line in enumerate(text.splitlines(), 1):
        name = line.partition("#")[0].strip()
        if not name:
            continue
        found = entry(name, place=f"{where}:{number}")
        if found is None:
            wrong += 1
        else:
            entries.append(found)
    return Found(each_once(entries), {"line that names no model": wrong} if wrong else {})


def bom(text: str, where: str) -> Found:
    """The models of a CycloneDX document: components with a purl of the hub, or of the type for models.

    Raises `UnreadableError` for what is no such document.
    """
    document = json_of(text)
    if not is_bom(document):
        raise UnreadableError("not a CycloneDX document in JSON")
    if document.get("specVersion") not in SPECS:
        raise UnreadableError(f"CycloneDX of another version than {SPECS[0]} to {SPECS[-1]}")
    entries: list[InUse] = []
    unnamed = 0
    for number, component in enumerate(_components(document), 1):
        found = _model(component, f"{where}:component {number}")
        if found is not None:
            entries.append(found)
        elif component.get("type") == "machine-learning-model":
            unnamed += 1
    skipped = {"model without a name on the hub": unnamed} if unnamed else {}
    return Found(each_once(entries), skipped)


def is_bom(document: object) -> bool:
    """Whether a JSON value says that it is a CycloneDX document."""
    return isinstance(document, dict) and document.get("bomFormat") == "CycloneDX"


def json_of(text: str) -> Any:
    """A JSON value. Raises `UnreadableError`, also for brackets nested thousands deep."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise UnreadableError("nested too deep") from error
    except ValueError as error:
        raise UnreadableError("not JSON") from error


def _components(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Every component in the order of the document, those within others behind these; `MAX_COMPONENTS` at most."""
    metadata = document.get("metadata")
    described = metadata.get("component") if isinstance(metadata, dict) else None
    waiting = deque([described, document])
    found: list[dict[str, Any]] = []
    while waiting and len(found) < MAX_COMPONENTS:
        one = waiting.popleft()
        if not isinstance(one, dict):
            continue
        if one is not document:
            found.append(one)
        inner = one.get("components")
        if isinstance(inner, list):
            waiting.extend(inner)
    return found


def _model(component: dict[str, Any], place: str) -> InUse | None:
    purl = component.get("purl")
    if isinstance(purl, str) and purl.startswith("pkg:"):
        return _from_purl(purl, place)
    if component.get("type") != "machine-learning-model":
        return None
    group = component.get("group")
    name = component.get("name")
    if isinstance(group, str) and group and isinstance(name, str) and "/" not in name:
        name = f"{group}/{name}"
    version = component.get("version")
    # A version is free text, and only a commit is one of the hub.
    pinned = version if isinstance(version, str) and listing.is_sha(version) else ""
    return entry(name, pinned, place)


def _from_purl(purl: str, place: str) -> InUse | None:
    """`pkg:huggingface/org/name@commit`; nothing for other packages and for another hub."""
    matched = _PURL.match(purl)
    if matched is None or not _of_the_hub(purl):
        return None
    version = matched["version"] or ""
    return entry(unquote(matched["name"]), unquote(version), place)


def _of_the_hub(purl: str) -> bool:
    """Whether no `repository_url` names another hub."""
    query = purl.partition("?")[2].partition("#")[0]
    try:
        address = parse_qs(query, max_num_fields=50).get("repository_url", [""])[0]
        host = urlsplit(address if "//" in address else f"//{address}").hostname
    except ValueError:
        return False
    return not address or host in _HUB_HOSTS
