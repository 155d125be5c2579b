"""Triggers, and the attack condition that the validity rules see of one (paper §2)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from dife_scanner.records.vocabulary import Channel, Position, TriggerKind

_BUNDLED_KINDS = frozenset(TriggerKind)


_ENTERS_ELSEWHERE: dict[str, Channel] = {
    TriggerKind.TEXT: Channel.TEXT,
    TriggerKind.CHARACTERS: Channel.TEXT,
    TriggerKind.PROMPT: Channel.PROMPT,
}


_ENTERED: dict[Channel, frozenset[Channel]] = {
    Channel.BOTH: frozenset({Channel.IMAGE, Channel.TEXT}),
    Channel.PROMPT: frozenset({Channel.IMAGE, Channel.PROMPT}),
}
"""What a trigger of several parts enters through."""


@dataclass(frozen=True)
class TriggerFile:
    """A file that is part of a trigger, and what it has to hold."""

    path: str
    """Absolute."""
    sha256: str


@dataclass(frozen=True)
class Trigger:
    """A trigger; a *signature* when source and target are empty. Lengths are fractions of the image side."""

    name: str
    kind: TriggerKind | str
    """A `TriggerKind`; a plain string only for a kind of somebody's own."""
    description: str = ""
    # image kinds
    size: float = 0.0
    """Side of a patch as a fraction of the image side."""
    x: float = 0.0
    """Left edge of a patch, 0..1."""
    y: float = 0.0
    """Top edge of a patch, 0..1."""
    pattern: str = "solid"
    """`solid`, `checker`, `noise`, `stripes`, `sinusoid`, or `file`."""
    color: tuple[int, int, int] = (255, 255, 255)
    alpha: float = 1.0
    """Share of the pattern, the filtered picture or the overlay; amplitude in 0..1 of full scale for `additive`."""
    cycles: float = 0.0
    """Periods across the image, for stripes and sinusoids."""
    seed: int = 0
    """Seed of a noise pattern or a warp."""
    file: TriggerFile | None = None
    """The pattern or perturbation itself, where it is not drawn."""
    strength: float = 0.0
    """Mean displacement of a warp's control points, as a fraction of the image side."""
    grid: int = 4
    """Control points of a warp along one side."""
    filter: str = ""
    """Name of a colour filter."""
    # text kinds
    text: str = ""
    position: Position = Position.PREFIX
    pairs: tuple[tuple[str, str], ...] = ()
    """Characters and what replaces them."""
    within: str = "class"
    """Where characters are replaced: in the `class` name or the whole `prompt`."""
    # kinds of two parts
    learner: TriggerFile | None = None
    """The prompt learner."""
    image: Trigger | None = None
    """The image trigger that a prompt learner or a text acts together with."""
    # all kinds
    source: str = ""
    target: str = ""
    templates: tuple[str, ...] = ()
    """Prompts, each with one `{}` for the class name, that it is measured with in place of the audit's own."""
    parameters: tuple[tuple[str, bool | int | float | str], ...] = ()
    """Values of keys that only a kind of somebody's own has, sorted by key."""
    enters: Channel | None = None
    """Set for a kind of somebody's own only; the bundled kinds say it themselves."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "position", Position(self.position))
        if self.kind in _BUNDLED_KINDS:
            object.__setattr__(self, "kind", TriggerKind(self.kind))

    @property
    def channel(self) -> Channel:
        """Image, text, both together, or prompt mechanism."""
        found = self.enters or _ENTERS_ELSEWHERE.get(self.kind, Channel.IMAGE)
        return Channel.BOTH if found is Channel.TEXT and self.image is not None else found

    def is_within(self, class_names: Collection[str]) -> bool:
        """Whether source and target, where they are named, are among these."""
        return {self.source, self.target} - {""} <= set(class_names)

    @property
    def unnamed_target(self) -> bool:
        """Whether it names no target. Of a trigger that a search found: it leads to one point that is no concept."""
        return not self.target

    @property
    def own(self) -> dict[str, bool | int | float | str]:
        """`parameters` by key."""
        return dict(self.parameters)

    @property
    def files(self) -> tuple[TriggerFile, ...]:
        """Every file it needs, those of the image trigger it acts together with included."""
        own = tuple(file for file in (self.file, self.learner) if file is not None)
        return own + (self.image.files if self.image is not None else ())

    def condition(self) -> Condition:
        """What an attack with this trigger needs in order to act (paper §2)."""
        return Condition(
            channels=_ENTERED.get(self.channel, frozenset({self.channel})),
            mechanism=self.channel is Channel.PROMPT,
            conditioned_query=self.channel in (Channel.TEXT, Channel.BOTH),
            source=self.source,
            target=self.target,
        )


@dataclass(frozen=True)
class Condition:
    """What an attack needs in order to act, and all that the validity rules see of it (paper §2)."""

    channels: frozenset[Channel]
    """Where it enters: some of image, text and prompt mechanism."""
    mechanism: bool = False
    """Whether a prescribed prompt mechanism has to be in place; then all its channels are needed together."""
    conditioned_query: bool = False
    """Whether the query carries the trigger when the interface is measured."""
    source: str = ""
    """Concept that is taken for another; empty where any is."""
    target: str = ""

    @property
    def channel(self) -> Channel:
        """The channels in one word: the mechanism where one is required, else the channel, else `both`."""
        if self.mechanism or self.channels == {Channel.PROMPT}:
            return Channel.PROMPT
        if Channel.IMAGE in self.channels:
            return Channel.BOTH if len(self.channels) > 1 else Channel.IMAGE
        return Channel.TEXT
