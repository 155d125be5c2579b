"""Which layout a checkpoint has: the names of its tensors decide, and the small files that came along are read for it.

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from dife_scanner.errors import Unsupported
from dife_scanner.models.header import ParseLimits
from dife_scanner.models.layouts import (
    from_tensors,
    open_clip,
    timm_alone,
    transformers_clip,
    transformers_siglip,
)
from dife_scanner.models.layouts.json_section import read_object
from dife_scanner.models.layouts.places import Described, NewValue, Place, Placing
from dife_scanner.models.strict_json import shown
from dife_scanner.models.tensors import SCALE

_PROCESSOR_FILE = "processor_config.json"
_STRANGE = " (not of this layout)"
"""Behind a name that has no place in this layout, so that it is never taken for a tensor of open_clip's."""
_LONGEST_WRAPPER = 60
"""Characters before a name that training code puts there, such as `module.` or `clip_model.`."""


@dataclass(frozen=True)
class Said:
    """The small files of a checkpoint, parsed as far as a layout needs them."""

    config: dict[str, Any] | None
    """`config.json`."""
    preprocessing: dict[str, Any] | None
    shapes: from_tensors.Shapes
    """Of the tensors, under open_clip's names."""
    file: str
    """The weights, in messages."""


@dataclass(frozen=True)
class Naming:
    """How one family of programs calls the tensors of a CLIP, and how it describes them."""

    marks: tuple[str, ...]
    """Tensors of which every checkpoint of the family, one tower alone included, has one at least."""
    place: Placing
    describe: Callable[[Said], Described]
    """What its own `config.json` says, where there is no configuration of open_clip's."""
    beside: str = ""
    """A tensor that has to be there as well, behind the same wrapper, where its marks are also those of another."""
    new_value: NewValue | None = None
    """What its library gives a tensor that a file lacks, where it loads such files."""


def _open_clip_place(name: str) -> tuple[Place, ...]:
    return (Place(name.removeprefix(open_clip.TEXT_PREFIX)),)


def _in_tower(placing: Placing, tower: str) -> Placing:
    """Names of a single tower, which stand without its name."""

    def place(name: str) -> tuple[Place, ...]:
        if name.startswith(("text_projection", "visual_projection", "classifier")):
            return placing(name)
        return placing(f"{tower}.{name}")

    return place


def _of_transformers(said: Said) -> Described:
    if said.config is None:
        return from_tensors.describe(said.shapes, said.file)
    return transformers_clip.describe(said.config, said.preprocessing)


def _of_siglip(said: Said) -> Described:
    if said.config is None:
        raise Unsupported(
            f"{said.file} holds a SigLIP, and no configuration came with it", "put it next to it"
        )
    return transformers_siglip.describe(said.config, said.preprocessing)


def _of_open_clip(said: Said) -> Described:
    """Nothing but its tensors says what it is, and of a tower of timm not even they."""
    if any(name.startswith("visual.trunk.") for name in said.shapes):
        return Described()
    return from_tensors.describe(said.shapes, said.file)


def _of_timm(said: Said) -> Described:
    return timm_alone.describe(said.config, said.shapes, said.file)


