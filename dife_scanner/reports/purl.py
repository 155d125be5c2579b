"""Package URLs: how standards name a checkpoint."""

from __future__ import annotations

from urllib.parse import quote

from dife_scanner.reports.export import Subject

_HUB = "https://huggingface.co"


def purl(subject: Subject) -> str:
    """`pkg:huggingface/org/name@<commit>`, with the hub's address where it is another; `pkg:generic/…` for a folder."""
    name = "/".join(quote(part, safe="") for part in subject.model.split("/"))
    revision = quote(subject.revision, safe="")
    if subject.local:
        return f"pkg:generic/{name}@{revision}"
    where = subject.endpoint.rstrip("/")
    qualifier = f"?repository_url={quote(where, safe='')}" if where not in ("", _HUB) else ""
    return f"pkg:huggingface/{name}@{revision}{qualifier}"
