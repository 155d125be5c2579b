"""CycloneDX documents, held against the standard's own schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
from referencing import Registry, Resource

SCHEMAS = Path(__file__).parent / "assets" / "schemas"


def bom(text: str, version: str = "1.6") -> dict[str, Any]:
    """The document; fails where it is none of CycloneDX in this version."""
    document = json.loads(text)
    parts = {
        name: json.loads((SCHEMAS / f"{name}.schema.json").read_text())
        for name in (f"bom-{version}", "spdx", "jsf-0.82", "cryptography-defs")
    }
    pairs = []
    for name, part in parts.items():
        pairs.append(
            (
                f"http://cyclonedx.org/schema/{name}.SNAPSHOT.schema.json",
                Resource.from_contents(part),
            )
        )
    checker = jsonschema.Draft7Validator(
        parts[f"bom-{version}"], registry=Registry().with_resources(pairs)
    )
    checker.validate(document)
    return document
