"""The header reader agrees with the safetensors library on honest files and is at least as strict on all others."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from checkpoints import split, with_header
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from dife_scanner.errors import LimitExceeded, Refused
from dife_scanner.models.header import Header, ParseLimits, parse_header

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
@settings(max_examples=60, deadline=None)
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
@settings(max_examples=200, deadline=None)
def test_any_bytes_end_in_an_error_with_words(raw: bytes) -> None:
    for candidate in (raw, with_header(raw, b""), with_header(b'{"a":' + raw, raw)):
        with pytest.raises((Refused, LimitExceeded), match=r"x\.safetensors"):
            parse(candidate)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_what_the_library_rejects_is_rejected_here(data: st.DataObject) -> None:
    raw = bytearray(save({"a.weight": np.ones((2, 3), np.float32), "b": np.zeros(4, np.float16)}))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        parse(bytes(raw))
    except (Refused, LimitExceeded):
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
    with pytest.raises(Refused, match="'a'"):
        parse(with_header(header, data))
