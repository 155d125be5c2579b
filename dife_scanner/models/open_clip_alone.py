"""Loads open_clip without the libraries that it loads along where they are installed: transformers and timm.

Its parts that need them are not used here. Without them whoever imports it is ready a second or two sooner, and runs
less of other people's code. What needs one of them later imports it as usual. So open_clip is imported from here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_LEFT_OUT = ("transformers", "timm")


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


with _left_out():
    from open_clip.model import CLIP, resize_pos_embed, resize_text_pos_embed
    from open_clip.tokenizer import SimpleTokenizer, default_bpe
    from open_clip.transform import CenterCropOrPad, ResizeKeepRatio

__all__ = [
    "CLIP",
    "CenterCropOrPad",
    "ResizeKeepRatio",
    "SimpleTokenizer",
    "default_bpe",
    "resize_pos_embed",
    "resize_text_pos_embed",
]
