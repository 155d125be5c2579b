"""What is asked of a listing: which models, in which order, with what of each."""

from __future__ import annotations

from dife_scanner.errors import UsageError

EXPAND = (
    "sha",
    "lastModified",
    "createdAt",
    "author",
    "tags",
    "siblings",
    "gated",
    "disabled",
    "private",
    "library_name",
    "pipeline_tag",
    "cardData",
    "downloads",
)
"""What a listing item has to say; without asking, the hub leaves out commit, date and files."""
PAGE_SIZE = 500
"""Models. The hub gives up to about 1,000, but large pages with many fields have been seen to end in a 504."""

_SOURCE_KEYS = frozenset({"filter", "search", "author", "pipeline_tag"})


def listing_params(source: str) -> list[tuple[str, str]]:
    """The query of a listing: newest change first, with what a record needs."""
    params = parse_source(source)
    params.append(("sort", "lastModified"))
    params.append(("limit", str(PAGE_SIZE)))
    for name in EXPAND:
        params.append(("expand", name))
    return params


def parse_source(source: str) -> list[tuple[str, str]]:
    """`filter=open_clip&author=me` as query parameters. Raises `UsageError` for anything else."""
    params: list[tuple[str, str]] = []
    for part in source.split("&"):
        key, _, value = part.partition("=")
        if key not in _SOURCE_KEYS or not value:
            raise UsageError(
                f"hub filter {source!r} is not understood",
                f"write key=value with one of {', '.join(sorted(_SOURCE_KEYS))}, several joined by &",
            )
        params.append((key, value))
    return params
