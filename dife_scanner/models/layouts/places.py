"""Where the tensors of a file belong in open_clip's `CLIP`, and what its small files say of the architecture.

Every layout answers these two questions; what follows from the answers is the same for all (`conversion`).

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from dife_scanner.errors import NeedsBase, Unsupported
from dife_scanner.models.config import ClipConfig, Preprocessing, TextConfig, VisionConfig


@dataclass(frozen=True)
class Place:
    """Where one stored tensor, or a part of it, belongs."""

    name: str
    """A tensor of open_clip's `CLIP`."""
    slot: int = 0
    """Its place among several that are joined along their first axis …"""
    of: int = 1
    """… and how many they are."""
    transposed: bool = False
    thirds: tuple[int, int] = (0, 3)
    """Which thirds of its first axis belong there, from one to before the other."""
    axes: int = 0
    """How many axes of length one are put before the others, or taken away from there where it is negative."""
    kernel: bool = False
    """Whether a matrix there is a kernel over square patches, see `StoredTensor.as_kernel`."""


Placing = Callable[[str], tuple[Place, ...]]
"""From the name of a stored tensor to its places; none for one that changes no embedding."""
NewValue = Callable[[str], float | None]
"""From the name of a tensor of open_clip's `CLIP` to the value of each of its elements in a new model of a library;
`None` where that is drawn at random."""


@dataclass(frozen=True)
class Described:
    """What the small files of a checkpoint say; `None` for what they are silent about."""

    vision: VisionConfig | None = None
    text: TextConfig | None = None
    embed_dim: int | None = None
    image_quick_gelu: bool | None = None
    """Whether the image tower's activation is OpenAI's approximation of GELU …"""
    text_quick_gelu: bool | None = None
    """… and the text tower's."""
    preprocessing: Preprocessing | None = None

    def only(self, *, image: bool, text: bool) -> Described:
        """The same, silent about a tower that is not in the file."""
        said = self
        if not image:
            said = replace(
                said, vision=None, image_quick_gelu=None, preprocessing=None, embed_dim=None
            )
        if not text:
            said = replace(said, text=None, text_quick_gelu=None, embed_dim=None)
        return said

    def completed(self, base: ClipConfig | None, what: str) -> ClipConfig:
        """The configuration of a whole CLIP; what is not said here is as in `base`.

        Raises `NeedsBase` with `what` where something is missing and there is no base, `Unsupported` where the two
        towers have different activations, which open_clip does not run.
        """
        if base is not None:
            return replace(
                base,
                embed_dim=self.embed_dim or base.embed_dim,
                vision=self.vision or base.vision,
                text=self.text or base.text,
                preprocessing=self.preprocessing or base.preprocessing,
                quick_gelu=self._quick_gelu(base.quick_gelu),
            )
        if self.vision is None or self.text is None or self.embed_dim is None:
            raise NeedsBase(
                f"{what}, and no clean base that is here has the rest",
                "add its base with `dife reference add`, and scan it again",
            )
        return ClipConfig(
            embed_dim=self.embed_dim,
            vision=self.vision,
            text=self.text,
            preprocessing=self.preprocessing or Preprocessing(),
            quick_gelu=self._quick_gelu(False),
        )

    def _quick_gelu(self, otherwise: bool) -> bool:
        """One activation for both towers; `otherwise` where nothing is said of a tower."""
        said = set()
        for tower in (self.image_quick_gelu, self.text_quick_gelu):
            said.add(otherwise if tower is None else tower)
        if len(said) > 1:
            raise Unsupported(
                "its two towers have different activations, which open_clip does not run",
                "it can be audited under the settings of a clean base with the same tensors",
            )
        return said.pop()
