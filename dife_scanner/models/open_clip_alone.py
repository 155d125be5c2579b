"""Loads open_clip without what it loads along and no audit needs: transformers, timm, and most of torchvision.

torchvision's own start loads its models, and for them the compiler of torch, which takes as long as torch itself. So
whoever imports open_clip from here is ready some seconds sooner, and runs less of other people's code. What needs one
of them later imports it as usual.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType

_LEFT_OUT = ("transformers", "timm")
_TORCHVISION = "torchvision"
_NOT_STARTED = (_TORCHVISION, f"{_TORCHVISION}.ops")
"""Packages of which single modules are needed."""


@contextmanager
def _left_out() -> Iterator[None]:
    """Inside, these libraries are as if they were not installed, unless somebody has loaded them already."""
    hidden = [name for name in _LEFT_OUT if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def _torchvision_not_started() -> Iterator[None]:
    """Inside, modules of torchvision are loaded alone, unless somebody has loaded all of it already."""
    if _TORCHVISION in sys.modules:
        yield
        return
    for name in _NOT_STARTED:
        sys.modules[name] = _package_not_started(name)
    try:
        yield
    finally:
        for name in list(sys.modules):
            if name.partition(".")[0] == _TORCHVISION:
                del sys.modules[name]


def _package_not_started(name: str) -> ModuleType:
    """A package that has its modules, and none of the names that its own start would give it."""
    spec = find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError(f"{name} is not installed", name=name)
    package = ModuleType(name)
    package.__path__ = list(spec.submodule_search_locations)
    return package


with _left_out(), _torchvision_not_started():
    from open_clip.model import CLIP, resize_pos_embed, resize_text_pos_embed
    from open_clip.tokenizer import SimpleTokenizer, default_bpe
    from open_clip.transform import CenterCropOrPad, ResizeKeepRatio
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

__all__ = [
    "CLIP",
    "CenterCrop",
    "CenterCropOrPad",
    "Compose",
    "InterpolationMode",
    "Resize",
    "ResizeKeepRatio",
    "SimpleTokenizer",
    "default_bpe",
    "resize_pos_embed",
    "resize_text_pos_embed",
]
