"""Which layout a checkpoint has: the names of its tensors decide, and the small files that came along are read for it.

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from dife_scanner.errors import Unsupported
from dife_scanner.models.header import ParseLimits
from dife_scanner.models.layouts import from_tensors, open_clip, transformers_clip
from dife_scanner.models.layouts.json_section import read_object
from dife_scanner.models.layouts.places import Described, Place, Placing
from dife_scanner.models.strict_json import shown

_LONGEST_WRAPPER = 60
"""Characters before a name that training code puts there, such as `module.` or `clip_model.`."""


@dataclass(frozen=True)
class Naming:
    """How one family of programs calls the tensors of a CLIP."""

    name: str
    marks: tuple[str, ...]
    """Tensors of which every checkpoint of the family, one tower alone included, has one at least."""
    place: Placing
    makes_up: bool = False
    """Whether its library gives norms and biases that a file lacks the values of a new model."""


def _open_clip_place(name: str) -> Place | None:
    return Place(name.removeprefix(open_clip.TEXT_PREFIX))


def _in_tower(tower: str) -> Placing:
    """Names of a single tower, which stand without its name."""

    def place(name: str) -> Place | None:
        if name.startswith(("text_projection", "visual_projection")):
            return transformers_clip.place(name)
        return transformers_clip.place(f"{tower}.{name}")

    return place


NAMINGS = (
    Naming(
        "transformers",
        (
            "vision_model.embeddings.patch_embedding.weight",
            "text_model.embeddings.token_embedding.weight",
        ),
        transformers_clip.place,
        makes_up=True,
    ),
    Naming(
        "transformers",
        ("embeddings.patch_embedding.weight",),
        _in_tower("vision_model"),
        makes_up=True,
    ),
    Naming(
        "transformers",
        ("embeddings.token_embedding.weight",),
        _in_tower("text_model"),
        makes_up=True,
    ),
    Naming(
        "open_clip",
        ("visual.conv1.weight", "text.token_embedding.weight", "token_embedding.weight"),
        _open_clip_place,
    ),
)
"""In the order in which they are tried: a mark may end in one of a later family."""

_OTHERS = {
    "text_model.encoder.layer.": "a text tower of the BERT family",
    "roberta.": "a text tower of the RoBERTa family",
    "bert.": "a text tower of the BERT family",
    "visual.trunk.": "an image tower of timm that is not on the list of known ones",
    "model.layers.": "a language model",
    "transformer.h.": "a language model",
    "lora_": "an adapter",
}
"""Parts of tensor names by which other models are told."""


@dataclass(frozen=True)
class Chosen:
    """The layout of one checkpoint."""

    naming: Naming
    wrapper: str
    """What stands before every name."""
    describe: Callable[[from_tensors.Shapes], Described]
    """What the small files say; the shapes are those of tensors under open_clip's names."""

    def place(self, name: str) -> Place | None:
        """Where a stored tensor belongs; `None` for one outside the wrapper, such as an optimizer's."""
        if not name.startswith(self.wrapper):
            return None
        return self.naming.place(name.removeprefix(self.wrapper))


def choose(
    small: Mapping[str, bytes], names: Collection[str], file: str, limits: ParseLimits
) -> Chosen:
    """The layout of a checkpoint whose file `file` holds tensors of these names.

    Raises `Unsupported` by the right name of what is none, and what reading the small files raises.
    """
    found = _naming(names)
    if found is None:
        raise Unsupported(f"{file} {_what_it_holds(names)}", "only CLIP checkpoints can be audited")
    naming, wrapper = found

    def describe(shapes: from_tensors.Shapes) -> Described:
        return _described(small, shapes, file, limits)

    return Chosen(naming, wrapper, describe)


def _naming(names: Collection[str]) -> tuple[Naming, str] | None:
    for naming in NAMINGS:
        for mark in naming.marks:
            for name in names:
                wrapper = name.removesuffix(mark)
                if name.endswith(mark) and _is_wrapper(wrapper):
                    return naming, wrapper
    return None


def _is_wrapper(words: str) -> bool:
    return len(words) <= _LONGEST_WRAPPER and (not words or words.endswith("."))


def _what_it_holds(names: Collection[str]) -> str:
    if not names:
        return "holds no tensor"
    for part, what in _OTHERS.items():
        if any(part in name for name in names):
            return f"holds {what}"
    return f"holds tensors of another layout (the first is {shown(min(names))})"


def _described(
    small: Mapping[str, bytes], shapes: from_tensors.Shapes, file: str, limits: ParseLimits
) -> Described:
    if open_clip.CONFIG_FILE in small:
        return open_clip.describe(small[open_clip.CONFIG_FILE], limits)
    config = _object(small, transformers_clip.CONFIG_FILE, limits)
    if config is None:
        return from_tensors.describe(shapes, file)
    preprocessing = _object(small, transformers_clip.PREPROCESSING_FILE, limits)
    return transformers_clip.describe(config, preprocessing)


def _object(small: Mapping[str, bytes], name: str, limits: ParseLimits) -> dict[str, Any] | None:
    if name not in small:
        return None
    return read_object(small[name], name, limits)
