"""Which of the tensors in a torch file are the model's, and what they are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from dife_scanner.models.strict_json import shown
from dife_scanner.models.torch_files.outcome import unsupported
from dife_scanner.models.torch_files.table import StoredTensor, Table

_FIRST = "state_dict"
"""Taken whatever stands beside it, as open_clip does."""
_WRAPPERS = ("model_state_dict", "model", "module", "net", "network", "weights", "params")
"""Other keys under which training programs keep a model."""
_AVERAGES = (
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema_model",
    "ema",
    "ema_params",
    "params_ema",
)
"""Keys of a moving average of the weights, taken where no other weights are there."""
_DEEPEST_WRAPPER = 3


def state_dict(table: Table, file: str) -> dict[str, StoredTensor]:
    """The tensors of the model in `table` by the names of its state dict, in the order of the file.

    They stand under one of the keys that training programs use, or are the outermost ones, or those of the only dict in
    the outermost one that holds tensors by name. Raises `Unsupported` where none or several dicts qualify.
    """
    tensors = list(table.tensors)
    for _ in range(_DEEPEST_WRAPPER):
        key = _wrapper(tensors, file)
        if key is None:
            break
        inner = _under(tensors, key)
        _check_alone(tensors, inner, key, file)
        tensors = inner
    found = {tensor.path[0]: tensor for tensor in tensors if _is_named(tensor, 1)}
    if not found:
        unsupported(file, "no dict in it holds tensors by name")
    return found


def _wrapper(tensors: Sequence[StoredTensor], file: str) -> str | None:
    """The key under which the model stands; None where its tensors stand here."""
    keys = dict.fromkeys(tensor.path[0] for tensor in tensors if len(tensor.path) > 1)
    if _FIRST in keys:
        return _FIRST
    is_here = any(_is_named(tensor, 1) for tensor in tensors)
    dicts = [] if is_here else [key for key in keys if _holds_names(tensors, key)]
    for candidates in (_WRAPPERS, _AVERAGES, dicts):
        present = [key for key in keys if key in candidates]
        if len(present) == 1:
            return present[0]
        if present:
            several = ", ".join(map(shown, present))
            unsupported(file, f"several dicts in it could be the model: {several}")
    return None


def _check_alone(
    outer: Iterable[StoredTensor], inner: Iterable[StoredTensor], key: str, file: str
) -> None:
    """Raise `Unsupported` where a model's tensors stand beside the dict under `key`: some loaders take these."""
    names = {tensor.path[0] for tensor in inner}
    for tensor in outer:
        name = tensor.path[0]
        if _is_named(tensor, 1) and ("." in name or name in names):
            unsupported(
                file,
                f"several dicts in it could be the model: {shown(key)}, and the one around it with {shown(name)}",
            )


def _under(tensors: Iterable[StoredTensor], key: str) -> list[StoredTensor]:
    return [
        replace(tensor, path=tensor.path[1:])
        for tensor in tensors
        if len(tensor.path) > 1 and tensor.path[0] == key
    ]


def _holds_names(tensors: Iterable[StoredTensor], key: str) -> bool:
    """Whether the dict under `key` holds tensors directly, by names."""
    return any(_is_named(tensor, 2) and tensor.path[0] == key for tensor in tensors)


def _is_named(tensor: StoredTensor, depth: int) -> bool:
    """Whether the tensor stands `depth` keys deep, under a name that is not the number of a list's item."""
    return len(tensor.path) == depth and not tensor.path[-1].isdigit()
