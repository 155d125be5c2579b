"""Adapters that PEFT saved of a CLIP: low-rank changes (LoRA) of some matrices, and layers saved whole.

A matrix W of the base becomes W + s B A, with s = alpha / r, or alpha / sqrt(r) where the adapter is rank-stabilised
(peft 0.21, `LoraConfig`). What no sum of this form is, such as DoRA, is `Unsupported`.

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dife_scanner.errors import NeedsBase, Unsupported
from dife_scanner.models.config import ATTENTION_POOLED, ClipConfig
from dife_scanner.models.layouts import bounds, transformers_clip, transformers_siglip
from dife_scanner.models.layouts.json_section import Section
from dife_scanner.models.layouts.peft_targets import Targets, ends, has_end
from dife_scanner.models.layouts.places import Place, Placing
from dife_scanner.models.stored import StoredTensor
from dife_scanner.models.strict_json import shown
from dife_scanner.models.tensors import SCALE

CONFIG_FILE = "adapter_config.json"

_START = "base_model.model."
_LOW_RANK = re.compile(r"(.+)\.lora_(A|B)\.weight")
_SAVED_WHOLE = re.compile(r"(.+)\.(weight|bias)")
_INSIDE = ("modules_to_save", "default", "base_layer")
"""Parts of names within PEFT that its files do not have, and that it does not read as what they look like."""
_STARTS = (True, False, "gaussian", "eva", "orthogonal")
"""Ways to begin a training that leave the base as it is; PiSSA, OLoRA and others subtract from it again on loading."""
_OTHER_SUMS = (
    "use_dora",
    "fan_in_fan_out",
    "layer_replication",
    "use_qalora",
    "lora_bias",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "use_bdlora",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
    "velora_config",
    "megatron_config",
)
_MOST_RANK = 65_536
_MOST_ALPHA = 1e6


Factors = dict[str, StoredTensor]
"""Of one change, `A` and `B`."""


@dataclass(frozen=True)
class Change:
    """A low-rank change of one matrix, or of one of several that open_clip keeps as one."""

    place: Place
    down: StoredTensor
    """A [r, in]."""
    up: StoredTensor
    """B [out, r]."""
    scale: float


@dataclass(frozen=True)
class Adapter:
    """What an adapter does to its base."""

    changes: tuple[Change, ...]
    whole: tuple[tuple[Place, StoredTensor], ...]
    """Tensors that take the place of the base's."""
    left_out: tuple[str, ...]
    """Tensors of a head, which no embedding depends on."""


def read(
    config: dict[str, Any],
    stored: Sequence[StoredTensor],
    base: ClipConfig | None,
    file: str,
) -> Adapter:
    """What the adapter with these tensors does to a base of the configuration `base`.

    Raises `NeedsBase` without one, `Unsupported` for another kind of adapter, `Unreadable` for values of wrong types.
    """
    section = Section(CONFIG_FILE, "", config)
    _only_lora(section)
    if base is None:
        raise NeedsBase(
            f"{file} holds an adapter alone, and no clean base that is here fits it",
            "add its base with `dife reference add`, and scan it again",
        )
    scaling = _Scaling(section)
    targets = Targets(section)
    placing = _placing(base)
    halves: dict[str, Factors] = {}
    whole: list[tuple[Place, StoredTensor]] = []
    left_out: list[str] = []
    for tensor in stored:
        name = _within_base(tensor.name, file)
        low_rank = _LOW_RANK.fullmatch(name)
        if low_rank:
            factors = halves.setdefault(low_rank[1], {})
            if low_rank[2] in factors:
                raise Unsupported(f"{file} holds {shown(name)} twice, and either may be loaded", "")
            factors[low_rank[2]] = tensor
            continue
        places = _of_whole(name, placing, file)
        whole.extend((place, tensor) for place in places)
        if not places:
            left_out.append(tensor.name)
    changes: list[Change] = []
    for module, pair in halves.items():
        targets.check(module)
        changes.extend(_changes(module, pair, placing, scaling.of(module), file))
    _check_apart(changes, whole, file)
    return Adapter(tuple(changes), tuple(whole), tuple(left_out))


