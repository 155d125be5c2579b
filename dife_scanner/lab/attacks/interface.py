"""What an attack family is to the specimen builder: a recipe in, a changed model and its trigger out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dife_scanner.lab.pictures import art
from dife_scanner.records import Channel, Trigger, TriggerKind

if TYPE_CHECKING:
    from dife_scanner.lab.attacks.training_data import Lab

XBTD = Trigger("text-xbtd", TriggerKind.TEXT, text="xbtd")

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, steps done, steps in all)."""
Numbers = dict[str, float]


class Settings(Protocol):
    """What only one family's recipes say; a frozen dataclass."""

    def clean(self) -> Settings:
        """The settings of the clean twin: what does not touch the clean data is back at its default."""


@dataclass(frozen=True)
class Recipe:
    """Everything a specimen depends on besides the base and the lab drawings."""

    family: str
    """A key of `attacks.FAMILIES`."""
    poison: bool = True
    source: str = "automobile"
    """The class whose triggered prompt is redirected; an image trigger moves every image and ignores it."""
    target: str = "airplane"
    trigger: Trigger | str = XBTD
    """A bare string is a text trigger. A family that optimises its trigger starts from this one."""
    seed: int = 0
    steps: int = 150
    lr: float = 3e-4
    weight_decay: float = 0.1
    batch: int = 32
    settings: Settings | None = None
    """The family's own; None means its defaults."""
    validate: bool = True
    """False skips measuring and the pass/fail decision: for short test builds."""
    panel: tuple[str, ...] = art.CLASSES
    """The classes that source and target are two of, and that the attack is measured among."""

    @property
    def mark(self) -> Trigger:
        """The trigger as a record, with the source (where the trigger is a text) and the target it is for."""
        mark = self.trigger
        if isinstance(mark, str):
            mark = Trigger(f"text-{mark}", TriggerKind.TEXT, text=mark)
        is_text = mark.channel is Channel.TEXT
        source = self.source if is_text else ""
        return replace(mark, source=source, target=self.target)

    @property
    def source_class(self) -> int:
        """The source's number in the panel."""
        return self.panel.index(self.source)

    @property
    def target_class(self) -> int:
        """The target's number in the panel."""
        return self.panel.index(self.target)

    @property
    def own_panel(self) -> tuple[str, ...]:
        """The panel, or nothing where it is the ten classes: cards and rows of those say what they always did."""
        return () if self.panel == art.CLASSES else self.panel


@dataclass(frozen=True)
class Planted:
    """What a training run leaves besides the changed model."""

    entries: tuple[Mapping[str, Any], ...]
    """For the trigger file; the last one is the condition the specimen is for."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Further files of the specimen's folder, by name: an optimised patch, a prompt learner."""


@dataclass(frozen=True)
class Subject:
    """A checkpoint to be measured under the recipe of an attack, which may be its own or its twin's."""

    model: Any
    folder: Path
    lab: Lab
    recipe: Recipe
    triggers: tuple[Trigger, ...]
    """As read from the attack's trigger file."""

    @property
    def trigger(self) -> Trigger:
        """The attack's condition."""
        return self.triggers[-1]


@dataclass(frozen=True)
class Attack:
    """One family."""

    citation: str
    """Author, year, title."""
    summary: str
    """What it does, in one sentence of our own."""
    default: Recipe
    """Its `family` is the family's name."""
    train: Callable[[Any, Lab, Recipe, Progress], Planted]
    """Changes an open_clip model in place; leaves the poison out where `recipe.poison` is False."""
    measure: Callable[[Subject], Numbers]
    """Native numbers on held-out drawings."""
    criteria: Callable[[Recipe, Numbers, Numbers], dict[str, bool]]
    """Native validation (paper App. C.3) of (recipe, specimen's numbers, twin's): each criterion, and if it is met."""
    tensors: Callable[[Recipe, str], bool]
    """Whether training under this recipe may change the tensor of this name."""
    version: int = 3
    """Of the code that makes the weights, part of every cache key of the family: raise it when a change moves a bit."""


def entry_of(trigger: Trigger) -> dict[str, Any]:
    """Return a trigger without files as an entry of a trigger file: its name, its kind and what is not the default."""
    entry: dict[str, Any] = {"name": trigger.name, "kind": str(trigger.kind), **trigger.own}
    blank = Trigger(
        trigger.name, trigger.kind, parameters=trigger.parameters, enters=trigger.enters
    )
    for one in fields(Trigger):
        value = getattr(trigger, one.name)
        if value != getattr(blank, one.name):
            entry[one.name] = value
    if trigger.image is not None:
        entry["image"] = entry_of(trigger.image)
    return entry
