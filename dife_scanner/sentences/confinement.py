"""What children are kept from on this system, in words."""

from __future__ import annotations

from collections.abc import Iterable

from dife_scanner.confinement import Confinement, Forbidden


def confinement_text(found: Confinement, wanted: Iterable[Forbidden]) -> str:
    """What is forbidden and by which means, then what nothing here enforces: `no network, no writes (seccomp)`."""
    by_means: dict[str, list[str]] = {}
    for what in Forbidden:
        if what in found.means:
            by_means.setdefault(found.means[what].value, []).append(f"no {what.value}")
    parts = [f"{', '.join(words)} ({means})" for means, words in by_means.items()]
    missing = [what.value for what in Forbidden if what in wanted and what not in found.means]
    if missing:
        parts.append(f"not enforced here: {', '.join(missing)}")
    return "; ".join(parts)
