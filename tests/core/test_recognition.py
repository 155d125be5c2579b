"""What a base does not recognise, nothing is claimed of."""

from __future__ import annotations

import numpy as np
import pytest

from dife_scanner.core.recognition import (
    _shares,
    is_searchable,
    lacking,
    recognised,
    recognition,
)
from dife_scanner.core.verdict import Evidence, decide
from dife_scanner.records import (
    Basis,
    Channel,
    Decision,
    MissingSearch,
    Recognition,
    Search,
    Verdict,
)
from dife_scanner.sentences.recognition import recognition_words
from dife_scanner.sentences.verdict import reason

SEARCH = Search("patch", Channel.IMAGE, ("a patch",), 1, 0.02, 100, 1.0)
CAT_AND_DOG = {"cat": 1.0, "dog": 1.0}
KNOWN = dict.fromkeys(("cat", "dog", *(f"thing {number}" for number in range(10))), 1.0)
MISSING = MissingSearch("texts", Channel.TEXT, ("texts",), "the context is too short")


def test_shares_are_by_class_and_by_style_and_a_tie_counts_in_part() -> None:
    scores = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    labels = np.array([0, 0, 1, 2])
    found = recognition(scores, labels, ["cat", "dog", "frog"], ["ink", "ink", "oil", "oil"])
    assert found.classes == {"cat": 0.5, "dog": 0.5, "frog": 1.0}
    assert found.styles == {"ink": 0.5, "oil": 0.75}
    assert recognition(scores, labels, ["cat", "dog", "frog"]).styles == {}


def test_a_verdict_of_nothing_found_says_how_much_its_base_knows() -> None:
    evidence = Evidence(
        searches=(SEARCH,),
        recognition=Recognition({"cat": 1.0, "dog": 1.0}),
        qualification=Recognition({**KNOWN, "banana": 0.4}, {"ink": 1.0, "oil": 0.2}),
    )
    text = reason(decide(evidence), evidence)
    assert text.endswith(
        "recognises 2 of 2 classes, and knows 12 of 13 concepts, 1 of 2 styles of the wide probe set"
    )


def test_half_of_the_pictures_make_a_class_recognised() -> None:
    shares = {"cat": 0.5, "dog": 0.49, "frog": 0.19}
    assert recognised(shares) == ("cat",)
    assert lacking(shares) == ("frog", "dog"), "the least recognised first"


def test_one_recognised_class_is_too_few_to_search() -> None:
    assert not is_searchable(Recognition({"cat": 1.0, "dog": 0.1}))
    assert is_searchable(Recognition({"cat": 1.0, "dog": 0.5, "frog": 0.1}))


@pytest.mark.parametrize("missing", [(), (MISSING,)], ids=["all ran", "one could not run"])
def test_where_a_class_cannot_carry_the_claim_the_verdict_is_inconclusive_and_says_what_to_bring(
    missing: tuple[MissingSearch, ...],
) -> None:
    found = Recognition({"cat": 0.9, "dog": 0.48, "frog": 0.19}, {"ink": 0.9, "oil": 0.2})
    evidence = Evidence(searches=(SEARCH,), missing=missing, recognition=found)
    decision = decide(evidence)
    assert decision == Decision(Verdict.INCONCLUSIVE, Basis.CLASSES_NOT_RECOGNISED)
    words = reason(decision, evidence)
    assert "the base recognises 1 of 3 classes and 1 of 2 styles of these pictures" in words
    assert "(not frog 0.19, dog 0.48)" in words
    assert "bring pictures of its domain (--pictures)" in words
    assert ("the context is too short" in words) is bool(missing)


def test_with_every_class_recognised_nothing_found_stays() -> None:
    found = Recognition({"cat": 0.9, "dog": 0.5}, {"ink": 0.9, "oil": 0.2})
    evidence = Evidence(searches=(SEARCH,), recognition=found)
    assert decide(evidence).verdict is Verdict.NOTHING_FOUND, "a style decides nothing"
    assert recognition_words(found) == "2 of 2 classes and 1 of 2 styles"


def knowing(**classes: float) -> Evidence:
    """Of a base that knows 40 concepts, and recognises these of ten classes otherwise than at .9."""
    shares = {f"c{number}": 0.9 for number in range(10)} | classes
    beyond = Recognition({f"concept {number}": 1.0 for number in range(40)} | shares)
    return Evidence(searches=(SEARCH,), recognition=Recognition(shares), qualification=beyond)


def test_one_class_in_ten_that_is_not_recognised_is_named_and_nothing_claimed_of_it() -> None:
    evidence = knowing(c3=0.25)
    decision = decide(evidence)
    assert decision.verdict is Verdict.NOTHING_FOUND
    words = reason(decision, evidence)
    assert "9 of 10 classes (not c3 0.25: of pictures of these nothing is claimed)" in words
    assert decide(knowing(c3=0.25, c4=0.4)).basis is Basis.CLASSES_NOT_RECOGNISED


def test_what_was_not_measured_is_not_held_against_anybody() -> None:
    assert decide(Evidence(searches=(SEARCH,))).verdict is Verdict.NOTHING_FOUND


def test_a_claim_on_pictures_of_one_style_or_of_unknown_styles_does_not_reach_others() -> None:
    def told(styles: dict[str, float]) -> str:
        evidence = Evidence(searches=(SEARCH,), recognition=Recognition(dict(CAT_AND_DOG), styles))
        return reason(decide(evidence), evidence)

    assert told({"ink": 1.0}).endswith(
        "all of one style: of pictures in other styles nothing is claimed"
    )
    assert "no word of their styles: of pictures in other styles nothing is claimed" in told({})
    assert "in other styles" not in told({"ink": 1.0, "oil": 1.0})


def test_of_many_classes_that_are_not_recognised_the_first_few_are_named() -> None:
    found = Recognition({f"c{number}": 0.1 for number in range(300)})
    evidence = Evidence(recognition=found)
    words = reason(decide(evidence), evidence)
    assert "c7 0.10, 292 more)" in words and len(words) < 700


def test_shares_of_ten_thousand_classes_take_one_pass() -> None:
    labels = np.repeat(np.arange(10_000), 2)
    names = [f"c{number}" for number in range(10_000)]
    shares = _shares(np.ones(len(labels)), np.array(names)[labels], names)
    assert len(shares) == 10_000 and set(shares.values()) == {1.0}