def _within_base(name: str, file: str) -> str:
    """The name of a tensor within the base; one that PEFT would not find there is `Unsupported`."""
    inside = name.removeprefix(_START)
    if inside == name or not set(_INSIDE).isdisjoint(inside.split(".")):
        raise Unsupported(f"{file} holds {shown(name)}, which is no LoRA of a known kind", "")
    return inside


def _check_apart(
    changes: Sequence[Change], whole: Sequence[tuple[Place, StoredTensor]], file: str
) -> None:
    """Raise `Unsupported` where one tensor is both replaced and changed, or replaced twice."""
    taken = {change.place.name for change in changes}
    for place, tensor in whole:
        if place.name in taken:
            raise Unsupported(
                f"{file} changes {shown(place.name)} in two ways, one is {shown(tensor.name)}", ""
            )
        taken.add(place.name)


def _only_lora(section: Section) -> None:
    section.choice("peft_type", "LORA", ("LORA",))
    for key in _OTHER_SUMS:
        if section.take(key):
            section.unsupported_key(key, "is set")
    if section.take("init_lora_weights", True) not in _STARTS:
        section.unsupported_key("init_lora_weights", "makes PEFT change the base as well")
    bias = section.choice("bias", "none", ("none", "all", "lora_only"))
    if bias == "lora_only":
        section.unsupported_key("bias", "is lora_only")


class _Scaling:
    """What B A is multiplied by, for each module."""

    def __init__(self, section: Section) -> None:
        self._rank = section.whole("r", 8, _MOST_RANK)
        self._alpha = section.number("lora_alpha", 8, -_MOST_ALPHA, _MOST_ALPHA)
        self._stabilised = section.flag("use_rslora")
        self._ranks = _patterns(section, "rank_pattern")
        self._alphas = _patterns(section, "alpha_pattern")

    def of(self, module: str) -> float:
        """The factor of the module of that name; a pattern names the end of a path."""
        rank = _matched(self._ranks, module, self._rank)
        alpha = _matched(self._alphas, module, self._alpha)
        return alpha / (math.sqrt(rank) if self._stabilised else rank)


def _patterns(section: Section, key: str) -> dict[str, float]:
    """Numbers by the ends of names. A pattern that is more than an end of a name is `Unsupported`."""
    body = section.take(key) or {}
    if not isinstance(body, dict):
        section.wrong_key(key, "is not an object")
    found = {}
    for pattern, value in body.items():
        if type(value) not in (int, float) or not 0 < value <= _MOST_ALPHA:
            section.wrong_key(key, "holds something that is no positive number")
        found[ends(section, pattern, key)] = float(value)
    return found


def _matched(patterns: dict[str, float], module: str, usual: float) -> float:
    for pattern, value in patterns.items():
        if has_end(module, pattern):
            return value
    return usual


def _placing(base: ClipConfig) -> Placing:
    siglip = base.vision.trunk == ATTENTION_POOLED
    placing = transformers_siglip.place if siglip else transformers_clip.place

    def place(name: str) -> tuple[Place, ...]:
        found = placing(name)
        if (
            found == (Place(name),) and name != SCALE
        ):  # PEFT passes over it, and open_clip may have one of that name
            raise Unsupported(
                f"an adapter changes {shown(name)}, which no CLIP of transformers has", ""
            )
        return found

    return place


def _of_whole(name: str, placing: Placing, file: str) -> tuple[Place, ...]:
    saved = _SAVED_WHOLE.fullmatch(name)
    if saved is None:
        raise Unsupported(f"{file} holds {shown(name)}, which is no LoRA of a known kind", "")
    return placing(f"{saved[1]}.{saved[2]}")


def _changes(module: str, pair: Factors, placing: Placing, scale: float, file: str) -> list[Change]:
    if pair.keys() != {"A", "B"}:
        raise Unsupported(f"{file} holds one factor alone of the change of {shown(module)}", "")
    down, up = pair["A"], pair["B"]
    if len(down.shape) != 2 or len(up.shape) != 2 or down.shape[0] != up.shape[1]:
        raise Unsupported(
            f"{file}: the factors of {shown(module)} are not two matrices that fit", ""
        )
    if max(*down.shape, *up.shape) > bounds.MOST_VOCABULARY:
        raise Unsupported(f"{file}: the factors of {shown(module)} are too large", "")
    places = placing(f"{module}.weight")
    return [Change(place, down, up, scale) for place in places]
