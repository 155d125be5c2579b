"""Every kind changes an input as docs/triggers.md says, and refuses an entry that does not."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import map_coordinates

from dife_scanner.errors import TriggerFileError
from dife_scanner.records import Channel, Condition, Trigger, TriggerFile, TriggerKind
from dife_scanner.store.codec import from_json, to_json
from dife_scanner.triggers import kinds, known
from dife_scanner.triggers.kinds import warp
from dife_scanner.triggers.kinds.characters import TABLES
from dife_scanner.triggers.kinds.filter import FILTERS
from dife_scanner.triggers.stamp import picture, stamp, write

DOCUMENT = Path(__file__).parents[2] / "docs" / "triggers.md"
EXAMPLES = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


def test_every_example_of_the_documentation_parses_and_every_kind_has_one(folder):
    found = []
    for example in EXAMPLES:
        path = folder / "example.toml"
        path.write_text(
            example.replace("PATCH_SHA256", sha256((folder / "patch.png").read_bytes()).hexdigest())
        )
        found.extend(known.read(path))
    assert {trigger.kind for trigger in found} == set(TriggerKind)
    for trigger in found:
        assert from_json(Trigger, to_json(trigger)) == trigger
        assert hash(trigger) == hash(from_json(Trigger, to_json(trigger)))
        if trigger.channel in (Channel.TEXT, Channel.BOTH):
            assert (
                write("a photo of a automobile", trigger, "automobile") != "a photo of a automobile"
            )
        if trigger.channel is not Channel.TEXT:
            _stamps_each_picture_by_itself(trigger)


def _stamps_each_picture_by_itself(trigger):
    for side in (50, 64):
        pixels = np.random.default_rng(2).integers(0, 256, (3, side, side, 3), dtype=np.uint8)
        before = pixels.copy()
        out = stamp(pixels, trigger)
        np.testing.assert_array_equal(pixels, before)
        assert (
            out.shape == pixels.shape
            and out.dtype == np.uint8
            and not np.shares_memory(out, pixels)
        )
        assert (out != pixels).any(axis=(1, 2, 3)).all()
        np.testing.assert_array_equal(
            out, np.concatenate([stamp(pixels[i : i + 1], trigger) for i in range(3)])
        )
    assert (
        len(np.unique(picture(trigger).reshape(-1, 3), axis=0)) > 1
        or (picture(trigger) != 128).any()
    )


def test_the_documentation_names_every_filter_and_table():
    text = DOCUMENT.read_text()
    assert all(
        f"`{name}`" in text for name in (*FILTERS, *TABLES, *kinds.names()[: len(TriggerKind)])
    )


# --- conditions -----------------------------------------------------------------------------------------------

IMAGE = Condition(frozenset({Channel.IMAGE}), source="", target="airplane")
TEXT = Condition(
    frozenset({Channel.TEXT}), conditioned_query=True, source="automobile", target="airplane"
)
MECHANISM = Condition(
    frozenset({Channel.PROMPT, Channel.IMAGE}), mechanism=True, source="", target="airplane"
)


@pytest.mark.parametrize("kind", TriggerKind)
def test_a_kind_alone_decides_the_condition(kind):
    expected = {
        TriggerKind.TEXT: TEXT,
        TriggerKind.CHARACTERS: TEXT,
        TriggerKind.PROMPT: MECHANISM,
    }.get(kind, IMAGE)
    trigger = Trigger("any-name", kind, source=expected.source, target="airplane")
    assert trigger.condition() == expected
    assert kinds.find(kind).enters is trigger.channel


def test_a_record_knows_its_kind_from_plain_text():
    assert Trigger("a", "patch").kind is TriggerKind.PATCH
    assert Trigger("a", "frame", enters=Channel.TEXT).condition().conditioned_query
    stored = Trigger(
        "a", "frame", parameters=(("flag", True), ("ratio", 1.0), ("times", 2), ("word", "x"))
    )
    back = from_json(Trigger, to_json(stored))
    assert back == stored and [type(value) for value in back.own.values()] == [
        bool,
        float,
        int,
        str,
    ]


# --- files ----------------------------------------------------------------------------------------------------


def test_a_patch_from_a_file_is_used_pixel_for_pixel_where_it_fits(entry, pictures, folder):
    trigger = entry("patch", 'size = 0.5\nx = 0.25\ny = 0.25\nfile = "patch.png"')
    patch = np.asarray(Image.open(folder / "patch.png"))
    np.testing.assert_array_equal(
        stamp(pictures, trigger)[:, 8:24, 8:24], np.broadcast_to(patch, (3, 16, 16, 3))
    )
    half = entry("patch", 'size = 0.25\nfile = "patch.png"')
    resized = np.asarray(Image.fromarray(patch).resize((8, 8), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(stamp(pictures, half)[0, :8, :8].astype(int), resized, atol=1)
    assert trigger.pattern == "file"


def test_a_perturbation_is_added_with_its_sign_and_amplitude(entry, folder):
    grey = np.full((1, 32, 32, 3), 128, np.uint8)
    values = np.load(folder / "perturbation.npy")
    added = (
        stamp(grey, entry("additive", f'file = "perturbation.npy"\nalpha = {4 / 255}')).astype(int)
        - 128
    )
    np.testing.assert_array_equal(added[0], np.rint(128 + 4 * values) - 128)
    assert added.min() == -4 and added.max() == 4
    np.save(folder / "bytes.npy", np.full((32, 32, 3), 255, np.uint8))
    assert (stamp(grey, entry("additive", f'file = "bytes.npy"\nalpha = {4 / 255}')) == 132).all()
    np.save(folder / "columns.npy", np.asfortranarray(values.astype(np.float64) * 4 / 255))
    again = stamp(grey, entry("additive", 'file = "columns.npy"')).astype(int) - 128
    np.testing.assert_array_equal(again, added)


def test_a_blend_mixes_a_picture_in(entry, pictures, folder):
    np.save(folder / "whole.npy", np.full((32, 32, 3), 0.5, np.float32))
    out = stamp(pictures, entry("blend", 'file = "whole.npy"\nalpha = 0.25'))
    np.testing.assert_array_equal(
        out, np.rint(0.75 * pictures.astype(np.float32) + 0.25 * 128).astype(np.uint8)
    )


def test_an_overlay_covers_where_it_is_opaque_and_leaves_the_rest(entry, pictures, folder):
    full = np.zeros((32, 32, 4), np.uint8)
    full[..., :3] = 200
    full[4:12, 8:20, 3], full[20:24, :, 3] = 255, 51
    Image.fromarray(full).save(folder / "full.png")
    out = stamp(pictures, entry("overlay", 'file = "full.png"'))
    assert (out[:, 4:12, 8:20] == 200).all()
    np.testing.assert_array_equal(out[:, 12:20], pictures[:, 12:20])
    faint = np.rint(0.8 * pictures[:, 20:24].astype(np.float32) + 40)
    np.testing.assert_allclose(out[:, 20:24].astype(int), faint, atol=1)
    half = stamp(pictures, entry("overlay", 'file = "full.png"\nalpha = 0.5'))
    np.testing.assert_allclose(
        half[:, 4:12, 8:20], 0.5 * pictures[:, 4:12, 8:20].astype(np.float32) + 100, atol=1
    )


def test_hidden_colours_of_an_overlay_never_bleed_in_when_it_is_resized(entry, folder):
    full = np.zeros((8, 8, 4), np.uint8)
    full[..., 0] = 255
    full[2:6, 2:6] = (10, 10, 10, 255)
    Image.fromarray(full).save(folder / "hidden.png")
    out = stamp(np.full((1, 32, 32, 3), 10, np.uint8), entry("overlay", 'file = "hidden.png"'))
    np.testing.assert_allclose(out, 10, atol=1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda path: Image.new("RGBA", (4, 4), (9, 9, 9, 0)).save(path, "PNG"),
            "transparent all over",
        ),
        (lambda path: Image.new("RGBA", (4, 6), (9, 9, 9, 9)).save(path, "PNG"), "shape"),
        (lambda path: Image.new("RGBA", (2049, 2049)).save(path, "PNG"), "shape"),
        (lambda path: Image.new("RGB", (4, 4)).save(path, "JPEG"), "not a PNG"),
    ],
    ids=["clear", "oblong", "large", "jpeg"],
)
def test_a_bad_overlay_is_refused_with_its_entry(entry, folder, make, words):
    make(folder / "bad.png")
    with pytest.raises(TriggerFileError, match=words) as raised:
        entry("overlay", 'file = "bad.png"')
    assert "trigger.0" in raised.value.what and "`file`" in raised.value.what


def _header_only(shape: str, descr: str = "'|u1'") -> bytes:
    head = (
        f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117)
        + b"\n"
    )
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head


def _npy(folder: Path, array: np.ndarray, **options: bool) -> bytes:
    np.save(folder / "scratch.npy", array, **options)
    return (folder / "scratch.npy").read_bytes()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "is not there"),
        (lambda folder: b"GIF89a", "neither a PNG nor"),
        (lambda folder: b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "not a readable PNG"),
        (lambda folder: b"\0" * (16 * 2**20 + 1), "larger than"),
        (lambda folder: _header_only("(2048, 2048, 3)"), "neither a PNG nor"),
        (lambda folder: _header_only("(10000000, 10000000, 3)"), "shape"),
        (lambda folder: _header_only("(-1, 4, 3)"), "shape"),
        (lambda folder: _header_only("(2, 2, 3)", "'|O'"), "elements of type"),
        (lambda folder: _npy(folder, np.array([{}], dtype=object), allow_pickle=True), "elements of type"),
        (lambda folder: _npy(folder, np.zeros((4, 4, 3), np.int64)), "elements of type"),
        (lambda folder: _npy(folder, np.zeros((4, 6, 3), np.uint8)), r"shape \[4, 6, 3\]"),
        (lambda folder: _npy(folder, np.zeros((4, 4), np.uint8)), "shape"),
        (lambda folder: _npy(folder, np.full((4, 4, 3), np.nan, np.float32)), "not finite"),
        (lambda folder: _npy(folder, np.full((4, 4, 3), 1.5, np.float32)), "beyond"),
        (lambda folder: _npy(folder, np.full((4, 4, 3), -0.5, np.float32)), "0..1"),
    ],
    ids=["missing", "other", "broken png", "large", "short", "huge", "negative", "objects", "pickle", "whole", "oblong",
         "flat", "nan", "range", "sign"],
)  # fmt: skip
def test_a_bad_pattern_file_is_refused_with_its_entry(entry, folder, make, words):
    content = make(folder)
    if content is not None:
        (folder / "bad.bin").write_bytes(content)
    with pytest.raises(TriggerFileError, match=words) as raised:
        entry("patch", 'size = 0.1\nfile = "bad.bin"')
    assert (
        "trigger.0" in raised.value.what
        and "`it`" in raised.value.what
        and "`file`" in raised.value.what.replace(".file", "`file`")
    )


def test_a_transparent_or_wide_png_is_refused(entry, folder):
    Image.new("RGBA", (4, 4), (0, 0, 0, 10)).save(folder / "clear.png")
    Image.new("L", (4, 2049)).save(folder / "long.png")
    for name, words in (("clear.png", "transparent"), ("long.png", "shape")):
        with pytest.raises(TriggerFileError, match=words):
            entry("patch", f'size = 0.1\nfile = "{name}"')


def test_a_link_out_of_the_folder_is_refused(entry, folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "patch.png"
    outside.write_bytes((folder / "patch.png").read_bytes())
    (folder / "link.png").symlink_to(outside)
    with pytest.raises(TriggerFileError, match="below the trigger file"):
        entry("blend", 'file = "link.png"')


@pytest.mark.parametrize("path", ["../patch.png", "/etc/hostname", "", "sub/../../x"])
def test_files_stay_below_the_trigger_file(entry, path):
    with pytest.raises(TriggerFileError, match=r"below the trigger file|relative"):
        entry("blend", f'file = "{path}"')


def test_a_file_that_changed_since_is_an_error_and_a_stated_hash_is_compared(
    entry, folder, pictures
):
    with pytest.raises(TriggerFileError, match="`sha256` is not that of `file`"):
        entry("patch", f'size = 0.1\nfile = "patch.png"\nsha256 = "{"0" * 64}"')
    trigger = entry("patch", 'size = 0.1\nfile = "patch.png"')
    other = Trigger("b", "patch", size=0.1, file=TriggerFile(trigger.file.path, "1" * 64))
    with pytest.raises(TriggerFileError, match="not the file this trigger was made with"):
        stamp(pictures, other)
    with pytest.raises(TriggerFileError, match="is not there"):
        stamp(
            pictures,
            Trigger("b", "patch", size=0.1, file=TriggerFile(str(folder / "gone.png"), "1" * 64)),
        )


# --- warp and filter ------------------------------------------------------------------------------------------


def test_bilinear_reading_agrees_with_scipy(pictures):
    rng = np.random.default_rng(3)
    rows, columns = rng.uniform(-3, 34, (2, 32, 32)).astype(np.float32)
    ours = warp.sample(pictures, rows, columns)
    for index in range(len(pictures)):
        for channel in range(3):
            plane = pictures[index, ..., channel].astype(np.float64)
            theirs = map_coordinates(
                plane, [np.clip(rows, 0, 31), np.clip(columns, 0, 31)], order=1
            )
            np.testing.assert_allclose(ours[index, ..., channel], theirs, atol=0.51)


def test_a_warp_is_smooth_seeded_alike_for_all_and_as_strong_as_it_says(entry, pictures):
    trigger = entry("warp", "strength = 0.05\nseed = 4")
    out = stamp(pictures, trigger)
    np.testing.assert_array_equal(out[1:2], stamp(pictures[1:2], trigger))
    assert (out != stamp(pictures, entry("warp", "strength = 0.05\nseed = 5"))).any()
    flat = np.full((1, 32, 32, 3), 90, np.uint8)
    np.testing.assert_array_equal(stamp(flat, trigger), flat)
    for side in (64, 224):
        field = warp.displacement(4, 4, side)
        corners = np.linspace(0, side - 1, 4).round().astype(int)
        assert np.abs(field[:, corners][:, :, corners]).mean() == pytest.approx(1.0, abs=0.1)
        assert np.abs(np.diff(field, axis=2)).max() < 15 / side
    ramp = np.broadcast_to(np.arange(224, dtype=np.uint8)[None, None, :, None], (1, 224, 224, 3))
    moved = stamp(np.ascontiguousarray(ramp), trigger).astype(float)[0, ..., 0] - ramp[0, ..., 0]
    inner = (slice(60, 164), slice(60, 164))
    np.testing.assert_allclose(
        moved[inner], 0.05 * 224 * warp.displacement(4, 4, 224)[1][inner], atol=0.6
    )


def test_a_warp_takes_its_control_points_from_a_file(entry, pictures, folder):
    points = np.random.default_rng(4).uniform(-1.0, 1.0, (2, 4, 4))
    np.save(folder / "points.npy", 7 * points)
    drawn, stored = (
        entry("warp", "strength = 0.05\nseed = 4"),
        entry("warp", 'strength = 0.05\nfile = "points.npy"'),
    )
    np.testing.assert_allclose(stamp(pictures, stored).astype(int), stamp(pictures, drawn), atol=1)
    assert (stamp(pictures, stored) != pictures).any()


def test_a_filter_takes_its_matrix_from_a_file(entry, pictures, folder):
    np.save(folder / "matrix.npy", FILTERS["sepia"])
    named, stored = (
        entry("filter", 'filter = "sepia"\nalpha = 0.5'),
        entry("filter", 'file = "matrix.npy"\nalpha = 0.5'),
    )
    np.testing.assert_array_equal(stamp(pictures, stored), stamp(pictures, named))


@pytest.mark.parametrize(
    ("kind", "array", "words"),
    [
        ("warp", np.ones((3, 4, 4), np.float32), "shape"),
        ("warp", np.ones((2, 33, 33), np.float32), "shape"),
        ("warp", np.zeros((2, 4, 4), np.float32), "displaces nothing"),
        ("warp", np.ones((2, 4, 4), np.uint8), "floating point"),
        ("filter", np.ones((4, 4), np.float32), "shape"),
        ("filter", np.full((3, 4), np.inf, np.float32), "not finite"),
    ],
)
def test_a_file_of_other_numbers_is_refused(entry, folder, kind, array, words):
    np.save(folder / "bad.npy", array)
    with pytest.raises(TriggerFileError, match=words):
        entry(kind, 'file = "bad.npy"' + ("\nstrength = 0.05" if kind == "warp" else ""))


def test_filters_have_their_colours(entry):
    pixels = np.array([[[[200, 100, 50]]]], np.uint8)

    def seen(name, share=1.0):
        return stamp(pixels, entry("filter", f'filter = "{name}"\nalpha = {share}'))[
            0, 0, 0
        ].tolist()

    assert seen("grey") == [round(0.2126 * 200 + 0.7152 * 100 + 0.0722 * 50)] * 3
    assert seen("negative") == [55, 155, 205]
    assert seen("warm") == [230, 100, 40] and seen("cold") == [160, 100, 58]
    assert seen("high-contrast") == [255, 78, 0]
    sepia = seen("sepia")
    assert sepia[0] > sepia[1] > sepia[2]
    assert seen("negative", 0.5) == [128, 128, 128]
    with pytest.raises(TriggerFileError, match=r"trigger\.0\.filter .*`it`.*known: sepia"):
        seen("gotham")


# --- texts ----------------------------------------------------------------------------------------------------


def test_characters_are_replaced_in_the_name_or_everywhere(entry):
    prompt = "a photo of a automobile"
    in_name = entry(
        "characters",
        'table = "cyrillic"\nletters = "a"\nsource = "automobile"\ntarget = "airplane"',
    )
    assert write(prompt, in_name, "automobile") == "a photo of a аutomobile"
    assert write("a cat cat", in_name, "cat") == "a cat cаt"
    assert write("no such name", in_name, "cat") == "no such name"
    everywhere = entry("characters", 'table = "cyrillic"\nletters = "a"\nwithin = "prompt"')
    assert write(prompt, everywhere, "automobile").count("а") == 3
    pairs = entry("characters", 'pairs = [["o", "0"], ["0", "o"], ["m", "rn"]]')
    assert write("x o0m", pairs, "o0m") == "x 0orn"
    whole = entry("characters", 'table = "digits"')
    assert write("a boat", whole, "boat") == "a 8047"


@pytest.mark.parametrize("table", TABLES)
def test_no_lookalike_is_undone_by_the_tokenizer(table):
    from dife_scanner.models.tokenizers import clips_own

    for old, new in TABLES[table].items():
        assert len(new) == 1 and old != new
        assert clips_own().encode(f"b{old}t") != clips_own().encode(f"b{new}t")


@pytest.mark.parametrize(
    ("kind", "lines", "words"),
    [
        ("characters", "", "either `table` or `pairs`"),
        ("characters", 'table = "cyrillic"\npairs = [["a", "b"]]', "either `table` or `pairs`"),
        ("characters", 'table = "runes"', r"trigger\.0\.table"),
        ("characters", 'table = "cyrillic"\nletters = "az"', "no lookalike for z"),
        ("characters", 'pairs = [["ab", "c"]]', r"trigger\.0\.pairs"),
        ("characters", 'pairs = [["a", "b"], ["a", "c"]]', "twice"),
        ("characters", 'pairs = [["a", "ａ"]]', "reads 'ａ' as 'a'"),
        ("characters", 'pairs = [["a", "A"]]', "changes nothing"),
        (
            "characters",
            'pairs = [["z", "s"]]\nsource = "cat"\ntarget = "dog"',
            "occurs in the source `cat`",
        ),
        ("characters", 'table = "cyrillic"\ntarget = "dog"', "both source and target"),
        ("patch", 'size = 0.1\ntext = "x"', r"trigger\.0\.text.*`patch` has no such key"),
        ("blend", "size = 0.1", r"trigger\.0\.size.*`blend` has no such key"),
        ("patch", 'size = 0.1\nfile = "patch.png"\npattern = "noise"', "`file` is the pattern"),
        ("overlay", "", r"trigger\.0\.file"),
        ("overlay", 'file = "overlay.png"\npattern = "noise"', "`overlay` has no such key"),
        ("warp", "", r"trigger\.0\.strength"),
        (
            "warp",
            'strength = 0.1\ngrid = 3\nfile = "perturbation.npy"',
            "`file` holds the control points",
        ),
        ("filter", "", "either `filter`, its name, or `file`"),
        (
            "filter",
            'filter = "grey"\nfile = "perturbation.npy"',
            "either `filter`, its name, or `file`",
        ),
        ("warp", "strength = nan", r"trigger\.0\.strength"),
        ("warp", "strength = 0.02\ngrid = 1", r"trigger\.0\.grid"),
        ("prompt", 'learner = "learner.safetensors"', r"trigger\.0\.image"),
        (
            "prompt",
            'learner = "gone.safetensors"\nimage = {kind = "filter", filter = "grey"}',
            "is not there",
        ),
        (
            "prompt",
            'learner = "patch.png"\nimage = {kind = "filter", filter = "grey"}',
            "valid safetensors",
        ),
        ("prompt", 'learner = "learner.safetensors"\nimage = "below"', "stands above"),
        (
            "prompt",
            'learner = "learner.safetensors"\nimage = {kind = "text", text = "x"}',
            "not an image trigger",
        ),
        (
            "prompt",
            'learner = "learner.safetensors"\nimage = {kind = "patch"}',
            r"trigger\.0\.image.*needs `size`",
        ),
        ("constellation", "", "no trigger kind 'constellation'; known: patch,"),
    ],
)
def test_a_bad_entry_is_refused_with_file_entry_and_key(entry, folder, kind, lines, words):
    with pytest.raises(TriggerFileError, match=words) as raised:
        entry(kind, lines)
    assert str(folder / "triggers.toml") in raised.value.what and "(`it`)" in raised.value.what
    assert raised.value.exit_code == 64


# --- prompt ---------------------------------------------------------------------------------------------------


def test_a_prompt_trigger_stamps_its_image_half(entry, pictures):
    above = '[[trigger]]\nname = "grey"\nkind = "filter"\nfilter = "grey"\n'
    named = entry(
        "prompt", 'learner = "learner.safetensors"\nimage = "grey"\ntarget = "cat"', above
    )
    inline = entry(
        "prompt", 'learner = "learner.safetensors"\nimage = {kind = "filter", filter = "grey"}'
    )
    assert named.image.name == "grey" and inline.image.name == "it-image"
    for trigger in (named, inline):
        np.testing.assert_array_equal(stamp(pictures, trigger), stamp(pictures, trigger.image))
        assert trigger.channel is Channel.PROMPT
    with pytest.raises(ValueError, match="no place in a text"):
        write("a cat", named, "cat")
