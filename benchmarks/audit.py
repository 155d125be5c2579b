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
from dife_scanner.records import ModelRef
from dife_scanner.triggers.known import library


def main() -> None:
    references = {reference.name: reference for reference in bundled_references()}
    base = next(reference for name, reference in references.items() if "vit" in name)
    with tempfile.TemporaryDirectory() as scratch:
        for name, folder in build_specimens(specimens.SPECIMENS).items():
            weights = sha256((folder / "open_clip_model.safetensors").read_bytes()).hexdigest()
            for state in ("cold", "warm"):
                cache = Path(scratch) / name
                request = Request(
                    ModelRef(f"bench/{name}", "0" * 40),
                    folder,
                    weights,
                    "",
                    base,
                    (base,),
                    Plan(library()),
                    cache=cache,
                )
                began = time.perf_counter()
                audit = run(request).audit
                print(
                    json.dumps(
                        {
                            "benchmark": "audit",
                            "specimen": name,
                            "base_cache": state,
                            "seconds_with_loading": round(time.perf_counter() - began, 2),
                            "seconds": audit.seconds,
                            "encodes": audit.encodes,
                            "distinct": audit.distinct_inputs,
                            "ratio": round(audit.encodes / max(1, audit.distinct_inputs), 4),
                            "verdict": audit.verdict.value,
                            "trigger": audit.trigger.name if audit.trigger else None,
                        }
                    ),
                    flush=True,
                )


if __name__ == "__main__":
    main()
