"""Repositories to check peers with: history, large files, shards, odd names, and each state of access."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.lab.loopback.hostile import safetensors

MANY = 600
"""Small repositories beside the read ones: more than the page of 500 that the JavaScript client asks for."""

_RNG = np.random.default_rng(20)


def tensor(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return _RNG.normal(size=shape).astype(np.float32)


@contextmanager
def hub(root: Path) -> Iterator[LoopbackHub]:
    """A running hub with the repositories of this module."""
    with LoopbackHub(root) as running:
        _fill(running)
        yield running


def downloadable(running: LoopbackHub) -> list[str]:
    """Ids of the repositories whose files an anonymous caller gets, without the many small ones."""
    shown = (model for model in running.repositories.all() if not (model.gated or model.private or model.disabled))
    return sorted(model.repo_id for model in shown if not model.repo_id.startswith("many/"))


def _fill(running: LoopbackHub) -> None:
    weights = {"visual.proj": tensor(512, 1024), "text_projection": tensor(128, 64)}
    files = {"README.md": "---\nlicense: mit\n---\n# CLIP\n", "open_clip_config.json": "{}", "vocab.json": "x" * 9000}
    running.add_repo("peers/large", {**files, "open_clip_model.safetensors": safetensors(weights)}, tags=["clip"])
    running.add_repo("peers/history", {"a.txt": "one\n", "b.txt": "gone\n"})
    running.commit("peers/history", {"a.txt": "two\n", "b.txt": None, "deep/down/c.txt": "three\n"})
    running.commit("peers/history", {"model.safetensors": safetensors({"w": tensor(7, 3)})}, message="Add weights")
    running.add_repo("peers/sharded", _shards())
    names = {"a b/c+d é.txt": "odd name\n", "a b/100%.json": "{}", ".hidden": "hidden\n"}
    running.add_repo("peers/names", names, library="open_clip", pipeline_tag="zero-shot-image-classification")
    running.add_repo("peers/empty", {"empty.txt": "", "empty.bin": b""})
    running.add_repo("peers/gated", {"model.safetensors": safetensors({"w": tensor(2)})}, gated="manual")
    running.add_repo("peers/private", {"a.txt": "a"}, private=True)
    running.add_repo("peers/disabled", {"a.txt": "a"}, disabled=True)
    for number in range(MANY):
        running.add_repo(f"many/n-{number:04}", {"a.txt": "a"}, downloads=number % 7)


def _shards() -> dict[str, bytes | str]:
    shards = {f"model-0000{n}-of-00002.safetensors": safetensors({f"layer.{n}": tensor(5, n)}) for n in (1, 2)}
    weight_map = {f"layer.{n}": f"model-0000{n}-of-00002.safetensors" for n in (1, 2)}
    index = json.dumps({"metadata": {"total_size": 60}, "weight_map": weight_map})
    return {**shards, "model.safetensors.index.json": index, "config.json": '{"model_type": "clip"}'}
