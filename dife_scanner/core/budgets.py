"""What each budget buys in measurements, in one table. What it buys in searches stands in `discovery.effort`."""

from __future__ import annotations

from dataclasses import dataclass

from dife_scanner.records import Budget

CAPTIONS = "captions"
CAPTION_LISTS = "caption lists"
PROXY_GROUPS = "proxy groups"
GENERATOR_GROUPS = "generator groups"
KINDS = (CAPTIONS, CAPTION_LISTS, PROXY_GROUPS, GENERATOR_GROUPS)
"""Kinds of pool (paper §3)."""


@dataclass(frozen=True)
class Sizes:
    """How many pictures and queries the pools of a budget have."""

    pictures: int
    targets: int
    """Pictures that show the target."""
    sources: int
    """Pictures that show the source; at least as many as there are queries."""
    counts: dict[str, int]
    """Kind -> queries (kind `captions`), lists or groups."""


@dataclass(frozen=True)
class Measuring:
    """The numbers of one budget."""

    views: int
    """Most pictures used per bundled drawing."""
    per_class: tuple[int, int, int]
    """Most pictures of one's own per class in train, diagnosis and test."""
    pools: Sizes


MEASURING = {
    Budget.QUICK: Measuring(
        views=1,
        per_class=(8, 8, 16),
        pools=Sizes(
            pictures=200,
            targets=20,
            sources=30,
            counts={CAPTIONS: 20, CAPTION_LISTS: 30, PROXY_GROUPS: 30, GENERATOR_GROUPS: 30},
        ),
    ),
    Budget.DEFAULT: Measuring(
        views=2,
        per_class=(16, 16, 40),
        pools=Sizes(
            pictures=400,
            targets=40,
            sources=60,
            counts={CAPTIONS: 40, CAPTION_LISTS: 60, PROXY_GROUPS: 60, GENERATOR_GROUPS: 60},
        ),
    ),
    Budget.DEEP: Measuring(
        views=64,
        per_class=(100, 100, 1000),
        pools=Sizes(
            pictures=5000,
            targets=250,
            sources=625,
            counts={CAPTIONS: 200, CAPTION_LISTS: 200, PROXY_GROUPS: 1005, GENERATOR_GROUPS: 500},
        ),
    ),
}
"""`deep` has the paper's sizes (§3), and of one's own pictures CIFAR-10's whole test set, as in the paper."""
