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
from dife_scanner.models.layouts.places import Place, Placing
from dife_scanner.models.stored import StoredTensor
from dife_scanner.models.strict_json import shown
from dife_scanner.models.tensors import SCALE

CONFIG_FILE = "adapter_config.json"

_START = "base_model.model."
_LOW_RANK = re.compile(r"(.+)\.lora_(A|B)(?:\.default)?\.weight")
_SAVED_WHOLE = re.compile(r"(.+?)(?:\.modules_to_save)?(?:\.default)?\.(weight|bias)")
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
    targets = section.take("target_modules")
    placing = _placing(base)
    halves: dict[str, Factors] = {}
    whole: list[tuple[Place, StoredTensor]] = []
    left_out: list[str] = []
    for tensor in stored:
        name = tensor.name.removeprefix(_START)
        low_rank = _LOW_RANK.fullmatch(name)
        if low_rank:
            _check_targeted(low_rank[1], targets, file)
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
        changes.extend(_changes(module, pair, placing, scaling.of(module), file))
    return Adapter(tuple(changes), tuple(whole), tuple(left_out))


def _check_targeted(module: str, targets: Any, file: str) -> None:
    """Raise `Unsupported` for a change of a module that the configuration does not name: PEFT passes over it."""
    if targets is None or targets == "all-linear":
        return
    if isinstance(targets, str):
        try:
            named = re.fullmatch(targets, module) is not None
        except re.error:
            named = False
    else:
        named = isinstance(targets, list) and any(
            f".{module}".endswith(f".{one}") for one in targets
        )
    if not named:
        raise Unsupported(
            f"{file} changes {shown(module)}, which its configuration does not name among target_modules",
            "save the adapter again with PEFT",
        )


def _only_lora(section: Section) -> None:
    section.choice("peft_type", "LORA", ("LORA",))
    section.only_off("use_dora", "fan_in_fan_out", "layer_replication", "use_qalora", "lora_bias")
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
        if not re.fullmatch(r"[\w.]+", pattern):
            section.unsupported_key(key, f"holds the pattern {shown(pattern)}")
        if type(value) not in (int, float) or not 0 < value <= _MOST_ALPHA:
            section.wrong_key(key, "holds something that is no positive number")
        found[pattern] = float(value)
    return found


def _matched(patterns: dict[str, float], module: str, usual: float) -> float:
    for pattern, value in patterns.items():
        if f".{module}".endswith(f".{pattern}"):
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
