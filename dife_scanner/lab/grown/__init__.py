"""Models of a real checkpoint's size without its weights: the bundled ViT, grown to the shape of a ViT-B/32.

`stretching` and `tuning` take it to larger pictures, `widening` to more width, heads and layers. docs/grown.md has the
algebra, and what is exact. They are built on the user's machine and never shipped.
"""

from dife_scanner.lab.grown.stretching import stretch
from dife_scanner.lab.grown.widening import grow

__all__ = ["grow", "stretch"]
