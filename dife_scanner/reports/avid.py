"""An export as reports of the AI Vulnerability Database: one finding a line, each a document of its own.

The database's `avidtools` has the fields and the words of its taxonomy. It has no class of measurements on vision
models, so that of a report is `Undefined`. To submit a report is another act, by a person.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dife_scanner.records import FindingKind
from dife_scanner.reports.export import Export, Exposure, FindingOf, Subject, reported
from dife_scanner.reports.purl import purl
from dife_scanner.reports.taxonomy import named, taxonomies

_TAXONOMY = "0.2"
_COMPROMISED = "S0201: Model Compromise"
_SUPPLY_CHAIN = "S0200: Supply Chain Compromise"
_VIEWS: Mapping[FindingKind, tuple[str, ...]] = {
    FindingKind.FLAGGED: (_COMPROMISED,),
    FindingKind.INHERITED: (_SUPPLY_CHAIN, _COMPROMISED),
    FindingKind.ANOMALOUS: (_COMPROMISED,),
    FindingKind.REFUSED: ("S0202: Software Compromise",),
    FindingKind.CHANGED: (_SUPPLY_CHAIN,),
}
_CUT = {
    "type": "Static Threshold",
    "name": "95 % interval of the difference over the clean base: exposed from a lower bound of .25",
}


def render(export: Export) -> str:
    """The reports, in the order of the export; nothing where there is none."""
    return "".join(_line(subject, finding) for subject, finding in reported(export))


def _line(subject: Subject, finding: FindingOf) -> str:
    return json.dumps(_report(subject, finding), ensure_ascii=False) + "\n"


def _report(subject: Subject, finding: FindingOf) -> dict[str, Any]:
    developer, _, _ = subject.model.rpartition("/")
    told = subject.told
    description = subject.said
    if told is not None:
        description = f"{description} Trigger: {told.trigger}. {told.reason}"
    return {
        "data_type": "AVID",
        "data_version": _TAXONOMY,
        "metadata": {"report_id": f"DIFE-{finding.fingerprint}"},
        "affects": {
            "developer": [developer] if developer else [],
            "deployer": [],
            "artifacts": [{"type": "Model", "name": subject.name}],
        },
        "problemtype": {
            "classof": "Undefined",
            "type": "Detection",
            "description": _english(_problem(finding)),
        },
        "metrics": _metrics(subject),
        "references": _references(subject, finding),
        "description": _english(description),
        "impact": {"avid": _impact(finding.kind)},
        "credit": [_english("DIFE Scanner")],
        "reported_date": finding.found_at[:10],
    }


def _english(text: str) -> dict[str, str]:
    return {"lang": "eng", "value": text}


def _problem(finding: FindingOf) -> str:
    if finding.kind in (FindingKind.FLAGGED, FindingKind.INHERITED):
        return f"Trigger-conditioned behaviour ({finding.confidence})"
    return finding.kind.value


def _metrics(subject: Subject) -> list[dict[str, Any]]:
    audit = subject.audit
    if audit is None:
        return []
    measured = [one for one in audit.exposures if one.value is not None]
    return [_metric(one) for one in measured]


def _metric(exposure: Exposure) -> dict[str, Any]:
    results = {
        "interface": exposure.interface,
        "entry": exposure.entry,
        "with_trigger": exposure.value,
        "clean_base": exposure.reference,
        "difference": exposure.delta,
        "difference_low_95": exposure.delta_low,
        "difference_high_95": exposure.delta_high,
        "n": exposure.n,
    }
    return {"name": exposure.metric, "detection_method": _CUT, "results": results}


def _references(subject: Subject, finding: FindingOf) -> list[dict[str, str]]:
    found = [{"type": "source", "label": subject.name, "url": purl(subject)}]
    for id in finding.standards:
        found.append({"type": "misc", "label": named(id), "url": _address_of(id)})
    return found


def _address_of(id: str) -> str:
    return next(one.address for one in taxonomies() if id in one.entries)


def _impact(kind: FindingKind) -> dict[str, Any]:
    return {
        "risk_domain": ["Security"],
        "sep_view": list(_VIEWS[kind]),
        "lifecycle_view": ["L04: Model Development"],
        "taxonomy_version": _TAXONOMY,
    }
