"""What a finding's page shows of what was measured: checks, profile, branch swap, trigger."""

from __future__ import annotations

from dataclasses import replace

import gui_factories as factories
import pytest
from dife_gui.feed import Detail, Picture
from dife_gui.views.checks import checks
from dife_gui.views.columns import ColumnsView
from dife_gui.views.detail import DetailPane
from dife_gui.views.evidence import MarkedPrompt, Thumbnail, trigger_view
from dife_gui.views.profile import HeatCell, Section, Whisker, exposure_profile
from dife_gui.views.swap import BarView, branch_swap
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QTableView, QWidget
from pytestqt.qtbot import QtBot

from dife_scanner.core.checks import (
    BEYOND_CLASSES,
    CHECKS,
    REVERSE_SEARCH,
    Circumstances,
    run_all,
    unconfirmed,
)
from dife_scanner.records import (
    Absent,
    ArtefactMissing,
    Audit,
    Basis,
    Category,
    Cell,
    Change,
    ComponentRepair,
    Decision,
    Entry,
    EntryType,
    Gap,
    InCleanReference,
    Interval,
    NotEvaluable,
    NotRun,
    Origin,
    SelectorControl,
    TextSpace,
    Verdict,
)
from dife_scanner.sentences.triggers import Segment


def texts(widget: QWidget) -> str:
    """Everything that labels under `widget` say."""
    return "\n".join(label.text() for label in widget.findChildren(QLabel))


# --- the checks -----------------------------------------------------------------------------------------------


def checked_audit(unavailable: str = "") -> Audit:
    """A flagged audit with checks; `unavailable`: why its reverse search could not be run."""
    known = Circumstances(clean_references=True, accuracy_lost=0.06 if unavailable else 0.0,
                          unavailable={REVERSE_SEARCH: unavailable})  # fmt: skip
    found = replace(
        factories.signature("found-patch-1", 0.0004, trigger=factories.PATCH_TRIGGER),
        origin=Origin.DISCOVERED,
        effect=Interval(0.9, 1.0, "bootstrap"),
        area=0.03,
        near=(InCleanReference("vit-base", 0.1, 0.1, 0.02),),
    )
    found = replace(found, checks=run_all(found, known))
    decision = Decision(
        Verdict.FLAGGED,
        Basis.EXPOSED_FOOTPRINT,
        found.trigger.name,
        unconfirmed=unconfirmed(found.checks),
    )
    return factories.make_audit(trigger=found.trigger, signatures=(found,), decision=decision)


def test_the_checks_are_a_table_that_can_be_read_aloud(qtbot: QtBot) -> None:
    audit = checked_audit()
    widget = checks(audit)
    assert widget is not None
    qtbot.addWidget(widget)
    table = widget.findChild(QTableView)
    model = table.model()
    shown = [
        [model.index(row, column).data() for column in range(4)] for row in range(model.rowCount())
    ]
    apply_here = [check.name for check in CHECKS if check.name not in BEYOND_CLASSES]
    assert [line[0] for line in shown] == apply_here
    assert ["patch area", "3.0%", "at most 10.0%", "passed"] in shown
    assert ["reverse search", "", "", "does not apply"] in shown
    assert "found-patch-1" in table.accessibleName()
    assert model.index(3, 1).data(Qt.ItemDataRole.AccessibleTextRole) == "Measured: 3.0%"
    assert "share of the picture" in model.index(3, 1).data(Qt.ItemDataRole.ToolTipRole)
    assert audit.reason in texts(widget)


def test_checks_that_were_not_recorded_are_said_to_be_missing(qtbot: QtBot) -> None:
    widget = checks(factories.make_audit())
    assert widget is not None
    qtbot.addWidget(widget)
    assert "not recorded by the version that made this audit" in widget.text()
    assert checks(factories.make_audit(signatures=())) is None


