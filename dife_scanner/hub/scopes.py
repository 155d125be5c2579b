"""Which sources of a hub are read: all that may show a CLIP, or only what was made from the models in use. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dife_scanner.hub import listing
from dife_scanner.hub.listing import MalformedError
from dife_scanner.records import Scope, WatchedModel

BASES = (
    "openai/clip-vit-base-patch32",
    "openai/clip-vit-base-patch16",
    "openai/clip-vit-large-patch14",
    "openai/clip-vit-large-patch14-336",
    "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
    "laion/CLIP-ViT-L-14-laion2B-s32B-b82K",
    "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
    "google/siglip-base-patch16-224",
    "google/siglip-so400m-patch14-384",
    "google/siglip2-base-patch16-224",
)
"""What most fine-tunes and adapters are made from."""
SOURCES = (
    "filter=open_clip",
    "filter=clip",
    "filter=clip_vision_model",
    "filter=clip_text_model",
    "filter=siglip",
    "filter=siglip2",
    "filter=siglip_vision_model",
    "filter=chinese_clip",
    "filter=vision-text-dual-encoder",
    "pipeline_tag=zero-shot-image-classification",
    "filter=arxiv:2103.00020",
    *(f"filter=base_model:{base}" for base in BASES),
    "filter=base_model:adapter:openai/clip-vit-base-patch32",
    "filter=base_model:adapter:openai/clip-vit-large-patch14",
    "search=clip",
)
"""No single filter finds every CLIP; the union does as far as authors tag or name them so. What each brings stands in
`docs/watching.md`."""
MOST_BASES = 100
"""Sources of the scope of fine-tunes: each costs a request in every pass."""


def sources(
    scope: Scope, configured: Sequence[str], watched: Iterable[WatchedModel]
) -> tuple[str, ...]:
    """The sources to read. `configured` replaces the built-in ones in the scope of everything."""
    if scope is Scope.IN_USE:
        return ()
    if scope is Scope.FINE_TUNES:
        return tuple(f"filter=base_model:{name}" for name in bases(watched))
    return tuple(configured) or SOURCES


def bases(watched: Iterable[WatchedModel]) -> tuple[str, ...]:
    """The models in use and what their cards say they were made from, each once; `MOST_BASES` at most."""
    found: dict[str, None] = {}
    for one in watched:
        found[one.found_as or one.wanted.repo_id] = None
        found.update(dict.fromkeys(one.bases))
    return tuple(found)[:MOST_BASES]


def bases_of(tags: Iterable[str]) -> tuple[str, ...]:
    """The base models that the tags of a model name, as far as they are names of repositories."""
    found: dict[str, None] = {}
    for tag in tags:
        if not tag.startswith("base_model:"):
            continue
        try:
            found[listing.repo_id(tag.rsplit(":", 1)[-1])] = None
        except MalformedError:
            continue
    return tuple(found)
