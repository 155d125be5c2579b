"""An export as one bundle of STIX 2.1: files that a finding is about, an indicator for them, and what was measured.

STIX has no object for a model. So a checkpoint is its files, an indicator names their hashes and the entries of MITRE
ATLAS that it stands for, and a note has the numbers. To publish the bundle is another act, by a person.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from dife_scanner.reports.export import Export, FileOf, FindingOf, Subject, reported
from dife_scanner.reports.purl import purl
from dife_scanner.reports.taxonomy import taxonomies
from dife_scanner.sentences.numbers import signed

_NAMESPACE = uuid.UUID("0c2b8f7a-9a0e-5c55-8a3f-6f2f5f3f7c11")
"""Of ids, which follow from what they name."""
_OBSERVED = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
"""The standard's own namespace, for ids of files (STIX 2.1, 2.9)."""
_SINCE = "2026-01-01T00:00:00.000Z"
"""When objects were made that are the same in every bundle."""
_ATLAS = "https://atlas.mitre.org/techniques/"


def render(export: Export) -> str:
    """The bundle; its id is that of its content."""
    told = [_maker()]
    for subject, finding in reported(export):
        told += _about(subject, finding)
    objects = list({one["id"]: one for one in told}.values())
    content = json.dumps(objects, sort_keys=True)
    bundle = {"type": "bundle", "id": _id("bundle", content), "objects": objects}
    return json.dumps(bundle, indent=1, ensure_ascii=False) + "\n"


def _about(subject: Subject, finding: FindingOf) -> Iterator[dict[str, Any]]:
    key = f"{finding.fingerprint}@{subject.revision}"
    patterns = list(_attack_patterns(finding))
    weights = [file for file in subject.files if file.role.startswith("weights")]
    files = [_file(file) for file in weights]
    yield from files
    yield from patterns
    about = [one["id"] for one in (*files, *patterns)]
    if weights:
        indicator = _indicator(key, subject, finding, weights)
        yield indicator
        about.insert(0, indicator["id"])
        for pattern in patterns:
            yield _indicates(indicator, pattern, finding)
    yield _note(key, subject, finding, about)


# --- the objects --------------------------------------------------------------------------------------------------


def _maker() -> dict[str, Any]:
    return {
        **_made("identity", "DIFE Scanner", _SINCE),
        "name": "DIFE Scanner",
        "identity_class": "system",
    }


def _attack_patterns(finding: FindingOf) -> Iterator[dict[str, Any]]:
    """The techniques of MITRE ATLAS that it stands for."""
    (atlas,) = (one for one in taxonomies() if one.name == "MITRE ATLAS")
    for id in finding.standards:
        if id in atlas.entries:
            source = {"source_name": "mitre-atlas", "external_id": id, "url": f"{_ATLAS}{id}"}
            yield {
                **_made("attack-pattern", id, _SINCE),
                "name": atlas.entries[id],
                "external_references": [source],
            }


def _file(file: FileOf) -> dict[str, Any]:
    name = file.name.rpartition("/")[2]
    hashes = {"SHA-256": file.sha256}
    contributing = {"hashes": hashes, "name": name}
    content = json.dumps(contributing, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return {
        "type": "file",
        "spec_version": "2.1",
        "id": f"file--{uuid.uuid5(_OBSERVED, content)}",
        **contributing,
    }


def _indicator(
    key: str, subject: Subject, finding: FindingOf, weights: Iterable[FileOf]
) -> dict[str, Any]:
    """The hashes are read from files, so they hold nothing that a pattern would have to escape."""
    hashes = dict.fromkeys(file.sha256 for file in weights)
    pattern = " OR ".join(f"file:hashes.'SHA-256' = '{hash}'" for hash in hashes)
    return {
        **_made("indicator", key, finding.found_at, finding.decided_at),
        "name": f"Weights of {subject.name}",
        "description": _described(subject),
        "indicator_types": ["anomalous-activity"],
        "pattern": f"[{pattern}]",
        "pattern_type": "stix",
        "valid_from": _moment(finding.found_at),
        "external_references": [_source(subject, finding)],
    }


def _indicates(
    indicator: dict[str, Any], pattern: dict[str, Any], finding: FindingOf
) -> dict[str, Any]:
    ends = {"source_ref": indicator["id"], "target_ref": pattern["id"]}
    return {
        **_made("relationship", json.dumps(ends), finding.found_at),
        "relationship_type": "indicates",
        **ends,
    }


def _note(key: str, subject: Subject, finding: FindingOf, about: list[str]) -> dict[str, Any]:
    lines = [_described(subject)]
    exposures = subject.audit.exposures if subject.audit is not None else ()
    for one in exposures:
        if one.delta is not None and one.delta_low is not None and one.delta_high is not None:
            interval = f"{signed(one.delta_low)} to {signed(one.delta_high)}"
            lines.append(f"{one.interface}: {signed(one.delta)} ({interval}), {one.entry}")
    return {
        **_made("note", key, finding.found_at, finding.decided_at),
        "abstract": f"Audit of {subject.name}",
        "content": "\n".join(lines),
        "labels": [f"triage:{finding.triage.value}", f"confidence:{finding.confidence}"],
        "object_refs": about,
        "external_references": [_source(subject, finding)],
    }


def _described(subject: Subject) -> str:
    told = subject.told
    if told is None:
        return subject.said
    return f"{subject.said} Trigger: {told.trigger}. {told.reason}"


def _source(subject: Subject, finding: FindingOf) -> dict[str, str]:
    return {
        "source_name": "DIFE Scanner",
        "external_id": f"DIFE-{finding.fingerprint}",
        "description": purl(subject),
    }


# --- what all have ------------------------------------------------------------------------------------------------


def _made(type: str, key: str, created: str, modified: str = "") -> dict[str, Any]:
    """What objects have in common that somebody made; those of one key are versions of each other."""
    common = {
        "type": type,
        "spec_version": "2.1",
        "id": _id(type, key),
        "created": _moment(created),
        "modified": _moment(max(created, modified)),
    }
    if type != "identity":
        common["created_by_ref"] = _id("identity", "DIFE Scanner")
    return common


def _id(type: str, key: str) -> str:
    return f"{type}--{uuid.uuid5(_NAMESPACE, f'{type} {key}')}"


def _moment(text: str) -> str:
    """In UTC, with milliseconds and a Z."""
    return datetime.fromisoformat(text).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
