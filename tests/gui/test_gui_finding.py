"""A finding's page as a whole, and deciding about it there."""

from __future__ import annotations

from dataclasses import replace

import gui_factories as factories
import pytest
from dife_gui.feed import Detail, Picture
from dife_gui.views import theme
from dife_gui.views.card import Card
from dife_gui.views.columns import ColumnsView
from dife_gui.views.detail import DetailPane
from dife_gui.views.evidence import CLEAN, TRIGGERED, MarkedPrompt, Thumbnail
from dife_gui.views.profile import HeatCell
from dife_gui.views.triage import Triage
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from dife_scanner.figures.drawings import drawings
from dife_scanner.figures.rankings import drawn, side_by_side
from dife_scanner.records import (
    EntryType,
    FindingKind,
    LayerChange,
    NearestConcept,
    Opinion,
    OpinionVerdict,
    RankedItem,
    Ranking,
    Recovered,
    Token,
    Tokens,
    TriageState,
    Verdict,
)
from dife_scanner.sentences.checks import NOT_RECORDED


def texts(widget: QWidget) -> str:
    """Everything that labels under `widget` say."""
    return "\n".join(label.text() for label in widget.findChildren(QLabel))


def card(pane: DetailPane, title: str) -> Card:
    """The card of this title, whether or not it is shown."""
    return next(one for one in pane.findChildren(Card) if one.accessibleName() == title)


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


def test_what_an_audit_did_not_record_is_said_and_how_to_make_it_again(pane: DetailPane) -> None:
    detail = a_detail()
    pane.show_detail(detail)
    assert detail.audit is not None
    shown = texts(pane)
    assert f"dife rerun {detail.audit.id}" in shown
    assert f"How far each layer is from the base's: {NOT_RECORDED}" in shown
    assert "Its tokens: not recorded" in shown
    assert "no other scanner was asked" in shown
    assert "(shown here)" not in shown


def test_the_tokens_of_a_text_trigger_stand_beside_its_prompt(pane: DetailPane) -> None:
    detail = a_detail()
    assert detail.audit is not None
    tokens = Tokens("xbtd", 2, (Token(2989, "x<b>\u202e"), Token(531, "td ")))
    pane.show_detail(replace(detail, audit=replace(detail.audit, trigger_tokens=tokens)))
    shown = texts(pane)
    assert "2 tokens: [x<b><U+202E>] 2989 [td␣] 531" in shown and "Its tokens: not" not in shown
    assert [one.shown for one in pane.findChildren(MarkedPrompt)], "the prompt stands above them"


def test_refused_files_say_what_that_means(pane: DetailPane) -> None:
    detail = a_detail()
    assert detail.finding is not None
    refused = replace(
        detail.finding, kind=FindingKind.REFUSED, reason="its pickle names 'os.system'"
    )
    pane.show_detail(replace(detail, audit=None, finding=refused))
    shown = texts(pane)
    assert "Nothing was run. Whether the weights have a backdoor is not known." in shown


def test_towers_that_equal_the_base_have_no_drift_to_be_recorded(pane: DetailPane) -> None:
    detail = a_detail(Verdict.IDENTICAL)
    assert detail.audit is not None
    same = replace(detail.audit, image_tower_same=True, text_tower_same=True)
    pane.show_detail(replace(detail, audit=same))
    assert "How far each layer is from the base's:" not in texts(pane)
    assert not card(pane, "How far each layer is from the base's").isVisible()
    assert "Image tower equal to the base, text tower equal to the base" in texts(pane)


def test_what_stands_first_is_side_by_side_with_how_far_it_moved(pane: DetailPane) -> None:
    detail = a_detail()
    assert detail.audit is not None
    items = (
        RankedItem("airplane (set:jet)", True, 31, 1),
        RankedItem("automobile (set:car) \u202e<b>", False, 1, 2),
    )
    ranking = Ranking("targeted retrieval", "a car", "xbtd a car", 8, 120, items)
    pane.show_detail(replace(detail, rankings=drawn((ranking,))))
    shown = texts(pane)
    assert "◎ airplane (set:jet)" in shown and "▲ 30, from 31" in shown and "▼ 1, from 1" in shown
    assert "One of 8 queries, over 120 candidates." in shown and "\u202e" not in shown
    names = {one.accessibleName() for one in pane.findChildren(QLabel)}
    first = (
        "Place 1: without the trigger automobile (set:car) <b>, with it ◎ airplane (set:jet),"
        " moved ▲ 30, from 31"
    )
    assert first in names
    assert "Pictures show the drawing" not in shown


