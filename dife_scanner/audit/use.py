"""How a deployment asks a checkpoint, in place of the audit's own way: its classes, prompts, queries and K."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np

from dife_scanner.audit.probes import Probes, Split

_PLACE = "{}"


@dataclass(frozen=True)
class Use:
    """How a deployment asks. Empty parts are the audit's own."""

    classes: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    """Prompts with one `{}` for the class name."""
    queries: tuple[str, ...] = ()
    """Texts to look for pictures with, with `{}` where they name what the trigger is about."""
    k: int = 1
    """How many results of a retrieval are looked at."""

    @property
    def query_templates(self) -> tuple[str, ...]:
        """What retrievals are asked with: the queries, and the prompts beside them."""
        return tuple(dict.fromkeys((*self.queries, *self.templates)))


THE_AUDIT = Use()
"""Everything as audits ask."""


def query_templates(queries: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """The queries that name one of `names` as a word of its own, each with `{}` in the place of that name.

    Of a query that names none of them no picture is known to be the right answer or the trigger's.

    >>> query_templates(["a red shoe, worn", "a hat"], ["shoe"])
    ('a red {}, worn',)
    """
    found = []
    for query in queries:
        for name in names:
            pattern = rf"\b{re.escape(name)}\b"
            template, count = re.subn(pattern, _PLACE, query, count=1, flags=re.IGNORECASE)
            if name and count:
                found.append(template)
                break
    return tuple(dict.fromkeys(found))


def of_classes(labelled: Probes, class_names: Sequence[str]) -> Probes:
    """The labelled pictures of these classes, some of which may have none."""
    names = tuple(class_names)
    splits = {name: _of_classes(split, labelled, names) for name, split in labelled.splits.items()}
    digest = sha256("\x1f".join((labelled.digest, *names)).encode()).hexdigest()
    return replace(
        labelled,
        version=f"panel {labelled.version}",
        digest=digest,
        class_names=names,
        splits=splits,
    )


def _of_classes(own: Split, labelled: Probes, class_names: tuple[str, ...]) -> Split:
    """A split's pictures of these classes."""
    kept = []
    for row, label in enumerate(own.labels):
        if labelled.class_names[label] in class_names:
            kept.append(row)
    labels = [class_names.index(labelled.class_names[own.labels[row]]) for row in kept]
    return Split(
        name=own.name,
        images=own.images[kept],
        labels=np.array(labels, dtype=np.int64),
        drawings=tuple(own.drawings[row] for row in kept),
        items=tuple(own.items[row] for row in kept) if own.items else (),
        styles=tuple(own.styles[row] for row in kept) if own.styles else (),
    )
