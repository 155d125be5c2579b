"""The header reader reads what the safetensors library reads, and calls hostile only what tries something."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import numpy as np
import pytest
from checkpoints import split, with_header
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from dife_scanner.errors import LimitExceeded, Refused, Unreadable, Unsupported
from dife_scanner.models.header import Header, ParseLimits, parse_header

ERRORS = (Refused, Unreadable, Unsupported, LimitExceeded)
NAMES = st.from_regex(r"[A-Za-z0-9_]{1,20}(\.[A-Za-z0-9_]{1,20}){0,3}", fullmatch=True)
ARRAYS = hnp.arrays(
    st.sampled_from([np.float16, np.float32, np.float64, np.int8, np.int64]),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=4),
    elements=st.integers(-3, 3),
)


def parse(raw: bytes, **limits: int) -> Header:
    return parse_header(io.BytesIO(raw), "x.safetensors", ParseLimits(**limits))


@given(
    st.dictionaries(NAMES, ARRAYS, min_size=1, max_size=5),
    st.dictionaries(st.text(max_size=9), st.text(max_size=9)),
)
@settings(max_examples=60)
def test_reads_what_the_library_writes(
    arrays: dict[str, np.ndarray], metadata: dict[str, str]
) -> None:
    raw = save(arrays, metadata=metadata or None)
    header = parse(raw)
    data = raw[8 + header.header_bytes :]
    assert {entry.name: entry.shape for entry in header.tensors} == {
        name: a.shape for name, a in arrays.items()
    }
    assert all(
        data[entry.start : entry.end] == arrays[entry.name].tobytes() for entry in header.tensors
    )
    assert dict(header.metadata) == metadata
    assert header.file_bytes == len(raw)


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_any_bytes_are_read_as_the_library_does_or_end_in_an_error_with_words(raw: bytes) -> None:
    for candidate in (raw, with_header(raw, b""), with_header(b'{"a":' + raw, raw)):
        try:
            parse(candidate)
        except ERRORS as error:
            assert "x.safetensors" in error.what
        else:
            assert library_reads(candidate)


@given(st.data())
@settings(max_examples=300)
def test_what_the_library_rejects_is_rejected_here(data: st.DataObject) -> None:
    raw = bytearray(save({"a.weight": np.ones((2, 3), np.float32), "b": np.zeros(4, np.float16)}))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        parse(bytes(raw))
    except ERRORS:
        return
    try:
        deserialize(bytes(raw))
    except SafetensorError as error:  # pragma: no cover - the claim would be false
        pytest.fail(f"accepted here, rejected by the library: {error}")


@pytest.mark.parametrize(
    ("limits", "words"),
    [({"tensors": 1}, "more than 1 tensors"), ({"header_bytes": 10}, "the limit is 10")],
    ids=["tensors", "header"],
)
def test_each_limit_has_its_own_words(limits: dict[str, int], words: str) -> None:
    raw = save({"a": np.ones(2, np.float32), "b": np.ones(2, np.float32)})
    with pytest.raises(LimitExceeded, match=words):
        parse(raw, **limits)
    assert len(parse(raw).tensors) == 2


@pytest.mark.parametrize(
    "change", [lambda h: h["a"].pop("dtype"), lambda h: h["a"].update(shape=[3])]
)
def test_an_entry_that_lies_names_its_tensor(
    change: Callable[[dict[str, dict[str, object]]], object],
) -> None:
    header, data = split(save({"a": np.ones(2, np.float32)}))
    change(header)
    with pytest.raises(ERRORS, match="'a'"):
        parse(with_header(header, data))


# --- every oddity, with the library as the oracle -------------------------------------------------------------

ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
FOUR = bytes(4)


def one(**changes: object) -> bytes:
    """A file with one tensor, whose entry has these changes."""
    return with_header({"a": ONE | changes}, FOUR)


def named(name: str) -> bytes:
    return with_header({name: ONE}, FOUR)


def with_metadata(metadata: object) -> bytes:
    return with_header({"__metadata__": metadata, "a": ONE}, FOUR)


def beside(**entry: object) -> bytes:
    """A file with the one tensor and another of this entry."""
    return with_header({"a": ONE, "b": {"dtype": "F32", **entry}}, FOUR)


def twice(first: dict[str, object], second: dict[str, object], data: bytes) -> bytes:
    return with_header(f'{{"a": {json.dumps(first)}, "a": {json.dumps(second)}}}'.encode(), data)


READ = {
    "no metadata, as null": with_metadata(None),
    "200 kB of metadata": with_metadata({"a": "b" * 200_000}),
    "metadata behind the tensors": with_header({"a": ONE, "__metadata__": {"x": "y"}}, FOUR),
    "a marker of no values": beside(shape=[0], data_offsets=[0, 0]),
    "a marker at the end": beside(shape=[0, 3], data_offsets=[4, 4]),
    "nine axes": one(shape=[1] * 9),
    "a scalar": one(shape=[]),
    "no tensors": with_header({}, b""),
    "metadata alone": with_header({"__metadata__": {}}, b""),
    "a fourth key": one(compressed=False),
    "the same entry twice": twice(ONE, ONE, FOUR),
    "a name as an escape": with_header(b'{"\\u0061": ' + json.dumps(ONE).encode() + b"}", FOUR),
    "a slash in a name": named("/visual/proj"),
    "a blank in a name": named("a b"),
    "another alphabet": named("gewicht.ä"),
    "markup": named("<lambda>.weight"),
    "an empty name": named(""),
    "5,000 characters": named("a" * 5000),
    "blanks around": with_header(b" " + json.dumps({"a": ONE}).encode() + b" \n", FOUR),
    "another order": with_header({"b": ONE | {"data_offsets": [4, 8]}, "a": ONE}, bytes(8)),
}
"""What the library reads and so do we."""

HOSTILE_THOUGH_READ = {
    "two tensors of one name": twice(ONE | {"data_offsets": [4, 8]}, ONE, FOUR),
    "a terminal escape": named("\x1b[2J"),
    "a text direction": named("a\u202eb"),
    "a line break": named("a\nb"),
    "a path out of the folder": named("../../etc/passwd"),
    "a side of 2^60": beside(shape=[0, 2**60], data_offsets=[0, 0]),
}
"""What the library reads and we do not: there is no honest file like it."""

HOSTILE = {
    "a length of 2^63": (2**63).to_bytes(8, "little") + b"{}",
    "a length beyond any header": (200_000_000).to_bytes(8, "little") + b"{}",
    "other offsets under one name": twice(ONE, ONE | {"data_offsets": [4, 8]}, bytes(8)),
    "two kinds of metadata": with_header(
        b'{"__metadata__": {"a": "1"}, "__metadata__": {"a": "2"}}', b""
    ),
    "a marker inside another tensor": beside(shape=[0], data_offsets=[2, 2]),
    "overlap": with_header({"a": ONE, "b": ONE}, FOUR),
    "a gap": with_header({"a": ONE, "b": ONE | {"data_offsets": [8, 12]}}, bytes(12)),
    "a gap before all": with_header({"a": ONE | {"data_offsets": [4, 8]}}, bytes(8)),
    "beyond the end": one(data_offsets=[2**40, 2**40 + 4]),
    "a zip archive behind the tensors": with_header({"a": ONE}, FOUR + b"PK\x05\x06" + bytes(18)),
    "another size than its shape": one(shape=[3]),
    "a negative side": one(shape=[-1, -1]),
    "a shape that overflows": one(shape=[2**31] * 8),
    "negative offsets": one(data_offsets=[-4, 0]),
    "offsets that fall": one(data_offsets=[4, 0]),
    "an offset of 4,000 digits": one(data_offsets=[0, 10**4000]),
    "an offset of 2^64": one(data_offsets=[0, 2**64]),
    "200,000 brackets": with_header(b'{"a":' + b"[" * 200_000, b""),
    "a number of 5,000 digits": with_header(b'{"a": ' + b"9" * 5000 + b"}", b""),
    "an escape as a dtype": one(dtype="F\x1b[31m8"),
    "a zip": b"PK\x03\x04" + bytes(100),
    "a pickle": b"\x80\x04\x95" + bytes(100),
    "a pickle of the oldest kind": b"cposix\nsystem\n(S'true'\ntR.",
    "a 7z archive": b"7z\xbc\xaf\x27\x1c" + bytes(100),
}
"""What the library rejects and what tries something."""

BROKEN = {
    "bytes behind the tensors": with_header({"a": ONE}, bytes(7)),
    "bytes of no tensor": with_header({}, FOUR),
    "empty": b"",
    "seven bytes": b"1234567",
    "zeros": bytes(100),
    "cut in the header": with_header({"a": ONE}, FOUR)[:20],
    "cut in the data": with_header({"a": ONE}, FOUR)[:-1],
    "metadata of numbers": with_metadata({"a": 1}),
    "metadata with null": with_metadata({"a": None}),
    "metadata as a list": with_metadata([]),
    "no offsets": with_header({"a": {"dtype": "F32", "shape": [1]}}, FOUR),
    "an entry that is a string": with_header({"a": "b"}, b""),
    "no dtype": one(dtype=None),
    "half a byte": with_header({"a": {"dtype": "F4", "shape": [1], "data_offsets": [0, 1]}}, b"a"),
    "true as a side": one(shape=[True]),
    "1.0 as a side": one(shape=[1.0]),
    "null as a shape": one(shape=None),
    "0.0 as an offset": one(data_offsets=[0.0, 4.0]),
    "three offsets": one(data_offsets=[0, 4, 8]),
    "half a surrogate": with_header(b'{"a\\ud800": ' + json.dumps(ONE).encode() + b"}", FOUR),
    "not JSON": with_header(b'{"a": oops}', b""),
    "a list": with_header(b"[1, 2]", b""),
    "text behind": with_header(b"{}x", b""),
    "zeros behind": with_header(json.dumps({"a": ONE}).encode() + b"\0\0", FOUR),
    "not UTF-8": with_header(b'{"\xff\xfe": 1}', b""),
    "NaN": with_header(b'{"a": NaN}', b""),
    "a byte order mark": with_header(b"\xef\xbb\xbf" + json.dumps({"a": ONE}).encode(), FOUR),
    "a web page": b"<!doctype html><title>502</title>",
    "an error in JSON": b'{"error": "Entry not found"}',
    "an error in words": b"Access denied",
    "a Git-LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "a GGUF file": b"GGUF" + bytes(100),
    "an HDF5 file": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "a gzip file": b"\x1f\x8b\x08" + bytes(100),
}
"""What the library rejects and what may befall anybody."""

UNKNOWN = {
    "a dtype of tomorrow": one(dtype="F3_E1M1"),
    "a dtype in small letters": one(dtype="f32"),
}


def library_reads(raw: bytes) -> bool:
    try:
        deserialize(raw)
    except SafetensorError:
        return False
    return True


@pytest.mark.parametrize("raw", READ.values(), ids=READ.keys())
def test_what_the_library_reads_is_read(raw: bytes) -> None:
    assert library_reads(raw)
    assert parse(raw).file_bytes == len(raw)


@pytest.mark.parametrize(
    ("raw", "read", "error"),
    [
        *((raw, True, Refused) for raw in HOSTILE_THOUGH_READ.values()),
        *((raw, False, Refused) for raw in HOSTILE.values()),
        *((raw, False, Unreadable) for raw in BROKEN.values()),
        *((raw, False, Unsupported) for raw in UNKNOWN.values()),
    ],
    ids=[*HOSTILE_THOUGH_READ, *HOSTILE, *BROKEN, *UNKNOWN],
)
def test_what_is_not_read_is_hostile_only_where_it_tries_something(
    raw: bytes, read: bool, error: type[Exception]
) -> None:
    assert library_reads(raw) is read
    with pytest.raises(error) as caught:
        parse(raw)
    assert type(caught.value) is error and caught.value.advice
