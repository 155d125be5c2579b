"""The four ways in which a torch file ends, the words for each, and the limits."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_contents import parse, values

from dife_scanner.errors import LimitExceeded, Refused, Unreadable, Unsupported
from dife_scanner.lab.hostile import assembler as asm
from dife_scanner.lab.hostile.archives import SIX_FLOATS, Part, honest, torch_archive
from dife_scanner.lab.hostile.assembler import call, name, number, pickled, state, tensor, text
from dife_scanner.lab.hostile.containers import legacy
from dife_scanner.models.torch_files import Table, state_dict

ERRORS = (Refused, Unreadable, Unsupported, LimitExceeded)
ROOT = Path(__file__).resolve().parents[3]


def archive(**values: bytes) -> bytes:
    return torch_archive(pickled(state(weight=tensor(), **values)))


def namespace(**attributes: bytes) -> bytes:
    return (
        name("argparse.Namespace")
        + asm.EMPTY_TUPLE
        + asm.NEW_OBJECT
        + state(**attributes)
        + asm.BUILD
    )


# --- (i) tensors, and (ii) what is known to do nothing ----------------------------------------------------------


def test_objects_of_known_classes_are_kept_as_their_names() -> None:
    table = parse(archive(args=namespace(lr=number(1)), when=call("datetime.date", number(2026))))
    assert table.opaque == ("argparse.Namespace", "datetime.date")
    assert [one.name for one in table.tensors] == ["weight"]


@pytest.mark.parametrize(
    "module",
    [
        "__main__.Config",
        "omegaconf.dictconfig.DictConfig",
        "transformers.models.clip.configuration_clip.CLIPConfig",
    ],
)
def test_an_object_of_a_library_or_of_the_program_that_saved_it_is_no_finding(module: str) -> None:
    made = name(module) + asm.EMPTY_TUPLE + asm.NEW_OBJECT + state(x=number(1)) + asm.BUILD
    assert parse(archive(config=made)).opaque == (module,)


def test_numbers_and_short_texts_beside_the_tensors_are_kept() -> None:
    table = parse(archive(epoch=number(7), name=text("ViT-B-32"), long=text("x" * 999)))
    assert table.values == ((("epoch",), 7), (("name",), "ViT-B-32"))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (call("torch._utils._rebuild_qtensor", text("x")), "_rebuild_qtensor"),
        (name("my_project.losses.focal"), "mentions 'my_project.losses.focal'"),
        (tensor(asm.storage(kind="torch.QInt8Storage")), "QInt8Storage"),
    ],
    ids=["quantised tensor", "a name only mentioned", "quantised storage"],
)
def test_what_is_honest_and_not_read_is_unsupported(body: bytes, words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        parse(archive(other=body))


# --- (iii) what tries something -------------------------------------------------------------------------------


@pytest.mark.parametrize("space", ["", "\n", "\x85", "\u2003", "\x1c"])
def test_a_pickle_carried_as_text_is_found_whatever_white_space_stands_in_it(space: str) -> None:
    """A line break that Unicode knows and base64 does not once ended the reader with an error of its own."""
    written = base64.b64encode(pickled(call("os.system", text("id")))).decode()
    with pytest.raises(Refused, match="system"):
        parse(archive(note=text(written[:20] + space + written[20:])))


def test_a_call_is_refused_by_its_name_escaped() -> None:
    with pytest.raises(Refused) as caught:
        parse(archive(x=call("evil\x1b[31m.run")))
    assert r"'evil\x1b[31m.run'" in caught.value.what
    assert caught.value.what.isprintable()


def test_a_finding_goes_before_what_is_not_read_or_damaged() -> None:
    quantised = call("torch._utils._rebuild_qtensor", text("x"))
    for raw in (
        archive(a=quantised, b=call("my_project.run")),
        torch_archive(asm.PROTOCOL_2 + call("a.b")),
    ):
        with pytest.raises(Refused, match="calls"):
            parse(raw)


@given(
    st.integers(-1, 7),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=3),
)
@settings(max_examples=40)
def test_a_view_is_read_where_torch_reads_it_and_has_the_same_values(
    offset: int, axes: list[tuple[int, int]]
) -> None:
    shape = tuple(side for side, _ in axes)
    strides = tuple(step for _, step in axes)
    raw = torch_archive(pickled(state(weight=tensor(offset=offset, shape=shape, strides=strides))))
    try:
        expected = torch.load(io.BytesIO(raw), weights_only=True)["weight"].numpy()
    except RuntimeError:
        with pytest.raises(Refused):
            parse(raw)
        return
    (found,) = parse(raw).tensors
    assert np.array_equal(values(found, raw).view(np.float32), expected)


# --- limits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "limits", "setting"),
    [
        (archive(second=tensor()), {"tensors": 1}, "tensors"),
        (archive(text=text("x" * 500)), {"header_bytes": 500}, "header_bytes"),
        (legacy(), {"header_bytes": 100}, "header_bytes"),
        (archive(values=asm.EMPTY_LIST + b"K\x01a" * 200), {"tensors": 2}, "tensors"),
    ],
    ids=["tensors", "pickle", "legacy pickles", "steps"],
)
def test_each_limit_names_its_setting(raw: bytes, limits: dict[str, int], setting: str) -> None:
    with pytest.raises(LimitExceeded) as caught:
        parse(raw, **limits)
    assert f"limits.{setting}" in caught.value.advice
    assert parse(raw).tensors


# --- which tensors are the model's ----------------------------------------------------------------------------


def table(*paths: str) -> Table:
    """A table of tensors with these paths, written with slashes."""
    tensors = [
        (one := parse(honest()).tensors[0]).from_json([path.split("/"), *one.as_json()[1:]])
        for path in paths
    ]
    return Table("zip", tuple(tensors), (), (), 0)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (("a.weight", "b.weight"), ["a.weight", "b.weight"]),
        (("state_dict/a", "state_dict_ema/b"), ["a"]),
        (("model/a", "ema/b", "optimizer/state/0/exp_avg"), ["a"]),
        (("model/state_dict/a",), ["a"]),
        (("state_dict/a", "model/b"), ["a"]),
        (("anything/a", "optimizer/state/0/exp_avg"), ["a"]),
        (("state_dict/a.weight", "best_accuracy", "queue"), ["a.weight"]),
    ],
)
def test_the_model_is_found_where_training_programs_keep_it(
    paths: tuple[str, ...], names: list[str]
) -> None:
    assert list(state_dict(table(*paths), "x.pt")) == names


@pytest.mark.parametrize(
    "paths",
    [
        ("first/a", "second/b"),
        ("model/a", "module/b"),
        ("list/0", "list/1"),
        ("state_dict/a.weight", "a.weight"),
        ("model/a", "a"),
        (),
    ],
)
def test_where_no_dict_or_several_could_be_the_model_that_is_said(paths: tuple[str, ...]) -> None:
    with pytest.raises(Unsupported, match=r"several dicts|no dict"):
        state_dict(table(*paths), "x.pt")


@pytest.mark.parametrize(
    "paths",
    [
        ("a.weight", "model/a.weight"),
        ("a.weight", "state_dict/a.weight"),
        ("state_dict/a.weight", "state_dict/state_dict/a.weight"),
    ],
)
def test_a_model_beside_the_dict_of_another_is_not_passed_over(paths: tuple[str, ...]) -> None:
    with pytest.raises(Unsupported, match="could be the model"):
        state_dict(table(*paths), "x.pt")


# --- any bytes, and no library --------------------------------------------------------------------------------

SEEDS = (
    honest(),
    legacy(),
    archive(args=namespace(lr=number(1))),
    torch_archive(pickled(state()), Part("archive/x.pkl", SIX_FLOATS)),
)


@given(st.sampled_from(SEEDS), st.data())
@settings(max_examples=60)
def test_any_bytes_end_in_a_table_or_in_an_error_with_words(
    seed: bytes, data: st.DataObject
) -> None:
    raw = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    try:
        found = parse(bytes(raw))
    except ERRORS as error:
        assert "x.pt" in error.what
    else:
        assert all(0 <= one.start <= one.end <= len(raw) for one in found.tensors)


def test_the_reader_needs_the_standard_library_alone(tmp_path: Path) -> None:
    file = tmp_path / "x.pt"
    file.write_bytes(honest())
    program = (
        f"import sys, json; sys.path.insert(0, {str(ROOT)!r})\n"
        "from dife_scanner.models.header import ParseLimits\n"
        "from dife_scanner.models.torch_files import read\n"
        f"print(json.dumps(read(open({str(file)!r}, 'rb'), 'x.pt', ParseLimits()).as_json()))\n"
        "assert 'pickle' not in sys.modules and 'zipfile' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert Table.from_json(json.loads(done.stdout)) == parse(honest())
