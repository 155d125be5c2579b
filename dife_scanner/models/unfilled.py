"""Models whose values are replaced at once: built without memory, random numbers, or torch's compiler.

On torch's device `meta` a tensor has a shape alone. To scale or cut one, or to draw its values, torch loads parts of
its compiler, which takes longer than the rest of a small model; as nobody reads these values, the tensor is left as it
is. What else needs the compiler there loads it, as always.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_DRAWN = torch.nn.init.normal_
_SCALED = (torch.Tensor.mul, torch.Tensor.div)
_CUT = torch.Tensor.triu_


@contextmanager
def unfilled() -> Iterator[None]:
    """Inside, tensors get their shape and type, and no values."""
    with torch.device("meta"), _LeftAsTheyAre():
        yield


class _LeftAsTheyAre(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if func is _DRAWN:
            return named["tensor"] if "tensor" in named else args[0]
        if func is torch.randn:
            func = torch.empty
        if func is _CUT or (func in _SCALED and isinstance(args[1], int | float)):
            return args[0]
        return func(*args, **named)