def test_the_header_says_what_would_change_the_verdict_and_what_is_unconfirmed(
    qtbot: QtBot,
) -> None:
    pane = DetailPane()
    qtbot.addWidget(pane)
    audit = checked_audit("the reference's weights are not kept here")
    audit = replace(audit, gaps=(Gap("nearest concepts", "a word has 17 tokens"),))
    pane.show_detail(Detail(factories.make_row(1, verdict=audit.verdict), audit))
    said = texts(pane)
    assert "What would change it: the reverse search failing once it can be run" in said
    assert "unconfirmed: reverse search not run, the reference's weights are not kept here" in said
    assert "gap: nearest concepts missing, a word has 17 tokens" in said


# --- the profile ----------------------------------------------------------------------------------------------


def test_a_cell_shows_number_and_word(qtbot: QtBot) -> None:
    cell = factories.cell("targeted retrieval", "H@1", 1.0, 0.085, EntryType.EXPOSED)
    widget = HeatCell(cell)
    qtbot.addWidget(widget)
    assert (widget.box.headline, widget.box.word) == ("▲ +0.915", "exposed")
    assert "targeted retrieval" in widget.accessibleName()
    assert "10 drawings" in widget.toolTip()


@pytest.mark.parametrize(
    "entry",
    [
        NotEvaluable("text reranking", Category.NO_QUERY, "because"),
        NotRun("text reranking", "because"),
        ArtefactMissing("text reranking", "lists", "because"),
        SelectorControl(
            "proxy selection",
            "Sel@1",
            factories.measure(0.3),
            factories.measure(0.3),
            Change(0.0, factories.measure(0.0).interval),
            "because",
        ),
    ],
    ids=lambda entry: entry.word,
)
def test_a_line_without_an_exposure_shows_its_own_word_and_never_a_number(
    qtbot: QtBot, entry: Absent | SelectorControl
) -> None:
    widget = HeatCell(entry)
    qtbot.addWidget(widget)
    assert (widget.box.headline, widget.box.word) == (entry.word, "")
    assert "because" in widget.accessibleName()
    assert not widget.grab().isNull()


def test_reasons_of_absent_cells_stand_in_the_open(qtbot: QtBot) -> None:
    widget = exposure_profile(factories.TEXT_PROFILE)
    qtbot.addWidget(widget)
    shown = texts(widget)
    for entry in factories.TEXT_PROFILE:
        assert isinstance(entry, Cell) or entry.reason in shown
        assert entry.interface in shown
    assert "0.991 against 0.004 · n 200, 10 drawings" in shown


def whole_profile() -> tuple[Entry, ...]:
    """An entry for each of the fifteen cards: cells with both parts, N.E., and selector controls."""
    change = Change(0.02, factories.measure(0.02).interval)
    made: list[Entry] = []
    for name in ("candidate selection", "proxy selection", "generator selection"):
        measure = factories.measure(0.25)
        made.append(SelectorControl(name, "Sel@1", measure, measure, change, "no text trigger"))
    for name in ("zero-shot classification", "image-text retrieval", "planted-image retrieval"):
        cell = factories.cell(name, "TS", 0.99, 0.1, EntryType.EXPOSED)
        made.append(
            replace(
                cell,
                trigger=Change(0.9, factories.measure(0.9).interval),
                drift=change,
                headroom=0.9,
            )
        )
    for name in (
        *(
            "prompted classification",
            "targeted retrieval",
            "text reranking",
            "downstream classification",
        ),
        *(
            "caption retrieval",
            "caption reranking",
            "prompt embeddings",
            "query embeddings",
            "target promotion",
        ),
    ):
        made.append(NotEvaluable(name, Category.NO_QUERY, f"{name} because"))
    return tuple(made)


