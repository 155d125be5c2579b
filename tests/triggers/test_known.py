"""Trigger files: the bundled library holds what it promises, and a bad file says which entry and key."""

import re
from pathlib import Path

import numpy as np
import pytest

from dife_scanner.errors import TriggerFileError
from dife_scanner.records import Channel, Trigger, TriggerKind
from dife_scanner.triggers import known
from dife_scanner.triggers.stamp import patch_box, picture, stamp, write


def test_the_library_has_at_least_twenty_signatures_of_the_reported_kinds_and_none_names_a_target():
    triggers = known.library()
    assert len(triggers) >= 20
    assert {t.kind for t in triggers} == {
        TriggerKind.PATCH,
        TriggerKind.ADDITIVE,
        TriggerKind.BLEND,
        TriggerKind.TEXT,
    }
    assert {t.position for t in triggers if t.kind is TriggerKind.TEXT} == {
        "prefix",
        "suffix",
        "infix",
    }
    assert all(not t.source and not t.target for t in triggers)


TWICE = "format = 1\n" + '[[trigger]]\nname = "a"\nkind = "text"\ntext = "x"\n' * 2
TEMPLATED = 'format = 1\n[[trigger]]\nname = "a"\nkind = "text"\ntext = "x"\ntemplates = [{}]\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('format = 1\n[[trigger]]\nname = "a"\nkind = "warpdrive"\n', "trigger.0.kind"),
        ('format = 1\n[[trigger]]\nname = "a"\nkind = "patch"\n', "needs `size`"),
        ('format = 1\n[[trigger]]\nname = "a"\nkind = "text"\n', "needs `text`"),
        (
            'format = 1\n[[trigger]]\nname = "a"\nkind = "text"\ntext = "x"\ntarget = "cat"\n',
            "both source and target",
        ),
        ('format = 2\n[[trigger]]\nname = "a"\nkind = "text"\ntext = "x"\n', "format"),
        ('format = 1\n[[trigger]]\nname = "a"\nkind = "text"\ntext = "x"\nwidth = 3\n', "width"),
        (TEMPLATED.format('"a {}", "one {}"'), "templates.*too few"),
        (TEMPLATED.format('"a {}", "one {}", "my {}", "a {}"'), "templates.*twice"),
        (TEMPLATED.format('"a {}", "one {}", "my {}", "{} and {}"'), "templates.*exactly one"),
        (TEMPLATED.format('"a {}", "one {}", "my {}", "{name} {}"'), "templates.*exactly one"),
        (TWICE, "used twice"),
        ("format = 1", "trigger"),
        ("\x00\x01", "TOML"),
    ],
)
def test_a_bad_file_names_the_entry(tmp_path, text, words):
    path = tmp_path / "t.toml"
    path.write_text(text)
    with pytest.raises(TriggerFileError) as raised:
        known.read(path)
    assert re.search(words, raised.value.what) and str(path) in raised.value.what


def test_an_entry_may_bring_its_own_templates(tmp_path):
    path = tmp_path / "t.toml"
    path.write_text(TEMPLATED.format('"a {}", "one {}", "my {}", "{} here"'))
    assert known.read(path)[0].templates == ("a {}", "one {}", "my {}", "{} here")


def test_names_are_distinct_over_library_and_files(tmp_path):
    path = tmp_path / "t.toml"
    path.write_text('format = 1\n[[trigger]]\nname = "text-xbtd"\nkind = "text"\ntext = "y"\n')
    assert len(known.gather([path], with_library=False)) == 1
    with pytest.raises(TriggerFileError, match="used twice"):
        known.gather([path], with_library=True)
    with pytest.raises(TriggerFileError, match="no triggers"):
        known.gather([], with_library=False)


@pytest.mark.parametrize(
    "trigger", [t for t in known.library() if t.channel is Channel.IMAGE], ids=lambda t: t.name
)
@pytest.mark.parametrize("side", [64, 128, 224])
def test_a_stamp_changes_only_what_it_says_and_never_its_input(trigger, side):
    rng = np.random.default_rng(0)
    pixels = rng.integers(10, 240, (2, side, side, 3), dtype=np.uint8)
    before = pixels.copy()
    out = stamp(pixels, trigger)
    assert np.array_equal(pixels, before)
    assert out.shape == pixels.shape and out.dtype == np.uint8
    changed = (out != pixels).any(axis=(0, 3))
    assert changed.any()
    if trigger.kind is TriggerKind.PATCH:
        left, top, width = patch_box(trigger, side)
        outside = changed.copy()
        outside[top : top + width, left : left + width] = False
        assert not outside.any()
        assert 0.004 <= width**2 / side**2 <= 0.055
    assert picture(trigger, side).shape == (side, side, 3)


def test_additive_amplitude_is_in_full_scale():
    trigger = Trigger("a", TriggerKind.ADDITIVE, pattern="sinusoid", cycles=6, alpha=60 / 255)
    out = stamp(np.full((1, 224, 224, 3), 128, np.uint8), trigger).astype(int) - 128
    assert (out.max(), out.min()) == (60, -60)


def test_text_positions():
    text = Trigger("t", TriggerKind.TEXT, text="xbtd")
    assert write("a photo of a cat", text, "cat") == "xbtd a photo of a cat"
    suffix = Trigger("t", TriggerKind.TEXT, text="xbtd", position="suffix")
    assert write("a photo of a cat", suffix, "cat") == "a photo of a cat xbtd"
    infix = Trigger("t", TriggerKind.TEXT, text="xbtd", position="infix")
    assert write("a cat photo of a cat", infix, "cat") == "a cat photo of a xbtd cat"
    around = Trigger("t", TriggerKind.TEXT, text="xbtd", position="around")
    assert write("a photo of a cat", around, "cat") == "xbtd a photo of a cat xbtd"
    with pytest.raises(ValueError, match="text trigger"):
        stamp(np.zeros((1, 8, 8, 3), np.uint8), text)


# --- text and image together -----------------------------------------------------------------------------------

SQUARE = '[trigger.image]\nkind = "patch"\nsize = 0.2'


def test_a_text_may_act_together_with_an_image_trigger(entry):
    found = entry("text", f'text = "xbtd"\ntarget = "airplane"\n{SQUARE}')
    assert (found.channel, found.source, found.image.name) == (Channel.BOTH, "", "it-image")
    condition = found.condition()
    assert condition.channels == {Channel.IMAGE, Channel.TEXT} and condition.channel is Channel.BOTH
    assert condition.conditioned_query and not condition.mechanism
    named = 'name = "square"\nkind = "patch"\nsize = 0.2'
    assert (
        entry("text", 'text = "x"\nimage = "square"', f"[[trigger]]\n{named}").image.name
        == "square"
    )
    assert entry("characters", f'table = "cyrillic"\n{SQUARE}').channel is Channel.BOTH


@pytest.mark.parametrize(
    "lines",
    [
        'text = "x"\ntarget = "airplane"',
        f'text = "x"\nsource = "cat"\n{SQUARE}',
        'text = "x"\nimage = "nobody"',
        'text = "x"\n[trigger.image]\nkind = "text"\ntext = "y"',
    ],
)
def test_halves_that_do_not_make_a_whole_are_refused(entry, lines):
    with pytest.raises(TriggerFileError):
        entry("text", lines)


def test_a_file_without_an_end_is_too_large():
    with pytest.raises(TriggerFileError, match="larger than"):
        known.read(Path("/dev/zero"))
