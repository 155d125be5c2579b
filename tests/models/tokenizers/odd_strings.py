"""Odd strings, and a few hundred made of odd parts."""

from __future__ import annotations

import random

ODD = (
    *("", "   ", " x  y ", "hello world", "it's A cat's 'LL", "T H E", "12 345", "0x1F", "a" * 50),
    *(
        "naïve café",
        "A\u0301",
        "\u00e9\u0301\u0301",
        "ß STRASSE",
        "İstanbul",
        "\u017f",
        "ﬁ full ＡＢ",
    ),
    *(
        "\u0430bc",
        "日本語 text",
        "½ ² ①",
        "Ａ１",
        "don\u2019t",
        "''''",
        "...",
        "_under_score-",
        "a&amp;b",
    ),
    *(
        "😀😀!",
        "👩\u200d👩\u200d👧 fam",
        "x\x00y",
        "\u200bz",
        "a\tb\nc",
        "\u2028x",
        "\xa0nb",
        "\u3000ideo",
    ),
    *("\ud7ff", "\U000e0041x", "<pad> x", " \u2581 under", "a photo of a banana, and a car!"),
)
_POOL = "abcdefghijkABC  ''\"!.,;0123456789éßñабг日本😀\u200b\t\n\xa0’ﬁ＆&<>/_-"


def strings(count: int = 200) -> list[str]:
    """The same ones every time."""
    rng = random.Random(1)
    made = ["".join(rng.choice(_POOL) for _ in range(rng.randint(1, 30))) for _ in range(count)]
    return [*ODD, *made]
