"""What a repository says that it was made from. Pure; nothing of it is verified here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from dife_scanner.records import BaseClaim

CARD = "card"
MOST_CLAIMS = 20
"""Of one repository; an honest merge names a handful."""

_RELATIONS = ("finetune", "adapter", "quantized", "merge")
"""Of a model to its base, as the hub's tags name them."""
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_FOLDERS = re.compile(
    r"(check|ck)points?|ckpts?|content|data|drive|experiments?|home|kaggle|mnt|models?|opt|out|outputs?|pretrained|"
    r"results?|root|runs?|saved?|saved_models?|tmp|trained|users|weights|work|workspace",
    re.IGNORECASE,
)
"""First parts of paths that training scripts leave in configurations: no owner on a hub is meant."""


def base_claim(tags: Iterable[str]) -> str:
    """What the card says the model was made from, e.g. `openai/clip-vit-base-patch32 (finetune)`; not verified.

    The hub makes two tags of it, `base_model:NAME` and `base_model:RELATION:NAME`, in any order.
    """
    claims: list[str] = []
    for base, relation in _on_card(tags).items():
        claims.append(f"{base} ({relation})" if relation else base)
    return ", ".join(claims)


def base_claims(
    repo_id: str, tags: Iterable[str], configurations: Mapping[str, Mapping[str, Any]]
) -> tuple[BaseClaim, ...]:
    """Every base that is named, the card's first; `configurations` by path, an adapter's before the others.

    A path on somebody's disk, a name that no hub would accept and the repository itself are left out.
    """
    found: list[BaseClaim] = []
    for name, relation in _on_card(tags).items():
        found.append(BaseClaim(name, relation, CARD))
    for path, body in configurations.items():
        adapter = body.get("base_model_name_or_path")
        if isinstance(adapter, str):
            found.append(BaseClaim(adapter, "adapter", path))
        made_from = body.get("_name_or_path")
        if isinstance(made_from, str):
            found.append(BaseClaim(made_from, "", path))
    named = [claim for claim in dict.fromkeys(found) if is_hub_name(claim.name)]
    return tuple(claim for claim in named if claim.name != repo_id)[:MOST_CLAIMS]


def is_hub_name(name: str) -> bool:
    """Whether a stranger's string can be the name of a repository, and is no path on a disk."""
    if not _NAME.fullmatch(name) or ".." in name:
        return False
    return not _FOLDERS.fullmatch(name.partition("/")[0])


def _on_card(tags: Iterable[str]) -> dict[str, str]:
    """The relation to each base that the tags name, empty where they say none."""
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
