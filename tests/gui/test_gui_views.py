"""What the parts of the window show, and that it can be read."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import gui_factories as factories
import pytest
from dife_gui.feed import Detail, Overview, Picture
from dife_gui.views import marks, theme
from dife_gui.views.checks import checks
from dife_gui.views.detail import DetailPane
from dife_gui.views.evidence import MarkedPrompt, Thumbnail, trigger_view
from dife_gui.views.keys import KEYS, Help
from dife_gui.views.profile import HeatCell, Section, Whisker, exposure_profile
from dife_gui.views.status import (
    Status,
    changed_bases_text,
    coverage_text,
    dead_letters_text,
    overview_text,
    queue_text,
    unaudited_text,
)
from dife_gui.views.swap import Bar, branch_swap
from dife_gui.views.text import Label
from dife_gui.views.triage import Triage
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QGuiApplication, QImage, QPainter, QPalette
from PySide6.QtWidgets import QLabel, QPushButton, QTableView, QWidget
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
    Alert,
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
    FindingKind,
    Gap,
    InCleanReference,
    Interval,
    Job,
    JobState,
    ModelRef,
    NotEvaluable,
    NotRun,
    Origin,
    SelectorControl,
    Tally,
    TriageState,
    Verdict,
)
from dife_scanner.sentences.alerts import notice_of
from dife_scanner.sentences.times import time_text
from dife_scanner.sentences.triggers import Segment
from dife_scanner.store.polls import Beat


def texts(widget: QWidget) -> str:
    """Everything that labels under `widget` say."""
    return "\n".join(label.text() for label in widget.findChildren(QLabel))


@pytest.fixture(params=["light", "dark"])
def palette(request: pytest.FixtureRequest, qtbot: QtBot) -> QPalette:
    return theme.dark_palette() if request.param == "dark" else QPalette(QGuiApplication.palette())


# --- colours --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", list(EntryType))
def test_numbers_are_readable_on_every_heat(entry: EntryType, palette: QPalette) -> None:
    scheme = theme.colours(palette)
    for step in range(-20, 21):
        ground = theme.heat(entry, step / 20, scheme)
        assert theme.contrast(theme.text_on(ground), ground) >= theme.READABLE


def test_tinted_and_secondary_text_is_readable(palette: QPalette) -> None:
    scheme = theme.colours(palette)
    for ground in (
        palette.color(QPalette.ColorRole.Base),
        palette.color(QPalette.ColorRole.Window),
    ):
        for ink in (
            scheme.alarm,
            scheme.caution,
            theme.muted(palette),
            palette.color(QPalette.ColorRole.Text),
        ):
            assert theme.contrast(ink, ground) >= theme.READABLE, (ink.name(), ground.name())
    banner = theme.mixed(palette.color(QPalette.ColorRole.Base), scheme.caution, 0.08)
    assert theme.contrast(scheme.caution, banner) >= theme.READABLE


def test_contrast_is_that_of_wcag() -> None:
    assert theme.contrast(QColor("#000000"), QColor("#ffffff")) == pytest.approx(21)
    assert theme.contrast(QColor("#777777"), QColor("#ffffff")) == pytest.approx(4.48, abs=0.01)


def test_promotion_warms_with_its_size(palette: QPalette) -> None:
    scheme = theme.colours(palette)
    assert theme.heat(EntryType.EXPOSED, 0.25, scheme) == scheme.heat_low
    assert theme.heat(EntryType.EXPOSED, 1.0, scheme) == scheme.heat_high
    assert (
        theme.heat(EntryType.WEAK, 0.2, scheme)
        == theme.heat(EntryType.N_TOO_SMALL, 0.6, scheme)
        == scheme.neutral
    )


def test_each_verdict_has_a_shape_of_its_own(qtbot: QtBot) -> None:
    """Drawn in one colour, no two are the same picture."""

    def drawn(verdict: Verdict | None) -> bytes:
        image = QImage(32, 32, QImage.Format.Format_Grayscale8)
        image.fill(Qt.GlobalColor.white)
        painter = QPainter(image)
        marks.draw(painter, QRectF(0, 0, 32, 32), verdict, QColor("black"))
        painter.end()
        return bytes(image.constBits())

    pictures = {drawn(verdict) for verdict in (None, *Verdict)}
    assert len(pictures) == len(Verdict) + 1


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
    assert widget.texts == ("+0.915", "exposed")
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
    assert widget.texts == (entry.word, "")
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
    assert {cell.texts for cell in last.findChildren(HeatCell)} == {("selector control", "")}
    assert "0.250 here, 0.250 in the reference; drift +0.020" in texts(last)
    assert (
        "clean selectors compared with the reference's: drift, no exposure"
        in last.toggle.accessibleName()
    )


def test_trigger_and_drift_are_drawn_with_their_intervals(qtbot: QtBot) -> None:
    cell = next(entry for entry in whole_profile() if isinstance(entry, Cell))
    widget = Whisker(cell)
    qtbot.addWidget(widget)
    assert [shape for _, shape in widget.marks] == ["main", "dot", "square"]
    assert widget.marks[1][0] is cell.trigger and widget.marks[2][0] is cell.drift
    assert "Δ trigger +0.900 (+0.880 to +0.920), Δ drift +0.020" in widget.accessibleName()
    plain_one = Whisker(replace(cell, trigger=None, drift=None))
    qtbot.addWidget(plain_one)
    assert len(plain_one.marks) == 1
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
    bars = [bar.accessibleName() for bar in widget.findChildren(Bar)]
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
    bars = [bar.accessibleName() for bar in widget.findChildren(Bar)]
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


# --- the whole pane -------------------------------------------------------------------------------------------


def a_detail(
    verdict: Verdict = Verdict.FLAGGED, name: str = "org/model-1", **given: object
) -> Detail:
    audit = factories.make_audit(name, verdict=verdict)
    row = factories.make_row(
        1, verdict=verdict, job=factories.make_job(1, repo_id=name, audit_id=audit.id)
    )
    finding = factories.make_finding(audit, name=name) if verdict is Verdict.FLAGGED else None
    return Detail(
        row, audit=audit, finding=finding, manifest=factories.make_manifest(name), **given
    )  # type: ignore[arg-type]


@pytest.fixture
def pane(qtbot: QtBot) -> DetailPane:
    made = DetailPane()
    qtbot.addWidget(made)
    made.resize(1200, 700)
    made.show()
    return made


def test_nothing_found_never_reads_as_clean(pane: DetailPane) -> None:
    pane.show_detail(a_detail(Verdict.NOTHING_FOUND))
    shown = texts(pane)
    assert (
        "Nothing found with 24 signatures at budget default. This does not say the checkpoint is clean."
        in shown
    )
    assert "A trigger outside these signatures would not have been seen." in shown
    assert not pane.triage.isVisible()


def test_every_identifier_is_shown_in_full(pane: DetailPane) -> None:
    detail = a_detail()
    pane.show_detail(detail)
    shown = texts(pane).replace(" ", "")
    assert detail.audit and detail.finding and detail.manifest
    for value in (
        detail.audit.id,
        detail.audit.identity,
        detail.audit.text_tower,
        detail.finding.fingerprint,
    ):
        assert value in shown
    assert all((file.sha256 or file.git_oid or "?") in shown for file in detail.manifest.files)


def test_showing_the_same_again_keeps_the_widgets(pane: DetailPane) -> None:
    detail = a_detail()
    pane.show_detail(detail)
    before = pane.findChildren(HeatCell)
    pane.show_detail(replace(detail))
    assert pane.findChildren(HeatCell) == before


def test_hostile_strings_reach_no_label_as_markup(pane: DetailPane) -> None:
    pane.show_detail(a_detail(name=factories.HOSTILE))
    for label in pane.findChildren(QLabel):
        assert label.textFormat() is Qt.TextFormat.PlainText, label.text()
        assert not set(label.text()) & set("\x1b\u202e\n")
    for widget in pane.findChildren(QWidget):
        assert "<img" not in widget.toolTip()
        assert "\x1b" not in widget.accessibleName()


def test_a_narrow_pane_stacks_its_columns(pane: DetailPane, qtbot: QtBot) -> None:
    pane.show_detail(a_detail())
    pane.resize(1400, 700)
    assert pane.widget().width() <= pane.viewport().width()
    cells = pane.findChildren(HeatCell)
    pane.resize(round(38 * theme.em(pane)), 700)
    qtbot.wait(10)
    assert pane.widget().width() <= pane.viewport().width()
    assert cells == pane.findChildren(HeatCell)


# --- triage ---------------------------------------------------------------------------------------------------


@pytest.fixture
def triage(qtbot: QtBot) -> Triage:
    made = Triage()
    qtbot.addWidget(made)
    made.show_detail(a_detail())
    made.show()
    return made


def test_a_false_positive_needs_its_reason(triage: Triage, qtbot: QtBot) -> None:
    with qtbot.assertNotEmitted(triage.decided):
        triage.decide(TriageState.FALSE_POSITIVE)
    assert "needs a note" in texts(triage)
    triage.note.setText("the target is the base's own habit")
    with qtbot.waitSignal(triage.decided) as caught:
        triage.decide(TriageState.FALSE_POSITIVE)
    (wish,) = caught.args
    assert (wish.state, wish.note) == (
        TriageState.FALSE_POSITIVE,
        "the target is the base's own habit",
    )


def test_each_button_decides_what_it_says(triage: Triage, qtbot: QtBot) -> None:
    confirm = next(
        button for button in triage.findChildren(QPushButton) if button.text() == "Confirm"
    )
    with qtbot.waitSignal(triage.decided) as caught:
        qtbot.mouseClick(confirm, Qt.MouseButton.LeftButton)
    assert caught.args[0].state is TriageState.CONFIRMED


def test_an_unfinished_note_waits_for_its_own_finding(triage: Triage) -> None:
    triage.note.setText("half a thought")
    triage.show_detail(a_detail(name="org/other"))
    assert triage.note.text() == ""
    triage.show_detail(a_detail())
    assert triage.note.text() == "half a thought"


# --- filter, status, help -------------------------------------------------------------------------------------


def test_the_queue_line_names_states_that_are_present() -> None:
    assert (
        queue_text({"auditing": 1, "done": 1200, "failed": 2})
        == "1 auditing · 2 failed · 1,200 done"
    )
    assert queue_text({}) == "queue empty"


def test_the_status_line_says_what_the_audits_come_to_and_what_chance_may_have_made() -> None:
    def told(tally: Tally) -> str:
        return overview_text(Overview(0, {"done": 12}, None, None, None, (), tally, ()))

    shown = told(Tally(12, 1, 2, 12, 0.36))
    assert shown.startswith(
        "12 done · 12 audited, 1 flagged, 2 anomalous; by chance alone at most 0.36 flags"
    )
    assert told(Tally(0, 0, 0, 0, 0.0)) == "12 done"


def test_the_status_line_says_what_matters_first_and_is_not_cut_on_a_small_screen(
    qtbot: QtBot,
) -> None:
    tally = Tally(12, 1, 2, 12, 0.36)
    counts = {"auditing": 2, "queued": 1234, "retry-wait": 12, "failed": 34, "done": 5678}
    found = Overview(0, counts, None, None, "2026-11-23T09:00:00.000000+00:00", (), tally, ())
    status = Status(Path("/home"))
    qtbot.addWidget(status)
    status.resize(1280, status.sizeHint().height())
    status.show()
    status.show_overview(found)
    queue = next(one for one in status.findChildren(Label) if one.accessibleName() == "Queue")
    qtbot.waitUntil(lambda: queue.width() >= queue.fontMetrics().horizontalAdvance(queue.text()))
    assert queue.text().startswith("1 flagged, at most 0.36 by chance, 2 anomalous · 2 auditing")
    assert "12 audited, 1 flagged, 2 anomalous" in queue.toolTip()


def test_the_status_line_says_since_when_nothing_new_is_known() -> None:
    """A watcher that is gone, and one whose last pass failed, are blind since the last complete one."""
    now = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    alive, gone = (
        Beat("watcher", os.getpid(), "", datetime.now(UTC).isoformat()),
        Beat("watcher", 1, "", "2026-11-23T09:00"),
    )
    failed = Beat("poller", 1, "failed: the hub did not answer", now.isoformat())

    def told(watcher: Beat, poller: Beat | None, last: str | None) -> str:
        tally = Tally(0, 0, 0, 0, 0.0)
        return coverage_text(Overview(0, {}, watcher, poller, last, (), tally, ()), now)

    earlier = (now - timedelta(minutes=3)).isoformat()
    clock = time_text(earlier)[11:]
    assert told(alive, None, earlier) == "Last complete poll 3 min ago"
    assert told(gone, None, earlier) == f"Blind since {clock}: no watcher runs"
    assert told(gone, None, "2026-11-20T09:00:00+00:00").startswith("Blind since 2026-11-20")
    assert told(alive, None, None) == "No complete poll yet"
    assert "no watcher runs" in told(gone, None, None)
    assert told(alive, failed, earlier).endswith(": no watcher runs") is False


def test_a_revision_after_an_approved_one_is_named_with_a_plain_name() -> None:
    def told(job: Job | None) -> str:
        return unaudited_text(
            Overview(0, {}, None, None, None, (), Tally(0, 0, 0, 0, 0.0), (), job)
        )

    assert told(None) == ""
    text = told(factories.make_job(repo_id=factories.HOSTILE, state=JobState.QUEUED))
    assert "is not audited since 2026-11-23" in text and "(queued)" in text
    assert text.isprintable() and "\u202e" not in text


def test_a_line_that_has_no_room_is_cut_and_told_in_full(qtbot: QtBot) -> None:
    """At any width the status line lies beside its neighbours and never over them."""
    status = Status(Path("/home"))
    qtbot.addWidget(status)
    beat = Beat("watcher", 1, "", "2026-11-23T09:00")
    counts = {state.value: 1000 for state in JobState}
    status.show_overview(
        Overview(0, counts, beat, None, "2026-11-20T09:00", (), Tally(9, 1, 1, 9, 0.3), ())
    )
    for width in (700, 1600):
        status.resize(width, status.sizeHint().height())
        status.show()
        qtbot.wait(1)
        shown = [one for one in status.findChildren(QWidget) if one.isVisible()]
        places = sorted((one.geometry() for one in shown), key=lambda place: place.left())
        assert all(a.right() < b.left() for a, b in itertools.pairwise(places))
        assert places[-1].right() <= width
    (queue,) = (one for one in shown if one.accessibleName() == "Queue")
    assert "1,000 auditing" in queue.toolTip()


def test_dead_letters_say_which_channel_and_why() -> None:
    finding = factories.make_finding(factories.make_audit())
    dead = tuple(
        Alert(str(n), channel, "new", notice_of(finding), last_error="gone")
        for n, channel in enumerate(("slack", "e-mail"))
    )
    assert (
        dead_letters_text(dead)
        == "2 alerts could not be delivered (e-mail, slack). They are kept. Last answer: gone"
    )
    assert dead_letters_text(()) == ""


def test_a_base_that_changed_is_told_with_what_to_do_and_the_others_are_counted() -> None:
    finding = replace(
        factories.make_finding(factories.make_audit()),
        ref=ModelRef("acme/one", "b" * 40),
        kind=FindingKind.CHANGED,
        reason="the weights are another file; `dife reference pin acme/one --revision COMMIT`",
    )
    told = changed_bases_text((finding, finding, finding))
    assert told.startswith("Clean base changed in acme/one. Changed: the weights are another file;")
    assert "dife reference pin acme/one" in told and f"dife triage {finding.fingerprint}" in told
    assert told.endswith("And 2 more: `dife findings kind:changed` lists them.")
    assert "more" not in changed_bases_text((finding,))
    assert changed_bases_text(()) == ""


def test_help_lists_every_key(qtbot: QtBot) -> None:
    dialog = Help()
    qtbot.addWidget(dialog)
    shown = texts(dialog)
    assert all(key.shown.split()[0] in shown and key.does in shown for key in KEYS)


def test_labels_never_guess_at_markup(qtbot: QtBot) -> None:
    label = Label("<h1>big</h1>\x1b[31m\nred")
    qtbot.addWidget(label)
    assert label.text() == "<h1>big</h1> red"
    assert label.textFormat() is Qt.TextFormat.PlainText
