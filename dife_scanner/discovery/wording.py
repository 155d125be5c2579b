"""Token sequences in prompts: where they are put, and which of them a person can read and type."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from dife_scanner.records import Position

if TYPE_CHECKING:
    from dife_scanner.discovery.interface import Task
    from dife_scanner.models.tokenizers import Tokenizer

Ids = tuple[int, ...]
"""Token ids of a text, without start and end."""
POSITIONS = (Position.PREFIX, Position.INFIX, Position.SUFFIX)
"""Places of a text in a prompt: before it, before its class name, behind it."""
AROUND = Position.AROUND
"""Before and behind the prompt, twice in all."""
LONGEST_TRIGGER = 4
"""Most tokens of a trigger text."""


@dataclass(frozen=True)
class Wording:
    """A token sequence at a place in the prompt of one class."""

    ids: Ids
    position: Position
    source: int
    """Number of the class whose prompt it is put in."""


def at_place(
    sequences: Iterable[Ids],
    position: Position,
    source: int,
) -> list[Wording]:
    """Each of these sequences at one place in the prompt of one class."""
    return [Wording(ids, position, source) for ids in sequences]


@dataclass(frozen=True)
class Prompts:
    """Templates and class names as token ids; both are named by their number."""

    templates: tuple[str, ...]
    class_names: tuple[str, ...]
    tokenizer: Tokenizer = field(compare=False, repr=False)

    @classmethod
    def of(cls, task: Task) -> Prompts:
        """Those that a task is searched with."""
        return cls(task.templates, task.class_names, task.tokenizer)

    def plain(self, template: int, source: int) -> Ids:
        """Ids of a class's prompt without any trigger."""
        return self.tokenizer.encode(self.templates[template].format(self.class_names[source]))

    def written(self, wording: Wording, template: int) -> Ids:
        """Ids of the prompt with the wording in it, as `triggers.stamp.write` places a text trigger."""
        prompt = self.plain(template, wording.source)
        ids = wording.ids
        if wording.position == AROUND:
            return ids + prompt + ids
        (start,) = self.starts(wording, template)
        return prompt[:start] + ids + prompt[start:]

    def starts(self, wording: Wording, template: int) -> tuple[int, ...]:
        """At which tokens of the written prompt the wording begins: one place, or two if it stands around."""
        if wording.position == Position.PREFIX:
            return (0,)
        if wording.position == Position.INFIX:
            before_class_name = self.templates[template].partition("{}")[0]
            return (len(self.tokenizer.encode(before_class_name)),)
        length = len(self.plain(template, wording.source))
        if wording.position == Position.SUFFIX:
            return (length,)
        return (0, len(wording.ids) + length)

    def room(self, task: Task) -> int:
        """Tokens that the suspect reads besides the longest prompt."""
        return task.suspect.context_length - self.tokenizer.around - self.longest

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest prompt, without start and end."""
        longest = 0
        for template in range(len(self.templates)):
            for source in range(len(self.class_names)):
                longest = max(longest, len(self.plain(template, source)))
        return longest


def too_long_prompts(task: Task) -> str:
    """Why no string can be searched for in these prompts, in words; empty where one can."""
    longest = task.tokenizer.around + Prompts.of(task).longest
    most = task.suspect.context_length
    if longest < most:
        return ""
    return f"the longest class prompt has {longest} tokens and the model reads {most}: there is no room for a text"


def unique(sequences: Iterable[Ids]) -> list[Ids]:
    """Each sequence once, where it came first."""
    return list(dict.fromkeys(sequences))


def class_name_tokens(task: Task) -> frozenset[int]:
    """Every token that some class's name is written with."""
    tokens: set[int] = set()
    for name in task.class_names:
        tokens.update(task.tokenizer.encode(name))
    return frozenset(tokens)
