"""Every hostile file with how it has to end, and honest ones beside them that may not be called hostile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dife_scanner.lab.hostile import containers, forms, headers, payloads, tensors
from dife_scanner.lab.hostile.archives import torch_archive
from dife_scanner.lab.hostile.assembler import pickled, state, tensor

REFUSED, LIMIT, UNSUPPORTED, FAILED, READ = (
    "refused", "limit-exceeded", "unsupported", "failed", "read",
)  # fmt: skip
STOPPED = frozenset({REFUSED, LIMIT})
"""How a hostile file may end."""
TORCH, SAFETENSORS = "torch", "safetensors"


@dataclass(frozen=True)
class Case:
    """One file of the corpus."""

    name: str
    build: Callable[[], bytes]
    outcome: frozenset[str]
    """The outcomes that it may have."""
    payload: bytes = b""
    """A pickle that does what the file would do, for the control; empty where the file runs nothing."""
    acts: bool = False
    """Whether the payload does more than import a name."""
    format: str = TORCH
    bomb: bool = False
    """Whether reading it takes seconds, under the limits that are the default."""


def cases() -> Iterator[Case]:
    """The whole corpus, by families."""
    yield from _calls()
    yield from _forms()
    yield from _containers()
    yield from _tensors()
    for name, build in headers.LYING.items():
        bomb = name in headers.BOMBS
        yield Case(f"safetensors: {name}", build, STOPPED, format=SAFETENSORS, bomb=bomb)


def _calls() -> Iterator[Case]:
    for name, body in payloads.ACTING.items():
        yield from _in_each_format(f"call: {name}", body, acts=True)
    for name in payloads.NAMING:
        yield from _in_each_format(f"call: {name}", payloads.named(name), acts=False)


def _in_each_format(name: str, body: bytes, *, acts: bool) -> Iterator[Case]:
    """One call beside an honest tensor in torch's zip format, in its old format, and in a plain pickle."""
    control = payloads.whole(body)
    beside = pickled(state(weight=tensor(), payload=body))
    builds: dict[str, Callable[[], bytes]] = {
        "zip": lambda: torch_archive(beside),
        "legacy": lambda: containers.legacy(control),
        "pickle": lambda: control,
    }
    for kind, build in builds.items():
        yield Case(f"{name}, {kind}", build, frozenset({REFUSED}), control, acts)


def _forms() -> Iterator[Case]:
    for name, pickle in forms.RUNNING.items():
        for kind, build in _both(pickle).items():
            yield Case(f"form: {name}, {kind}", build, frozenset({REFUSED}), pickle, acts=True)
    inner = forms.carried_payload()
    for name, pickle in forms.CARRIED.items():
        for kind, build in _both(pickle).items():
            yield Case(f"carried: {name}, {kind}", build, frozenset({REFUSED}), inner, acts=True)
    for name, pickle in forms.CHANGING.items():
        for kind, build in _both(pickle).items():
            yield Case(f"change: {name}, {kind}", build, frozenset({REFUSED}))


def _both(pickle: bytes) -> dict[str, Callable[[], bytes]]:
    return {"zip": lambda: torch_archive(pickle), "pickle": lambda: pickle}


def _containers() -> Iterator[Case]:
    control = payloads.whole(payloads.EXEC)
    for name, build in containers.HIDING.items():
        yield Case(f"hidden: {name}", build, frozenset({REFUSED}), control, acts=True)
    for name, build in containers.DIFFERING.items():
        yield Case(f"container: {name}", build, frozenset({REFUSED}))
    for name, build in containers.GROWING.items():
        yield Case(f"bomb: {name}", build, STOPPED, bomb=True)
    for name, (outcome, build) in containers.ODD.items():
        yield Case(f"honest: {name}", build, frozenset({outcome}))


def _tensors() -> Iterator[Case]:
    for name, body in tensors.LYING.items():
        yield Case(f"tensor: {name}", _of(pickled(state(weight=body))), frozenset({REFUSED}))
    for name, make in tensors.GROWING.items():
        yield Case(f"bomb: {name}", _later(make), STOPPED, bomb=True)
    for name, bad in tensors.BAD_NAMES.items():
        pickle = tensors.tensor_called(bad)
        yield Case(f"tensor name: {name}", _of(pickle), frozenset({REFUSED}))


def _of(pickle: bytes) -> Callable[[], bytes]:
    return lambda: torch_archive(pickle)


def _later(make: Callable[[], bytes]) -> Callable[[], bytes]:
    return lambda: torch_archive(make())
