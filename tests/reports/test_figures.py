"""Figures: drawn where there are numbers, N.E. apart from zero, the same bytes twice, and no name becomes markup."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import study_factories as factories
from PIL import Image

from dife_scanner.errors import UsageError
from dife_scanner.figures import drawings
from dife_scanner.records import EntryType, NearestConcept
from dife_scanner.reports import figures
from dife_scanner.reports.study import study


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    return {path.name: path for path in figures.write(factories.whole(), folder)}


def words(path):
    return [text for node in ElementTree.parse(path).iter() if (text := (node.text or "").strip())]


def test_every_figure_is_there_as_png_and_svg(drawn):
    assert set(drawn) == {f"{name}.{kind}" for name in figures.FIGURES for kind in figures.FORMATS}
    for path in drawn.values():
        if path.suffix == ".png":
            with Image.open(path) as image:
                image.verify()
                assert min(image.size) > 300


def test_the_matrix_marks_each_kind_of_entry(drawn):
    said = words(drawn["exposure-matrix.svg"])
    for word in (
        "N.E.",
        "not run",
        "missing",
        "control",
        "TS 0.991",
        "▲ +0.956",
        "▼ −0.485",
        "ΔH@1",
    ):
        assert word in said


def test_zero_and_not_evaluable_do_not_look_alike():
    from matplotlib.figure import Figure

    audit = factories.audit()
    zero = factories.cell("zero-shot classification", "TS", 0.1, 0.1, EntryType.WEAK)
    absent = next(
        entry for entry in audit.profile if entry.interface == "downstream classification"
    )
    figure = Figure()
    assert figures.exposure_matrix(study([("a", replace(audit, profile=(zero, absent)))]), figure)
    number, hatched = figure.axes[0].patches
    assert (number.get_hatch(), hatched.get_hatch()) == (None, "////")
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.000", "TS 0.100", "N.E."]


def test_bars_have_the_height_of_the_numbers(drawn):
    from matplotlib.figure import Figure

    figure = Figure()
    assert figures.branch_swap(factories.whole(), figure)
    heights = [patch.get_height() for patch in figure.axes[0].patches]
    assert heights[:3] == [0.001, 0.0988, 0.001]  # a00 of the three swaps
    assert heights[3:6] == [0.001, 0.9998, 0.001]  # a10
    said = words(drawn["component-repair.svg"])
    assert {"1.000", "0.100", "0.102", "full: prompt and trigger together"} <= set(said)
    thresholds = [one.get_segments()[0][0][1] for one in figure.axes[0].collections]
    assert thresholds == pytest.approx([0.051, 0.1488, 0.051])  # 0.05 above a00


def test_intervals_of_both_parts_are_drawn():
    from matplotlib.figure import Figure

    audit = factories.audit()
    figure = Figure()
    assert figures.trigger_and_drift(
        study([("a", replace(audit, profile=audit.profile[:1]))]), figure
    )
    trigger, drift = (
        one.lines[2][0].get_segments()[0][:, 0].tolist() for one in figure.axes[0].containers
    )
    cell = audit.profile[0]
    assert trigger == pytest.approx([cell.trigger.interval.low, cell.trigger.interval.high])
    assert drift == pytest.approx([cell.drift.interval.low, cell.drift.interval.high])


def test_a_strangers_name_is_only_text(drawn):
    for path in drawn.values():
        if path.suffix == ".svg":
            assert not ElementTree.parse(path).findall(".//{http://www.w3.org/2000/svg}img")
    assert any(
        text.startswith("=cmd|") and "$" in text for text in words(drawn["exposure-matrix.svg"])
    )


def test_the_same_study_gives_the_same_bytes(drawn, tmp_path):
    record = factories.whole()
    for path in figures.write(record, tmp_path):
        assert path.read_bytes() == drawn[path.name].read_bytes(), path.name


def test_nothing_is_drawn_where_there_are_no_numbers(tmp_path):
    empty = factories.audit(profile=(), branch_swap=None, diagnosis=None)
    assert figures.write(study([("a", empty)]), tmp_path) == ()


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_drawn(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="figures cannot be written"):
        figures.check_folder(tmp_path / "file" / "below")


def test_drawings_stand_in_a_row_below_the_matrix():
    shown = study([("one", factories.audit("one", factories.TEXT))])
    found = drawings.of_nearest((NearestConcept("owl", 0.9),))
    assert isinstance(found, drawings.Drawings)
    alone, both = (
        Image.open(BytesIO(figures.matrix_png(shown, below))) for below in ((), found.drawings)
    )
    assert both.crop((0, 0, *alone.size)).tobytes() == alone.convert("RGB").tobytes()
    row = np.asarray(both.crop((0, alone.height, *both.size)))
    filled = (row != 255).any(axis=(0, 2))
    begins = int((filled[1:] & ~filled[:-1]).sum())
    assert begins == len(found.drawings)  # apart from each other, and from the edge