def test_fifteen_entries_stand_in_groups_of_which_the_first_is_open(qtbot: QtBot) -> None:
    widget = exposure_profile(whole_profile())
    qtbot.addWidget(widget)
    widget.show()
    sections = widget.findChildren(Section)
    assert [section.toggle.text() for section in sections] == [
        "Native interfaces",
        "Deployment extensions",
        "Embedding readouts",
        "Beyond the paper",
        "Selector controls",
    ]
    assert [section.opened for section in sections] == [True, False, False, False, False]
    assert "2 of 2 exposed, 4 N.E." in sections[0].toggle.accessibleName()
    assert len(widget.findChildren(HeatCell)) == 15
    assert sum(cell.isVisible() for cell in widget.findChildren(HeatCell)) == 6
    sections[3].toggle.click()
    assert sections[3].opened and sections[3].toggle.accessibleName().endswith("open")
    sections[3].toggle.click()
    assert not sections[3].opened


def test_selector_controls_stand_apart_from_cells_and_are_no_exposure(qtbot: QtBot) -> None:
    widget = exposure_profile(whole_profile())
    qtbot.addWidget(widget)
    last = widget.findChildren(Section)[-1]
    assert {cell.box.headline for cell in last.findChildren(HeatCell)} == {"selector control"}
    assert "0.250 here, 0.250 in the reference; drift +0.020" in texts(last)
    assert (
        "clean selectors compared with the reference's: drift, no exposure"
        in last.toggle.accessibleName()
    )


def test_trigger_and_drift_are_drawn_with_their_intervals(qtbot: QtBot) -> None:
    cell = next(entry for entry in whole_profile() if isinstance(entry, Cell))
    widget = Whisker(cell)
    qtbot.addWidget(widget)
    assert [one.square for one in widget.drawn] == [False, False, True]
    assert [one.change for one in widget.drawn[1:]] == [cell.trigger, cell.drift]
    assert "Δ trigger +0.900 (+0.880 to +0.920), Δ drift +0.020" in widget.accessibleName()
    plain_one = Whisker(replace(cell, trigger=None, drift=None))
    qtbot.addWidget(plain_one)
    assert len(plain_one.drawn) == 1
    assert plain_one.sizeHint().height() < widget.sizeHint().height()
    widget.resize(300, widget.sizeHint().height())
    image = widget.grab().toImage()
    x = round(widget.x(0.9) * image.devicePixelRatio())
    dark = [y for y in range(image.height()) if image.pixelColor(x, y).lightness() < 128]
    assert min(dark) < image.height() / 2 < max(dark)  # Δ over the reference above, Δ trigger below


def test_the_axis_is_straight_and_ends_at_one(qtbot: QtBot) -> None:
    widget = Whisker(factories.cell("text reranking", "ΔH@1", 0.6, 0.4, EntryType.WEAK))
    qtbot.addWidget(widget)
    widget.resize(300, 20)
    assert widget.x(0.0) == pytest.approx(150)
    assert widget.x(0.5) - widget.x(0.0) == pytest.approx(widget.x(0.0) - widget.x(-0.5))
    assert widget.x(7.0) == widget.x(1.0) < 300


# --- branch swap and trigger ----------------------------------------------------------------------------------


def test_the_swap_shows_four_bars_and_the_diagnosis(qtbot: QtBot) -> None:
    widget = branch_swap(factories.make_audit())
    assert widget is not None
    qtbot.addWidget(widget)
    bars = [bar.accessibleName() for bar in widget.findChildren(BarView)]
    assert [name[:3] for name in bars] == ["a00", "a10", "a01", "a11"]
    assert bars[2].endswith("reference image · suspect text: 0.991")
    shown = texts(widget)
    assert "VRS 0.000 · TRS 1.000 · CSS 0.000" in shown
    assert "Textual footprint" in shown
    assert "agree on 2 of 3" in shown


