from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_records import make_finding, put_finding

from dife_scanner.store import Store, findings, models
from dife_scanner.store.query import Query, QueryError, Term, Value, parse, show

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.builds(Value, texts, st.booleans())
words = st.builds(
    lambda text, negated: Term((Value(text, True),), "", negated), texts, st.booleans()
)
fields = st.builds(
    Term,
    st.lists(values, min_size=1, max_size=3).map(tuple),
    st.from_regex(r"[a-z_]+", fullmatch=True),
    st.booleans(),
)
queries = st.builds(Query, st.lists(st.one_of(words, fields), max_size=6).map(tuple))


@given(queries)
def test_what_is_shown_parses_to_the_same(query: Query) -> None:
    assert parse(show(query)) == query


@given(st.text(max_size=40))
def test_any_text_parses_or_says_where_not(text: str) -> None:
    try:
        query = parse(text)
    except QueryError as error:
        assert 1 <= error.column <= len(text) + 1
    else:
        assert parse(show(query)) == query


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("verdict:", 9),
        ('repo:"open', 6),
        ("a b,c", 4),
        ('x repo:"a"b', 11),
        ("!", 2),
        ('ab"c', 3),
        ("repo:a,", 8),
    ],
)
def test_errors_name_the_column(text: str, column: int) -> None:
    with pytest.raises(QueryError, match=f"column {column}:") as caught:
        parse(text)
    assert caught.value.column == column


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {"a", "b", "c"}),
        ("repo:org/CLIP-one", {"a"}),
        ("repo:~clip", {"a", "b"}),
        ("!repo:~clip", {"c"}),
        ("footprint:visual,textual", {"a", "b"}),
        ("interface:prompted", {"b"}),
        ("interface:~prom", {"b"}),
        ("two words", {"c"}),
        ('"two words"', {"c"}),
        ('source:"100% \\"cat\\""', {"c"}),
        ("target:~%", set()),
        ("footprint:visual repo:~two", set()),
        ('footprint:""', {"c"}),
    ],
)
def test_filters_choose_findings(store: Store, text: str, expected: set[str]) -> None:
    rows = {
        "a": {"repo": "org/clip-one", "carrier": "visual", "interfaces": ("zero-shot",)},
        "b": {
            "repo": "org/clip-two",
            "carrier": "textual",
            "interfaces": ("zero-shot", "prompted"),
        },
        "c": {
            "repo": "org/other",
            "carrier": "",
            "interfaces": (),
            "reason": "has two words",
            "source": '100% "cat"',
        },
    }
    for name, changes in rows.items():
        put_finding(store, make_finding(f"fp1:{name}", **changes))
    assert {found.fingerprint[4:] for found in findings.findings(store, filter=text)} == expected


def test_an_unknown_field_is_named_with_those_there_are(store: Store) -> None:
    with pytest.raises(QueryError, match="column 5") as caught:
        findings.findings(store, filter="abc state:done")
    assert "verdict" in caught.value.advice
    assert models.model_rows(store, filter="state:done verdict:flagged job:1") == []
    with pytest.raises(QueryError, match="50 terms"):
        parse("a " * 51)
