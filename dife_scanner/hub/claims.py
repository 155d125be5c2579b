"""What a repository says it was made from: its card, its adapter, its configuration. Pure, and none of it verified."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from dife_scanner.core.plain import plain
from dife_scanner.hub.architecture import json_object

ADAPTER = "adapter_config.json"
CONFIGURATION = "config.json"
MOST_CLAIMS = 8
"""Of one repository; a merge of more models has no one base."""

_RELATIONS = frozenset({"finetune", "adapter", "quantized", "merge"})
"""Of a model to its base, as the hub's tags name them."""
_NAME = re.compile(r"[\w][\w.-]{0,95}/[\w][\w.-]{0,95}")
_LONGEST = 200


def base_claim(tags: Iterable[str], small: Mapping[str, bytes] | None = None) -> str:
    """Every base that a repository names, e.g. `openai/clip-vit-base-patch32 (finetune)`, the surest first.

    `small` are its small files by path. What an adapter or a configuration names is followed by the name of that file
    where the card does not say it too.
    """
    claims = _of_card(tags)
    for name, where in _of_files(small or {}):
        claims.setdefault(name, where)
    words = []
    for name, relation in list(claims.items())[:MOST_CLAIMS]:
        words.append(f"{name} ({relation})" if relation else name)
    return plain(", ".join(words), _LONGEST * MOST_CLAIMS)


def parsed(base_claim: str) -> list[tuple[str, str]]:
    """The claims of `base_claim` as (name, relation or file).

    >>> parsed("openai/clip-vit-base-patch32 (finetune), a/b")
    [('openai/clip-vit-base-patch32', 'finetune'), ('a/b', '')]
    """
    found = []
    for claim in base_claim.split(", "):
        name, _, relation = claim.partition(" (")
        if name.strip():
            found.append((name.strip(), relation.removesuffix(")")))
    return found


def _of_card(tags: Iterable[str]) -> dict[str, str]:
    """The relation to each base of the card, by name.

    The hub makes two tags of one, `base_model:NAME` and `base_model:RELATION:NAME`, in any order.
    """
    relations: dict[str, str] = {}
    for tag in tags:
        if not tag.startswith("base_model:"):
            continue
        named = tag.removeprefix("base_model:")
        first, _, rest = named.partition(":")
        if first in _RELATIONS and rest:
            relations[rest] = first
        else:
            relations.setdefault(named if rest else first, "")
    return relations


def _of_files(small: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """Bases that an adapter's configuration and then any other configuration names; paths on a disk are none."""
    found: list[tuple[Any, str]] = []
    for path, raw in sorted(small.items()):
        if path.rpartition("/")[2] == ADAPTER:
            found.append((json_object(raw).get("base_model_name_or_path"), ADAPTER))
    for path, raw in sorted(small.items()):
        if path.rpartition("/")[2] == CONFIGURATION:
            found += [(name, CONFIGURATION) for name in _names_in(json_object(raw))]
    return [(str(name), where) for name, where in found if _is_repository(name)]


def _names_in(config: Mapping[str, Any]) -> list[Any]:
    """`_name_or_path` of a transformers configuration, else that of the section of one of its towers."""
    named = [config.get("_name_or_path")]
    for section in ("vision_config", "text_config"):
        tower = config.get(section)
        if isinstance(tower, dict):
            named.append(tower.get("_name_or_path"))
    return [name for name in named if name]


def _is_repository(name: object) -> bool:
    return isinstance(name, str) and bool(_NAME.fullmatch(name))