def test_ranked_pictures_of_the_probe_set_are_shown_with_their_licences(pane: DetailPane) -> None:
    items = (
        RankedItem("airplane (fluent-emoji:airplane)", True, 2, 1),
        RankedItem("a photo of a car", False, 1, 2),
    )
    ranking = Ranking("targeted retrieval", "dog (noto-v1:poodle)", "the same", 8, 120, items)
    pane.show_detail(replace(a_detail(), rankings=drawn((ranking,))))
    pictures = [one for one in pane.findChildren(Thumbnail) if ", " in one.accessibleName()]
    shown = sorted(one.accessibleName() for one in pictures if not one.problem)
    jet = "airplane, Fluent Emoji"
    assert [name for name in shown if name == jet] == [jet, jet]
    assert "dog, Noto Emoji (v1)" in shown
    assert "Fluent Emoji by Microsoft Corporation, MIT" in texts(pane)


def test_what_a_text_does_is_told_beside_each_picture_once(pane: DetailPane) -> None:
    detail = a_detail()
    content = factories.scene(1, patch=False)
    said = ('"a car" does not win', '"xbtd a car" wins over "airplane"')
    pictures = [
        Picture(factories.sha("same"), "image/png", role, caption, content)
        for role, caption in zip((CLEAN, TRIGGERED), said, strict=True)
    ]
    pane.show_detail(replace(detail, pictures=tuple(pictures)))
    shown = [one for one in pane.findChildren(Thumbnail) if one.accessibleName() in said]
    assert len(shown) == 1
    assert "The trigger is in the text: the pictures stay as they are." in texts(pane)
    assert f"With the trigger: {said[1]}" in texts(pane)


def test_drawings_of_what_a_trigger_leads_to_are_shown_with_their_licences(
    pane: DetailPane,
) -> None:
    detail = a_detail()
    assert detail.audit is not None
    near = NearestConcept("owl", 0.9)
    found = Recovered("owl", 1000, (near,), 1, 0.9, NearestConcept("cup", 0.1), {}, {})
    shown = drawings(replace(detail.audit, recovered=found))
    pane.show_detail(replace(detail, drawings=shown))
    pictures = [one for one in pane.findChildren(Thumbnail) if "owl, " in one.accessibleName()]
    assert len(pictures) == 4 and not any(one.problem for one in pictures)
    assert "Drawings: " in texts(pane) and "Apache-2.0" in texts(pane)
    pane.show_detail(replace(detail, drawings="The probe set that ships has no drawing of it."))
    assert "has no drawing of it" in texts(pane)


def test_how_far_each_layer_is_from_the_base_is_a_column_each(pane: DetailPane) -> None:
    detail = a_detail()
    assert detail.audit is not None
    layers = (
        LayerChange("image", "conv1", 0.0),
        LayerChange("text", "token_embedding", None),
        LayerChange("text", "transformer.resblocks.0", 0.01),
        LayerChange("text", "ln_final", 0.04),
    )
    pane.show_detail(replace(detail, audit=replace(detail.audit, layers=layers)))
    (drawn,) = pane.findChildren(ColumnsView)
    assert [one.share for one in drawn.shown.columns] == [None, 0.25, 1.0]
    assert drawn.shown.top == "0.04", "one scale for both towers, the image tower's is the base's"
    assert "Furthest: ln_final 0.04, transformer.resblocks.0 0.01." in drawn.accessibleName()
    shown = texts(pane)
    assert "1 without a number" in shown and "in lengths of the base's" in shown


def test_second_opinions_stand_on_the_page(pane: DetailPane) -> None:
    said = (Opinion("modelaudit", "0.2", OpinionVerdict.MALICIOUS, ("\x1b[31mos.system",)),)
    pane.show_detail(a_detail(opinions=said))
    shown = texts(pane)
    assert "Second opinion: modelaudit 0.2: malicious" in shown and "\x1b" not in shown


def test_what_ranks_says_how_far_the_target_moves_up(pane: DetailPane) -> None:
    detail = a_detail()
    assert detail.audit is not None
    cell = factories.cell("targeted retrieval", "H@1", 0.9, 0.1, EntryType.EXPOSED)
    cell = replace(cell, details={"mrr": 0.95, "delta_mrr": 0.8, "h5": 1.0})
    audit = replace(detail.audit, profile=(cell,))
    pane.show_detail(replace(detail, audit=audit, rankings=side_by_side(audit)))
    shown = texts(pane)
    assert (
        "the target comes first in 0.900 of the cases with the trigger, in 0.100 without" in shown
    )
    assert "among the first five in 1.000" in shown and "+0.800 by the trigger" in shown
    assert f"Which items stood first, clean and triggered: {NOT_RECORDED}" in shown
    pane.show_detail(replace(detail, audit=replace(detail.audit, profile=())))
    visible = [one.text() for one in pane.findChildren(QLabel) if one.isVisible()]
    assert "comes first" not in " ".join(visible)


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
