"""Populations: what interface cards are measured on, fixed before any scoring, each with its manifest."""

from dife_scanner.audit.populations.captioned import Captioned
from dife_scanner.audit.populations.composed import bundled
from dife_scanner.audit.populations.labelled import Labelled, derived
from dife_scanner.audit.populations.manifest import of_split, rebuild, verify
from dife_scanner.audit.populations.own import read
from dife_scanner.audit.populations.pool import Pool, Query
from dife_scanner.core.budgets import CAPTION_LISTS, CAPTIONS, GENERATOR_GROUPS, KINDS, PROXY_GROUPS

__all__ = [
    "CAPTIONS",
    "CAPTION_LISTS",
    "GENERATOR_GROUPS",
    "KINDS",
    "PROXY_GROUPS",
    "Captioned",
    "Labelled",
    "Pool",
    "Query",
    "bundled",
    "derived",
    "of_split",
    "read",
    "rebuild",
    "verify",
]
