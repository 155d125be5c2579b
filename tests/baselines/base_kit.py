"""A hub with a published base, a registry file that names it, and fine-tunes of it."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from queue_kit import CONFIG, WEIGHTS, drawn_folder, work_for

from dife_scanner.baselines.fetching import Fetching
from dife_scanner.baselines.keeping import Towers
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.queue.work import Work, hub_for
from dife_scanner.settings import Limits, Settings

TINY = "ViT 32/16 w16 d1 · text w8 d1 c8 · embed 8"


def files_of(folder: str | Path) -> dict[str, bytes]:
    """The files of a repository."""
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


@cache
def drawn(seed: int, noise: float = 0.0) -> dict[str, bytes]:
    """The files of a tiny checkpoint as it is initialised; with noise, of a fine-tune of it."""
    with tempfile.TemporaryDirectory() as folder:
        return files_of(drawn_folder(Path(folder) / "drawn", seed, noise))


def registry_file(tmp: Path, *names: str, **changes: Any) -> Path:
    """A registry with bases of the tiny architecture, called `acme/NAME`."""
    bases = []
    for name in names:
        entry: dict[str, Any] = {
            "name": f"acme/{name}",
            "aliases": [f"{name}:v1"],
            "architecture": TINY,
            "places": [
                {"repository": f"mirror/{name}", "layout": "open_clip"},
                {"repository": f"acme/{name}", "layout": "open_clip"},
            ],
            "source": ["https://models.example.org/"],
        }
        bases.append(entry | changes)
    path = tmp / "bases.json"
    path.write_text(json.dumps({"version": 1, "bases": bases}))
    return path


def work(home: Path, hub: LoopbackHub, registry: Path, fetch: str = "auto", **changes: Any) -> Work:
    """Work whose audits tell what they were compared with."""
    bases = {"fetch": fetch, "registry": (registry,), **changes.pop("references", {})}
    return work_for(home, hub.endpoint, audit="queue_kit:comparing", references=bases, **changes)


def towers(folder: Path, limits: Limits) -> Towers:
    """Hashes of the towers without loading torch: of the files."""
    weights = (folder / WEIGHTS).read_bytes()
    return Towers(f"i{hash(weights)}", f"t{hash(weights)}", TINY)


def _no_pause(seconds: float) -> None:
    """Tests do not wait for a hub to come back."""


def fetching(settings: Settings, hub: LoopbackHub, **changes: Any) -> Fetching:
    """How the tests fetch: from the loopback hub, without loading a model."""
    given: dict[str, Any] = {"measure": towers, "channels": (), "needed": True} | changes
    return Fetching(settings, hub_for(settings, hub.endpoint, _no_pause), **given)


def weight_requests(hub: LoopbackHub, repository: str) -> list[str]:
    """The requests for a repository's weights that asked for all of them."""
    return [
        str(seen)
        for seen in hub.requests
        if f"/{repository}/resolve/" in seen.target and WEIGHTS in seen.target and not seen.range
    ]


def changed(files: dict[str, bytes]) -> dict[str, bytes]:
    """The same repository with other weights."""
    from safetensors.numpy import load, save

    weights = {name: np.asarray(value + 1) for name, value in load(files[WEIGHTS]).items()}
    return {CONFIG: files[CONFIG], WEIGHTS: save(weights)}
