"""Write `reference.json` next to each bundled base: the tower hashes a scanner compares with, as for a suspect.

Run `python -m dife_scanner.lab.bases.describe` after training a base; a test fails while a description is stale.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dife_scanner.baselines.home import bases_folder
from dife_scanner.models.load import load

NAMES = {
    "vit": "dife-base-vit",
    "rn": "dife-base-rn",
    "wide": "dife-base-wide",
}


def describe(folder: Path) -> dict[str, Any]:
    """Return what `records.Reference` needs to know about a base, without its place. Raises what loading raises."""
    encoder = load(folder)
    return {
        "name": NAMES[folder.name],
        "architecture": encoder.architecture,
        "image_tower": encoder.image_tower,
        "text_tower": encoder.text_tower,
        "weights_sha256": encoder.weights_sha256,
        "cast_towers": [asdict(one) for one in encoder.cast_towers()],
    }


def main() -> None:
    """Describe every bundled base."""
    for config in sorted(bases_folder().glob("*/open_clip_config.json")):
        folder = config.parent
        text = json.dumps(describe(folder), indent=1) + "\n"
        (folder / "reference.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
