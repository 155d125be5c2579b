"""What torch itself saves is read bit for bit, and what stands beside the tensors does no harm."""

from __future__ import annotations

import argparse
import datetime
import io
import json
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch_contents import parse, values

from dife_scanner.models.torch_files import Table, state_dict


class Part(nn.Module):
    """Scripted below: its class is TorchScript's own in the file."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 2, bias=False)
        self.scale = nn.Parameter(torch.tensor(4.5))
        self.register_buffer("steps", torch.arange(3))

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return self.conv(picture) * self.scale + self.steps.sum()


def model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(Part(), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def saved(what: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(what, file, **options)
    return file.getvalue()


def old(what: Any) -> bytes:
    return saved(what, _use_new_zipfile_serialization=False)


def scripted(module: nn.Module) -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(module), file)
    return file.getvalue()


def traced(module: nn.Module) -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(module.eval(), torch.zeros(1, 3, 2, 2)), file)
    return file.getvalue()


def weights(**changes: torch.Tensor) -> dict[str, torch.Tensor]:
    return model().state_dict() | changes


def wide() -> dict[str, torch.Tensor]:
    whole = torch.randn(6, 8)
    return {
        "transposed": whole.t(),
        "strided": whole[1::2, ::3],
        "inner": whole[2:4, 1:5],
        "spread": torch.randn(3, 1).expand(3, 5),
        "permuted": torch.randn(2, 3, 4).permute(2, 0, 1),
        "empty": torch.zeros(0, 4),
        "scalar": torch.tensor(3.25),
    }


def tied() -> dict[str, torch.Tensor]:
    shared = nn.Parameter(torch.randn(5, 3))
    return {"in.weight": shared, "out.weight": shared, "out.row": shared.detach()[2]}


def every_dtype() -> dict[str, torch.Tensor]:
    numbers = torch.arange(6).reshape(2, 3)
    kinds = (
        torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int8, torch.uint8, torch.int16, torch.int32,
        torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16, torch.uint32,
    )  # fmt: skip
    return {str(kind).removeprefix("torch."): numbers.to(kind) for kind in kinds}


def beside() -> dict[str, Any]:
    """What training programs keep next to the weights."""
    trained = model()
    optimizer = torch.optim.AdamW(trained.parameters(), 1e-3)
    trained(torch.randn(2, 3, 2, 2)).sum().backward()
    optimizer.step()
    return {
        "state_dict": trained.state_dict(),
        "optimizer": optimizer.state_dict(),
        "args": argparse.Namespace(lr=1e-3, name="ViT-B-32", betas=(0.9, 0.98), out=Path("/logs")),
        "best": np.float64(0.25),
        "losses": np.arange(3, dtype=np.float32),
        "epoch": 7,
        "started": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
        "counts": Counter(a=2),
        "by name": defaultdict(list, a=[1]),
        "device": torch.device("cuda", 0),
        "dtype": torch.float16,
        "size": torch.Size([2, 3]),
        "raw": b"\x00\xff",
        "names": {"a", "b"},
        "activation": partial(nn.functional.gelu, approximate="tanh"),
        "random": [np.random.default_rng(0), np.random.get_state()],
        "nothing": None,
    }


def lightning() -> dict[str, Any]:
    return {
        "epoch": 1,
        "global_step": 10,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": OrderedDict((f"model.{k}", v) for k, v in weights().items()),
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 2}}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_k_models": {}, "kth_value": torch.tensor(1.0)}},
        "optimizer_states": [torch.optim.SGD(model().parameters(), 0.1).state_dict()],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": {"lr": 0.1},
    }  # fmt: skip


def attribute() -> dict[str, torch.Tensor]:
    named = nn.Parameter(torch.randn(2))
    named.note = "a parameter with an attribute"  # type: ignore[attr-defined]
    return {"noted": named}


def whole() -> nn.Module:
    """A module with a buffer that is no part of its state dict."""
    made = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    made.register_buffer("positions", torch.arange(3), persistent=False)
    return made


Honest = tuple[bytes, dict[str, torch.Tensor]]
HONEST: dict[str, Callable[[], Honest]] = {
    "zip": lambda: (saved(weights()), weights()),
    "legacy": lambda: (old(weights()), weights()),
    "every dtype": lambda: (saved(every_dtype()), every_dtype()),
    "half": lambda: (saved(model().half().state_dict()), model().half().state_dict()),
    "bfloat16, legacy": lambda: (old(model().bfloat16().state_dict()), model().bfloat16().state_dict()),
    "protocol 3": lambda: (saved(weights(), pickle_protocol=3), weights()),
    "protocol 4": lambda: (saved(weights(), pickle_protocol=4), weights()),
    "protocol 5": lambda: (saved(weights(), pickle_protocol=5), weights()),
    "tied": lambda: (saved(one := tied()), one),
    "tied, legacy": lambda: (old(one := tied()), one),
    "views": lambda: (saved(one := wide()), one),
    "views, legacy": lambda: (old(one := wide()), one),
    "parameters": lambda: (saved(dict(one := dict(model().named_parameters()))), one),
    "parameter with attributes": lambda: (saved(one := attribute()), one),
    "under state_dict": lambda: (saved({"state_dict": weights(), "epoch": 3}), weights()),
    "under model": lambda: (saved({"model": weights(), "model_ema": model(1).state_dict()}), weights()),
    "under model.module": lambda: (saved({"model": {"module": weights()}}), weights()),
    "average alone": lambda: (saved({"ema_state_dict": weights(), "step": 1}), weights()),
    "under another name": lambda: (saved({"clip": weights(), "lr": 0.1}), weights()),
    "beside an optimizer and a Namespace": lambda: (saved(beside()), beside()["state_dict"]),
    "the same, legacy": lambda: (old(beside()), beside()["state_dict"]),
    "the same, protocol 5": lambda: (saved(beside(), pickle_protocol=5), beside()["state_dict"]),
    "Lightning": lambda: (saved(lightning()), dict(lightning()["state_dict"])),
    "whole module": lambda: (saved(whole()), {}),
    "whole module, protocol 4": lambda: (saved(whole(), pickle_protocol=4), {}),
    "whole module, legacy": lambda: (old(whole()), {}),
    "scripted": lambda: (scripted(model()), weights()),
    "traced": lambda: (traced(model()), weights()),
}  # fmt: skip


def bits(tensor: torch.Tensor) -> bytes:
    """The elements, row by row."""
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("name", HONEST)
def test_what_torch_saves_is_read_bit_for_bit(name: str) -> None:
    raw, expected = HONEST[name]()
    if not expected:
        expected = torch.load(io.BytesIO(raw), weights_only=False).state_dict()
    table = Table.from_json(json.loads(json.dumps(parse(raw).as_json())))
    read = state_dict(table, "x.pt")
    assert set(read) == set(expected)
    for key, tensor in expected.items():
        assert read[key].shape == tuple(tensor.shape), key
        assert values(read[key], raw).tobytes() == bits(tensor), key
