"""The command that builds models of a real checkpoint's size: lab grow."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dife_scanner.cli.session import Session, command

if TYPE_CHECKING:
    from dife_scanner.lab.grown.tuning import Plan


class Kind(StrEnum):
    """Bundled bases that can be grown."""

    VIT = "vit"


def register(lab: typer.Typer) -> None:
    command(lab, "grow")(grow)


def grow(
    session: Session,
    kind: Annotated[Kind, typer.Argument(help="The bundled base that models are grown from.")],
    out: Annotated[
        Path, typer.Option(help="Folder for the models; a second run goes on from there.")
    ],
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only the model of this name, such as `base`; may be given again."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Steps of tuning the image tower for larger pictures."),
    ] = None,
    pictures: Annotated[
        int | None,
        typer.Option(min=20, help="Held-out pictures that each model is measured on."),
    ] = None,
) -> None:
    """Grow models to a ViT-B/32's size: a base, two attacks, two benign fine-tunes. See docs/grown.md."""
    from rich.text import Text

    from dife_scanner.lab.grown import making
    from dife_scanner.reports import as_json

    with session.progress() as progress:
        wanted = making.Making(
            kind=kind.value,
            out=out.expanduser().absolute(),
            plan=_plan(steps),
            pictures=pictures or making.PICTURES,
            progress=progress,
        )
        made = making.make(wanted, only or making.MODELS)
    found = {name: str(path) for name, path in made.items()}
    lines = [f"{name}: {path}" for name, path in found.items()]
    session.show(as_json.DoneDocument("grown", found), lambda: Text("\n".join(lines)))


def _plan(steps: int | None) -> Plan:
    """Return the plan of tuning, with other steps where some are given."""
    from dife_scanner.lab.grown import tuning

    plan = tuning.Plan()
    return plan if steps is None else replace(plan, steps=steps)
