from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_records import make_finding, put_finding

from dife_scanner.store import Store, findings, models
from dife_scanner.store.completion import complete
from dife_scanner.store.conditions import to_sql
from dife_scanner.store.findings import FINDING_COLUMNS
from dife_scanner.store.query import (
    COMPARISONS,
    MOST_CHARACTERS,
    MOST_DEPTH,
    MOST_VALUES,
    Group,
    Query,
    QueryError,
    Term,
    Value,
    grouped,
    leaves,
    parse,
    query_of,
    show,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.from_regex(r"[a-z_]{1,9}", fullmatch=True)
values = st.builds(Value, texts, st.booleans())
words = st.builds(
    lambda text, negated: Term((Value(text, True),), "", negated), texts, st.booleans()
)
fields = st.builds(Term, st.lists(values, min_size=1, max_size=3).map(tuple), names, st.booleans())
comparisons = st.builds(
    lambda text, field, negated, sign: Term((Value(text),), field, negated, sign=sign),
    texts,
    names,
    st.booleans(),
    st.sampled_from(COMPARISONS),
)
parts = st.recursive(
    st.one_of(words, fields, comparisons),
    lambda inner: st.builds(
        lambda parts, either, negated: grouped(parts, either=either, negated=negated),
        st.lists(inner, min_size=1, max_size=3),
        st.booleans(),
        st.booleans(),
    ),
    max_leaves=8,
)
queries = st.lists(parts, max_size=4).map(query_of)


@given(queries)
def test_what_is_shown_parses_to_the_same(query: Query) -> None:
    assert parse(show(query)) == query


@given(st.text(st.one_of(st.characters(), st.sampled_from('ab:,!~"&|()<>= ')), max_size=40))
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
        ("a &", 4),
        ("a | | b", 5),
        ("& a", 1),
        ("a ()", 4),
        ("a (b", 3),
        ("a (b | c))", 10),
        ("f(x)", 2),
        ("(a)b", 4),
        ("score>", 7),
        ("score>1,2", 8),
        ("(" * (MOST_DEPTH + 1), MOST_DEPTH + 1),
        ("(" * 10_000, MOST_DEPTH + 1),
        ("!(" * 9_000, 2 * MOST_DEPTH + 2),
        ("a" * 1_000_000, MOST_CHARACTERS + 1),
        ("id:" + "x," * MOST_VALUES + "x", 2 * MOST_VALUES + 4),
        ("a|" * 60, 101),
    ],
    ids=lambda given: str(given)[:20],
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


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a & b", "a b"),
        ("a&b|c", "(a b) | c"),
        ("a b | c d", "((a & b) | (c & d))"),
        ("((a))", "a"),
        ("!(a)", "!a"),
        ("!(!a)", "a"),
        ("(a b) c", "a b c"),
        ("a | (b | c)", "a|b|c"),
    ],
)
def test_a_filter_has_one_meaning_however_it_is_written(text: str, same: str) -> None:
    assert parse(text) == parse(same)


def test_signs_of_the_grammar_are_plain_text_inside_quotes() -> None:
    (term,) = parse('"a|b & (c) score>1"').terms
    assert term == Term((Value("a|b & (c) score>1", part=True),))
    (second,) = parse("!!a").terms
    assert second == Term((Value("!a", part=True),), negated=True)


def test_a_space_binds_tighter_than_a_bar() -> None:
    (group,) = parse("a b | !c").terms
    assert isinstance(group, Group) and group.either
    assert [term.values[0].text for term in leaves([group])] == ["a", "b", "c"]
    assert show(Query((group,))) == "a b | !c"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("score>high", "score is a number"),
        ("audited>yesterday", "audited is a time"),
        ("age<7", "age is an age"),
        ("age:7d", "compared with"),
        ("repo>a", "compared with `:`"),
        ("score:~1", "score is no text"),
        ("found:~2026", "found is no text"),
    ],
)
def test_what_cannot_be_compared_says_so_with_an_example_that_can(text: str, told: str) -> None:
    with pytest.raises(QueryError, match=told) as caught:
        to_sql(parse(text), FINDING_COLUMNS)
    assert "docs/filters.md" in caught.value.advice
    to_sql(parse(caught.value.example), FINDING_COLUMNS)


def test_an_error_carries_what_could_stand_there() -> None:
    with pytest.raises(QueryError) as caught:
        to_sql(parse("colour:red"), FINDING_COLUMNS)
    assert caught.value.candidates == tuple(sorted(FINDING_COLUMNS))


@pytest.mark.parametrize(
    ("text", "told", "meant"),
    [
        ("repo:a triage:acepted-risk", "triage is never 'acepted-risk'", "accepted-risk"),
        ("triage:new,flase-positive", "triage is never 'flase-positive'", "false-positive"),
        ("!footprint:textul", "footprint is never 'textul'", "textual"),
        ("severity:~wekk", "severity never contains 'wekk'", "weak"),
        ("trigge:~dog", "there is no field 'trigge' here", "trigger"),
        ("verdit:flagged", "there is no field 'verdit' here", "verdict"),
    ],
)
def test_a_slip_of_the_pen_is_told_with_what_was_meant(text: str, told: str, meant: str) -> None:
    with pytest.raises(QueryError) as caught:
        to_sql(parse(text), FINDING_COLUMNS)
    assert told in caught.value.what and f"did you mean {meant}? " in caught.value.advice
    assert caught.value.column == text.find(" ") + 2
    to_sql(parse(caught.value.example), FINDING_COLUMNS)


@pytest.mark.parametrize("text", ["triage:NEW", "triage:~risk", 'channel:""', "reason:acepted"])
def test_no_part_other_case_empty_value_or_open_field_is_taken_for_one(text: str) -> None:
    to_sql(parse(text), FINDING_COLUMNS)


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("tr", 0, ("triage:", "trigger:")),
        ("a | !(sc", 6, ("score>",)),
        ("triage:n", 7, ("new",)),
        ("!triage:new,~dis", 13, ("disclosed", "disputed")),
        ("repo:c", 5, ()),
        ('"triage:n', 9, ()),
        ("footprint:not", 10, ('"not interchangeable"',)),
    ],
)
def test_what_could_stand_at_the_cursor(text: str, start: int, expected: tuple[str, ...]) -> None:
    found = complete(text + " rest", len(text), FINDING_COLUMNS)
    assert (found.start, found.candidates) == (start, expected)
    for candidate in found.candidates:
        ended = candidate if candidate[-1] not in ":>" else f'{candidate}""'
        if text[0] != "a":
            to_sql(parse(text[:start] + ended), FINDING_COLUMNS)
