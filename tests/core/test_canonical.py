"""A record's canonical text: a field that comes later changes nothing, and no two records share one."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, make_dataclass, replace
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dife_scanner.core import canonical, frozen_repr
from dife_scanner.core.frozen_repr import RecordForm


class Colour(StrEnum):
    RED = "red"
    BLUE = "dark blue"


class Level(Enum):
    LOW = 1


class Other(IntEnum):
    LOW = 1


@dataclass(frozen=True)
class Inner:
    a: int = 0
    b: str = ""


@dataclass(frozen=True)
class Twin:
    a: int = 0
    b: str = ""


@dataclass(frozen=True)
class Record:
    name: str
    colour: Colour | str = Colour.RED
    size: float = 0.5
    inner: Inner | Twin | None = None
    many: tuple[Any, ...] = ()
    held: frozenset[str] = frozenset()
    path: Path | str | None = None
    counts: dict[str, int] = field(default_factory=dict)
    level: Any = None


texts = st.text(max_size=6)
inner = st.builds(Inner, st.integers(), texts) | st.builds(Twin, st.integers(), texts)
records = st.builds(
    Record,
    name=texts,
    colour=st.sampled_from(Colour) | texts,
    size=st.floats(allow_nan=False, allow_infinity=False),
    inner=st.none() | inner,
    many=st.lists(st.booleans() | st.integers() | texts | inner | st.tuples(texts), max_size=3).map(
        tuple
    ),
    held=st.frozensets(texts, max_size=3),
    path=st.none() | texts | texts.map(Path),
    counts=st.dictionaries(texts, st.integers(), max_size=3),
    level=st.sampled_from(
        [None, 1, Level.LOW, Other.LOW, "path", ("x",), frozenset({"x"}), {"x": 1}]
    ),
)


def extended(record: Record) -> Any:
    """The same record after its class got one more field with a default, in front of the others."""
    now = [(one.name, one.type, one) for one in fields(record)]
    kind = make_dataclass("Record", [*now, ("added", int, 7)], frozen=True)
    return kind(**{one.name: getattr(record, one.name) for one in fields(record)})


@given(records)
def test_a_field_that_is_added_with_a_default_changes_no_text(record):
    longer = extended(record)
    assert canonical.text(longer) == canonical.text(record)
    assert canonical.text(replace(longer, added=8)) != canonical.text(record)


@given(records, records)
def test_records_that_differ_have_different_texts(one, other):
    assert (canonical.text(one) == canonical.text(other)) == (
        repr(one) == repr(other) or one == other
    )


@given(records, st.data())
def test_any_changed_value_changes_the_text(record, data):
    other = data.draw(records)
    for one in fields(record):
        value = getattr(other, one.name)
        changed = replace(record, **{one.name: value})
        if value != getattr(record, one.name):
            assert canonical.text(changed) != canonical.text(record), one.name


def test_types_that_are_equal_or_look_alike_are_told_apart():
    values = [
        1,
        1.0,
        True,
        "1",
        Level.LOW,
        (1,),
        frozenset({1}),
        {1: 1},
        Path("1"),
        Inner(1),
        Twin(1),
        None,
    ]
    told = [canonical.text(Record("", level=value)) for value in values]
    assert len(set(told)) == len(values)
    assert canonical.text(Inner()) != canonical.text(Twin())


def test_the_text_is_what_it_was():
    record = Record("a\u00e9", Colour.BLUE, held=frozenset("cab"), path=Path("x/y"), inner=Inner(2))
    assert canonical.text(record) == (
        '{"":"Record","colour":"dark blue","held":{"frozenset":["a","b","c"]},"inner":{"":"Inner","a":2},'
        '"name":"a\\u00e9","path":{"path":"x/y"}}'
    )
    assert canonical.text(Record("", size=0.5, counts={})) == '{"":"Record","name":""}'


def test_a_class_that_is_renamed_keeps_its_texts():
    @dataclass(frozen=True)
    class Renamed:
        canonical_name: ClassVar[str] = "Inner"
        a: int = 0

    @dataclass(frozen=True)
    class Derived(Renamed):
        pass

    assert canonical.text(Renamed(3)) == canonical.text(Inner(3))
    assert "Derived" in canonical.text(Derived(3))


@pytest.mark.parametrize(
    ("value", "error"), [([1], TypeError), (object(), TypeError), (float("nan"), ValueError)]
)
def test_what_has_no_canonical_form_is_refused(value, error):
    with pytest.raises(error):
        canonical.text(Record("", level=value))


# --- what repr said ---------------------------------------------------------------------------------------------

FORMS = {
    Record: RecordForm("Record", tuple(one.name for one in fields(Record))),
    Inner: RecordForm("Inner", ("a", "b")),
    Twin: RecordForm("Twin", ("a", "b")),
}


plain = records.filter(
    lambda record: (
        record.path is None
        and not {Colour, Level, Other} & {type(record.colour), type(record.level)}
    )
)


@given(plain)
def test_a_frozen_form_is_repr_of_that_day(record):
    assert frozen_repr.text(record, FORMS) == repr(record)


@given(plain)
def test_a_frozen_form_leaves_out_what_came_later_and_refuses_it_away_from_its_default(record):
    longer = extended(record)
    forms = {**FORMS, type(longer): FORMS[Record]}
    assert frozen_repr.text(longer, forms) == repr(record)
    with pytest.raises(frozen_repr.Newer, match="added"):
        frozen_repr.text(replace(longer, added=8), forms)


def test_a_record_or_an_enum_without_a_form_is_newer():
    for value in (Colour.BLUE, Other.LOW, (Record(""),)):
        with pytest.raises(frozen_repr.Newer):
            frozen_repr.text(value, {})
