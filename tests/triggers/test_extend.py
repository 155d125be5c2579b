"""docs/extending.md is what a researcher follows: its own example is registered, parsed and stamped here."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from dife_scanner.errors import TriggerFileError, UsageError
from dife_scanner.records import Channel, Trigger
from dife_scanner.store.codec import from_json, to_json
from dife_scanner.triggers import kinds, known
from dife_scanner.triggers.extend import extend
from dife_scanner.triggers.kinds import base
from dife_scanner.triggers.stamp import picture, stamp

DOCUMENT = (
    (Path(__file__).parents[2] / "docs" / "extending.md").read_text().split("## A trigger kind")[1]
)


def _block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture(autouse=True)
def _kinds_as_before():
    before = kinds.names()
    yield
    base.keep_only(before)


def test_the_documented_example_adds_a_kind_in_one_file(tmp_path):
    file, triggers = tmp_path / "frame.py", tmp_path / "frames.toml"
    file.write_text(_block("python"))
    triggers.write_text(_block("toml"))
    before = kinds.names()
    with pytest.raises(TriggerFileError, match="no trigger kind 'frame'"):
        known.read(triggers)

    assert extend(file) == ("frame",)
    assert extend(file) == ()
    (trigger,) = known.read(triggers)
    pixels = np.full((2, 40, 40, 3), 9, np.uint8)
    out = stamp(pixels, trigger)
    assert (out[:, 2:38, 2:38] == 9).all()
    assert (
        (out[:, :2] == (255, 0, 0)).all()
        and (out[:, :, 38:] == (255, 0, 0)).all()
        and (pixels == 9).all()
    )
    assert picture(trigger).shape == (128, 128, 3)
    assert trigger.condition().channels == {Channel.IMAGE} and trigger.own == {
        "width": 0.05,
        "red": 255,
    }

    triggers.write_text(_block("toml").replace("0.05", "0.6"))
    with pytest.raises(TriggerFileError, match=r"trigger\.0\.width \(`red-frame`\)"):
        known.read(triggers)
    base.keep_only(before)
    assert (
        from_json(Trigger, to_json(trigger)) == trigger
    )  # a kept audit reads back without the file
    with pytest.raises(TriggerFileError, match="no trigger kind 'frame'"):
        stamp(pixels, trigger)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("import nothing_of_that_name_here", "ModuleNotFoundError"),
        ("def broken(:", "SyntaxError"),
        (
            "from dife_scanner.triggers.kinds import *\nregister(Kind('patch', Fields, stamp=print))",
            "already a trigger",
        ),
        (
            "from dife_scanner.triggers.kinds import *\nregister(Kind('mine', Fields))",
            "exactly one of stamp and write",
        ),
        (
            "from dife_scanner.triggers.kinds import *\nregister(Kind('mine', Fields, write=print))\n1/0",
            "ZeroDivision",
        ),
    ],
)
def test_an_extension_that_fails_leaves_nothing_behind(tmp_path, content, words):
    file = tmp_path / "own.py"
    file.write_text(content)
    before = kinds.names()
    with pytest.raises(UsageError, match=words) as raised:
        extend(file)
    assert str(file) in raised.value.what and kinds.names() == before


def test_an_extension_has_to_be_a_python_file_that_is_there(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        extend(tmp_path / "gone.py")
    (tmp_path / "own.txt").write_text("")
    with pytest.raises(UsageError, match="not a Python file"):
        extend(tmp_path / "own.txt")


def test_a_kind_may_keep_only_plain_values(tmp_path):
    class Odd(kinds.Fields):
        parts: list[int] = []

    kinds.register(kinds.Kind("odd", Odd, write=lambda prompt, trigger, name: prompt))
    path = tmp_path / "t.toml"
    path.write_text('format = 1\n[[trigger]]\nname = "a"\nkind = "odd"\n')
    with pytest.raises(TriggerFileError, match=r"trigger\.0\.parts .*numbers, texts"):
        known.read(path)