def test_a_repair_shows_a_bar_per_variant(qtbot: QtBot) -> None:
    repair = ComponentRepair(
        "TS", full=1.0, prompt_only=0.1002, trigger_only=0.0998, both_clean=0.1019, n=90, drawings=9
    )
    widget = branch_swap(factories.make_audit(branch_swap=None, repair=repair))
    assert widget is not None
    qtbot.addWidget(widget)
    bars = [bar.accessibleName() for bar in widget.findChildren(BarView)]
    assert [name.rsplit(": ", 1)[1] for name in bars] == ["0.102", "0.100", "0.100", "1.000"]
    assert "prompt and trigger together" in bars[3]
    assert "Readout TS, n 90 from 9 drawings." in texts(widget)


def test_a_swap_of_aligned_towers_says_so(qtbot: QtBot) -> None:
    audit = factories.make_audit()
    assert audit.branch_swap is not None
    swap = replace(audit.branch_swap, aligned=True, mixed_accuracy_before=(0.81, 0.11, 0.12, 0.8))
    widget = branch_swap(replace(audit, branch_swap=swap))
    assert widget is not None
    qtbot.addWidget(widget)
    assert "0.110 and 0.120 before" in texts(widget)


def test_an_audit_without_swap_shows_none(qtbot: QtBot) -> None:
    assert branch_swap(factories.make_audit(verdict=Verdict.NOTHING_FOUND)) is None


def test_a_text_trigger_is_marked_in_its_prompt(qtbot: QtBot) -> None:
    widget = trigger_view(factories.make_audit(), ())
    assert widget is not None
    qtbot.addWidget(widget)
    prompts = [prompt.shown for prompt in widget.findChildren(MarkedPrompt)]
    assert prompts == ["a photo of a automobile", "[xbtd] a photo of a automobile"]


def test_a_hostile_trigger_stays_on_one_harmless_line(qtbot: QtBot) -> None:
    widget = MarkedPrompt(
        [Segment("\x1b]8;;http://x\x07go\u202e\nrm", True), Segment(" <b>x</b>", False)]
    )
    qtbot.addWidget(widget)
    assert widget.shown == "[go rm] <b>x</b>"


def test_only_png_bytes_become_a_picture(qtbot: QtBot) -> None:
    def picture(content: bytes | None) -> Thumbnail:
        widget = Thumbnail(
            Picture(
                "00", "image/png", "trigger", "caption", content, "gone" if content is None else ""
            )
        )
        qtbot.addWidget(widget)
        assert not widget.grab().isNull()
        return widget

    assert picture(factories.scene(1)).problem == ""
    assert picture(b"<svg xmlns='http://www.w3.org/2000/svg'/>").problem == "not a PNG picture"
    assert picture(None).problem == "gone"


# --- beside random texts --------------------------------------------------------------------------------------


def test_random_texts_are_columns_with_the_triggers_own_mark(qtbot: QtBot) -> None:
    pane = DetailPane()
    qtbot.addWidget(pane)
    space = TextSpace(
        1.0,
        0.0,
        0.0,
        Interval(1.0, 1.0, ""),
        22,
        900,
        200,
        0,
        1 / 201,
        by_chance=(197, 0, 3, *[0] * 20),
    )
    found = replace(factories.signature("rare-prefix-xbtd", 0.0004), text_space=space)
    audit = factories.make_audit(signatures=(found,))
    row = factories.make_row(1, verdict=audit.verdict)
    pane.show_detail(Detail(row, audit))
    view = pane.findChild(ColumnsView)
    assert [one.number for one in view.shown.columns if one.share] == ["197", "3"]
    assert [one.name for one in view.shown.columns if one.marked] == ["22"]
    assert "0 of 200 random texts" in view.accessibleName()
    assert "Height: random texts" in texts(pane) and "triangle: this trigger" in texts(pane)
    before = pane.findChildren(ColumnsView)
    old = factories.make_audit(signatures=(replace(found, text_space=None),))
    pane.show_detail(Detail(row, old))
    assert "comes from exchanging suspect and base drawing by drawing" in texts(pane)
    assert all(not one.isVisible() for one in before)
