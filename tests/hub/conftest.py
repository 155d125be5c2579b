"""A hub on this machine and clients that are quick to give up."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_files import CONFIG, WEIGHTS

from dife_scanner.hub import Hub
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.records import ModelRef

TOKENS = {"hf_good": ["org/private", "org/gated"], "hf_nothing": []}


@pytest.fixture
def config() -> bytes:
    body = {
        "model_cfg": {
            "embed_dim": 128,
            "vision_cfg": {"image_size": 64, "layers": 6, "width": 192, "patch_size": 16},
            "text_cfg": {
                "context_length": 77,
                "vocab_size": 49408,
                "width": 128,
                "heads": 2,
                "layers": 3,
            },
        },
        "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
    }
    return json.dumps(body).encode()


@pytest.fixture
def weights() -> bytes:
    return bytes(range(256)) * 8192  # 2 MiB


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[LoopbackHub]:
    with LoopbackHub(tmp_path / "lab", tokens=TOKENS) as lab:
        yield lab


@pytest.fixture
def add_clip(
    lab: LoopbackHub, config: bytes, weights: bytes, tmp_path: Path
) -> Callable[..., ModelRef]:
    """Put an open_clip repository on the hub."""

    def add(repo_id: str = "org/clip", *, contents: bytes = weights, **fields: Any) -> ModelRef:
        big = tmp_path / "weights"
        big.write_bytes(contents)
        fields = {"tags": ["clip"], "library": "open_clip"} | fields
        return ModelRef(
            repo_id,
            lab.add_repo(
                repo_id, {"README.md": "# A model", CONFIG: config, WEIGHTS: big}, **fields
            ),
        )

    return add


@pytest.fixture
def naps() -> list[float]:
    """Seconds the client would have slept between tries."""
    return []


@pytest.fixture
def connect(lab: LoopbackHub, tmp_path: Path, naps: list[float]) -> Callable[..., Hub]:
    def connect(token: str | None = None, **fields: Any) -> Hub:
        fields = {"endpoint": lab.endpoint, "request_seconds": 0.5, "pause": naps.append} | fields
        return Hub(fields.pop("endpoint"), token, cache=tmp_path / "cache", **fields)

    return connect


@pytest.fixture
def hub(connect: Callable[..., Hub]) -> Hub:
    return connect()


@pytest.fixture
def raw_server() -> Iterator[Callable[[Callable[[socket.socket], None]], str]]:
    """A server of a few lines: `serve(talk)` starts one and gives its address; `talk` gets each connection."""
    listeners: list[socket.socket] = []

    def serve(talk: Callable[[socket.socket], None]) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=_quietly, args=(talk, connection), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield serve
    for listener in listeners:
        listener.close()


def _quietly(talk: Callable[[socket.socket], None], connection: socket.socket) -> None:
    with connection:
        try:
            talk(connection)
        except OSError:
            return  # the client hung up, which is what these tests are about
