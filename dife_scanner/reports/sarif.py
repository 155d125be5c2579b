"""An export as SARIF 2.1.0, for code scanning and vulnerability managers.

A finding is one result. Whatever else was asked of a checkpoint is a result that is no failure: `pass` where an
interface is not exposed, `notApplicable` where a question is not well formed, `open` where there is no number, `review`
where a checkpoint only stands out. `pass` is about one question; it does not say that a checkpoint is clean.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from dife_scanner.records import (
    ArtefactMissing,
    Confidence,
    EntryType,
    FindingKind,
    NotEvaluable,
    NotRun,
    SelectorControl,
    TriageState,
    Verdict,
)
from dife_scanner.reports.export import Export, Exposure, FindingOf, Subject
from dife_scanner.reports.purl import purl
from dife_scanner.reports.taxonomy import Taxonomy, standards_of, taxonomies
from dife_scanner.sentences.numbers import signed

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0-rtm.5.json"
_EXPOSURE = "dife/exposure"
_NOT_AUDITED = "dife/no-verdict"
_NOTHING_FOUND = "dife/nothing-found"
_RULES: Mapping[str, tuple[str, str]] = {
    "dife/flagged": ("error", "A trigger changes what this checkpoint decides"),
    "dife/inherited": ("warning", "A trigger changes what this checkpoint decides, and its base"),
    "dife/anomalous": ("warning", "A checkpoint stands out; nothing is demonstrated"),
    "dife/refused": ("error", "A file of this checkpoint tries something and was not loaded"),
    "dife/changed": ("error", "The repository of a clean base holds other files than before"),
    _EXPOSURE: ("none", "Whether one interface is exposed to the trigger that was measured"),
    _NOTHING_FOUND: (
        "none",
        "Searched at this budget, and nothing was found: not that it is clean",
    ),
    _NOT_AUDITED: ("none", "This checkpoint has no verdict"),
}
"""Level and title by id; the order is that of `ruleIndex`. Ids are published and never renamed."""
_KIND_OF: Mapping[str, str] = {
    EntryType.EXPOSED.value: "informational",
    EntryType.WEAK.value: "pass",
    EntryType.NEGATIVE.value: "pass",
    EntryType.N_TOO_SMALL.value: "open",
    NotEvaluable.word: "notApplicable",
    NotRun.word: "open",
    ArtefactMissing.word: "open",
    SelectorControl.word: "informational",
}
"""Kind of a result about one interface; an exposed one is told by the finding itself."""
_SUPPRESSES = {
    TriageState.FALSE_POSITIVE: "accepted",
    TriageState.ACCEPTED_RISK: "accepted",
    TriageState.OUT_OF_SCOPE: "accepted",
    TriageState.DISPUTED: "underReview",
}


def render(export: Export) -> str:
    """One log with one run."""
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [_run(export)]}
    return json.dumps(log, indent=1, ensure_ascii=False) + "\n"


def _run(export: Export) -> dict[str, Any]:
    results: list[dict[str, Any]] = []
    for index, subject in enumerate(export.subjects):
        results += _results(subject, index)
    return {
        "tool": {
            "driver": {
                "name": "DIFE Scanner",
                "version": export.version,
                "rules": [_rule(id) for id in _RULES],
                "supportedTaxonomies": [{"name": one.name} for one in taxonomies()],
            }
        },
        "taxonomies": [_taxonomy(one) for one in taxonomies()],
        "artifacts": [_artifact(subject) for subject in export.subjects],
        "results": results,
        "columnKind": "utf16CodeUnits",
        "properties": {"filter": export.filter, "withTriggers": export.with_triggers},
    }


# --- rules and taxonomies -----------------------------------------------------------------------------------------


def _rule(id: str) -> dict[str, Any]:
    level, title = _RULES[id]
    rule: dict[str, Any] = {
        "id": id,
        "shortDescription": {"text": title},
        "defaultConfiguration": {"level": level},
    }
    kind = id.removeprefix("dife/")
    if kind in set(FindingKind):
        confidence = (
            Confidence.DEMONSTRATED if kind == FindingKind.FLAGGED else Confidence.NOT_STATED
        )
        ids = standards_of(FindingKind(kind), confidence)
        rule["relationships"] = [{"target": _reference(one)} for one in ids]
        rule["properties"] = {"tags": ["security", *ids]}
    return rule


def _reference(id: str) -> dict[str, Any]:
    for index, taxonomy in enumerate(taxonomies()):
        if id in taxonomy.entries:
            return {"id": id, "toolComponent": {"name": taxonomy.name, "index": index}}
    raise KeyError(id)


def _taxonomy(taxonomy: Taxonomy) -> dict[str, Any]:
    taxa = []
    for id, name in taxonomy.entries.items():
        taxa.append({"id": id, "name": name, "shortDescription": {"text": name}})
    return {
        "name": taxonomy.name,
        "version": taxonomy.version,
        "informationUri": taxonomy.address,
        "isComprehensive": False,
        "taxa": taxa,
    }


def _artifact(subject: Subject) -> dict[str, Any]:
    properties: dict[str, Any] = {"state": subject.state, "layout": subject.layout}
    audit = subject.audit
    if audit is not None:
        properties |= {"audit": audit.id, "auditVersion": audit.version, "verdict": audit.verdict}
        properties |= {"imageTower": audit.image_tower, "textTower": audit.text_tower}
    return {
        "location": {"uri": purl(subject), "description": {"text": subject.name}},
        "roles": ["analysisTarget"],
        "properties": properties,
    }


# --- results ------------------------------------------------------------------------------------------------------


def _results(subject: Subject, index: int) -> Iterator[dict[str, Any]]:
    finding, audit = subject.finding, subject.audit
    if finding is not None:
        yield _finding(subject, finding, index)
    elif audit is None or audit.verdict is Verdict.INCONCLUSIVE:
        yield _result(_NOT_AUDITED, "open", subject.said, subject, index)
    elif audit.verdict in (Verdict.NOTHING_FOUND, Verdict.IDENTICAL):
        yield _result(_NOTHING_FOUND, "pass", subject.said, subject, index)
    else:
        yield _result(_NOT_AUDITED, "open", subject.said, subject, index)
    if audit is not None:
        for exposure in audit.exposures:
            yield _exposure(subject, exposure, index)


def _finding(subject: Subject, finding: FindingOf, index: int) -> dict[str, Any]:
    rule = f"dife/{finding.kind.value}"
    kind = "review" if finding.kind is FindingKind.ANOMALOUS else "fail"
    told = subject.told
    text = (
        subject.said if told is None else f"{subject.said} Trigger: {told.trigger}. {told.reason}"
    )
    result = _result(rule, kind, text, subject, index, finding.interfaces)
    result["fingerprints"] = {"dife/v1": finding.fingerprint}
    result["partialFingerprints"] = {"dife/v1": finding.fingerprint}
    result["taxa"] = [_reference(id) for id in finding.standards]
    if finding.triage in _SUPPRESSES:
        result["suppressions"] = [_suppression(subject, finding)]
    result["properties"] = {
        "severity": finding.severity,
        "confidence": finding.confidence,
        "footprint": finding.footprint,
        "channel": finding.channel,
        "target": finding.target,
        "triage": finding.triage.value,
        "foundAt": finding.found_at,
    }
    return result


def _suppression(subject: Subject, finding: FindingOf) -> dict[str, Any]:
    why = f"{finding.triage.value} by {finding.decided_by}, {finding.decided_at}"
    if finding.expires:
        why += f", until {finding.expires}"
    if subject.told is not None and subject.told.note:
        why += f": {subject.told.note}"
    return {"kind": "external", "status": _SUPPRESSES[finding.triage], "justification": why}


def _exposure(subject: Subject, exposure: Exposure, index: int) -> dict[str, Any]:
    kind = _KIND_OF[exposure.entry]
    text = f"{exposure.interface}: {exposure.entry}"
    if exposure.category:
        text += f", {exposure.category}"
    if exposure.delta is not None:
        text += f"; difference over the reference {signed(exposure.delta)}"
    result = _result(_EXPOSURE, kind, f"{text}.", subject, index, (exposure.interface,))
    named = f"{subject.model}|{exposure.interface}|{exposure.metric}"
    digest = hashlib.sha256(named.encode("utf-8", "replace")).hexdigest()[:16]
    result["partialFingerprints"] = {"difeExposure/v1": digest}
    if exposure.value is not None:
        result["properties"] = {
            "metric": exposure.metric,
            "value": exposure.value,
            "interval": [exposure.low, exposure.high],
            "reference": exposure.reference,
            "difference": exposure.delta,
            "differenceInterval": [exposure.delta_low, exposure.delta_high],
            "n": exposure.n,
            "drawings": exposure.drawings,
        }
    return result


def _result(
    rule: str,
    kind: str,
    text: str,
    subject: Subject,
    index: int,
    interfaces: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The level is that of the rule for a failure, and none for anything else, as the standard requires."""
    location: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": {"uri": purl(subject), "index": index}}
    }
    if interfaces:
        logical = []
        for interface in interfaces:
            name = f"{subject.name}/{interface}"
            logical.append({"name": interface, "fullyQualifiedName": name, "kind": "interface"})
        location["logicalLocations"] = logical
    return {
        "ruleId": rule,
        "ruleIndex": list(_RULES).index(rule),
        "kind": kind,
        "level": _RULES[rule][0] if kind == "fail" else "none",
        "message": {"text": text},
        "locations": [location],
    }
