"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Budget(StrEnum):
    """How much an audit may spend; the words of `records.Budget`, here so that `--help` loads nothing else."""

    QUICK = "quick"
    DEFAULT = "default"
    DEEP = "deep"


class Scope(StrEnum):
    """How much of a hub is watched; the words of `records.Scope`, here for the same reason."""

    IN_USE = "in-use"
    FINE_TUNES = "fine-tunes"
    EVERYTHING = "everything"


BudgetOption = Annotated[
    Budget | None,
    typer.Option(help="How much to search and to measure; what the settings say otherwise."),
]
LimitOption = Annotated[
    int | None,
    typer.Option(
        "--limit",
        metavar="N",
        min=0,
        help="List so many at most, the newest; 0 for all. 500 without it, and all with --json.",
        show_default=False,
    ),
]
ActorOption = Annotated[
    str, typer.Option(help="Who does so; the setting `actor`, or else the login name.")
]
EndpointOption = Annotated[
    str | None, typer.Option(help="The hub's address; huggingface.co by default.")
]
TriggersOption = Annotated[
    list[Path] | None, typer.Option(help="Trigger file (docs/triggers.md); repeatable.")
]
ExtendOption = Annotated[
    list[Path] | None,
    typer.Option(
        help="Python file of your own with a trigger kind or an interface (docs/extending.md); repeatable."
    ),
]
MinutesOption = Annotated[
    float | None,
    typer.Option(
        metavar="M",
        help="Minutes granted to each checkpoint: the searches that fit run (docs/any-time.md).",
    ),
]
AllOption = Annotated[
    bool,
    typer.Option(
        "--all",
        help="Make every search: go on through a channel of which a trigger is demonstrated already.",
    ),
]
PicturesOption = Annotated[
    str,
    typer.Option(
        help="Labelled pictures of your own: a folder, CIFAR-10, parquet, or a data set id."
    ),
]
CaptionsOption = Annotated[
    str,
    typer.Option(help="Captioned pictures of your own: COCO captions, parquet, or a data set id."),
]
