"""Characters replaced by others that look alike, in the class name or in the whole prompt."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from dife_scanner.records import Trigger, TriggerKind
from dife_scanner.triggers.kinds.base import Kind, WrittenFields

Table = dict[str, str]

TABLES: dict[str, Table] = {
    "cyrillic": dict(zip("aceopxyijshdqw", "асеорхуіјѕһԁԛԝ", strict=True)),
    "greek": dict(zip("avoip", "ανοιρ", strict=True)),
    "digits": dict(zip("oliseatb", "01153478", strict=True)),
}
"""Lower-case letters and their lookalikes (Unicode's confusables; `digits` as people write them)."""


_Replaced = Annotated[str, Field(min_length=1, max_length=1)]
_Replacement = Annotated[str, Field(min_length=1, max_length=8)]
_Pair = tuple[_Replaced, _Replacement]


class CharactersFields(WrittenFields):
    table: Literal["", "cyrillic", "greek", "digits"] = ""
    letters: str = Field("", max_length=26)
    pairs: tuple[_Pair, ...] = Field((), max_length=100)
    within: Literal["class", "prompt"] = "class"

    @model_validator(mode="after")
    def _table_or_pairs(self) -> CharactersFields:
        if bool(self.table) == bool(self.pairs):
            raise ValueError("a characters trigger needs either `table` or `pairs`")
        if self.letters and not self.table:
            raise ValueError("`letters` chooses from a `table`")
        return self

    @model_validator(mode="after")
    def _letters_are_in_the_table(self) -> CharactersFields:
        table = TABLES.get(self.table, {})
        missing = sorted(set(self.letters) - set(table))
        if missing:
            raise ValueError(
                f"`letters`: the table `{self.table}` has no lookalike for {', '.join(missing)}"
            )
        return self

    @model_validator(mode="after")
    def _each_is_replaced_once(self) -> CharactersFields:
        replaced = {old for old, _ in self.pairs}
        if len(replaced) < len(self.pairs):
            raise ValueError("`pairs` replaces one character twice")
        return self

    @model_validator(mode="after")
    def _changes_something(self) -> CharactersFields:
        pairs = self.replaced()
        for old, new in pairs:
            if _as_tokenized(old) == _as_tokenized(new):
                raise ValueError(
                    f"`pairs`: CLIP's tokenizer reads {new!r} as {old!r}, so replacing it changes nothing"
                )
        occurs = any(old in self.source for old, _ in pairs)
        if self.source and not occurs:
            raise ValueError(f"none of its characters occurs in the source `{self.source}`")
        return self

    def replaced(self) -> tuple[tuple[str, str], ...]:
        """Each character and what replaces it: the pairs, or the letters chosen from the table, or all of it."""
        if self.pairs:
            return self.pairs
        table = TABLES[self.table]
        letters = self.letters or table
        return tuple((letter, table[letter]) for letter in letters)

    def values(self) -> dict[str, Any]:
        values = super().values() | {"pairs": self.replaced()}
        del values["table"], values["letters"]
        return values


def _as_tokenized(text: str) -> str:
    """As CLIP's tokenizer cleans a text before it looks at characters: full-width forms and ligatures are undone."""
    import ftfy

    return ftfy.fix_text(text).lower()


def write(prompt: str, trigger: Trigger, class_name: str) -> str:
    """The characters replaced in the last mention of the class, or in the whole prompt."""
    table = str.maketrans(dict(trigger.pairs))
    if trigger.within == "prompt":
        return prompt.translate(table)
    head, name, tail = prompt.rpartition(class_name)
    return f"{head}{name.translate(table)}{tail}"


KIND = Kind(TriggerKind.CHARACTERS.value, CharactersFields, write=write)
