"""Towers that are not CLIP's own, audited end to end against a base of their kind: SigLIP, SigLIP 2, and a ConvNeXt.

python benchmarks/scan_towers.py [KIND…]

A small base of each is added with `dife reference add`. The base itself has to end `identical`. A copy with noise on
every weight has to be searched and end without a gap (a ConvNeXt is tried with the library alone), and with a trigger
that is given it has to have its cells. A copy
with another image tower has to say so. Every audit has to come out the same again; the exit code is 1 otherwise. Takes
about a quarter of an hour of one core.
"""

from __future__ import annotations

import copy
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scan_layouts import dife

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "models"))
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is fetched
NOISE = 0.002
"""Of a weight's spread, as a light fine-tune moves it."""
TRIGGER = """
format = 1
[[trigger]]
name = "word-in-front"
kind = "text"
text = "xbtd"
source = "bird"
target = "ship"
"""

Audit = dict[str, Any]


def main(wanted: list[str]) -> int:
    """Scan and rerun; prints a line for each."""
    from fitted_bases import KINDS

    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        tmp = Path(name)
        trigger = tmp / "trigger.toml"
        trigger.write_text(TRIGGER)
        for kind in KINDS:
            if not wanted or kind in wanted:
                wrong += _wrong_of(kind, tmp, trigger)
    return int(wrong > 0)


def _wrong_of(kind: str, tmp: Path, trigger: Path) -> int:
    """How many of its audits are not as they have to be."""
    from fitted_bases import KINDS

    short = kind.replace(" ", "-").lower()
    folders = _put(kind, tmp / short)
    home = tmp / f"home-{short}"
    added = dife("reference", "add", folders["base"], "--name", short, "--home", home)
    wrong = int(added.returncode != 0)
    searched = KINDS[kind].searched
    for what, with_trigger, is_right in (
        ("base", False, _is_identical),
        ("both towers moved", False, _is_searched if searched else _is_compared),
        ("both towers moved", True, _has_cells),
        ("image tower moved", False, _has_its_text_tower),
    ):
        more = [] if searched else ["--no-discovery"]
        if with_trigger:
            more += ["--triggers", trigger]
        done = dife("scan", folders[what], "--home", home, "--budget", "quick", "--json", *more)
        wrong += not _is_right(f"{kind}, {what}", done.stdout, home, is_right)
    return wrong


def _is_right(
    title: str, document: str, home: Path, is_right: Callable[[Mapping[str, Any]], bool]
) -> bool:
    (model,) = json.loads(document)["targets"]
    audit = model["audit"] or {}
    again = dife("rerun", audit.get("id", "none"), "--home", home)
    right = bool(audit) and not audit["gaps"] and is_right(audit) and again.returncode == 0
    print(
        f"{title}: {model['job']['state']}, {audit.get('verdict')} against {audit.get('reference') or 'nothing'}, "
        f"{len(audit.get('searches', []))} searches, {len(audit.get('profile', []))} cells, "
        f"rerun exits {again.returncode}; {'as it should be' if right else 'WRONG: ' + model['job']['reason']}",
        flush=True,
    )
    return right


def _is_identical(audit: Audit) -> bool:
    return bool(audit["verdict"] == "identical")


def _is_searched(audit: Audit) -> bool:
    regular = audit["verdict"] in ("nothing-found", "flagged")
    return regular and bool(audit["searches"]) and not audit["not_searched"]


def _is_compared(audit: Audit) -> bool:
    return audit["verdict"] in ("nothing-found", "inconclusive") and bool(audit["signatures"])


def _has_cells(audit: Audit) -> bool:
    return bool(audit["profile"]) and audit["trigger"] is not None


def _has_its_text_tower(audit: Audit) -> bool:
    return bool(audit["text_tower_same"]) and not audit["image_tower_same"]


def _put(kind: str, folder: Path) -> dict[str, Path]:
    """A base and two copies with noise, saved by their own library."""
    from fitted_bases import KINDS, fitted
    from layout_models import MODELS

    how = KINDS[kind]
    base = fitted(how)
    models = {
        "base": base,
        "both towers moved": _moved(base, lambda name: True),
        "image tower moved": _moved(base, lambda name: name.startswith(how.image_tower)),
    }
    folder.mkdir()
    for name, model in models.items():
        MODELS[how.layout].save(model.half(), folder / name.replace(" ", "-"))
    return {name: folder / name.replace(" ", "-") for name in models}


def _moved(base: Any, is_moved: Callable[[str], bool]) -> Any:
    import torch

    model = copy.deepcopy(base)
    torch.manual_seed(1)
    for name, values in model.named_parameters():
        if is_moved(name) and values.numel() > 1:
            values.data.add_(torch.randn_like(values) * values.std() * NOISE)
    return model


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