_IN_FRONT = "embeddings.patch_embedding.weight"
_WORDS = "embeddings.token_embedding.weight"
_IN_TIMM = ("attn_pool.latent", "stem.0.weight")
NAMINGS = (
    Naming(
        ("vision_model.head.probe", "text_model.head.weight"),
        transformers_siglip.place,
        _of_siglip,
        new_value=transformers_siglip.new_value,
    ),
    Naming(
        (f"vision_model.{_IN_FRONT}", f"text_model.{_WORDS}"),
        transformers_clip.place,
        _of_transformers,
        new_value=transformers_clip.new_value,
    ),
    Naming(
        (
            "visual.conv1.weight",
            *(f"visual.trunk.{mark}" for mark in _IN_TIMM),
            "text.token_embedding.weight",
        ),
        _open_clip_place,
        _of_open_clip,
    ),
    Naming(
        ("head.probe",),
        _in_tower(transformers_siglip.place, "vision_model"),
        _of_siglip,
        new_value=transformers_siglip.new_value,
    ),
    Naming(
        (_WORDS,),
        _in_tower(transformers_siglip.place, "text_model"),
        _of_siglip,
        beside="head.weight",
        new_value=transformers_siglip.new_value,
    ),
    Naming(
        (_IN_FRONT,),
        _in_tower(transformers_clip.place, "vision_model"),
        _of_transformers,
        new_value=transformers_clip.new_value,
    ),
    Naming(
        (_WORDS,),
        _in_tower(transformers_clip.place, "text_model"),
        _of_transformers,
        new_value=transformers_clip.new_value,
    ),
    Naming(("token_embedding.weight",), _open_clip_place, _of_open_clip),
    Naming(("norm_pre.weight",), timm_alone.place, _of_timm),
    Naming(_IN_TIMM, timm_alone.place_in_trunk, _of_timm),
)
"""In the order in which they are tried: a mark may be the end of one before it."""

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
    """What stands before every name of the model."""
    describe: Callable[[from_tensors.Shapes], Described]
    """What the small files say; the shapes are those of tensors under open_clip's names."""

    def place(self, name: str) -> tuple[Place, ...]:
        """Where a stored tensor belongs; nowhere for one outside the wrapper, such as an optimizer's."""
        if not name.startswith(self.wrapper):
            return ()
        inner = name.removeprefix(self.wrapper)
        places = self.naming.place(inner)
        keeps = self.naming.place is _open_clip_place or inner == SCALE
        if places == (Place(inner),) and not keeps:
            return (Place(inner + _STRANGE),)  # its library passes over it, whatever open_clip does
        return places


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
    _check_alone(names, wrapper, file)

    def describe(shapes: from_tensors.Shapes) -> Described:
        stated = _object(small, open_clip.CONFIG_FILE, limits)
        if stated is not None and stated.get("model_cfg") is not None:
            return open_clip.describe(small[open_clip.CONFIG_FILE], limits)
        config = _object(small, transformers_clip.CONFIG_FILE, limits)
        preprocessing = _preprocessing(small, limits)
        return naming.describe(Said(config, preprocessing, shapes, file))

    return Chosen(naming, wrapper, describe)


def _naming(names: Collection[str]) -> tuple[Naming, str] | None:
    for naming in NAMINGS:
        for mark in naming.marks:
            for name in names:
                wrapper = name.removesuffix(mark)
                if _has_mark(name, mark) and _is_beside(naming, wrapper, names):
                    return naming, wrapper
    return None


def _is_beside(naming: Naming, wrapper: str, names: Collection[str]) -> bool:
    return not naming.beside or wrapper + naming.beside in names


def _has_mark(name: str, mark: str) -> bool:
    """Whether a name is a mark behind a wrapper's name, or alone."""
    if not name.endswith(mark):
        return False
    wrapper = name.removesuffix(mark)
    return len(wrapper) <= _LONGEST_WRAPPER and (not wrapper or wrapper.endswith("."))


def _check_alone(names: Collection[str], wrapper: str, file: str) -> None:
    """Raise `Unsupported` where a second model stands beside the one behind `wrapper`: either may be loaded.

    Single tensors of one are for `conversion` to find, which knows what the model is made of.
    """
    for name in names:
        if not name.startswith(wrapper) and _is_mark(name):
            raise Unsupported(
                f"{file} holds more than one model: {shown(name)} does not belong to the first",
                "save them in files of their own",
            )


def _is_mark(name: str) -> bool:
    return any(_has_mark(name, mark) for naming in NAMINGS for mark in naming.marks)


def _what_it_holds(names: Collection[str]) -> str:
    if not names:
        return "holds no tensor"
    for part, what in _OTHERS.items():
        if any(part in name for name in names):
            return f"holds {what}"
    return f"holds tensors of another layout (the first is {shown(min(names))})"


def _preprocessing(small: Mapping[str, bytes], limits: ParseLimits) -> dict[str, Any] | None:
    """What transformers does with a picture, in a file of its own or, since its version 5, in the processor's."""
    alone = _object(small, transformers_clip.PREPROCESSING_FILE, limits)
    processor = _object(small, _PROCESSOR_FILE, limits) or {}
    within = processor.get("image_processor")
    return within if isinstance(within, dict) else alone


def _object(small: Mapping[str, bytes], name: str, limits: ParseLimits) -> dict[str, Any] | None:
    if name not in small:
        return None
    return read_object(small[name], name, limits)
