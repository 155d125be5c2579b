"""Which modules of its base a PEFT adapter changes: factors of another module are in its file and never loaded.

The rules are those of peft 0.21 (`check_target_module_exists`, `get_pattern_key`). Standard library only: this runs in
the limited child.
"""

from __future__ import annotations

import re
from typing import Any

from dife_scanner.models.layouts.json_section import Section
from dife_scanner.models.strict_json import shown

_ALL = "all-linear"
_LAYER = re.compile(r".*\.layers\.(\d{1,4})\.")
_LONGEST_PATTERN = 1000
_PLAIN = re.compile(r"\w+(\.\w+)*")
"""A path of names; peft takes a pattern for a regular expression, whose dots stand for any character."""


class Targets:
    """The modules that an `adapter_config.json` names."""

    def __init__(self, section: Section) -> None:
        self._section = section
        self._wanted = _names(section, "target_modules")
        self._excluded = _names(section, "exclude_modules")
        layers = section.take("layers_to_transform")
        self._layers = [layers] if type(layers) is int else layers
        if self._layers == []:
            self._layers = None
        if section.take("layers_pattern") not in (None, [], "", "layers", ["layers"]):
            section.unsupported_key("layers_pattern", "is set")
        if self._layers is not None and not isinstance(self._layers, list):
            section.wrong_key("layers_to_transform", "is no list of numbers")

    def check(self, module: str) -> None:
        """Raise `Unsupported` where the factors of `module` would not be loaded."""
        if self._wanted is not None and not _is_named(module, self._wanted):
            self._not_loaded("target_modules", module)
        if self._excluded and _is_named(module, self._excluded):
            self._not_loaded("exclude_modules", module)
        if self._layers is not None:
            layer = _LAYER.match(module)
            if layer is None or int(layer[1]) not in self._layers:
                self._not_loaded("layers_to_transform", module)

    def _not_loaded(self, key: str, module: str) -> None:
        self._section.unsupported_key(
            key,
            f"leaves out {shown(module)}, of which the adapter holds factors: PEFT ignores them",
        )


def ends(section: Section, pattern: str, key: str) -> str:
    """A key of a pattern that is the end of a module's path. Raises `Unsupported` for any other expression."""
    if not _PLAIN.fullmatch(pattern):
        section.unsupported_key(key, f"holds the pattern {shown(pattern)}")
    return pattern


def has_end(module: str, pattern: str) -> bool:
    """Whether a pattern matches the end of a module's path, as in PEFT."""
    return re.match(rf"(.*\.)?({pattern})$", module) is not None


def _names(section: Section, key: str) -> list[str] | str | None:
    body: Any = section.take(key)
    if body is None:
        return None
    if isinstance(body, str):
        if len(body) > _LONGEST_PATTERN:
            section.unsupported_key(key, "is a long expression")
        try:
            re.compile(body)
        except (re.error, RecursionError, OverflowError):
            section.wrong_key(key, "is no regular expression")
        return body
    if not isinstance(body, list) or not all(isinstance(name, str) for name in body):
        section.wrong_key(key, "is no list of names")
    return body


def _is_named(module: str, names: list[str] | str) -> bool:
    if isinstance(names, str):
        return names.lower() == _ALL or re.fullmatch(names, module) is not None
    return any(module == name or module.endswith(f".{name}") for name in names)
