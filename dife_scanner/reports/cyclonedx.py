"""An export as CycloneDX 1.6 or 1.7: models with their exposure, and what was decided about findings (VEX).

Nothing is claimed of other people's models before a person has confirmed it: such a finding is neither a vulnerability
here nor visible in its model's numbers. To publish the file is another act, by a person.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from dife_scanner.records import FindingKind, TriageState
from dife_scanner.reports.export import (
    AuditOf,
    Export,
    Exposure,
    FindingOf,
    Subject,
    may_be_told,
)
from dife_scanner.reports.purl import purl
from dife_scanner.reports.taxonomy import named
from dife_scanner.sentences.numbers import number

_NAMESPACE = uuid.UUID("5f0a3b0e-6f7d-5a52-9f0c-2d1f0c6f6d1e")
"""Of serial numbers, which follow from the content."""
_STATES: Mapping[TriageState, str] = {
    TriageState.NEW: "in_triage",
    TriageState.TRIAGING: "in_triage",
    TriageState.DISPUTED: "in_triage",
    TriageState.OUT_OF_SCOPE: "in_triage",
    TriageState.CONFIRMED: "exploitable",
    TriageState.DISCLOSED: "exploitable",
    TriageState.REGRESSED: "exploitable",
    TriageState.EXPIRED: "exploitable",
    TriageState.ACCEPTED_RISK: "exploitable",
    TriageState.FALSE_POSITIVE: "false_positive",
    TriageState.FIXED_UPSTREAM: "resolved",
}
_RESPONSES = {TriageState.ACCEPTED_RISK: "will_not_fix", TriageState.FIXED_UPSTREAM: "update"}
_SEVERITY = {
    FindingKind.FLAGGED: "high",
    FindingKind.INHERITED: "high",
    FindingKind.REFUSED: "high",
    FindingKind.CHANGED: "medium",
    FindingKind.ANOMALOUS: "unknown",
}
_WITHHELD = "not told before a person has confirmed it"
_LIMIT = "A verdict says what was searched for at this budget. None says that a model is clean."


def render(export: Export, version: str = "1.6") -> str:
    """The document in a version of the standard; its serial number is that of its content."""
    document: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": version,
        "serialNumber": "",
        "version": 1,
        "metadata": {"tools": {"components": [_tool(export)]}},
        "components": list(_components(export)),
        "vulnerabilities": list(_vulnerabilities(export)),
    }
    content = json.dumps(document, sort_keys=True)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(_NAMESPACE, content)}"
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _tool(export: Export) -> dict[str, str]:
    return {"type": "application", "name": "DIFE Scanner", "version": export.version}


# --- components ---------------------------------------------------------------------------------------------------


def _components(export: Export) -> Iterator[dict[str, Any]]:
    seen = set()
    for subject in export.subjects:
        reference = purl(subject)
        if reference not in seen:
            seen.add(reference)
            yield _component(subject, reference)


def _component(subject: Subject, reference: str) -> dict[str, Any]:
    group, _, name = subject.model.rpartition("/")
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": reference,
        "name": name,
        "version": subject.revision,
        "purl": reference,
    }
    if group:
        component["group"] = group
    if subject.audit is not None and may_be_told(subject):
        component["modelCard"] = _card(subject.audit)
    component["properties"] = _properties(subject)
    return component


def _properties(subject: Subject) -> list[dict[str, str]]:
    values = {"dife:state": subject.state}
    audit = subject.audit
    if not may_be_told(subject):
        values["dife:finding"] = _WITHHELD
    elif audit is not None:
        values["dife:verdict"] = audit.verdict.value
        values["dife:said"] = subject.said
    if audit is not None:
        values |= {
            "dife:audit": audit.id,
            "dife:audit-version": audit.version,
            "dife:audited-at": audit.started_at,
            "dife:budget": audit.budget,
            "dife:reference": audit.reference,
            "dife:image-tower-sha256": audit.image_tower,
            "dife:text-tower-sha256": audit.text_tower,
        }
    return [{"name": name, "value": value} for name, value in values.items() if value]


def _card(audit: AuditOf) -> dict[str, Any]:
    parameters = {
        "task": "zero-shot-image-classification",
        "architectureFamily": "CLIP",
        "modelArchitecture": audit.architecture,
    }
    limits = [_LIMIT]
    limits += [audit.power] if audit.power else []
    card: dict[str, Any] = {
        "modelParameters": {key: value for key, value in parameters.items() if value},
        "considerations": {"technicalLimitations": limits},
    }
    metrics = [_metric(one) for one in audit.exposures if one.value is not None]
    if audit.clean_accuracy is not None:
        metrics.insert(0, {"type": "clean accuracy", "value": number(audit.clean_accuracy)})
    if metrics:
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    return card


def _metric(exposure: Exposure) -> dict[str, Any]:
    """The difference that the trigger makes over the reference, with its 95 % interval."""
    return {
        "type": f"exposure: {exposure.metric} over the clean base, {exposure.entry}",
        "value": repr(exposure.delta),
        "slice": exposure.interface,
        "confidenceInterval": {
            "lowerBound": repr(exposure.delta_low),
            "upperBound": repr(exposure.delta_high),
        },
    }


# --- VEX ----------------------------------------------------------------------------------------------------------


def _vulnerabilities(export: Export) -> Iterator[dict[str, Any]]:
    for subject in export.subjects:
        if subject.finding is not None and may_be_told(subject):
            yield _vulnerability(subject, subject.finding)


def _vulnerability(subject: Subject, finding: FindingOf) -> dict[str, Any]:
    told = subject.told
    found: dict[str, Any] = {
        "bom-ref": f"{finding.fingerprint}@{subject.revision}",
        "id": f"DIFE-{finding.fingerprint}",
        "source": {"name": "DIFE Scanner"},
        "ratings": [{"severity": _SEVERITY[finding.kind], "method": "other"}],
        "description": subject.said,
        "analysis": _analysis(finding),
        "affects": [{"ref": purl(subject)}],
        "properties": [{"name": "dife:standard", "value": named(id)} for id in finding.standards],
    }
    if told is not None:
        found["detail"] = f"Trigger: {told.trigger}. {told.reason}"
    return found


def _analysis(finding: FindingOf) -> dict[str, Any]:
    analysis: dict[str, Any] = {"state": _STATES[finding.triage]}
    if finding.triage in _RESPONSES:
        analysis["response"] = [_RESPONSES[finding.triage]]
    analysis["detail"] = f"Decided here: {finding.triage.value}"
    if finding.decided_at:
        analysis["lastUpdated"] = finding.decided_at
    return analysis
