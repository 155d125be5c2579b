"""Audit each specimen: seconds, encodes performed over distinct encodes needed, and what it found. Prints JSON lines.

A cold audit pays for the base; a warm one finds the base's embeddings on disk.
"""

import json
import tempfile
import time
from hashlib import sha256
from pathlib import Path

from dife_scanner.audit.pipeline import Plan, Request, run
from dife_scanner.baselines.home import bundled_references
from dife_scanner.lab import specimens
from dife_scanner.lab.demo import build_specimens
from dife_scanner.records import ModelRef, Reference
from dife_scanner.triggers.known import library


def main() -> None:
    base = next(reference for reference in bundled_references() if "vit" in reference.name)
    with tempfile.TemporaryDirectory() as scratch:
        for name, folder in build_specimens(specimens.SPECIMENS).items():
            for state in ("cold", "warm"):
                row = measure(name, folder, base, Path(scratch) / name)
                print(json.dumps({"benchmark": "audit", "specimen": name, "base_cache": state, **row}), flush=True)


def measure(name: str, folder: Path, base: Reference, cache: Path) -> dict[str, object]:
    """Audit one specimen against its base, with the embeddings that lie in `cache`."""
    request = Request(
        ref=ModelRef(f"bench/{name}", "0" * 40),
        folder=folder,
        weights_sha256=sha256((folder / "open_clip_model.safetensors").read_bytes()).hexdigest(),
        config_digest="",
        reference=base,
        known=(base,),
        plan=Plan(library()),
        cache=cache,
    )
    began = time.perf_counter()
    audit = run(request).audit
    return {
        "seconds_with_loading": round(time.perf_counter() - began, 2),
        "seconds": audit.seconds,
        "encodes": audit.encodes,
        "distinct": audit.distinct_inputs,
        "ratio": round(audit.encodes / max(1, audit.distinct_inputs), 4),
        "verdict": audit.verdict.value,
        "trigger": audit.trigger.name if audit.trigger else None,
    }


if __name__ == "__main__":
    main()
